package rules

import (
	"strings"
	"testing"
)

var mistakes = []struct{ story, text, want string }{
	{"TOML that is none", "[[rule]]\nname = \"a\nthen = 1", "t.toml:2:"},
	{"a key misspelt", "[[rule]]\nname = \"a\"\nwhne = \"true\"\nthen = \"allow\"", "t.toml:3:1: unknown key 'whne' (did you mean 'when'?)"},
	{"a table misspelt", "[[rules]]\nname = \"a\"", "unknown key 'rules': rules are [[rule]] tables"},
	{"no name", "[[rule]]\nthen = \"allow\"", "t.toml:1:3: has no name"},
	{"a name with a blank", "[[rule]]\nname = \"a b\"\nthen = \"allow\"", "t.toml:2:8: rule a b: name 'a b': use up to 64"},
	{"a name twice", "[[rule]]\nname = \"a\"\nthen = \"allow\"\n[[rule]]\nname = \"a\"\nthen = \"allow\"", "t.toml:5:8: rule a: another rule has this name"},
	{"no then", "[[rule]]\nname = \"a\"", "t.toml:1:3: rule a: has no then"},
	{"a state misspelt", "[[rule]]\nname = \"a\"\nstate = \"shadwo\"\nthen = \"allow\"", "t.toml:3:9: rule a: state 'shadwo': use enabled, shadow or off (did you mean 'shadow'?)"},
	{"a class misspelt", "[[rule]]\nname = \"a\"\nclass = [\"newsleter\"]\nthen = \"allow\"", "t.toml:3:1: rule a: class 'newsleter' fits no class"},
	{"a drop of transactional mail", "[[rule]]\nname = \"a\"\nclass = \"transactional\"\nthen = \"drop('x')\"", "transactional mail is never held"},
	{"a time as text", "[[rule]]\nname = \"a\"\nvalid_from = \"2026-01-01\"\nthen = \"allow\"", "t.toml:3:14: rule a: valid_from: write a time with its zone"},
	{"a time without a zone", "[[rule]]\nname = \"a\"\nvalid_from = 2026-01-01\nthen = \"allow\"", "t.toml:3:14: rule a: valid_from: write a time with its zone"},
	{"a time that ends before it starts", "[[rule]]\nname = \"a\"\nvalid_from = 2026-01-02T00:00:00Z\nvalid_until = 2026-01-01T00:00:00Z\nthen = \"allow\"", "t.toml:4:15: rule a: valid_until is not after"},
	{"a variable misspelt", "[[rule]]\nname = \"a\"\nwhen = \"mesage.size > 1\"\nthen = \"allow\"", "t.toml:3:9: rule a: when: undeclared reference to 'mesage' (did you mean 'message'?)"},
	{"a field misspelt", "[[rule]]\nname = \"a\"\nwhen = \"tenant == 'x' && mailbox.last_clik > days(1)\"\nthen = \"allow\"", "t.toml:3:33: rule a: when: undefined field 'last_clik' (did you mean 'last_click'?)"},
	{"a function misspelt", "[[rule]]\nname = \"a\"\nwhen = \"mailbox.last_click > day(1)\"\nthen = \"allow\"", "rule a: when: undeclared reference to 'day' (did you mean 'days'?)"},
	{"syntax", "[[rule]]\nname = \"a\"\nwhen = \"tenant == \"\nthen = \"allow\"", "rule a: when: Syntax error"},
	{"not a condition", "[[rule]]\nname = \"a\"\nwhen = \"tenant\"\nthen = \"allow\"", "t.toml:3:9: rule a: when: is of type string and must be of type bool"},
	{"a text compared with a number", "[[rule]]\nname = \"a\"\nwhen = \"message.size == 'x'\"\nthen = \"allow\"", "t.toml:3:22: rule a: when: found no matching overload for '_==_'"},
	{"an age taken for a number", "[[rule]]\nname = \"a\"\nwhen = \"mailbox.last_click > 180\"\nthen = \"allow\"", "compare an age with a duration, like mailbox.last_click > days(180)"},
	{"two ages", "[[rule]]\nname = \"a\"\nwhen = \"mailbox.last_click == mailbox.last_open\"\nthen = \"allow\"", "two ages are never known to be the same"},
	{"an age and a duration", "[[rule]]\nname = \"a\"\nwhen = \"mailbox.last_click == days(3)\"\nthen = \"allow\"", "compare an age with a duration, like"},
	{"a whole mailbox", "[[rule]]\nname = \"a\"\nwhen = \"mailbox == mailbox\"\nthen = \"allow\"", "t.toml:3:9: rule a: when: mailbox needs a field"},
	{"a pattern that is none", "[[rule]]\nname = \"a\"\nwhen = \"message.subject.matches('(')\"\nthen = \"allow\"", "rule a: when: error parsing regexp: missing closing )"},
	{"a pattern from outside", "[[rule]]\nname = \"a\"\nwhen = \"message.subject.matches(mailbox.attributes.x)\"\nthen = \"allow\"", "the pattern of matches must be written out"},
	{"a loop in a loop", "[[rule]]\nname = \"a\"\nwhen = \"mailbox.segments.all(a, mailbox.segments.all(b, mailbox.segments.all(c, a + b != c)))\"\nthen = \"allow\"", "where 20000 is the limit"},
	{"an action misspelt", "[[rule]]\nname = \"a\"\nthen = \"dorp('x')\"", "undeclared reference to 'dorp' (did you mean 'drop'?)"},
	{"a reason with blanks", "[[rule]]\nname = \"a\"\nthen = \"drop('so tired')\"", "rule a: then: drop('so tired'): use 1 to 64"},
	{"a cap no ring can hold", "[[rule]]\nname = \"a\"\nthen = \"cap(33, days(7))\"", "t.toml:3:12: rule a: then: cap(33, …): use 1 to 32"},
	{"a cap of none", "[[rule]]\nname = \"a\"\nthen = \"cap(0, days(7))\"", "for none write drop or hold"},
	{"a cap over a year", "[[rule]]\nname = \"a\"\nthen = \"cap(3, days(365))\"", "cap's window of 365d: use 1 minute to 90d"},
	{"a gap of nothing", "[[rule]]\nname = \"a\"\nthen = \"min_gap(hours(0))\"", "min_gap of 0s"},
	{"quiet all day or never", "[[rule]]\nname = \"a\"\nthen = \"quiet('08:00', '08:00')\"", "both times are the same"},
	{"a time of day that is none", "[[rule]]\nname = \"a\"\nthen = \"quiet('8', '25:00')\"", "write times as 21:00"},
	{"an action that reads a mailbox", "[[rule]]\nname = \"a\"\nthen = \"cap(mailbox.sends_7d, days(7))\"", "undeclared reference to 'mailbox'"},
	{"what is not an action", "[[rule]]\nname = \"a\"\nthen = \"days(1)\"", "is of type duration and must be of type action"},
}

// Every mistake has its place and its remedy.
func TestMistakes(t *testing.T) {
	for _, row := range mistakes {
		t.Run(row.story, func(t *testing.T) {
			list, err := Parse("t.toml", []byte(row.text))
			if err == nil {
				_, err = Compile(list)
			}
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got  %v\nwant %s", err, row.want)
			}
		})
	}
}

// The place of a mistake is right however its text is quoted.
func TestPlaces(t *testing.T) {
	for _, row := range []struct{ story, when, want string }{
		{"plain quotes", `"true && oops"`, "3:17"},
		{"single quotes", `'true && oops'`, "3:17"},
		{"letters of several bytes", `"'ü€😀' == tenant && oops"`, "3:28"},
		{"escapes take two columns", `"\"\t\" == tenant && oops"`, "3:29"},
		{"and long ones more", `"'\u00e9\U0001F600' == tenant && oops"`, "3:41"},
		{"several lines", "\"\"\"\ntrue &&\n  oops\"\"\"", "5:3"},
		{"several lines begun at once", "\"\"\"true &&\n  oops\"\"\"", "4:3"},
		{"several lines, as they are", "'''\ntrue\n&& tenant != '' && oops'''", "5:20"},
		{"a line that goes on", "\"\"\"true && \\\n    oops\"\"\"", "4:5"},
	} {
		t.Run(row.story, func(t *testing.T) {
			list, err := Parse("t.toml", []byte("[[rule]]\nname = \"a\"\nwhen = "+row.when+"\nthen = \"allow\"\n"))
			if err != nil {
				t.Fatal(err)
			}
			_, err = Compile(list)
			if err == nil || !strings.HasPrefix(err.Error(), "t.toml:"+row.want+":") {
				t.Errorf("got %v, want %s", err, row.want)
			}
		})
	}
}

// Rules that come from no file tell the place inside the expression.
func TestPlaceWithoutFile(t *testing.T) {
	_, err := Compile([]Rule{{Name: "a", When: "true &&\n oops", Then: "allow"}})
	if err == nil || !strings.HasPrefix(err.Error(), "2:2: rule a: when: undeclared reference to 'oops'") {
		t.Errorf("got %v", err)
	}
}

// Every variable that is documented can be used, and reads as the type it says.
func TestVariables(t *testing.T) {
	f := reader()
	for _, v := range Variables() {
		when := map[string]string{
			"string": v.Name + " != 'zz'", "double": v.Name + " >= 0", "int": v.Name + " >= 0", "age": v.Name + " >= days(0)",
			"timestamp":    v.Name + " > timestamp('2000-01-01T00:00:00Z')",
			"list(string)": v.Name + ".size() > 0", "map(string, string)": v.Name + ".size() > 0", "duration": v.Name + " >= days(0)",
		}[v.Type]
		if when == "" {
			t.Errorf("%s has type %s", v.Name, v.Type)
			continue
		}
		got := one(t, when, "tag('x')").Evaluate(&f)
		if len(got.Fired) != 1 || got.Fired[0].Values[0].Name != v.Name || v.Doc == "" {
			t.Errorf("%s: %+v", when, got)
		}
	}
}

// FuzzLoad feeds texts through everything that reads rules, and evaluates what
// comes out.
func FuzzLoad(f *testing.F) {
	for _, t := range Templates() {
		text, err := New(t.Name, Options{})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add("[[rule]]\nname = \"a\"\nwhen = \"\"\"\nmailbox.last_click > days(180) && \\\n oops\"\"\"\nthen = 'drop(\"x\")'")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := Parse("f.toml", []byte(text))
		if err != nil {
			return
		}
		set, err := Compile(list)
		if err != nil {
			_ = err.Error()
			return
		}
		facts := reader()
		set.Evaluate(&facts)
	})
}

// FuzzExpression compiles and evaluates conditions and actions.
func FuzzExpression(f *testing.F) {
	for _, r := range benchRules {
		f.Add(r.when, "drop('x')")
	}
	f.Add("message.tags.map(t, t + t).exists(t, t.matches('a*'))", "cap(3, days(7))")
	f.Add("has(mailbox.attributes.x) ? mailbox.sends_7d * 2 == 1 : now.getHours() < 3", "quiet('21:00','08:00')")
	f.Fuzz(func(t *testing.T, when, then string) {
		set, err := Compile([]Rule{{Name: "r", When: when, Then: then}})
		if err != nil {
			_ = err.Error()
			return
		}
		facts := reader()
		set.Evaluate(&facts)
		facts.Mailbox.ClicksVisible, facts.Mailbox.Modelled = 0, false
		set.Evaluate(&facts)
	})
}
