package rules

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

// Variable documents one name that rules may use.
type Variable struct {
	Name string // message.class
	Type string // string, double, int, duration, age, timestamp, list(string), map(string, string)
	Doc  string // one line
}

// absentError says that a variable has no value, so that what depends on it is
// neither true nor false.
type absentError struct{ name string }

func (e *absentError) Error() string { return e.name + " is not known of this mailbox" }

// field is one member of message or mailbox.
type field struct {
	name    string
	kind    *types.Type
	doc     string
	get     func(*Facts) any  // a native or CEL value
	present func(*Facts) bool // nil: always
}

const day = 24 * time.Hour

// small holds the numbers most counters have, boxed once: reading one then
// allocates nothing.
var small = func() (boxed [256]any) {
	for i := range boxed {
		boxed[i] = types.Double(i)
	}
	return boxed
}()

// number is a count as a CEL double. Counts are doubles because integer division
// would make clicks/sends < 0.01 true for nearly everybody, without a word.
func number(n uint32) any {
	if n < uint32(len(small)) {
		return small[n]
	}
	return types.Double(n)
}

// classes holds the classes boxed once, as small does numbers.
var classes = map[string]any{
	"transactional": types.String("transactional"), "triggered": types.String("triggered"),
	"newsletter": types.String("newsletter"), "promotional": types.String("promotional"),
}

func class(f *Facts) any {
	if boxed, ok := classes[f.Message.Class]; ok {
		return boxed
	}
	return f.Message.Class
}

var stringList, stringMap = cel.ListType(cel.StringType), cel.MapType(cel.StringType, cel.StringType)

var messageFields = []field{
	{"class", cel.StringType, "transactional, triggered, newsletter or promotional", class, nil},
	{"campaign", cel.StringType, "name of the campaign, empty for none", func(f *Facts) any { return f.Message.Campaign }, nil},
	{"list", cel.StringType, "List-Id without brackets", func(f *Facts) any { return f.Message.List }, nil},
	{"subject", cel.StringType, "decoded subject", func(f *Facts) any { return f.Message.Subject }, nil},
	{"tags", stringList, "X-Tidepost-Tags", func(f *Facts) any { return f.Message.Tags }, nil},
	{"size", cel.IntType, "bytes", func(f *Facts) any { return f.Message.Size }, nil},
	{"value", cel.DoubleType, "relative worth, 1 is usual", func(f *Facts) any { return f.Message.Value }, nil},
	{"age", cel.DurationType, "time since it was accepted", func(f *Facts) any { return f.Message.Age }, nil},
}

var mailboxFields = append([]field{
	{"local", cel.StringType, "part before the @", func(f *Facts) any { return f.Mailbox.Local }, nil},
	{"domain", cel.StringType, "part after the @", func(f *Facts) any { return f.Mailbox.Domain }, nil},
	{"provider", cel.StringType, "who runs its servers", func(f *Facts) any { return f.Mailbox.Provider }, nil},
	{"attributes", stringMap, "what is recorded of the reader; a missing one is absent", func(f *Facts) any { return f.Mailbox.Attributes }, nil},
	{"segments", stringList, "segments it belongs to", func(f *Facts) any { return f.Mailbox.Segments }, nil},
	{"last_send", ageType, "how long ago we last wrote to it", func(f *Facts) any { return lastSend(f) }, nil},
	{"last_open", ageType, "how long ago it last opened; undecided beyond opens_observable", func(f *Facts) any { return lastOpen(f) }, nil},
	{"last_click", ageType, "how long ago it last clicked; undecided beyond clicks_observable", func(f *Facts) any { return lastClick(f) }, nil},
	{"opens_observable", cel.DurationType, "for how long its opens could be seen", func(f *Facts) any { return f.Mailbox.OpensVisible }, nil},
	{"clicks_observable", cel.DurationType, "for how long its clicks could be seen", func(f *Facts) any { return f.Mailbox.ClicksVisible }, nil},
	{"fatigue", cel.DoubleType, "pressure of recent mail; at tolerance it is too much", func(f *Facts) any { return f.Mailbox.Fatigue }, modelled},
	{"interest", cel.DoubleType, "0 to 1", func(f *Facts) any { return f.Mailbox.Interest }, modelled},
	{"tolerance", cel.DoubleType, "fatigue it bears", func(f *Facts) any { return f.Mailbox.Tolerance }, modelled},
	{"complaints", cel.DoubleType, "complaints its provider told us of", func(f *Facts) any { return number(f.Mailbox.Complaints) }, nil},
	{"domain_sends_7d", cel.DoubleType, "our mail to the whole domain in 7 days", func(f *Facts) any { return number(f.Mailbox.DomainSends) }, nil},
	{"domain_bounces_7d", cel.DoubleType, "hard bounces of the whole domain in 7 days", func(f *Facts) any { return number(f.Mailbox.DomainBounces) }, nil},
}, countFields()...)

// countFields are sends, opens and clicks in each window.
func countFields() []field {
	always := func(*Facts) time.Duration { return forever }
	opens := func(f *Facts) time.Duration { return f.Mailbox.OpensVisible }
	clicks := func(f *Facts) time.Duration { return f.Mailbox.ClicksVisible }
	var all []field
	for _, w := range []struct {
		days int
		of   func(*Counts) uint32
	}{
		{1, func(c *Counts) uint32 { return c.D1 }}, {7, func(c *Counts) uint32 { return c.D7 }},
		{30, func(c *Counts) uint32 { return c.D30 }}, {90, func(c *Counts) uint32 { return c.D90 }},
	} {
		window := time.Duration(w.days) * day
		for _, what := range []struct {
			name    string
			counts  func(*Facts) *Counts
			visible func(*Facts) time.Duration
		}{
			{"sends", func(f *Facts) *Counts { return &f.Mailbox.Sends }, always},
			{"opens", func(f *Facts) *Counts { return &f.Mailbox.Opens }, opens},
			{"clicks", func(f *Facts) *Counts { return &f.Mailbox.Clicks }, clicks},
		} {
			all = append(all, field{
				name:    fmt.Sprintf("%s_%dd", what.name, w.days),
				kind:    cel.DoubleType,
				doc:     fmt.Sprintf("%s in the last %d days", what.name, w.days),
				get:     func(f *Facts) any { return number(w.of(what.counts(f))) },
				present: func(f *Facts) bool { return what.visible(f) >= window },
			})
		}
	}
	return all
}

func modelled(f *Facts) bool { return f.Mailbox.Modelled }

func lastSend(f *Facts) age {
	return newAge("mailbox.last_send", f.Now, f.Mailbox.LastSend, forever)
}

func lastOpen(f *Facts) age {
	return newAge("mailbox.last_open", f.Now, f.Mailbox.LastOpen, f.Mailbox.OpensVisible)
}

func lastClick(f *Facts) age {
	return newAge("mailbox.last_click", f.Now, f.Mailbox.LastClick, f.Mailbox.ClicksVisible)
}

// Variables lists what expressions may name, for help, forms and completion.
func Variables() []Variable {
	list := []Variable{
		{"tenant", "string", "whose mail it is"},
		{"now", "timestamp", "time of the decision; getHours() and the like read the mailbox's wall clock; getDayOfWeek() 0 is Sunday"},
	}
	for _, group := range []struct {
		name   string
		fields []field
	}{{"message", messageFields}, {"mailbox", mailboxFields}} {
		for _, f := range group.fields {
			list = append(list, Variable{group.name + "." + f.name, cel.FormatCELType(f.kind), f.doc})
		}
	}
	return list
}

// text writes a field's value for people.
func (fd *field) text(f *Facts) string {
	if fd.present != nil && !fd.present(f) {
		return "not known"
	}
	return valueText(fd.get(f))
}

func valueText(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case types.String:
		return strconv.Quote(string(v))
	case time.Duration:
		return shortDuration(v)
	case time.Time:
		return v.Format("2006-01-02T15:04:05Z07:00")
	case float64:
		return strconv.FormatFloat(v, 'g', 6, 64)
	case types.Double:
		return strconv.FormatFloat(float64(v), 'g', 6, 64)
	case []string:
		return "[" + strings.Join(v, ", ") + "]"
	}
	return fmt.Sprint(v)
}
