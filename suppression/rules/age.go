package rules

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

const forever = time.Duration(math.MaxInt64)

// ageType is the type of last_send, last_open and last_click in expressions.
var ageType = types.NewObjectType("age", traits.ComparerType)

// age is how long ago something last happened, as far as that can be known: the
// truth lies in [least, most]. It is not a duration because a mailbox watched for
// 30 days without a click has no last click to subtract: the only sound answers
// are "over 30 days ago" and, asked about 180 days, none.
type age struct {
	least, most time.Duration // equal: seen and exact; most forever: never seen
	name        string        // of the variable, for the reason of an absent answer
}

// newAge is the age of the last thing seen at that time, zero for none, of which
// the last visible would have been seen.
func newAge(name string, now, at time.Time, visible time.Duration) age {
	if at.IsZero() {
		return age{least: visible, most: forever, name: name}
	}
	seen := max(0, now.Sub(at))
	// Something seen before the present time of watching leaves a stretch between
	// in which a later one could have gone unseen.
	return age{least: min(seen, visible), most: seen, name: name}
}

// Compare answers 1, 0 or -1 where the age is certainly longer than, equal to or
// shorter than the duration, and absent where it may be either.
func (a age) Compare(other ref.Val) ref.Val {
	d, ok := other.(types.Duration)
	if !ok {
		return types.MaybeNoSuchOverloadErr(other)
	}
	switch {
	case a.least == a.most && a.least == d.Duration:
		return types.IntZero
	case a.least > d.Duration, a.least == d.Duration && a.most > d.Duration:
		// Nothing within d: the last one is further back than d.
		return types.IntOne
	case a.most < d.Duration:
		return types.IntNegOne
	}
	return types.WrapErr(&absentError{name: a.name})
}

// String is the age for people: "3d4h", "never", "over 30d".
func (a age) String() string {
	switch {
	case a.least == a.most && a.most == forever:
		return "never"
	case a.least == a.most:
		return shortDuration(a.most)
	case a.most == forever:
		return "none seen in " + shortDuration(a.least)
	}
	return fmt.Sprintf("%s to %s", shortDuration(a.least), shortDuration(a.most))
}

// ConvertToNative is not offered: an age leaves expressions only by comparison.
func (a age) ConvertToNative(reflect.Type) (any, error) {
	return nil, fmt.Errorf("an age can only be compared")
}

// ConvertToType is not offered, see ConvertToNative.
func (a age) ConvertToType(ref.Type) ref.Val { return types.NewErr("an age can only be compared") }

// Equal is not offered: two ages are never exactly known to be one.
func (a age) Equal(ref.Val) ref.Val { return types.NewErr("an age has no ==: use < or >") }

// Type is ageType.
func (a age) Type() ref.Type { return ageType }

// Value is the age itself.
func (a age) Value() any { return a }

// shortDuration writes days first: 36h is "1d12h".
func shortDuration(d time.Duration) string {
	if d < 0 {
		return d.String()
	}
	days := d / (24 * time.Hour)
	rest := (d % (24 * time.Hour)).Truncate(time.Second)
	text := rest.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	switch {
	case days == 0:
		return text
	case rest == 0:
		return fmt.Sprintf("%dd", days)
	}
	return fmt.Sprintf("%dd%s", days, text)
}
