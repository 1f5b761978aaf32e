package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeGateway answers as docs/api.md says and records what it was asked.
type fakeGateway struct {
	*httptest.Server
	asked []string          // "METHOD path?query body"
	reply map[string]string // by "METHOD path"
	token string            // of the last request
}

func newFakeGateway(t *testing.T, reply map[string]string) *fakeGateway {
	g := &fakeGateway{reply: reply}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body json.RawMessage
		json.NewDecoder(r.Body).Decode(&body)
		g.asked = append(g.asked, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
		g.token = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		key := r.Method + " " + r.URL.EscapedPath()
		if cursor := r.URL.Query().Get("cursor"); cursor != "" {
			key += " " + cursor
		}
		answer, ok := g.reply[key]
		status, rest, hasStatus := strings.Cut(answer, "|")
		if !ok {
			status, rest, hasStatus = "404", `{"title": "Not Found", "detail": "there is no `+key+`"}`, true
		}
		if hasStatus && len(status) == 3 {
			var code int
			fmt.Sscan(status, &code)
			w.WriteHeader(code)
			answer = rest
		}
		w.Write([]byte(answer))
	}))
	t.Cleanup(g.Close)
	return g
}

// tidepost runs the command line against the gateway.
func (g *fakeGateway) tidepost(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	status = run(t.Context(), args, strings.NewReader(stdin), &out, &errs, []string{"TIDEPOST_SERVER=" + g.URL, "TIDEPOST_TOKEN=secret"})
	return status, out.String(), errs.String()
}

const evilDelivery = `{"id": "01J.0", "state": "waiting", "address": "a@example.org", "campaign": "\u001b[2Jspring\u009b31m\u202e",
	"tenant": "acme", "class": "newsletter", "reason": "quiet_hours", "sentence": "It sleeps.", "due": "2026-05-01T08:00:00Z", "paused": true}`

func TestQueueList(t *testing.T) {
	g := newFakeGateway(t, map[string]string{
		"GET /api/v1/deliveries":    `{"items": [` + evilDelivery + `], "next": "c2", "mode": "capture"}`,
		"GET /api/v1/deliveries c2": `{"items": [{"id": "01J.1", "state": "captured"}], "mode": "capture", "total": 2}`,
	})
	status, stdout, stderr := g.tidepost(t, "", "queue", "list", "--tenant", "acme", "--limit", "0")
	if status != exitDone || stderr != "" {
		t.Fatalf("status %d: %s", status, stderr)
	}
	if !strings.HasPrefix(stdout, captureWarning+"\nDELIVERY ") {
		t.Errorf("the warning comes first: %s", stdout)
	}
	if !strings.Contains(stdout, `\x1b[2Jspring\x9b31m\u202e`) || strings.ContainsAny(stdout, "\x1b\u009b\u202e") {
		t.Errorf("control characters are shown, not obeyed: %q", stdout)
	}
	if !strings.Contains(stdout, "waiting, held") || !strings.Contains(stdout, "01J.1") {
		t.Errorf("both pages are listed: %s", stdout)
	}
	if g.token != "secret" || g.asked[0] != "GET /api/v1/deliveries?limit=500&tenant=acme" {
		t.Errorf("asked %q with token %q", g.asked, g.token)
	}
	_, stdout, _ = g.tidepost(t, "", "queue", "list", "--json", "--limit", "1")
	var items []delivery
	if err := json.Unmarshal([]byte(stdout), &items); err != nil || len(items) != 1 || strings.ContainsAny(stdout, "\u009b\u202e") {
		t.Errorf("--json: %v: %q", err, stdout)
	}
	if items[0].Campaign != "\x1b[2Jspring\u009b31m\u202e" {
		t.Errorf("--json keeps the value: %q", items[0].Campaign)
	}
}

func TestQueueCount(t *testing.T) {
	g := newFakeGateway(t, map[string]string{"GET /api/v1/deliveries": `{"items": [], "total": 42, "mode": "mx"}`})
	if status, stdout, _ := g.tidepost(t, "", "queue", "list", "--count"); status != exitDone || stdout != "42\n" {
		t.Errorf("status %d, %q", status, stdout)
	}
}

func TestQueueActionsAskFirst(t *testing.T) {
	g := newFakeGateway(t, map[string]string{"POST /api/v1/deliveries/actions": `{"matched": 3, "done": 3}`})
	for _, row := range []struct {
		args    []string
		stdin   string
		status  int
		calls   int
		outputs string
	}{
		{[]string{"queue", "drop", "--campaign", "spring"}, "n\n", exitFailed, 1, "Drop for good 3 deliveries? [y/N] "},
		{[]string{"queue", "drop", "--campaign", "spring"}, "", exitFailed, 1, "nothing changed: answer y, or say --yes"},
		{[]string{"queue", "drop", "--campaign", "spring"}, "y\n", exitDone, 2, "3 of 3 deliveries changed"},
		{[]string{"queue", "hold", "--all", "--yes"}, "", exitDone, 2, "3 of 3 deliveries changed"},
		{[]string{"queue", "release", "--all", "--dry-run"}, "", exitDone, 1, "3 deliveries matched, nothing changed"},
		{[]string{"queue", "release", "--all", "--captured"}, "y", exitDone, 2, "Send, to their real recipients, the captured 3 deliveries?"},
		{[]string{"queue", "resume", "01J.0"}, "yes", exitDone, 2, "Resume 3 deliveries?"},
	} {
		g.asked = nil
		status, stdout, stderr := g.tidepost(t, row.stdin, row.args...)
		if status != row.status || len(g.asked) != row.calls || !strings.Contains(stdout+stderr, row.outputs) {
			t.Errorf("%q: status %d, asked %q, printed %s%s", row.args, status, g.asked, stdout, stderr)
			continue
		}
		if first := g.asked[0]; !strings.Contains(first, `"dry_run":true`) {
			t.Errorf("%q: the first call changes something: %s", row.args, first)
		}
	}
	want := `POST /api/v1/deliveries/actions {"action":"resume","filter":{"ids":["01J.0"]},"dry_run":false}`
	if got := g.asked[1]; got != want {
		t.Errorf("asked %s\nwant  %s", got, want)
	}
}

func TestPauseAndResume(t *testing.T) {
	g := newFakeGateway(t, map[string]string{"POST /api/v1/queue/pause": "", "POST /api/v1/queue/resume": ""})
	if status, stdout, stderr := g.tidepost(t, "", "queue", "pause", "--tenant", "acme"); status != exitDone || !strings.Contains(stdout, "paused: tenant acme") {
		t.Errorf("status %d: %s%s", status, stdout, stderr)
	}
	if status, _, stderr := g.tidepost(t, "", "queue", "resume"); status != exitDone {
		t.Errorf("status %d: %s", status, stderr)
	}
	want := []string{`POST /api/v1/queue/pause {"tenant":"acme"}`, `POST /api/v1/queue/resume {}`}
	if strings.Join(g.asked, "\n") != strings.Join(want, "\n") {
		t.Errorf("asked %q, want %q", g.asked, want)
	}
}

func TestStatusFailsOnProblems(t *testing.T) {
	g := newFakeGateway(t, map[string]string{"GET /api/v1/status": `{"version": "1", "started": "2026-05-01T08:00:00Z", "mode": "mx",
		"accepting": false, "why": "disk full", "bus": {"server": "embedded"}, "oldest_overdue_seconds": 90,
		"closed": [{"name": "example.org", "reason": "connection refused"}], "disk": {"hours_left": 3.4},
		"problems": [{"text": "The disk is full.", "runbook": "runbook#disk-filling"}]}`})
	status, stdout, stderr := g.tidepost(t, "", "status")
	if status != exitFailed || stderr != "" {
		t.Errorf("status %d, %s", status, stderr)
	}
	for _, want := range []string{"NO: disk full", "1m30s", "example.org", "full in 3 hours", "PROBLEM", "tidepost help runbook#disk-filling", "NOT CONNECTED"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
}

func TestCampaigns(t *testing.T) {
	sums := `{"tenant": "acme", "name": "a/b", "accepted": 10, "waiting": 1, "delivered": 5, "bounced": 1, "dropped": {"suppressed": 2, "deadline": 1}}`
	g := newFakeGateway(t, map[string]string{
		"GET /api/v1/campaigns":            `{"items": [` + sums + `], "mode": "mx"}`,
		"GET /api/v1/campaigns/acme/a%2Fb": sums,
		"GET /api/v1/suppressions":         `{"items": [{"address": "b@example.org", "scope": "global", "reason": "manual"}]}`,
		"POST /api/v1/suppressions":        `{"address": "b@example.org", "scope": "global", "reason": "manual"}`,
		"DELETE /api/v1/suppressions":      "",
		"GET /api/v1/explain/a+x@e.org":    `{"sentences": ["It waits."], "deliveries": [` + evilDelivery + `], "events": [{"kind": "planned"}]}`,
		"GET /readyz":                      "ok",
		"POST /api/v1/backup":              `{"directory": "/b", "bytes": 2048}`,
		"POST /api/v1/compact":             `{"before_bytes": 2048, "after_bytes": 1024}`,
		"POST /api/v1/confirm":             "",
		"GET /api/v1/deliveries/01J.0":     evilDelivery,
		"GET /api/v1/messages/01J":         `{"id": "01J", "subject": "Hi", "from": "", "notes": ["X-Tidepost-Window: unreadable"]}`,
		"GET /api/v1/messages/01J/content": "Subject: Hi\r\n\r\n\x1b",
		"GET /api/v1/deliveries":           `{"items": [` + evilDelivery + `]}`,
		"GET /api/v1/messages/01K":         `503|{"detail": "the store has stopped", "remedy": "see status"}`,
		"GET /api/v1/messages/01L":         `<html>`,
		"GET /api/v1/messages/01M":         `403|{"detail": "role viewer"}`,
		"GET /api/v1/messages/01N":         `401|`,
	})
	for _, row := range []struct {
		args   string
		status int
		want   string
	}{
		{"campaigns", exitDone, "a/b"},
		{"campaigns list --tenant acme", exitDone, "a/b"},
		{"campaigns show acme a/b", exitDone, "+ dropped, suppressed  2"},
		{"suppress check b@example.org", exitDone, "manual"},
		{"suppress add b@example.org --for 90d", exitDone, "suppressed: b@example.org, global, manual, for ever"},
		{"suppress remove b@example.org", exitDone, "removed: b@example.org, global"},
		{"explain a+x@e.org", exitDone, "It waits.\n\nDELIVERY"},
		{"healthcheck", exitDone, "ready"},
		{"backup /b", exitDone, "backed up 2.0 KiB into /b"},
		{"compact", exitDone, "2.0 KiB before, 1.0 KiB now"},
		{"restore --confirm", exitDone, "mail leaves again"},
		{"queue show 01J.0", exitDone, "quiet_hours  It sleeps."},
		{"queue show 01J", exitDone, "X-Tidepost-Window: unreadable"},
		{"queue show 01J --content", exitDone, "Subject: Hi\r\n\r\n\x1b"},
		{"queue show 01K", exitFailed, "tidepost: the store has stopped; see status\n"},
		{"queue show 01L", exitFailed, "is --server right?"},
		{"queue show 01M", exitFailed, "may not do that: role viewer"},
		{"queue show 01N", exitFailed, "does not know this admin token: set TIDEPOST_TOKEN"},
		{"queue show 01Z", exitFailed, "there is no GET /api/v1/messages/01Z"},
	} {
		status, stdout, stderr := g.tidepost(t, "", strings.Fields(row.args)...)
		if status != row.status || !strings.Contains(stdout+stderr, row.want) {
			t.Errorf("%s: status %d\n got %s%s\nwant %s", row.args, status, stdout, stderr, row.want)
		}
	}
}

// The token of the local file is for this machine's gateway alone.
func TestLocalTokenStaysHere(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "admin.token"), []byte("local\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &app{Context: t.Context(), Env: []string{"TIDEPOST_DATA_DIR=" + dir}}
	for server, want := range map[string]string{
		"": "local", "http://localhost:8025/": "local", "http://[::1]:8025": "local",
		"https://mail.example.com": "", "http://127.0.0.1.example.com": "",
	} {
		c, err := remote{Server: server}.connect(a)
		if err != nil || c.token != want {
			t.Errorf("%q: token %q, %v, want %q", server, c.token, err, want)
		}
	}
	if c, err := (remote{Server: "https://x", Token: "t"}).connect(a); err != nil || c.token != "t" {
		t.Errorf("a token that is given goes where it is sent: %v, %v", c, err)
	}
}
