package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// What one expression may cost, in the units of CEL: about one a read or
// comparison and one for ten bytes looked at. maxCost is refused at load for the
// largest facts foreseen (see sizes), and ends an evaluation that reaches it
// nevertheless; 20,000 is a few milliseconds at most. Below plainCost and without
// a loop there is nothing to count.
const (
	maxCost       = 20_000
	plainCost     = 1000
	maxExpression = 4000 // code points
	maxDepth      = 50
)

const messageName, mailboxName = "tidepost.Message", "tidepost.Mailbox"

// provider tells CEL of our two structs. Their fields are read by the functions of
// the field tables, straight out of Facts: no map and no reflection.
type provider struct {
	types.Provider
	structs map[string]map[string]*types.FieldType
}

func newProvider(base types.Provider) provider {
	p := provider{base, map[string]map[string]*types.FieldType{messageName: {}, mailboxName: {}}}
	for _, f := range messageFields {
		p.structs[messageName][f.name] = f.celType("message.")
	}
	for _, f := range mailboxFields {
		p.structs[mailboxName][f.name] = f.celType("mailbox.")
	}
	return p
}

// celType is the field as the interpreter reads it. Both objects are the Facts
// themselves, so that handing them over allocates nothing.
func (fd field) celType(prefix string) *types.FieldType {
	absent := &absentError{name: prefix + fd.name}
	return &types.FieldType{
		Type: fd.kind,
		IsSet: func(object any) bool {
			f, ok := object.(*Facts)
			return ok && (fd.present == nil || fd.present(f))
		},
		GetFrom: func(object any) (any, error) {
			f, ok := object.(*Facts)
			if !ok {
				return nil, fmt.Errorf("%s%s of something else", prefix, fd.name)
			}
			if fd.present != nil && !fd.present(f) {
				return nil, absent
			}
			return fd.get(f), nil
		},
	}
}

// FindStructType knows ours besides CEL's own.
func (p provider) FindStructType(name string) (*types.Type, bool) {
	if _, ok := p.structs[name]; ok {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return p.Provider.FindStructType(name)
}

// FindStructFieldNames lists the fields of ours.
func (p provider) FindStructFieldNames(name string) ([]string, bool) {
	if fields, ok := p.structs[name]; ok {
		return slices.Sorted(maps.Keys(fields)), true
	}
	return p.Provider.FindStructFieldNames(name)
}

// FindStructFieldType is one field of ours.
func (p provider) FindStructFieldType(name, member string) (*types.FieldType, bool) {
	if fields, ok := p.structs[name]; ok {
		f, found := fields[member]
		return f, found
	}
	return p.Provider.FindStructFieldType(name, member)
}

// variables is Facts as an activation.
type variables Facts

// ResolveName reads one of the four variables.
func (v *variables) ResolveName(name string) (any, bool) {
	switch name {
	case "message", "mailbox":
		return (*Facts)(v), true
	case "tenant":
		return v.Tenant, true
	case "now":
		return v.Now, true
	}
	return nil, false
}

// Parent is none.
func (v *variables) Parent() cel.Activation { return nil }

// span declares days(3) and the like.
func span(name string, unit time.Duration) cel.EnvOption {
	limit := types.Int(10 * 365 * day / unit)
	return cel.Function(name, cel.Overload(name+"_int", []*cel.Type{cel.IntType}, cel.DurationType,
		cel.UnaryBinding(func(arg ref.Val) ref.Val {
			n, ok := arg.(types.Int)
			if !ok || n < -limit || n > limit {
				return types.NewErr("%s(%v) is beyond 10 years", name, arg)
			}
			return types.Duration{Duration: time.Duration(n) * unit}
		})))
}

// compareAge declares one comparison of an age with a duration; how it comes out
// is age.Compare's.
func compareAge(operator, name string) cel.EnvOption {
	return cel.Function(operator, cel.Overload(name+"_age_duration", []*cel.Type{ageType, cel.DurationType}, cel.BoolType))
}

func shared() []cel.EnvOption {
	return []cel.EnvOption{
		span("days", day), span("hours", time.Hour), span("minutes", time.Minute),
		cel.ParserExpressionSizeLimit(maxExpression),
		cel.ParserRecursionLimit(maxDepth),
		cel.ExpressionNodeLimit(maxExpression),
		cel.DefaultUTCTimeZone(false), // now.getHours() is the reader's wall clock
	}
}

// whenEnv is where conditions are compiled. It is built once: 2 ms and immutable.
var whenEnv = sync.OnceValues(func() (*cel.Env, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	options := append(shared(),
		cel.CustomTypeAdapter(registry),
		cel.CustomTypeProvider(newProvider(registry)),
		cel.CrossTypeNumericComparisons(true),
		cel.Variable("message", cel.ObjectType(messageName)),
		cel.Variable("mailbox", cel.ObjectType(mailboxName)),
		cel.Variable("tenant", cel.StringType),
		cel.Variable("now", cel.TimestampType),
		compareAge(operators.Less, "less"), compareAge(operators.LessEquals, "less_equals"),
		compareAge(operators.Greater, "greater"), compareAge(operators.GreaterEquals, "greater_equals"),
	)
	return cel.NewEnv(options...)
})

// sizes bounds what cannot be seen in an expression: how long texts and lists get.
// Longer ones are possible and then meet the limit at run time.
type sizes struct{}

// EstimateSize bounds a text, list or map of the facts.
func (sizes) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	limits := map[string]uint64{
		"message.subject": 1000, "message.tags": 32, "mailbox.segments": 200, "mailbox.attributes": 64,
	}
	path := strings.Join(node.Path(), ".")
	limit, known := limits[path]
	if !known {
		if path == "" {
			return nil // a literal or a result: CEL knows better
		}
		limit = 256
	}
	return &cost.SizeEstimate{Min: 0, Max: limit}
}

// EstimateCallCost prices our own functions as the cheap things they are.
func (sizes) EstimateCallCost(_, overload string, _ *cost.AstNode, _ []cost.AstNode) *cost.CallEstimate {
	switch {
	case strings.HasSuffix(overload, "_age_duration"), overload == "days_int", overload == "hours_int", overload == "minutes_int":
		return cost.NewCallEstimate(cost.Estimate{Min: 1, Max: 1}, nil)
	}
	return nil
}

// condition is a compiled when.
type condition struct {
	program  cel.Program
	cost     uint64    // most it can cost
	mentions []mention // what it reads
}

// fault is a message at a place of an expression, line from 1 and column from 0
// in code points, as CEL counts.
type fault struct {
	line, column int
	message      string
}

// compileWhen makes a condition of an expression.
func compileWhen(text string) (*condition, []fault) {
	env, err := whenEnv()
	if err != nil {
		return nil, []fault{{message: err.Error()}}
	}
	checked, faults := compile(env, text, cel.BoolType)
	if faults != nil {
		return nil, faults
	}
	if faults := refused(checked.NativeRep()); faults != nil {
		return nil, faults
	}
	estimate, err := env.EstimateCost(checked, sizes{})
	if err != nil {
		return nil, []fault{{message: err.Error()}}
	}
	if estimate.Max > maxCost {
		return nil, []fault{{1, 0, fmt.Sprintf("may cost %d where %d is the limit: avoid a loop inside a loop and long patterns", estimate.Max, maxCost)}}
	}
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if estimate.Max > plainCost || !plain(checked.NativeRep()) {
		options = append(options, cel.CostLimit(maxCost))
	}
	program, err := env.Program(checked, options...)
	if err != nil {
		return nil, []fault{{1, 0, err.Error()}}
	}
	return &condition{program, estimate.Max, mentionsOf(checked.NativeRep())}, nil
}

// plain reports whether an expression has neither loop nor pattern. It then takes a
// fixed number of steps, each linear in what it looks at, and needs no count at run
// time, which would take more time than most conditions: 0.47 µs instead of 0.16.
func plain(checked *ast.AST) bool {
	return len(ast.MatchDescendants(ast.NavigateAST(checked), func(e ast.NavigableExpr) bool {
		return e.Kind() == ast.ComprehensionKind || e.Kind() == ast.CallKind && e.AsCall().FunctionName() == "matches"
	})) == 0
}

// compile parses and checks an expression that must have that type.
func compile(env *cel.Env, text string, want *cel.Type) (*cel.Ast, []fault) {
	parsed, issues := env.Parse(text)
	checked := parsed
	if issues.Err() == nil {
		wholeNumbers(parsed.NativeRep().Expr())
		checked, issues = env.Check(parsed)
	}
	if issues.Err() != nil {
		var faults []fault
		for _, e := range issues.Errors() {
			faults = append(faults, fault{e.Location.Line(), e.Location.Column(), remedy(e.Message, names(env))})
		}
		return nil, faults
	}
	if got := checked.OutputType(); !got.IsExactType(want) {
		return nil, []fault{{1, 0, fmt.Sprintf("is of type %s and must be of type %s", cel.FormatCELType(got), cel.FormatCELType(want))}}
	}
	return checked, nil
}

// names lists what a misspelt word may have meant.
func names(env *cel.Env) []string {
	var list []string
	for _, v := range env.Variables() {
		list = append(list, v.Name())
	}
	for _, group := range [][]field{messageFields, mailboxFields} {
		for _, f := range group {
			list = append(list, f.name)
		}
	}
	for name := range env.Functions() {
		if !strings.ContainsAny(name, "_@!") {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}
