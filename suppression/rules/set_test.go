package rules

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.FixedZone("", 3600)) // a Sunday

// reader is a mailbox of which everything has been seen for a year.
func reader() Facts {
	return Facts{
		Tenant:  "acme",
		Now:     noon,
		Message: Message{Class: "newsletter", Campaign: "autumn-1", List: "news.example.com", Subject: "Leaves", Size: 40_000, Value: 1, Age: time.Hour, Tags: []string{"fall"}},
		Mailbox: Mailbox{
			Local: "ann", Domain: "example.org", Provider: "gmail",
			Attributes: map[string]string{"tier": "gold"}, Segments: []string{"buyers"},
			Sends: Counts{1, 4, 12, 40}, Opens: Counts{0, 2, 6, 20}, Clicks: Counts{0, 0, 1, 3},
			LastSend: noon.Add(-30 * time.Hour), LastOpen: noon.Add(-3 * day), LastClick: noon.Add(-20 * day),
			OpensVisible: 365 * day, ClicksVisible: 365 * day,
			Modelled: true, Fatigue: 0.8, Interest: 0.4, Tolerance: 1,
			DomainSends: 100, DomainBounces: 1,
		},
	}
}

func compileText(t testing.TB, text string) *Set {
	t.Helper()
	list, err := Parse("test.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	set, err := Compile(list)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func one(t testing.TB, when, then string) *Set {
	t.Helper()
	set, err := Compile([]Rule{{Name: "r", When: when, Then: then}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// What a condition says of one reader, told by what is special about it.
func TestConditions(t *testing.T) {
	for _, row := range []struct {
		story string
		with  func(*Facts)
		when  string
		want  string // fires, not, or what it hangs on
	}{
		{"a newsletter", nil, `message.class == 'newsletter'`, "fires"},
		{"of another tenant", func(f *Facts) { f.Tenant = "bolt" }, `tenant == 'acme'`, "not"},
		{"counts equal whole numbers", nil, `mailbox.clicks_7d == 0 && mailbox.sends_7d != 3 && 1 == mailbox.clicks_30d`, "fires"},
		{"and reckon with them", nil, `2 * mailbox.sends_7d + 1 == 9 && mailbox.sends_90d / (mailbox.sends_7d - 1) > 13`, "fires"},
		{"counts compare with whole numbers", nil, `mailbox.sends_7d >= 4 && mailbox.sends_1d < 2`, "fires"},
		{"a ratio is not cut to whole numbers", nil, `mailbox.clicks_90d / mailbox.sends_90d > 0.07`, "fires"},
		{"nothing of nothing is no ratio", func(f *Facts) { f.Mailbox.Sends = Counts{}; f.Mailbox.Clicks = Counts{} }, `mailbox.clicks_90d / mailbox.sends_90d < 0.5`, "not"},
		{"in a segment", nil, `'buyers' in mailbox.segments`, "fires"},
		{"one of the tags", nil, `message.tags.exists(t, t.startsWith('fa'))`, "fires"},
		{"a pattern in the subject", nil, `message.subject.matches('(?i)LEAVES?')`, "fires"},
		{"an attribute by dot", nil, `mailbox.attributes.tier == 'gold'`, "fires"},
		{"an attribute by key", nil, `mailbox.attributes['tier'] != 'gold'`, "not"},
		{"an attribute that is missing", nil, `mailbox.attributes.plan != 'free'`, "plan"},
		{"asked whether it is there", nil, `has(mailbox.attributes.plan)`, "not"},
		{"no attributes at all", func(f *Facts) { f.Mailbox.Attributes = nil }, `mailbox.attributes.tier == 'gold'`, "tier"},
		{"hours of the wall clock", nil, `now.getHours() == 12 && now.getDayOfWeek() == 0`, "fires"},
		{"age of the message", nil, `message.age >= minutes(60) && message.age < hours(2)`, "fires"},
		{"big and worth little", nil, `message.size > 30000 && message.value <= 1`, "fires"},
		{"tired", nil, `mailbox.fatigue > 0.75 * mailbox.tolerance`, "fires"},
		{"nobody knows how tired", func(f *Facts) { f.Mailbox.Modelled = false }, `mailbox.fatigue > 0.0`, "mailbox.fatigue"},
		{"nobody knows, and it does not matter", func(f *Facts) { f.Mailbox.Modelled = false }, `mailbox.fatigue > 0.0 || tenant == 'acme'`, "fires"},
		{"nor here", func(f *Facts) { f.Mailbox.Modelled = false }, `mailbox.fatigue > 0.0 && tenant == 'bolt'`, "not"},
		{"last clicked 20 days ago", nil, `mailbox.last_click > days(19) && mailbox.last_click < days(21)`, "fires"},
		{"written to yesterday", nil, `mailbox.last_send < days(2)`, "fires"},
		{"never written to", func(f *Facts) { f.Mailbox.LastSend = time.Time{} }, `mailbox.last_send > days(3000)`, "fires"},
	} {
		t.Run(row.story, func(t *testing.T) {
			f := reader()
			if row.with != nil {
				row.with(&f)
			}
			v := one(t, row.when, `drop('x')`).Evaluate(&f)
			if got := result(v); got != row.want {
				t.Errorf("%s: got %s, want %s (%+v)", row.when, got, row.want, v)
			}
		})
	}
}

func result(v Verdict) string {
	switch {
	case len(v.Failed) > 0:
		return "failed: " + v.Failed[0].Error
	case len(v.Undecided) > 0:
		return v.Undecided[0].Missing
	case len(v.Fired) > 0:
		return "fires"
	}
	return "not"
}

// Silence proves nothing where nobody listened.
func TestObservability(t *testing.T) {
	const sunset = `mailbox.last_click > days(180)`
	for _, row := range []struct {
		story   string
		visible time.Duration // for how long clicks were seen
		clicked time.Duration // how long ago; 0: never seen
		when    string
		want    string
	}{
		{"silent for the year we watched", 365 * day, 0, sunset, "fires"},
		{"watched for exactly as long as asked", 180 * day, 0, sunset, "fires"},
		{"watched for too short a time", 179 * day, 0, sunset, "mailbox.last_click"},
		{"never watched", 0, 0, sunset, "mailbox.last_click"},
		{"a click was seen, so it is known", 30 * day, 10 * day, sunset, "not"},
		{"clicked long ago, and watched since", 365 * day, 200 * day, sunset, "fires"},
		{"clicked long ago, but the watch was broken off", 30 * day, 200 * day, sunset, "mailbox.last_click"},
		{"clicked less long ago before the break: sure enough", 30 * day, 100 * day, sunset, "not"},
		{"no claim of having clicked either", 30 * day, 0, `mailbox.last_click < days(90)`, "mailbox.last_click"},
		{"nor by turning the question round", 30 * day, 0, `!(mailbox.last_click <= days(90))`, "mailbox.last_click"},
		{"what was watched is known", 30 * day, 0, `mailbox.last_click > days(30)`, "fires"},
		{"at least as old is at least as sure", 30 * day, 0, `mailbox.last_click >= days(30)`, "fires"},
		{"a window watched whole", 30 * day, 0, `mailbox.clicks_30d == 0`, "not"},
		{"a window watched in part", 29 * day, 0, `mailbox.clicks_30d >= 1`, "mailbox.clicks_30d"},
		{"asked first", 29 * day, 0, `has(mailbox.clicks_30d) && mailbox.clicks_30d >= 1`, "not"},
		{"how long it was watched is always known", 29 * day, 0, `mailbox.clicks_observable < days(30)`, "fires"},
	} {
		t.Run(row.story, func(t *testing.T) {
			f := reader()
			f.Mailbox.ClicksVisible = row.visible
			f.Mailbox.LastClick = time.Time{}
			if row.clicked > 0 {
				f.Mailbox.LastClick = noon.Add(-row.clicked)
			}
			set := one(t, row.when, `drop('x')`)
			if got := result(set.Evaluate(&f)); got != row.want {
				t.Errorf("%s: got %s, want %s", row.when, got, row.want)
			}
			undecided := uint64(0)
			if strings.HasPrefix(row.want, "mailbox.") {
				undecided = 1
			}
			if s := set.Stats()[0]; s.Undecided != undecided || s.Evaluated != 1 || s.Failed != 0 {
				t.Errorf("counted %+v", s)
			}
		})
	}
}

var verdicts = []struct {
	story string
	text  string
	class string
	want  string
}{
	{"nothing fires", `[[rule]]
name = "a"
when = "false"
then = "drop('x')"`, "newsletter", "none"},
	{"the first that decides wins", `[[rule]]
name = "vip"
when = "mailbox.attributes.tier == 'gold'"
then = "allow"
[[rule]]
name = "stop"
then = "drop('x')"`, "newsletter", "allow by vip"},
	{"a hold counts from acceptance", `[[rule]]
name = "later"
then = "hold(hours(3))"`, "newsletter", "hold by later until 14:00"},
	{"and is over one day", `[[rule]]
name = "later"
then = "hold(minutes(30))"`, "newsletter", "none"},
	{"a hold until a time", `[[rule]]
name = "later"
then = "hold(timestamp('2026-11-22T15:00:00Z'))"`, "newsletter", "hold by later until 16:00"},
	{"of two caps on one week the lower, of two gaps the longer", `[[rule]]
name = "a"
then = "cap(5, days(7))"
[[rule]]
name = "b"
then = "cap(3, days(7))"
[[rule]]
name = "c"
then = "cap(1, days(1))"
[[rule]]
name = "d"
then = "min_gap(hours(8))"
[[rule]]
name = "e"
then = "min_gap(hours(16))"
[[rule]]
name = "f"
then = "min_gap(hours(12))"`, "newsletter", "none cap 3/7d by b cap 1/1d by c gap 16h"},
	{"quiet hours all count, priorities add, a tag is there once", `[[rule]]
name = "a"
then = "quiet('21:00', '08:00')"
[[rule]]
name = "b"
then = "quiet('12:00', '13:00')"
[[rule]]
name = "c"
then = "priority(-3)"
[[rule]]
name = "d"
then = "priority(1)"
[[rule]]
name = "e"
then = "tag('t')"
[[rule]]
name = "f"
then = "tag('t')"`, "newsletter", "none quiet 21:00-08:00 quiet 12:00-13:00 covers priority -2 tag t"},
	{"below the deciding rule nothing is read", `[[rule]]
name = "a"
then = "cap(5, days(7))"
[[rule]]
name = "b"
then = "drop('enough')"
[[rule]]
name = "c"
then = "cap(1, days(7))"`, "newsletter", "drop by b reason enough cap 5/7d by a"},
	{"scope: patterns of tenant, class and campaign", `[[rule]]
name = "a"
tenant = "b*"
then = "drop('x')"
[[rule]]
name = "b"
class = ["promo*", "trig*"]
then = "drop('x')"
[[rule]]
name = "c"
campaign = ["spring-*", "autumn-?"]
then = "tag('mine')"`, "newsletter", "none tag mine"},
	{"transactional mail is never held or dropped", `[[rule]]
name = "a"
then = "drop('x')"
[[rule]]
name = "b"
class = "t*"
then = "cap(1, days(7))"
[[rule]]
name = "c"
then = "tag('seen')"`, "transactional", "none tag seen"},
	{"triggered mail only where it is named", `[[rule]]
name = "a"
then = "drop('x')"
[[rule]]
name = "b"
class = "triggered"
then = "hold(hours(3))"`, "triggered", "hold by b until 14:00"},
	{"off is off, not yet is not yet, over is over", `[[rule]]
name = "a"
state = "off"
then = "drop('x')"
[[rule]]
name = "b"
valid_from = 2026-11-22T11:00:01Z
then = "drop('x')"
[[rule]]
name = "c"
valid_until = 2026-11-22T11:00:00Z
then = "drop('x')"
[[rule]]
name = "d"
valid_from = 2026-11-22T11:00:00Z
valid_until = 2026-11-22T11:00:01Z
then = "tag('now')"`, "newsletter", "none tag now"},
}

// Several rules together: the order decides, restrictions add up.
func TestVerdicts(t *testing.T) {
	for _, row := range verdicts {
		t.Run(row.story, func(t *testing.T) {
			f := reader()
			f.Message.Class = row.class
			v := compileText(t, row.text).Evaluate(&f)
			if got := tell(v); got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}

// tell writes a verdict as a line.
func tell(v Verdict) string {
	parts := []string{v.Kind.String()}
	if v.Rule != "" {
		parts = append(parts, "by", v.Rule)
	}
	if v.Reason != "" {
		parts = append(parts, "reason", v.Reason)
	}
	if !v.Until.IsZero() {
		parts = append(parts, "until", v.Until.In(noon.Location()).Format("15:04"))
	}
	for _, c := range v.Caps {
		parts = append(parts, "cap", strings.TrimPrefix(Action{Kind: Priority, N: c.N}.String(), "priority")[1:2]+"/"+shortDuration(c.Window), "by", c.Rule)
	}
	if v.MinGap > 0 {
		parts = append(parts, "gap", shortDuration(v.MinGap))
	}
	for _, q := range v.Quiet {
		parts = append(parts, "quiet", clock(q.From)+"-"+clock(q.To))
		if q.Covers(noon) {
			parts = append(parts, "covers")
		}
	}
	if v.Priority != 0 {
		parts = append(parts, strings.NewReplacer("(", " ", ")", "").Replace(Action{Kind: Priority, N: v.Priority}.String()))
	}
	for _, tag := range v.Tags {
		parts = append(parts, "tag", tag)
	}
	return strings.Join(parts, " ")
}

// A fired rule tells the values it looked at, and no others.
func TestFiredTellsWhy(t *testing.T) {
	f := reader()
	f.Mailbox.ClicksVisible = 365 * day
	set := compileText(t, `[[rule]]
name = "sunset"
version = 4
when = "mailbox.last_click > days(10) && mailbox.sends_7d >= 3 && mailbox.attributes.tier == 'gold' && (mailbox.attributes['plan'] == 'x' || message.class == 'newsletter' || now.getHours() > 25)"
then = "drop('sunset')"`)
	got := set.Evaluate(&f).Fired
	want := []Fired{{"sunset", 4, Action{Kind: Drop, Word: "sunset"}, []Value{
		{"mailbox.attributes.plan", "missing"},
		{"mailbox.attributes.tier", `"gold"`},
		{"mailbox.last_click", "20d"},
		{"mailbox.sends_7d", "4"},
		{"message.class", `"newsletter"`},
		{"now", "2026-11-22T12:00:00+01:00"},
	}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
