package bounce

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

const reportHead = "From: MAILER-DAEMON@mx.test\nTo: s@sender.test\nSubject: Undelivered Mail Returned to Sender\nMIME-Version: 1.0\n"

// hostile makes mails of about n bytes that are meant to cost much.
var hostile = []struct {
	story string
	mail  func(n int) []byte
}{
	{"multiparts within each other", func(n int) []byte {
		var b bytes.Buffer
		b.WriteString(reportHead)
		for i := 0; b.Len() < n; i++ {
			fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
		}
		return b.Bytes()
	}},
	{"a hundred thousand parts", func(n int) []byte {
		return []byte(reportHead + "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", n/7))
	}},
	{"each boundary begins like the next", func(n int) []byte {
		var b bytes.Buffer
		b.WriteString(reportHead)
		for i := range 30 {
			fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=%s\n\n--%s\n", strings.Repeat("a", i+1), strings.Repeat("a", i+1))
		}
		b.Write(bytes.Repeat([]byte("--aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"), n/43))
		return b.Bytes()
	}},
	{"one giant field", func(n int) []byte {
		return []byte(reportHead + "X-A: " + strings.Repeat("a", n) + "\n\nx")
	}},
	{"one field folded without end", func(n int) []byte {
		return []byte(reportHead + "X-A: a\n" + strings.Repeat(" a\n", n/3))
	}},
	{"endless fields", func(n int) []byte {
		return []byte(reportHead + strings.Repeat("X-A: a\n", n/7))
	}},
	{"endless encoded words", func(n int) []byte {
		return []byte("Subject: " + strings.Repeat("=?utf-8?q?=41?=\n ", n/17) + "\n" + reportHead + "\nx")
	}},
	{"base64 without an end", func(n int) []byte {
		return []byte(reportHead + "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n" + strings.Repeat("QUFB", n/4))
	}},
	{"nothing but NUL", func(n int) []byte {
		return append([]byte(reportHead+"\n"), make([]byte, n)...)
	}},
	{"at signs", func(n int) []byte {
		return []byte(reportHead + "\ncould not be delivered\n" + strings.Repeat("a@", n/2))
	}},
	{"addresses", func(n int) []byte {
		var b bytes.Buffer
		b.WriteString(reportHead + "\ncould not be delivered\n")
		for i := 0; b.Len() < n; i++ {
			fmt.Fprintf(&b, "<u%d@x.test>: user unknown\n", i)
		}
		return b.Bytes()
	}},
	{"words that tell nothing", func(n int) []byte {
		var b bytes.Buffer
		b.WriteString(reportHead + "Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n")
		for i := 0; b.Len() < n; i++ {
			fmt.Fprintf(&b, "Final-Recipient: rfc822; u%d@x.test\nAction: failed\nDiagnostic-Code: smtp; %s\n\n", i, strings.Repeat("mo. ", 500))
		}
		return b.Bytes()
	}},
	{"recipients of a status", func(n int) []byte {
		var b bytes.Buffer
		b.WriteString(reportHead + "Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n")
		for i := 0; b.Len() < n; i++ {
			fmt.Fprintf(&b, "Final-Recipient: rfc822; u%d@x.test\nAction: failed\nStatus: 5.1.1\n\n", i)
		}
		return b.Bytes()
	}},
	{"mails within mails", func(n int) []byte {
		return []byte(reportHead + strings.Repeat("Content-Type: message/rfc822\n\n", n/30))
	}},
	{"headers of returned mail again and again", func(n int) []byte {
		return []byte(reportHead + "\n" + strings.Repeat("\nsubject: a\nfrom: b\n", n/20))
	}},
	{"tags", func(n int) []byte {
		return []byte(reportHead + "Content-Type: text/html\n\n" + strings.Repeat("<", n))
	}},
	{"styles", func(n int) []byte {
		return []byte(reportHead + "Content-Type: text/html\n\n" + strings.Repeat("<style>", n/7))
	}},
	{"carriage returns", func(n int) []byte {
		return []byte(reportHead + "\n" + strings.Repeat("\r", n))
	}},
	{"notice without an end", func(n int) []byte {
		return []byte(reportHead + "\n{\"mail\":" + strings.Repeat("[", n))
	}},
}

// Hostile mail costs memory in proportion to its length, and is over soon; were time
// quadratic anywhere, this test would not end.
func TestHostile(t *testing.T) {
	for _, h := range hostile {
		t.Run(h.story, func(t *testing.T) {
			b := h.mail(MaxMail)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			m := Parse(b)
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 8*MaxMail {
				t.Errorf("%d MB allocated for %d MB", got>>20, len(b)>>20)
			}
			if len(m.Reports) > maxReports {
				t.Errorf("%d reports", len(m.Reports))
			}
		})
	}
}

func BenchmarkHostile(b *testing.B) {
	for _, h := range hostile {
		b.Run(strings.ReplaceAll(h.story, " ", "_"), func(b *testing.B) {
			mail := h.mail(MaxMail)
			b.SetBytes(int64(len(mail)))
			b.ReportAllocs()
			for b.Loop() {
				Parse(mail)
			}
		})
	}
}
