package admin

import (
	"encoding/json"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
)

// remembering is a store that gives settings back, as rules need it.
type remembering struct{ *memory }

func (s remembering) Settings() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := maps.Clone(s.memory.settings)
	maps.DeleteFunc(kept, func(_ string, v []byte) bool { return v == nil })
	return kept
}

func newRuleWorld(t *testing.T) *world {
	return newWorld(t, func(w *world) {
		w.Gateway.Store, w.Server.Store = remembering{w.store}, remembering{w.store}
		w.rules.Drop = []gateway.Class{gateway.Newsletter}
		w.rules.MaxDrop = 1
	})
}

// rule is a rule as it is written.
func ruleText(name, state, when, then string) string {
	return "[[rule]]\nname = \"" + name + "\"\nstate = \"" + state + "\"\nwhen = \"" + when + "\"\nthen = \"" + then + "\"\n"
}

// send makes a request about rules and wants a status.
func (w *world) send(role Role, method, target, kind, match, text string, want int) *httptest.ResponseRecorder {
	w.t.Helper()
	r := w.request(role, method, target, text)
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	if match != "" {
		r.Header.Set("If-Match", match)
	}
	rec := w.serve(r)
	if rec.Code != want {
		w.t.Fatalf("%s %s: status %d, want %d: %s", method, target, rec.Code, want, rec.Body)
	}
	return rec
}

func (w *world) putRules(match, text string, want int) *httptest.ResponseRecorder {
	w.t.Helper()
	return w.send(Operator, "PUT", "/api/v1/rules", "text/plain; charset=utf-8", match, text, want)
}

func into[T any](t *testing.T, rec *httptest.ResponseRecorder) (v T) {
	t.Helper()
	if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
		t.Fatalf("%v in %s", err, rec.Body)
	}
	return v
}

// Two people change the rules, one looks at what was, and goes back.
func TestRules(t *testing.T) {
	w := newRuleWorld(t)
	empty := w.send(Viewer, "GET", "/api/v1/rules", "", "", "", 200)
	if doc := into[rulesDoc](t, empty); doc.Version != 0 || len(doc.Rules) != 0 || empty.Header().Get("ETag") != `"0"` {
		t.Errorf("before there are any: %+v, ETag %s", doc, empty.Header().Get("ETag"))
	}
	big, small := ruleText("big", "enabled", "message.size > 1000", "drop('big')"), ruleText("small", "shadow", "message.size < 10", "tag('tiny')")
	w.putRules("", big, 428)
	w.putRules("seven", big, 400)
	first := w.putRules(`"0"`, big, 200)
	if doc := into[changedRulesDoc](t, first); doc.Version != 1 || doc.By != "the-operator" || !doc.Changed || len(doc.Changes.Added) != 1 || first.Header().Get("ETag") != `"1"` {
		t.Errorf("the first rules: %+v", doc)
	}
	late := w.putRules(`"0"`, small, 412)
	said(t, []string{late.Body.String()}, "the rules are of version 1, changed by the-operator")
	if doc := into[changedRulesDoc](t, w.putRules("*", big, 200)); doc.Changed || doc.Version != 1 {
		t.Errorf("the same again: %+v", doc)
	}
	tried := into[tryDoc](t, w.send(Operator, "PUT", "/api/v1/rules?dry_run=true", "text/plain", "", small+strings.Replace(big, "1000", "2000", 1), 200))
	if c := tried.Changes; len(c.Added) != 1 || len(c.Changed) != 1 || c.Changed[0].From != 1 || c.Changed[0].To != 2 || tried.Version != 1 ||
		!slices.Equal(c.Changed[0].Fields, []fieldDoc{{"when", "message.size > 1000", "message.size > 2000"}}) {
		t.Errorf("a change that is tried: %+v", tried)
	}
	body, _ := json.Marshal(rulesRequest{small, "only look"})
	w.send(Operator, "PUT", "/api/v1/rules", "application/json", `"1"`, string(body), 200)
	history := w.get("/api/v1/rules/history")
	if len(history.Items) != 2 {
		t.Errorf("history: %+v", history.Items)
	}
	if doc := into[textDoc](t, w.send(Viewer, "GET", "/api/v1/rules/history/1", "", "", "", 200)); doc.Text != big {
		t.Errorf("version 1 was %q", doc.Text)
	}
	w.send(Viewer, "GET", "/api/v1/rules/history/9", "", "", "", 404)
	w.send(Operator, "POST", "/api/v1/rules/rollback", "", `"2"`, `{"version":9}`, 404)
	w.send(Operator, "POST", "/api/v1/rules/rollback", "", `"1"`, `{"version":1}`, 412)
	back := into[changedRulesDoc](t, w.send(Operator, "POST", "/api/v1/rules/rollback", "", `"2"`, `{"version":1}`, 200))
	if back.Version != 3 || back.Text != big || back.Note != "back to version 1" || back.Rules[0].Version != 2 {
		t.Errorf("back: %+v", back)
	}
	none := into[changedRulesDoc](t, w.send(Operator, "POST", "/api/v1/rules/rollback", "", "*", `{"version":0}`, 200))
	if none.Text != "" || len(none.Changes.Removed) != 1 {
		t.Errorf("back to none: %+v", none)
	}
}

// Whoever writes rules wrongly learns everything that is wrong, and where.
func TestRulesWithMistakes(t *testing.T) {
	w := newRuleWorld(t)
	text := ruleText("a", "enabled", "mesage.size > 1", "drop('x')") + ruleText("b", "shadw", "mailbox.last_clik > days(3)", "drop('x')")
	doc := into[rulesProblem](t, w.putRules("*", text, 400))
	if len(doc.Errors) == 0 {
		t.Fatalf("no mistakes in %+v", doc)
	}
	text = ruleText("a", "enabled", "mesage.size > 1", "drop('x')") + ruleText("b", "shadow", "mailbox.last_clik > days(3)", "drop('x')")
	for _, target := range []string{"/api/v1/rules", "/api/v1/rules?dry_run=true"} {
		doc := into[rulesProblem](t, w.send(Operator, "PUT", target, "text/plain", "*", text, 400))
		want := []faultDoc{{File: "rules.toml", Line: 4, Column: 9, Rule: "a", DidYouMean: "message"}, {File: "rules.toml", Line: 9, Column: 16, Rule: "b", DidYouMean: "last_click"}}
		if len(doc.Errors) != 2 {
			t.Fatalf("mistakes: %+v", doc.Errors)
		}
		for i, got := range doc.Errors {
			got.Message = ""
			if got != want[i] {
				t.Errorf("mistake %d: %+v, want %+v", i, doc.Errors[i], want[i])
			}
		}
	}
	if b := w.Gateway.Rulebook(); b.Version != 0 {
		t.Errorf("wrong rules are in force: %+v", b)
	}
}

// Bodies that are no rules are refused before anything is compiled.
func TestRulesRefuse(t *testing.T) {
	w := newRuleWorld(t)
	for _, c := range []struct {
		name, kind, body string
		want             int
	}{
		{"neither text nor JSON", "text/html", "x", 415},
		{"no UTF-8", "text/plain", "# \xff", 400},
		{"too long", "text/plain", strings.Repeat("#", maxRules+1), 413},
		{"too long in JSON", "application/json", `{"text":"` + strings.Repeat("#", maxRules+1) + `"}`, 413},
		{"an unknown field", "application/json", `{"rules":""}`, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.t = t
			w.send(Operator, "PUT", "/api/v1/rules", c.kind, "*", c.body, c.want)
		})
	}
	w.t = t
	w.send(Viewer, "PUT", "/api/v1/rules", "text/plain", "*", "", 403)
	w.RuleFiles = func() *RuleFiles { return &RuleFiles{Dir: "/etc/rules"} }
	said(t, []string{w.putRules("*", "", 409).Body.String()}, "/etc/rules")
	w.send(Operator, "POST", "/api/v1/rules/rollback", "", "*", `{"version":0}`, 409)
	if doc := into[rulesDoc](t, w.send(Viewer, "GET", "/api/v1/rules", "", "", "", 200)); doc.Files != "/etc/rules" {
		t.Errorf("files: %+v", doc)
	}
}

// All variables are listed with their types.
func TestRuleVariables(t *testing.T) {
	w := newRuleWorld(t)
	if a := w.get("/api/v1/rules/variables"); len(a.Items) < 20 {
		t.Errorf("%d variables", len(a.Items))
	}
}

// No body of a request stops the program, and whatever is taken is in force.
func FuzzPutRules(f *testing.F) {
	f.Add("text/plain", `"0"`, ruleText("a", "shadow", "message.size > 1", "drop('x')"))
	f.Add("application/json", "*", `{"text":"[[rule]]\nname='a'\nthen='allow'","note":"n"}`)
	f.Add("application/toml", "7", "[[rule")
	f.Fuzz(func(t *testing.T, kind, match, text string) {
		w := newRuleWorld(t)
		r := w.request(Operator, "PUT", "/api/v1/rules", text)
		r.Header.Set("Content-Type", kind)
		r.Header.Set("If-Match", match)
		rec := w.serve(r)
		if !json.Valid(rec.Body.Bytes()) {
			t.Fatalf("an answer that is no JSON: %s", rec.Body)
		}
		if book := w.Gateway.Rulebook(); (rec.Code == 200) != (book.Version == 1) {
			t.Fatalf("status %d and version %d", rec.Code, book.Version)
		}
	})
}

// A rule that fails again and again is in shadow, which everybody who looks is told;
// applied again it gets another try. (It trips again as soon as what waits is planned.)
func TestTrippedRule(t *testing.T) {
	w := newRuleWorld(t)
	text := ruleText("broken", "enabled", "message.size / (message.size - message.size) > 0", "hold(hours(6))")
	w.putRules("*", text, 200)
	for range 12 {
		w.submit(mail{campaign: "spring", to: []string{"ada@x.test"}})
	}
	var doc rulesDoc
	for end := time.Now().Add(10 * time.Second); len(doc.Tripped) == 0; time.Sleep(10 * time.Millisecond) {
		if doc = into[rulesDoc](t, w.send(Viewer, "GET", "/api/v1/rules", "", "", "", 200)); time.Now().After(end) {
			t.Fatalf("it did not trip: %+v", doc)
		}
	}
	if r := doc.Rules[0]; !r.Tripped || r.State != "shadow" || r.Stats.Failed < 10 || doc.Version != 1 {
		t.Errorf("tripped: %+v", doc)
	}
	want := attention{"Rule broken failed again and again and is in shadow since.", "rules#states"}
	if p := w.get("/api/v1/status").Problems; !slices.Contains(p, want) {
		t.Errorf("problems: %+v", p)
	}
	var changes auditPage
	w.document(Viewer, "/api/v1/audit?kind=rule_changed", &changes)
	if last := changes.Items[len(changes.Items)-1]; last.What != "tripped" || last.By != "gateway" || last.After != "in shadow since: broken" {
		t.Errorf("audit: %+v", last)
	}
	again := into[changedRulesDoc](t, w.putRules(`"1"`, text, 200))
	if again.Version != 2 || !slices.Equal(again.Changes.Changed[0].Fields, []fieldDoc{{"state", "shadow", "enabled"}}) {
		t.Errorf("applied again: %+v", again)
	}
}

// Files that are not in force are a problem, with why.
func TestRuleFilesProblem(t *testing.T) {
	w := newRuleWorld(t)
	w.RuleFiles = func() *RuleFiles { return &RuleFiles{Dir: "/etc/rules", Problem: "a.toml:1:1: it is wrong"} }
	want := attention{"The rules in /etc/rules are not in force, those before are: a.toml:1:1: it is wrong.", "rules#rules-in-files"}
	if p := w.get("/api/v1/status").Problems; !slices.Contains(p, want) {
		t.Errorf("problems: %+v", p)
	}
}
