package rules

import (
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// mixing holds the operators for which CEL wants both sides of one type. Its
// comparisons by < and > take any two numbers.
var mixing = []string{operators.Equals, operators.NotEquals, operators.Add, operators.Subtract, operators.Multiply, operators.Divide}

// wholeNumbers makes the 2 of mailbox.sends_7d == 2 or 2 * mailbox.fatigue a 2.0:
// our counts are doubles (see number), and nobody should have to know that. It
// changes only literals beside what is plainly one of our doubles.
func wholeNumbers(e ast.Expr) {
	factory := ast.NewExprFactory()
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind || !slices.Contains(mixing, e.AsCall().FunctionName()) || len(e.AsCall().Args()) != 2 {
			return
		}
		left, right := e.AsCall().Args()[0], e.AsCall().Args()[1]
		if isDouble(right) {
			left, right = right, left
		}
		if !isDouble(left) || right.Kind() != ast.LiteralKind {
			return
		}
		if n, ok := right.AsLiteral().(types.Int); ok {
			right.SetKindCase(factory.NewLiteral(right.ID(), types.Double(n)))
		}
	}))
}

// isDouble reports whether an expression not yet checked is surely a double: one
// of our fields, a literal with a point, or a sum or product with one in it.
func isDouble(e ast.Expr) bool {
	switch e.Kind() {
	case ast.LiteralKind:
		_, ok := e.AsLiteral().(types.Double)
		return ok
	case ast.SelectKind:
		operand := e.AsSelect().Operand()
		if operand.Kind() != ast.IdentKind || e.AsSelect().IsTestOnly() {
			return false
		}
		fields := map[string][]field{"message": messageFields, "mailbox": mailboxFields}[operand.AsIdent()]
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == e.AsSelect().FieldName() })
		return i >= 0 && fields[i].kind == cel.DoubleType
	case ast.CallKind:
		return slices.Contains(mixing[2:], e.AsCall().FunctionName()) && slices.ContainsFunc(e.AsCall().Args(), isDouble)
	}
	return false
}
