package bounce

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Mails as many systems write them. Each begins with its story and what is to be
// found: recipient (and whom it stands in for, behind a slash), status, and reasons
// that will do; "-" stands for none told.
func TestFormats(t *testing.T) {
	b, err := os.ReadFile("testdata/formats.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, mail := range strings.Split(string(b), "=== ")[1:] {
		story, mail, _ := strings.Cut(mail, "\n")
		var want [][]string
		for strings.HasPrefix(mail, "> ") {
			var line string
			line, mail, _ = strings.Cut(mail, "\n")
			want = append(want, strings.Fields(line[2:]))
		}
		t.Run(story, func(t *testing.T) {
			got := Parse([]byte(mail)).Reports
			if len(got) != len(want) {
				t.Fatalf("%d reports, want %d: %v", len(got), len(want), brief(got))
			}
			for i, w := range want {
				checkFormat(t, got[i], w[0], w[1], strings.Split(w[2], "|"))
			}
		})
	}
}

func checkFormat(t *testing.T, r Report, recipient, status string, reasons []string) {
	t.Helper()
	recipient, intended, _ := strings.Cut(recipient, "/")
	if recipient != "-" && (r.Recipient != recipient || r.Intended != intended) {
		t.Errorf("recipient %q for %q, want %q for %q", r.Recipient, r.Intended, recipient, intended)
	}
	if status != "-" && r.Status != status {
		t.Errorf("%s: status %q, want %q", recipient, r.Status, status)
	}
	if !slices.Contains(reasons, string(r.Reason)) {
		t.Errorf("%s: %s, want %v (%s)", recipient, r.Reason, reasons, r.Diagnostic)
	}
}
