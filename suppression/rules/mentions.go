package rules

import (
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// Value is one variable that a rule read, as text for people: {"mailbox.sends_7d",
// "9"}.
type Value struct{ Name, Text string }

// mention is a variable that an expression names.
type mention struct {
	name string // tenant, message.class, mailbox.attributes.tier
	text func(*Facts) string
}

// mentionsOf lists the variables of an expression in order of name. A map is
// listed by its keys where they are written out, and whole where they are not.
func mentionsOf(checked *ast.AST) []mention {
	found := map[string]func(*Facts) string{}
	root := ast.NavigateAST(checked)
	for _, e := range ast.MatchDescendants(root, ast.KindMatcher(ast.IdentKind)) {
		switch e.AsIdent() {
		case "tenant":
			found["tenant"] = func(f *Facts) string { return valueText(f.Tenant) }
		case "now":
			found["now"] = func(f *Facts) string { return valueText(f.Now) }
		}
	}
	for _, e := range ast.MatchDescendants(root, ast.KindMatcher(ast.SelectKind)) {
		name, text := selected(e)
		if text != nil {
			found[name] = text
		}
	}
	var list []mention
	for name, text := range found {
		list = append(list, mention{name, text})
	}
	slices.SortFunc(list, func(a, b mention) int { return strings.Compare(a.name, b.name) })
	return list
}

// selected is the name of a field of ours and how to write it; nil for any other
// selection.
func selected(e ast.NavigableExpr) (string, func(*Facts) string) {
	operand, member := e.AsSelect().Operand(), e.AsSelect().FieldName()
	if operand.Kind() != ast.IdentKind {
		return "", nil
	}
	fields := messageFields
	switch operand.AsIdent() {
	case "mailbox":
		fields = mailboxFields
	case "message":
	default:
		return "", nil
	}
	i := slices.IndexFunc(fields, func(f field) bool { return f.name == member })
	if i < 0 {
		return "", nil
	}
	name := operand.AsIdent() + "." + member
	if key, ok := keyOf(e); ok && member == "attributes" {
		return name + "." + key, func(f *Facts) string { return attributeText(f, key) }
	}
	return name, fields[i].text
}

func attributeText(f *Facts, key string) string {
	if v, ok := f.Mailbox.Attributes[key]; ok {
		return strconv.Quote(v)
	}
	return "missing"
}

// keyOf is the constant key that an expression's parent looks up in it: attributes.tier
// or attributes["tier"].
func keyOf(e ast.NavigableExpr) (string, bool) {
	parent, ok := e.Parent()
	if !ok {
		return "", false
	}
	switch parent.Kind() {
	case ast.SelectKind:
		return parent.AsSelect().FieldName(), true
	case ast.CallKind:
		call := parent.AsCall()
		if call.FunctionName() != operators.Index || len(call.Args()) != 2 || call.Args()[0].ID() != e.ID() {
			return "", false
		}
		if key := call.Args()[1]; key.Kind() == ast.LiteralKind {
			s, ok := key.AsLiteral().(types.String)
			return string(s), ok
		}
	}
	return "", false
}
