package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const someReport = `{"since": "2026-11-15T10:00:00Z", "until": "2026-11-22T10:00:00Z", "tenant": "<b>acme", "mode": "capture",
	"planned": 120, "held": 60, "dropped": 2, "pressed": 7,
	"days": [{"date": "2026-11-20", "planned": 100, "held": 50, "dropped": 2, "pressed": 7}, {"date": "2026-11-21", "planned": 20, "held": 10}],
	"sentences": ["120 deliveries were planned as bulk mail.", "It would have held \u001b[2J60 of them."]}`

func TestReportCommand(t *testing.T) {
	g := newFakeGateway(t, map[string]string{"GET /api/v1/report": someReport})
	page := filepath.Join(t.TempDir(), "report.html")
	status, stdout, stderr := g.tidepost(t, "", "report", "--since", "2d12h", "--tenant", "acme", "--html", page)
	if status != exitDone || stderr != "" {
		t.Fatalf("status %d: %s", status, stderr)
	}
	want := captureWarning + "\n120 deliveries were planned as bulk mail.\nIt would have held \\x1b[2J60 of them.\n\n" +
		"DAY         PLANNED  HELD  DROPPED  OVER PACE\n2026-11-20  100      50    2        7\n2026-11-21  20       10    0        0\n"
	if stdout != want {
		t.Errorf("got\n%s\nwant\n%s", stdout, want)
	}
	since := regexp.MustCompile(`since=([^&]+)`).FindStringSubmatch(g.asked[0])
	at, err := time.Parse(time.RFC3339, strings.ReplaceAll(since[1], "%3A", ":"))
	if ago := time.Since(at); err != nil || ago < 60*time.Hour || ago > 60*time.Hour+time.Minute || !strings.Contains(g.asked[0], "tenant=acme") {
		t.Errorf("asked %q", g.asked)
	}
	html, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	checkPage(t, string(html))
}

// A page needs nothing but itself, and what came from mail is text in it.
func checkPage(t *testing.T, html string) {
	t.Helper()
	for _, want := range []string{"<!DOCTYPE html>", "tenant &lt;b&gt;acme", "120 deliveries were planned", `class="held"`, "2026-11-20: 100 planned, 50 held, 2 dropped", "default-src 'none'"} {
		if !strings.Contains(html, want) {
			t.Errorf("no %q in\n%s", want, html)
		}
	}
	for _, bad := range []string{"<b>acme", "http:", "https:", "<script", "ZgotmplZ", "NaN"} {
		if strings.Contains(html, bad) {
			t.Errorf("%q in\n%s", bad, html)
		}
	}
}

func TestReportJSON(t *testing.T) {
	g := newFakeGateway(t, map[string]string{"GET /api/v1/report": someReport})
	status, stdout, stderr := g.tidepost(t, "", "report", "--json")
	var doc struct{ Planned int }
	if err := json.Unmarshal([]byte(stdout), &doc); status != exitDone || err != nil || doc.Planned != 120 || !strings.Contains(stderr, captureWarning) {
		t.Errorf("status %d, %v: %s%s", status, err, stdout, stderr)
	}
}

// A page of nothing is a page.
func TestReportOfNothing(t *testing.T) {
	g := newFakeGateway(t, map[string]string{"GET /api/v1/report": `{"sentences": ["There is no history yet."]}`})
	page := filepath.Join(t.TempDir(), "report.html")
	status, stdout, _ := g.tidepost(t, "", "report", "--html", page)
	if html, err := os.ReadFile(page); status != exitDone || stdout != "There is no history yet.\n" || err != nil || strings.Contains(string(html), "<svg") {
		t.Errorf("status %d, %q, %v, %s", status, stdout, err, html)
	}
	status, _, stderr := g.tidepost(t, "", "report", "--html", filepath.Join(t.TempDir(), "no", "report.html"))
	if status != exitFailed || !strings.Contains(stderr, "no such file") {
		t.Errorf("status %d: %s", status, stderr)
	}
}

// An answer in lines shows progress and ends with the result or what is wrong.
func TestProgressLines(t *testing.T) {
	for _, row := range []struct{ says, answer, want, fails string }{
		{"a result", `{"progress":0.25}` + "\n" + `{"progress":0.5}` + "\n" + `{"result":{"planned":1}}`, `{"planned":1}`, ""},
		{"a problem", `{"progress":0.25}` + "\n" + `{"problem":"the request was interrupted","remedy":"ask again"}`, "", "the request was interrupted; ask again"},
		{"a bare problem", `{"problem":"lost","remedy":""}`, "", "lost"},
		{"an end", `{"progress":0.25}`, "", "stopped in the middle of its answer"},
		{"another version", "409", "", "409"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if row.answer == "409" {
				w.WriteHeader(409)
				w.Write([]byte(`{"detail":"409 it is"}`))
				return
			}
			w.Write([]byte(row.answer))
		}))
		c := &client{server: server.URL, http: http.DefaultClient}
		var shown []float64
		doc, err := c.lines(t.Context(), "/", func(share float64) { shown = append(shown, share) })
		if row.fails == "" && (err != nil || string(doc) != row.want || len(shown) != 2 || shown[1] != 0.5) {
			t.Errorf("%s: %s, %v, shown %v", row.says, doc, err, shown)
		}
		if row.fails != "" && (err == nil || !strings.Contains(err.Error(), row.fails) || strings.HasSuffix(err.Error(), "; ")) {
			t.Errorf("%s: %v, want %s", row.says, err, row.fails)
		}
		server.Close()
	}
}

func TestReadBar(t *testing.T) {
	var out strings.Builder
	b := &readBar{w: &out}
	b.show(0.5)
	b.show(2)
	b.clear()
	if !strings.Contains(out.String(), "\r["+strings.Repeat("#", 20)+strings.Repeat(".", 20)+"]  50 % of the history ") {
		t.Errorf("%q", out.String())
	}
}

func TestExperimentsCommand(t *testing.T) {
	g := newFakeGateway(t, map[string]string{"GET /api/v1/experiments": `{"mode": "mx", "one_in": 2, "notes": ["1 in 2 is counted."], "tenants": [
		{"tenant": "acme", "policy_mode": "live", "sentences": ["Clicks, model against control: better."],
		 "arms": [{"arm": "model", "mailboxes": 900, "mailbox_weeks": 3600, "clicked": 110, "held_hours": 1.5}],
		 "comparisons": [
			{"treatment": "model", "control": "control", "outcome": "clicks", "lift": {"verdict": "better", "delta": 0.003, "control_rate": 0.03, "low": 0.0015, "high": 0.0045, "p": 0.0012, "n": 250000, "needed": 207000}},
			{"treatment": "model", "control": "control", "outcome": "complaints", "lift": {"verdict": "not enough data yet", "n": 250000}}]},
		{"tenant": "quiet\u202e", "experiment": "hours", "policy_mode": "observe", "sentences": ["Randomisation is off."]}]}`})
	status, stdout, stderr := g.tidepost(t, "", "experiments", "--tenant", "acme")
	if status != exitDone || stderr != "" || g.asked[0] != "GET /api/v1/experiments?tenant=acme" {
		t.Fatalf("status %d: %s, asked %q", status, stderr, g.asked)
	}
	for _, want := range []string{
		"Tenant acme (live)\n  Clicks, model against control: better.\n\nARM    MAILBOXES  WEEKS",
		"model  900        3600   110",
		"model : control  clicks      better               +10.0 %  +5.0 % to +15.0 %  0.0012  250000  207000\n",
		"model : control  complaints  not enough data yet  -        -                  -       250000  not known yet\n",
		"Tenant quiet\\u202e, experiment hours (observe)\n  Randomisation is off.\n",
		"1 in 2 is counted.\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if _, stdout, _ = g.tidepost(t, "", "experiments", "--json"); !json.Valid([]byte(stdout)) {
		t.Errorf("--json: %s", stdout)
	}
}

func TestExperimentsOfNobody(t *testing.T) {
	g := newFakeGateway(t, map[string]string{"GET /api/v1/experiments": `{"notes": ["There is no history yet."], "tenants": []}`})
	status, stdout, _ := g.tidepost(t, "", "experiments")
	if want := "No tenant has sent bulk mail: there is nothing to compare.\nThere is no history yet.\n"; status != exitDone || stdout != want {
		t.Errorf("status %d: %q", status, stdout)
	}
}

// What a running gateway recorded is told, before anybody switched to live.
func TestReportOfARunningGateway(t *testing.T) {
	dir := t.TempDir()
	s := &shell{t, startProcess(t, dir, nil), dir}
	s.want("report", "There is no history yet.")
	s.want("experiments", "There is no history yet.")
	c, err := dialSMTP(s.p.smtp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if err := c.send("news@example.com", "ada@example.org", springMail); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		_, out := s.run("report") // the history is read as far as it is on disk
		return strings.Contains(out, "1 delivery was planned")
	})
	page := filepath.Join(dir, "report.html")
	s.want("report --html "+page, captureWarning, "1 delivery was planned as bulk mail since", "The model only observed", "No signal has ever come", "The built-in model is in force")
	if html, err := os.ReadFile(page); err != nil || !strings.Contains(string(html), "1 delivery was planned") {
		t.Errorf("%v: %s", err, html)
	}
	s.want("experiments", "Tenant default (observe)", "The mode is observe", "No click or read has come back", "There is nothing to compare")
	if err := s.p.terminate(); err != nil {
		t.Errorf("it stopped with %v\n%s", err, s.p.log)
	}
}

// The manual of the API names every field of a report that we read.
func TestReportFieldsInDocument(t *testing.T) {
	text := readDoc(t, "api.md")
	var doc map[string]any
	if err := json.Unmarshal([]byte(someReport), &doc); err != nil {
		t.Fatal(err)
	}
	names := []string{"held_hours", "unsubscribed", "complained", "control_rate", "mailbox_weeks", "policy_mode", "one_in", "comparisons", "quarters"}
	for name := range doc {
		if name != "mode" && name != "tenant" {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if !strings.Contains(text, `"`+name+`"`) && !strings.Contains(text, "`"+name+"`") {
			t.Errorf("docs/api.md does not name %s", name)
		}
	}
}
