package content

import (
	"bufio"
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
)

// failure is a report on a message that was refused.
func failure(t testing.TB, content string) *gateway.Report {
	s := stored(t, content)
	s.Message.MessageID = "m@x.test"
	return &gateway.Report{
		Action: gateway.ReportFailed, Stored: s, Now: noon.Add(time.Hour),
		Delivery:  &gateway.Delivery{Address: "b@y.test", Started: noon.Add(time.Minute), Expires: noon.Add(24 * time.Hour), Rev: 3},
		Recipient: s.Message.Recipients[0],
		Outcome:   gateway.Outcome{Kind: gateway.OutcomeFailed, Code: 550, Status: "5.1.1", Text: "no such user", Remote: "mx.y.test"},
	}
}

// dsn is a report taken apart.
type dsn struct {
	header     textproto.MIMEHeader
	text       string
	message    textproto.MIMEHeader // per-message fields
	recipient  textproto.MIMEHeader // per-recipient fields
	statusType string
	kind       string // of the returned part
	returned   string
}

func report(t testing.TB, p *Reporter, r *gateway.Report) dsn {
	t.Helper()
	b, err := p.Report(r)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.SplitSeq(b, []byte("\r\n")) {
		if len(line) > 998 || bytes.ContainsAny(line, "\r\n") {
			t.Errorf("a line of %d bytes, or with a bare CR or LF: %.80q", len(line), line)
		}
	}
	m := parsed(t, string(b))
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatalf("Content-Type %s: %v", m.Header.Get("Content-Type"), err)
	}
	d := dsn{header: textproto.MIMEHeader(m.Header)}
	parts := multipart.NewReader(m.Body, params["boundary"])
	_, d.text = part(t, parts)
	var status string
	d.statusType, status = part(t, parts)
	fields := textproto.NewReader(bufio.NewReader(strings.NewReader(status + "\r\n")))
	if d.message, err = fields.ReadMIMEHeader(); err != nil {
		t.Fatal(err)
	}
	if d.recipient, err = fields.ReadMIMEHeader(); err != nil {
		t.Fatal(err)
	}
	d.kind, d.returned = part(t, parts)
	if _, err := parts.NextRawPart(); err != io.EOF {
		t.Errorf("behind the third part: %v", err)
	}
	return d
}

func part(t testing.TB, parts *multipart.Reader) (kind, content string) {
	t.Helper()
	p, err := parts.NextRawPart()
	if err != nil {
		t.Fatal(err)
	}
	var r io.Reader = p
	if p.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		r = quotedprintable.NewReader(p)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	kind, _, _ = mime.ParseMediaType(p.Header.Get("Content-Type"))
	return kind, string(b)
}

func expect(t *testing.T, what string, h textproto.MIMEHeader, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := h.Get(name); got != value {
			t.Errorf("%s: %s: %q, want %q", what, name, got, value)
		}
	}
}

func TestFailureReport(t *testing.T) { // RFC 3464, RFC 3834
	r := failure(t, newsletter())
	r.Stored.Message.EnvID = "env 1"
	r.Recipient.Original = "rfc822;first@y.test"
	d := report(t, &Reporter{Hostname: "gw.example.net"}, r)
	expect(t, "header", d.header, map[string]string{
		"From": "Mail Delivery System <MAILER-DAEMON@gw.example.net>", "To": "<a@x.test>",
		"Subject": "Undelivered mail returned to sender", "Auto-Submitted": "auto-replied",
		"Date": "Sun, 22 Nov 2026 13:00:00 +0000", "References": "<m@x.test>",
	})
	expect(t, "message", d.message, map[string]string{
		"Reporting-MTA": "dns; gw.example.net", "Original-Envelope-Id": "env 1", "Arrival-Date": "Sun, 22 Nov 2026 12:00:00 +0000",
		"Deliver-By-Date": "", "Future-Release-Request": "",
	})
	expect(t, "recipient", d.recipient, map[string]string{
		"Original-Recipient": "rfc822; first@y.test", "Final-Recipient": "rfc822; b@y.test", "Action": "failed", "Status": "5.1.1",
		"Remote-MTA": "dns; mx.y.test", "Diagnostic-Code": "smtp; 550 5.1.1 no such user",
		"Last-Attempt-Date": "Sun, 22 Nov 2026 12:01:00 +0000", "Will-Retry-Until": "",
	})
	for _, want := range []string{"gw.example.net", "b@y.test", "mx.y.test: 550 5.1.1 no such user"} {
		if !strings.Contains(d.text, want) {
			t.Errorf("the text lacks %q:\n%s", want, d.text)
		}
	}
	if d.kind != "text/rfc822-headers" || !strings.Contains(d.returned, "X-Listmonk-Campaign") || strings.Contains(d.returned, "This is a line") || strings.Contains(d.returned, "X-Tidepost") {
		t.Errorf("returned as %s:\n%s", d.kind, d.returned)
	}
}

func TestReportActions(t *testing.T) {
	for _, c := range []struct {
		action  gateway.ReportAction
		outcome gateway.Outcome
		status  string
		retry   string
		code    string
	}{
		{gateway.ReportFailed, gateway.Outcome{Code: 452, Status: "4.2.2", Text: "full"}, "4.2.2", "", "smtp; 452 4.2.2 full"},
		{gateway.ReportFailed, gateway.Outcome{Code: 451, Text: "later"}, "4.4.7", "", "smtp; 451 later"},
		{gateway.ReportFailed, gateway.Outcome{Code: 550}, "5.0.0", "", "smtp; 550"},
		{gateway.ReportFailed, gateway.Outcome{Status: "5.4.7", Text: "not sent: deadline"}, "5.4.7", "", "x-tidepost; not sent: deadline"},
		{gateway.ReportFailed, gateway.Outcome{Status: "5.1.1\r\nX: y"}, "5.0.0", "", ""},
		{gateway.ReportDelayed, gateway.Outcome{}, "4.0.0", "Mon, 23 Nov 2026 12:00:00 +0000", ""},
		{gateway.ReportDelivered, gateway.Outcome{Code: 250, Status: "2.1.5", Text: "ok"}, "2.1.5", "", "smtp; 250 2.1.5 ok"},
		{gateway.ReportRelayed, gateway.Outcome{Code: 250, Text: "ok"}, "2.0.0", "", "smtp; 250 ok"},
	} {
		for _, language := range []string{"en", "de"} {
			r := failure(t, newsletter())
			r.Action, r.Outcome = c.action, c.outcome
			d := report(t, &Reporter{Hostname: "gw", Language: language}, r)
			expect(t, string(c.action), d.recipient, map[string]string{
				"Action": string(c.action), "Status": c.status, "Will-Retry-Until": c.retry, "Diagnostic-Code": c.code,
			})
			if strings.Contains(d.text, "report.") || strings.Contains(d.header.Get("Subject"), "report.") {
				t.Errorf("%s in %s has no words: %s", c.action, language, d.text)
			}
		}
	}
}

func TestReportDeadlines(t *testing.T) { // RFC 2852, RFC 4865
	r := failure(t, newsletter())
	r.Stored.Message.By, r.Stored.Message.Deadline = gateway.ByReturn, noon.Add(time.Hour)
	r.Stored.Message.NotBefore = noon.Add(time.Minute)
	expect(t, "message", report(t, &Reporter{Hostname: "gw"}, r).message, map[string]string{
		"Deliver-By-Date": "Sun, 22 Nov 2026 13:00:00 +0000", "Future-Release-Request": "until;2026-11-22T12:01:00Z",
	})
}

func TestReturned(t *testing.T) { // RFC 3461 §5.1
	small := message("body\r\n", "Subject: x", "X-Tidepost-Value: 2")
	for _, c := range []struct {
		name, content, ret string
		action             gateway.ReportAction
		utf8               bool
		kind, want         string
	}{
		{"nothing asked", small, "", gateway.ReportFailed, false, "text/rfc822-headers", "Subject: x\r\n"},
		{"headers asked", small, "HDRS", gateway.ReportFailed, false, "text/rfc822-headers", "Subject: x\r\n"},
		{"all asked", small, "FULL", gateway.ReportFailed, false, "message/rfc822", "Subject: x\r\n\r\nbody\r\n"},
		{"all asked, but no failure", small, "FULL", gateway.ReportDelayed, false, "text/rfc822-headers", "Subject: x\r\n"},
		{"all asked, but large", message(strings.Repeat("x\r\n", 30000), "Subject: x"), "FULL", gateway.ReportFailed, false, "text/rfc822-headers", "Subject: x\r\n"},
		{"8 bits in the body", message("\xff\r\n", "Subject: x"), "FULL", gateway.ReportFailed, false, "message/rfc822", "Subject: x\r\n\r\n\xff\r\n"},
		{"8 bits in the header", message("", "Subject: \xc3\xbc"), "", gateway.ReportFailed, false, "text/rfc822-headers", "Subject: \xc3\xbc\r\n"},
		{"international", message("x", "Subject: \xc3\xbc"), "", gateway.ReportFailed, true, "message/global-headers", "Subject: \xc3\xbc\r\n"},
		{"all of an international one", message("x", "Subject: \xc3\xbc"), "FULL", gateway.ReportFailed, true, "message/global", "Subject: \xc3\xbc\r\n\r\nx"},
		{"a header of 100 KB", message("", "Subject: x", "X: "+strings.Repeat("x", 50<<10), "Y: "+strings.Repeat("y", 50<<10)), "", gateway.ReportFailed, false,
			"text/rfc822-headers", ""},
	} {
		r := failure(t, c.content)
		r.Action, r.Stored.Message.Return, r.Stored.Message.UTF8 = c.action, c.ret, c.utf8
		p := &Reporter{Hostname: "gw"}
		if c.want == "" {
			if b, err := p.Report(r); err != nil || len(b) > 70<<10 {
				t.Errorf("%s: %d bytes, %v", c.name, len(b), err)
			}
			continue
		}
		d := report(t, p, r)
		if d.kind != c.kind || strings.TrimSuffix(d.returned, "\r\n") != strings.TrimSuffix(c.want, "\r\n") {
			t.Errorf("%s: returned as %s %q, want %s %q", c.name, d.kind, d.returned, c.kind, c.want)
		}
	}
}

// An ASCII sender gets an ASCII report; another one the types of RFC 6533.
func TestInternationalReport(t *testing.T) {
	r := failure(t, message("", "Subject: x"))
	r.Delivery.Address, r.Recipient.Original = "bücher@y.test", "utf-8;bücher@y.test"
	d := report(t, &Reporter{Hostname: "gw"}, r)
	expect(t, "recipient", d.recipient, map[string]string{
		"Final-Recipient": `utf-8; b\x{FC}cher@y.test`, "Original-Recipient": `utf-8; b\x{FC}cher@y.test`,
	})
	b, _ := (&Reporter{Hostname: "gw", Language: "de"}).Report(r)
	if !isASCII(b) || d.statusType != "message/delivery-status" {
		t.Errorf("a report to an ASCII address of type %s:\n%s", d.statusType, b)
	}
	r.Stored.Message.From = "ä@x.test"
	d = report(t, &Reporter{Hostname: "gw"}, r)
	expect(t, "recipient", d.recipient, map[string]string{"Final-Recipient": "utf-8; bücher@y.test"})
	if d.statusType != "message/global-delivery-status" || d.kind != "message/global-headers" || d.header.Get("To") != "<ä@x.test>" {
		t.Errorf("to %s: types %s and %s", d.header.Get("To"), d.statusType, d.kind)
	}
}

// Nothing that a client or a far side said can end a field (attacks A12).
func TestReportInjection(t *testing.T) {
	const evil = "x\r\nBcc: v@evil.test\r\n\r\n--=_0\x00\x1b\u202e" + "{{host}}"
	r := failure(t, message("--=_0--\r\n", "Subject: "+evil))
	m := r.Stored.Message
	m.EnvID, m.MessageID, m.Return = evil, evil, "FULL"
	r.Delivery.Address, r.Recipient.Original = evil, "rfc822;"+evil
	r.Outcome.Text, r.Outcome.Remote = evil+strings.Repeat(evil, 100)+strings.Repeat("y", 5000), evil
	d := report(t, &Reporter{Hostname: "gw"}, r)
	for _, h := range []textproto.MIMEHeader{d.header, d.message, d.recipient} {
		if h.Get("Bcc") != "" {
			t.Errorf("a field was injected: %q", h)
		}
	}
	if len(d.recipient) != 7 || len(d.message) != 3 || !strings.Contains(d.text, "{{host}}") {
		t.Errorf("fields %q and %q, text %q", d.message, d.recipient, d.text)
	}
	m.From = "a@x.test>\r\nBcc: <v@evil.test"
	if d := report(t, &Reporter{Hostname: "gw"}, r); d.header.Get("Bcc") != "" {
		t.Error("the sender's address ended its field")
	}
}

func TestReportErrors(t *testing.T) {
	r := failure(t, newsletter())
	r.Stored.Message.Return, r.Stored.ReaderAt = "FULL", strings.NewReader(newsletter()[:900])
	if _, err := (&Reporter{Hostname: "gw"}).Report(r); err == nil {
		t.Error("a message that cannot be read back is no error")
	}
}

func FuzzReport(f *testing.F) {
	f.Add(newsletter(), "no such user", "b@y.test")
	f.Fuzz(func(t *testing.T, content, reply, address string) {
		if strings.ContainsAny(strings.ReplaceAll(content, "\r\n", ""), "\r\n") {
			return
		}
		r := failure(t, content)
		r.Outcome.Text, r.Delivery.Address, r.Recipient.Original = reply, address, "rfc822;"+address
		d := dsnFields(t, r)
		if strings.Count(d, "\r\nAction:") != 1 || strings.Count(d, "\r\nFinal-Recipient:") != 1 {
			t.Fatalf("fields %q", d)
		}
	})
}

// dsnFields returns the status part of a report as it stands.
func dsnFields(t testing.TB, r *gateway.Report) string {
	t.Helper()
	p := &Reporter{Hostname: "gw"}
	if _, err := p.Report(r); err != nil {
		t.Fatal(err)
	}
	return string(p.statusPart(r, false))
}
