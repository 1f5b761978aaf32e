package lists

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"

	"tidepost/suppression"
)

// repeat makes a file of n lines.
func repeat(head, line string, n int) []byte {
	b := []byte(head)
	for i := range n {
		b = fmt.Appendf(b, line, i, i)
	}
	return b
}

func BenchmarkRead(b *testing.B) {
	const n = 100_000
	for _, bb := range []struct {
		name, head, line string
		opt              Options
	}{
		{"plain", "", "reader%d@example%d.com\n", Options{Reason: suppression.Manual}},
		{"unsubscribes", "email,created\n", "reader%d@example%d.com,1760000000\n", Options{}},
		{"bounces", "status,reason,email,created\n", "5.1.1,\"550 5.1.1 The email account does not exist, please check\",reader%d@example%d.com,1760000000\n", Options{Format: SendGridBounces}},
		{"mailgun", "address,code,error,created_at\n", "reader%d@example%d.com,550,No such mailbox,\"Thu, 09 Oct 2025 08:53:20 +0000\"\n", Options{}},
		{"own", "address,scope,reason,source,evidence,note,created,expires,removed\n", "reader%d@example.com,global,hard_bounce,dsn,550 5.1.1 no such user %d,,2025-10-09T08:53:20Z,,\n", Options{}},
		{"sha256", "", "71d4f55f71d4f55f71d4f55f71d4f55f71d4f55f71d4f55f%08x%08x\n", Options{Reason: suppression.Manual}},
		{"ses.jsonl", "", "{\"EmailAddress\":\"reader%d@example%d.com\",\"Reason\":\"BOUNCE\",\"LastUpdateTime\":\"2025-10-09T08:53:20+00:00\"}\n", Options{}},
	} {
		file := repeat(bb.head, bb.line, n)
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(file)))
			for b.Loop() {
				rows := 0
				for _, err := range Read(bytes.NewReader(file), acme(bb.opt)) {
					if err != nil {
						b.Fatal(err)
					}
					rows++
				}
				if rows != n {
					b.Fatal(rows)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}

// The worst cases of time: lines without LF, quotes that never close.
func BenchmarkHostile(b *testing.B) {
	for name, file := range map[string][]byte{
		"CR alone":  bytes.Repeat([]byte("a@x.test\r"), 1<<18),
		"quotes":    bytes.Repeat([]byte("\"a\n"), 1<<19),
		"far quote": append([]byte("email,created\n\""), bytes.Repeat([]byte("a\n"), 1<<20)...),
		"reopened":  append([]byte("email,created\n"), bytes.Repeat([]byte("a\",\"x\n"), 1<<19)...),
		"one line":  bytes.Repeat([]byte("x"), 1<<22),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			for b.Loop() {
				for range Read(bytes.NewReader(file), acme(Options{Reason: suppression.Manual})) {
				}
			}
		})
	}
}

func BenchmarkWrite(b *testing.B) {
	e := suppression.Entry{Address: "reader@example.com", Reason: suppression.HardBounce, Source: "dsn", Evidence: "550 5.1.1 no such user", Created: noon, Expires: noon.Add(time.Hour)}
	for _, format := range []string{CSV, JSONLines} {
		b.Run(format, func(b *testing.B) {
			b.ReportAllocs()
			Write(io.Discard, func(yield func(suppression.Entry) bool) {
				for b.Loop() {
					yield(e)
				}
			}, format)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}
