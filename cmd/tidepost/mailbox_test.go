package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const adaKnown = `{"address": "ada@example.org", "known": true, "sentences": ["Nothing waits\u001b[2J."],
	"audiences": [{"audience": "acme", "tenants": ["acme", "beta"], "timezone": "Europe/Berlin", "evidence": "click", "per_week": 2,
		"gates": {"week": 1}, "sends": [{}, {}], "reader": {"interest": 0.25, "mails": 7, "pressure": 0.5, "tolerance_per_week": 3, "hours": ["Mon 19:00 local"]}}],
	"deliveries": [], "entries": [{"address": "ada@example.org", "scope": "tenant:acme", "reason": "unsubscribe"}], "more": 3,
	"forwards": [{"tenant": "acme", "url": "https://esp.example.com/u/1", "at": "2026-05-01T08:00:00Z"}]}`

func TestMailboxShow(t *testing.T) {
	g := newFakeGateway(t, map[string]string{"GET /api/v1/mailboxes/a%2Fb@example.org": adaKnown})
	status, stdout, stderr := g.tidepost(t, "", "mailbox", "show", "a/b@example.org")
	if status != exitDone || stderr != "" {
		t.Fatalf("status %d: %s", status, stderr)
	}
	for _, want := range []string{`Nothing waits\x1b[2J.`, "acme, beta", "Europe/Berlin", "click", "2 bulk mails in 7 days", "0.25, after 7 mails",
		"0.5 of what they bear, 3.0 a week", "Mon 19:00", "tenant:acme", "https://esp.example.com/u/1", "and 3 more", "sends remembered"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if _, stdout, _ = g.tidepost(t, "", "mailbox", "show", "--json", "a/b@example.org"); !strings.HasPrefix(stdout, "{\n  \"address\"") {
		t.Errorf("--json: %s", stdout)
	}
}

func TestMailboxExport(t *testing.T) {
	whole := `{"address":"ada@example.org","events":[` + strings.Repeat(" ", 100_000) + `],"complete":true}` + "\n"
	g := newFakeGateway(t, map[string]string{
		"GET /api/v1/mailboxes/ada@example.org/export": whole,
		"GET /api/v1/mailboxes/bob@example.org/export": `{"events":[],"error":"the disk is gone","complete":false}` + "\n",
		"GET /api/v1/mailboxes/eve@example.org/export": `{"events":[`,
		"GET /api/v1/mailboxes/zoe@example.org/export": `403|{"title": "Forbidden", "detail": "an operator may"}`,
	})
	if status, stdout, stderr := g.tidepost(t, "", "mailbox", "export", "ada@example.org"); status != exitDone || stdout != whole {
		t.Errorf("status %d: %s%s", status, stdout, stderr)
	}
	file := filepath.Join(t.TempDir(), "ada.json")
	if status, stdout, stderr := g.tidepost(t, "", "mailbox", "export", "ada@example.org", "-o", file); status != exitDone || stdout != "" {
		t.Errorf("status %d: %s%s", status, stdout, stderr)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != int64(len(whole)) {
		t.Errorf("%v %v", info, err)
	}
	for address, want := range map[string]string{"ada@example.org": "exists", "bob@example.org": "not complete", "eve@example.org": "not complete", "zoe@example.org": "operator"} {
		args := []string{"mailbox", "export", address}
		if address == "ada@example.org" {
			args = append(args, "-o", file) // a file that is there stays
		}
		if status, _, stderr := g.tidepost(t, "", args...); status != exitFailed || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d: %s", address, status, stderr)
		}
	}
}

func TestMailboxErase(t *testing.T) {
	g := newFakeGateway(t, map[string]string{
		"GET /api/v1/mailboxes/ada@example.org":        adaKnown,
		"POST /api/v1/mailboxes/ada@example.org/erase": `{"address": "ada@example.org", "mailboxes": 1, "dropped": 3, "sending": 1, "entries": 1}`,
		"GET /api/v1/mailboxes/eve@example.org":        `{"address": "eve@example.org"}`,
	})
	for _, row := range []struct {
		command string
		stdin   string
		status  int
		calls   int
		want    string
	}{
		{"mailbox erase ada@example.org", "n\n", exitFailed, 1, "Erase ada@example.org? This cannot be taken back. [y/N] "},
		{"mailbox erase ada@example.org", "", exitFailed, 1, "nothing changed: answer y, or say --yes"},
		{"mailbox erase eve@example.org", "", exitFailed, 1, "Nothing is known of eve@example.org"},
		{"mailbox erase ada@example.org", "y\n", exitDone, 2, "3 deliveries are dropped or still on the wire, 1 suppression is put"},
		{"mailbox erase ada@example.org --yes", "", exitDone, 2, "erased: ada@example.org; forgotten in 1 audience, 3 deliveries dropped, " +
			"1 suppression kept under a keyed hash; 1 delivery is on the wire: erase once more"},
		{"mailbox erase ada@example.org --yes --json", "", exitDone, 2, `"stays": [`},
		{"--set retention.settled=2d mailbox erase ada@example.org --yes", "", exitDone, 2, "retention.settled (2d)"},
	} {
		g.asked = nil
		status, stdout, stderr := g.tidepost(t, row.stdin, strings.Fields(row.command)...)
		if status != row.status || len(g.asked) != row.calls || !strings.Contains(stdout+stderr, row.want) {
			t.Errorf("%s: status %d, asked %q, printed\n%s%s", row.command, status, g.asked, stdout, stderr)
			continue
		}
		if row.calls == 2 && g.asked[1] != `POST /api/v1/mailboxes/ada@example.org/erase {"confirm":"ada@example.org"}` {
			t.Errorf("asked %s", g.asked[1])
		}
	}
}

// What stays is said with its dates.
func TestMailboxStays(t *testing.T) {
	r := DefaultConfig().Retention
	text := strings.Join(staysAfter(&r, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), "\n")
	for _, want := range []string{"retention.settled (14d)", "2026-03-15", "retention.history (30d)", "2026-03-31", "keyed hash", "privacy"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// A person asks what is kept of them, gets it, and is forgotten, in a gateway that runs.
func TestMailboxOfARunningGateway(t *testing.T) {
	dir := t.TempDir()
	s := &shell{t, startProcess(t, dir, nil), dir}
	c, err := dialSMTP(s.p.smtp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for _, to := range []string{"ada@example.org", "bob@example.org"} {
		if err := c.send("news@example.com", to, springMail); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, func() bool {
		_, out := s.run("queue list --state captured --count")
		return strings.HasSuffix(out, "2\n")
	})
	s.want("suppress add ada@example.org --reason unsubscribe --scope tenant:default")
	s.want("mailbox show Ada+x@example.org", "1 delivery is kept for ada@example.org.", "tenant:default", "spring")
	export := s.want("mailbox export ada@example.org", `"kind":"accepted"`, `"kind":"captured"`, `"kind":"suppression"`, `"complete":true`)
	if strings.Contains(export, "bob@") {
		t.Errorf("it tells of Bob:\n%s", export)
	}
	s.want("mailbox erase ada@example.org --yes", "1 delivery dropped, 1 suppression kept under a keyed hash")
	// What stops mail to her is found under her address, and names her no more.
	if out := s.want("mailbox show ada@example.org", "Nothing waits for ada@example.org.", "erased:", "unsubscribe"); strings.Contains(out, "captured") {
		t.Errorf("still known:\n%s", out)
	}
	s.want("mailbox export ada@example.org", `"kind":"erased"`, `"reason":"erased"`)
	s.want("queue list", "bob@example.org")
	if err := s.p.terminate(); err != nil {
		t.Errorf("it stopped with %v\n%s", err, s.p.log)
	}
}
