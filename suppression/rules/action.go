package rules

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Bounds of what a rule may ask for.
const (
	maxCap      = 32 // what a mailbox remembers of its sends
	maxWindow   = 90 * day
	maxHold     = 30 * day
	maxGap      = 30 * day
	maxPriority = 9 // as MT-PRIORITY, RFC 6710 §2
)

// Kind is what a rule does.
type Kind uint8

// The kinds. Allow, Hold and Drop decide: no rule below them is read. The others
// add up.
const (
	None     Kind = iota // nothing was decided
	Allow                // go, whatever rules below say
	Hold                 // wait
	Drop                 // never go
	Cap                  // at most so many in a window
	MinGap               // not sooner after the last one
	Quiet                // not in these hours
	Priority             // sooner or later than others
	Tag                  // a mark for reports
)

var kindNames = [...]string{"none", "allow", "hold", "drop", "cap", "min_gap", "quiet", "priority", "tag"}

// String is the kind as it is written in rules.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// MarshalText is String.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// decides reports whether rules below are not read after it.
func (k Kind) decides() bool { return k == Allow || k == Hold || k == Drop }

// restricts reports whether mail may go later, or not at all, because of it.
func (k Kind) restricts() bool {
	return k == Hold || k == Drop || k == Cap || k == MinGap || k == Quiet
}

// Action is what a rule asks for, read from its then.
type Action struct {
	Kind Kind
	Word string        // Drop: the reason; Tag: the tag
	N    int           // Cap: how many; Priority: by how much, −9 to 9
	For  time.Duration // Hold: since the message was accepted; MinGap: the gap; Cap: the window
	At   time.Time     // Hold: until then; zero: For counts
	From int           // Quiet: first minute of the day
	To   int           // Quiet: first minute after it, on the next day if not after From
}

// String is the action as it could be written.
func (a Action) String() string {
	switch a.Kind {
	case Drop, Tag:
		return fmt.Sprintf("%s('%s')", a.Kind, a.Word)
	case Hold:
		if !a.At.IsZero() {
			return "hold(timestamp('" + a.At.Format(time.RFC3339) + "'))"
		}
		return fmt.Sprintf("hold(duration('%s'))", a.For)
	case MinGap:
		return fmt.Sprintf("min_gap(duration('%s'))", a.For)
	case Cap:
		return fmt.Sprintf("cap(%d, duration('%s'))", a.N, a.For)
	case Quiet:
		return fmt.Sprintf("quiet('%s', '%s')", clock(a.From), clock(a.To))
	case Priority:
		return fmt.Sprintf("priority(%d)", a.N)
	}
	return a.Kind.String() + "()"
}

func clock(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }

// actionType is the type of a then.
var actionType = types.NewObjectType("action")

// actionValue is an Action inside CEL.
type actionValue struct {
	types.Null // for the conversions, none of which is meant
	action     Action
}

// Type is actionType.
func (actionValue) Type() ref.Type { return actionType }

// Value is the Action.
func (v actionValue) Value() any { return v.action }

var wordForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$`)

// check reports what is wrong with an action's numbers.
func (a Action) check() error {
	switch a.Kind {
	case Drop, Tag:
		if !wordForm.MatchString(a.Word) {
			return fmt.Errorf("%s('%s'): use 1 to 64 letters, digits and _ . : -", a.Kind, a.Word)
		}
	case Cap:
		if a.N < 1 || a.N > maxCap {
			return fmt.Errorf("cap(%d, …): use 1 to %d, more sends of a mailbox are not remembered; for none write drop or hold", a.N, maxCap)
		}
		return within("cap's window", a.For, maxWindow)
	case MinGap:
		return within("min_gap", a.For, maxGap)
	case Hold:
		if a.At.IsZero() {
			return within("hold", a.For, maxHold)
		}
	case Priority:
		if a.N == 0 || a.N < -maxPriority || a.N > maxPriority {
			return fmt.Errorf("priority(%d): use −%d to %d, but not 0", a.N, maxPriority, maxPriority)
		}
	case Quiet:
		if a.From == a.To {
			return errors.New("quiet: both times are the same, which could mean never or always")
		}
	}
	return nil
}

func within(what string, d, limit time.Duration) error {
	if d < time.Minute || d > limit {
		return fmt.Errorf("%s of %s: use 1 minute to %s", what, shortDuration(d), shortDuration(limit))
	}
	return nil
}

// action declares one function of a then. A then is a CEL expression without
// variables, evaluated once at load: it has the same durations, error places and
// suggestions as a when, its bounds are checked before it ever runs, and running
// it costs nothing. Numbers that depend on the mailbox are several rules.
func action(name, overload string, args []*cel.Type, build func([]ref.Val) (Action, error)) cel.EnvOption {
	return cel.Function(name, cel.Overload(name+"_"+overload, args, actionType,
		cel.FunctionBinding(func(values ...ref.Val) ref.Val {
			a, err := build(values)
			if err == nil {
				err = a.check()
			}
			if err != nil {
				return types.WrapErr(err)
			}
			return actionValue{action: a}
		})))
}

func text(v ref.Val) string { s, _ := v.Value().(string); return s }

func length(v ref.Val) time.Duration { d, _ := v.Value().(time.Duration); return d }

// whole is an int, held inside what any of our bounds refuses.
func whole(v ref.Val) int {
	n, _ := v.Value().(int64)
	return int(min(max(n, -1_000_000), 1_000_000))
}

var thenEnv = sync.OnceValues(func() (*cel.Env, error) {
	str, num, dur := cel.StringType, cel.IntType, cel.DurationType
	return cel.NewEnv(append(shared(),
		action("allow", "none", nil, func([]ref.Val) (Action, error) { return Action{Kind: Allow}, nil }),
		action("drop", "string", []*cel.Type{str}, func(v []ref.Val) (Action, error) {
			return Action{Kind: Drop, Word: text(v[0])}, nil
		}),
		action("tag", "string", []*cel.Type{str}, func(v []ref.Val) (Action, error) {
			return Action{Kind: Tag, Word: text(v[0])}, nil
		}),
		action("hold", "duration", []*cel.Type{dur}, func(v []ref.Val) (Action, error) {
			return Action{Kind: Hold, For: length(v[0])}, nil
		}),
		action("hold", "timestamp", []*cel.Type{cel.TimestampType}, func(v []ref.Val) (Action, error) {
			at, _ := v[0].Value().(time.Time)
			return Action{Kind: Hold, At: at}, nil
		}),
		action("cap", "int_duration", []*cel.Type{num, dur}, func(v []ref.Val) (Action, error) {
			return Action{Kind: Cap, N: whole(v[0]), For: length(v[1])}, nil
		}),
		action("min_gap", "duration", []*cel.Type{dur}, func(v []ref.Val) (Action, error) {
			return Action{Kind: MinGap, For: length(v[0])}, nil
		}),
		action("priority", "int", []*cel.Type{num}, func(v []ref.Val) (Action, error) {
			return Action{Kind: Priority, N: whole(v[0])}, nil
		}),
		action("quiet", "string_string", []*cel.Type{str, str}, quietAction),
	)...)
})

func quietAction(v []ref.Val) (Action, error) {
	from, okFrom := minuteOfDay(text(v[0]))
	to, okTo := minuteOfDay(text(v[1]))
	if !okFrom || !okTo {
		return Action{}, fmt.Errorf("quiet('%s', '%s'): write times as 21:00", text(v[0]), text(v[1]))
	}
	return Action{Kind: Quiet, From: from, To: to}, nil
}

// minuteOfDay reads "21:00"; 24:00 is midnight.
func minuteOfDay(s string) (int, bool) {
	if s == "24:00" {
		return 0, true
	}
	at, err := time.Parse("15:04", s)
	return at.Hour()*60 + at.Minute(), err == nil && len(s) == len("15:04")
}

// compileThen reads a then.
func compileThen(source string) (Action, []fault) {
	if strings.TrimSpace(source) == "allow" {
		source = "allow()"
	}
	env, err := thenEnv()
	if err != nil {
		return Action{}, []fault{{message: err.Error()}}
	}
	checked, faults := compile(env, source, actionType)
	if faults != nil {
		return Action{}, faults
	}
	program, err := env.Program(checked, cel.CostLimit(maxCost))
	if err != nil {
		return Action{}, []fault{{1, 0, err.Error()}}
	}
	out, _, err := program.Eval(cel.NoVars())
	if err != nil {
		return Action{}, []fault{locate(checked, err)}
	}
	v, ok := out.(actionValue)
	if !ok {
		return Action{}, []fault{{1, 0, "asks for nothing that rules can do"}}
	}
	return v.action, nil
}

// locate finds the place of an error of evaluation.
func locate(checked *cel.Ast, err error) fault {
	f := fault{1, 0, err.Error()}
	if e := (*types.Err)(nil); errors.As(err, &e) {
		if at := checked.NativeRep().SourceInfo().GetStartLocation(e.NodeID()); at.Line() > 0 {
			f.line, f.column = at.Line(), at.Column()
		}
	}
	return f
}
