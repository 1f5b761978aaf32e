package bounce

import (
	"reflect"
	"testing"
	"unicode/utf8"
)

// Whatever comes, reading ends, stays within its bounds, and gives the same again.
func FuzzRead(f *testing.F) {
	for _, s := range stories {
		f.Add([]byte(s.mail))
	}
	for _, s := range hostile {
		f.Add(s.mail(4 << 10))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := Parse(b)
		if len(m.Reports) > maxReports || len(m.Original.Received) > maxReceived || len(m.Original.QueueIDs) > maxReceived {
			t.Errorf("%d reports, %d received, %d ids", len(m.Reports), len(m.Original.Received), len(m.Original.QueueIDs))
		}
		for _, r := range m.Reports {
			if r.Reason == "" || r.Group != r.Reason.Group() || r.Hard != r.Reason.Hard() || r.Action == "" {
				t.Errorf("not whole: %+v", r)
			}
			if !utf8.ValidString(r.Action+r.Feedback+r.Intended) || len(r.Status) > 9 || len(r.ReplyCode) > 3 {
				t.Errorf("action %q, feedback %q, intended %q, status %q, reply %q", r.Action, r.Feedback, r.Intended, r.Status, r.ReplyCode)
			}
			if len(r.Diagnostic) > 500 || !utf8.ValidString(r.Diagnostic) {
				t.Errorf("diagnostic of %d bytes: %q", len(r.Diagnostic), r.Diagnostic)
			}
			if !utf8.ValidString(r.Recipient) || len(r.Recipient) > 320 || len(r.Action) > 20 || len(r.Feedback) > 40 {
				t.Errorf("recipient: %q", r.Recipient)
			}
		}
		if again := Parse(b); !reflect.DeepEqual(m, again) {
			t.Errorf("read twice: %+v and %+v", m, again)
		}
	})
}
