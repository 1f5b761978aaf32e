package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const fullMailbox = `From: MAILER-DAEMON@mx.test
Subject: Undelivered Mail Returned to Sender
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.test

Final-Recipient: rfc822; ann@example.com
Action: failed
Status: 5.2.2
Diagnostic-Code: smtp; 552 5.2.2 mailbox full

Final-Recipient: rfc822; bob@example.com
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 user unknown
--b--
`

// classify runs the command and returns what it prints.
func classify(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	status = run(t.Context(), append([]string{"feedback", "classify"}, args...), strings.NewReader(stdin), &out, &errs, nil)
	return status, out.String(), errs.String()
}

func TestFeedbackClassify(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	bounced, plain := file("bounce.eml", fullMailbox), file("plain.eml", "From: ann@example.com\nSubject: hello\n\nhello\n")
	want := `{"file":"-","record":1,"recipient":"ann@example.com","status":"5.2.2","reply_code":"552","group":"mailbox_full","hard_bounce":false,"reason":"mailboxfull","action":"failed","diagnostic":"552 5.2.2 mailbox full"}
{"file":"-","record":2,"recipient":"bob@example.com","status":"5.1.1","reply_code":"550","group":"no_such_user","hard_bounce":true,"reason":"userunknown","action":"failed","diagnostic":"550 5.1.1 user unknown"}
`
	for _, tt := range []struct {
		story         string
		args          []string
		status        int
		lines         string
		notes, absent string
	}{
		{"standard input", nil, exitDone, want, "", "no report"},
		{"standard input by name", []string{"-"}, exitDone, want, "", "no report"},
		{"a file is named as it was given", []string{bounced}, exitDone, strings.ReplaceAll(want, `"-"`, `"`+bounced+`"`), "", "no report"},
		{"a mail without a report is no failure", []string{plain}, exitDone, "", "plain.eml: no report in it", ""},
		{"a missing file does not keep it from the next", []string{filepath.Join(dir, "none"), "-"}, exitFailed, want, "none", ""},
		{"a folder", []string{dir}, exitFailed, "", "is a folder: name the mails in it", ""},
	} {
		status, stdout, stderr := classify(t, fullMailbox, tt.args...)
		if status != tt.status || stdout != tt.lines {
			t.Errorf("%s: exit status %d, printed\n%s", tt.story, status, stdout)
		}
		if !strings.Contains(stderr, tt.notes) || tt.absent != "" && strings.Contains(stderr, tt.absent) {
			t.Errorf("%s: noted %q", tt.story, stderr)
		}
	}
}

// What a stranger wrote stays one line of JSON, and moves no cursor.
func TestFeedbackClassifyIsSafe(t *testing.T) {
	evil := strings.ReplaceAll(fullMailbox, "mailbox full", "mailbox full \x1b[2J\u202e\"}\u2028")
	_, stdout, _ := classify(t, evil)
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	if len(lines) != 2 || strings.ContainsAny(stdout, "\x1b\u202e\u2028") {
		t.Errorf("printed %q", stdout)
	}
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
}
