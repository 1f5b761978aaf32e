package rules

import (
	"fmt"
	"regexp"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// refused finds what CEL allows and we do not.
func refused(checked *ast.AST) []fault {
	var faults []fault
	info := checked.SourceInfo()
	for _, e := range ast.MatchDescendants(ast.NavigateAST(checked), ast.AllMatcher()) {
		if message := whyNot(checked, e); message != "" {
			at := info.GetStartLocation(e.ID())
			faults = append(faults, fault{at.Line(), at.Column(), message})
		}
	}
	return faults
}

// whyNot is what is wrong with one expression, empty for nothing.
func whyNot(checked *ast.AST, e ast.NavigableExpr) string {
	switch e.Kind() {
	case ast.IdentKind:
		// As values of their own, message and mailbox could be put where the
		// interpreter cannot read them.
		name := e.AsIdent()
		parent, ok := e.Parent()
		if (name == "message" || name == "mailbox") && (!ok || parent.Kind() != ast.SelectKind) {
			return fmt.Sprintf("%s needs a field: %s.…", name, name)
		}
	case ast.CallKind:
		switch call := e.AsCall(); call.FunctionName() {
		case "matches":
			return badPattern(call)
		case operators.Equals, operators.NotEquals:
			if checked.GetType(call.Args()[0].ID()).IsExactType(ageType) {
				return "two ages are never known to be the same: compare one with a duration by < or >"
			}
		}
	}
	return ""
}

// badPattern refuses patterns that are not written out: those would be compiled at
// every evaluation, and attributes come from outside.
func badPattern(call ast.CallExpr) string {
	args := call.Args()
	if len(args) == 0 {
		return ""
	}
	last := args[len(args)-1]
	pattern, ok := "", last.Kind() == ast.LiteralKind
	if ok {
		s, isText := last.AsLiteral().(types.String)
		pattern, ok = string(s), isText
	}
	if !ok {
		return "the pattern of matches must be written out, in quotes"
	}
	if _, err := regexp.Compile(pattern); err != nil {
		return err.Error()
	}
	return ""
}
