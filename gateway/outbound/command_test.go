package outbound

import (
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/smtptest"
)

const everything = "250-sink\r\n250-size 1000\r\n250-8bitmime\r\n250-SmtpUTF8\r\n250-dsn\r\n250-deliverby 60\r\n250-mt-priority mixer\r\n250 pipelining"

func full() *gateway.Envelope {
	e := envelope("a@x")
	e.EnvID, e.Return, e.EightBit, e.Size, e.Priority = "id+1 =\r\n", "HDRS", true, 999, -3
	e.By, e.ByTrace, e.Deadline = gateway.ByReturn, true, time.Now().Add(90*time.Second+500*time.Millisecond)
	e.Recipients[0].Notify, e.Recipients[0].Original = gateway.NotifySuccess|gateway.NotifyDelay, "rfc822;b+c=d e@x"
	return e
}

func TestParameters(t *testing.T) {
	for _, row := range []struct {
		name, hello string
		change      func(*gateway.Envelope)
		mail, rcpt  string
	}{
		{"all offered, keywords in any case", everything, nil,
			"MAIL FROM:<sender@example.com> SIZE=999 BODY=8BITMIME RET=HDRS ENVID=id+2B1+20+3D+0D+0A BY=90;RT MT-PRIORITY=-3",
			"RCPT TO:<a@x> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bc+3Dd+20e@x"},
		{"nothing offered", "250 sink", nil, "MAIL FROM:<sender@example.com>", "RCPT TO:<a@x>"},
		{"nothing needed", everything, func(e *gateway.Envelope) { *e = *envelope("a@x") }, "MAIL FROM:<sender@example.com>", "RCPT TO:<a@x>"},
		{"null sender", "250 sink", func(e *gateway.Envelope) { e.From = "" }, "MAIL FROM:<>", "RCPT TO:<a@x>"},
		{"NEVER stands alone", everything, func(e *gateway.Envelope) {
			*e = *envelope("a@x")
			e.Recipients[0].Notify = gateway.NotifyNever | gateway.NotifyFailure
		}, "MAIL FROM:<sender@example.com>", "RCPT TO:<a@x> NOTIFY=NEVER"},
		{"RET that is none", everything, func(e *gateway.Envelope) { *e = *envelope("a@x"); e.Return = "FULL BODY=X" }, "MAIL FROM:<sender@example.com>", "RCPT TO:<a@x>"},
		{"late, to be told", everything, func(e *gateway.Envelope) {
			*e = *envelope("a@x")
			e.By, e.Deadline = gateway.ByNotify, time.Now().Add(-30*time.Second+500*time.Millisecond)
		}, "MAIL FROM:<sender@example.com> BY=-29;N", "RCPT TO:<a@x>"},
		{"UTF-8 original", everything, func(e *gateway.Envelope) { *e = *envelope("a@x"); e.Recipients[0].Original = "utf-8;é@x" },
			"MAIL FROM:<sender@example.com>", `RCPT TO:<a@x> ORCPT=utf-8;\x{E9}@x`},
		{"original without a type", everything, func(e *gateway.Envelope) { *e = *envelope("a@x"); e.Recipients[0].Original = "a@x" }, "MAIL FROM:<sender@example.com>", "RCPT TO:<a@x>"},
		{"original with a bad type", everything, func(e *gateway.Envelope) { *e = *envelope("a@x"); e.Recipients[0].Original = "a b;a@x" }, "MAIL FROM:<sender@example.com>", "RCPT TO:<a@x>"},
		{"original of 600 bytes", everything, func(e *gateway.Envelope) {
			*e = *envelope("a@x")
			e.Recipients[0].Original = "rfc822;" + strings.Repeat("a", 600)
		}, "MAIL FROM:<sender@example.com>", "RCPT TO:<a@x>"},
		{"address in UTF-8", everything, func(e *gateway.Envelope) { *e = *envelope("é@x") }, "MAIL FROM:<sender@example.com> SMTPUTF8", "RCPT TO:<é@x>"},
		{"said to be UTF-8", everything, func(e *gateway.Envelope) { *e = *envelope("a@x"); e.UTF8 = true }, "MAIL FROM:<sender@example.com> SMTPUTF8", "RCPT TO:<a@x>"},
		{"international domain to a host without SMTPUTF8", "250 sink", func(e *gateway.Envelope) { *e = *envelope("a@bücher.example") }, "MAIL FROM:<sender@example.com>", "RCPT TO:<a@xn--bcher-kva.example>"},
		{"quoted local part", "250 sink", func(e *gateway.Envelope) { *e = *envelope(`"a \" b"@x`) }, "MAIL FROM:<sender@example.com>", `RCPT TO:<"a \" b"@x>`},
	} {
		t.Run(row.name, func(t *testing.T) {
			sc := &script{answers: map[string]string{"EHLO": row.hello}}
			sink := smtptest.Scripted(t, sc.step)
			e := full()
			if row.change != nil {
				row.change(e)
			}
			want(t, send(open(t, &Transport{}, sink.Addr()), e), "delivered 250 2.0.0")
			if got, want := sc.commands(), row.mail+"|"+row.rcpt+"|DATA|."; got != want {
				t.Errorf("commands\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestRefusedByUs(t *testing.T) {
	utf8Subject := "Subject: é\r\n\r\nx\r\n"
	for _, row := range []struct {
		name, hello string
		change      func(*gateway.Envelope)
		body, want  string
	}{
		{"too large", everything, func(e *gateway.Envelope) { e.Size = 1001 }, letter, "failed 552 5.3.4"},
		{"deliver-by has passed", everything, func(e *gateway.Envelope) { e.By, e.Deadline = gateway.ByReturn, time.Now() }, letter, "failed 554 5.4.7"},
		{"UTF-8 address, no SMTPUTF8", "250 x", func(e *gateway.Envelope) { *e = *envelope("é@x") }, letter, "failed 550 5.6.7"},
		{"UTF-8 sender, no SMTPUTF8", "250 x", func(e *gateway.Envelope) { e.From = "é@x" }, letter, "failed 550 5.6.7"},
		{"UTF-8 header, no SMTPUTF8", "250 x", func(e *gateway.Envelope) { e.UTF8 = true }, utf8Subject, "failed 550 5.6.7"},
		{"header over 64 KiB, no SMTPUTF8", "250 x", func(e *gateway.Envelope) { e.UTF8 = true }, strings.Repeat("X: y\r\n", 20_000), "failed 550 5.6.7"},
		{"said to be UTF-8 and is not", "250 x", func(e *gateway.Envelope) { e.UTF8 = true }, letter, "delivered 250 2.0.0"},
		{"8-bit, no 8BITMIME", "250 x", func(e *gateway.Envelope) { e.EightBit = true }, utf8Subject, "delivered 250 2.0.0"},
		{"sender with a parameter", everything, func(e *gateway.Envelope) { e.From = "a@x> SIZE=1" }, letter, "failed 553 5.1.7"},
	} {
		t.Run(row.name, func(t *testing.T) {
			sc := &script{answers: map[string]string{"EHLO": row.hello}}
			sink := smtptest.Scripted(t, sc.step)
			s := open(t, &Transport{}, sink.Addr())
			e := envelope("a@x")
			row.change(e)
			want(t, send(s, e, row.body), row.want)
			if strings.HasPrefix(row.want, "failed") && sc.commands() != "" {
				t.Errorf("%s was written", sc.commands())
			}
			if !s.Usable() {
				t.Error("not usable")
			}
			for _, m := range sink.Messages() {
				if string(m.Data) != row.body {
					t.Errorf("arrived as %q", m.Data)
				}
			}
		})
	}
}

// TestInjection is C6: no address adds a parameter, a command or a recipient.
func TestInjection(t *testing.T) {
	sc := &script{answers: map[string]string{"EHLO": everything}}
	s := open(t, &Transport{}, smtptest.Scripted(t, sc.step).Addr())
	bad := []string{"b@x> NOTIFY=NEVER", "b@x>\r\nRCPT TO:<c@x", "b@x\r\nDATA", "b@x\nDATA", "b@x\x00", "b @x", "b@x SIZE=1", "<b@x", `"b> X=1"@x`,
		`"b\> X=1"@x`, `"b@x`, "b@x\x7f", "b\t@x", "\xff@x", "", strings.Repeat("b", 1001) + "@x", `"b\` + "\r\n" + `"@x`}
	out := send(s, envelope(append(bad, "good@x")...))
	for i, a := range bad {
		if got := kinds(out[i : i+1]); got != "failed 553 5.1.3" {
			t.Errorf("%q: %s", a, got)
		}
	}
	want(t, out[len(bad):], "delivered 250 2.0.0")
	if got := sc.commands(); got != "MAIL FROM:<sender@example.com>|RCPT TO:<good@x>|DATA|." {
		t.Errorf("commands %q", got)
	}
}

func FuzzPath(f *testing.F) {
	f.Add(`"a b"@x`)
	f.Add("a@x> SIZE=1")
	f.Fuzz(func(t *testing.T, address string) {
		if checkPath(address) != nil {
			return
		}
		tr := &transaction{session: &session{features: features{utf8: true}}}
		line := string(tr.appendRcpt(nil, &gateway.EnvelopeRecipient{Address: address, Original: "rfc822;" + address}))
		if strings.Count(line, ">") != 1 || strings.Count(line, "<") != 1 || strings.Count(line, "\n") != 1 || strings.Count(line, "\r") != 1 || !strings.HasSuffix(line, ">\r\n") {
			t.Errorf("%q", line)
		}
	})
}
