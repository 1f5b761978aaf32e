package content

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/mail"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
)

func TestReceived(t *testing.T) { // RFC 5321 §4.4
	for _, c := range []struct {
		name string
		edit func(*gateway.Message)
		want string
	}{
		{"plain", func(m *gateway.Message) {},
			"from client.example ([192.0.2.7])\r\n\tby gw.example.net with ESMTP id ID\r\n\tfor <b@y.test>;\r\n\tSun, 22 Nov 2026 12:00:00 +0000"},
		{"over TLS, from IPv6", func(m *gateway.Message) {
			m.Client, m.Protocol, m.TLSVersion, m.TLSCipher = "2001:db8::7", "ESMTPSA", "TLS1.3", "TLS_AES_128_GCM_SHA256"
		}, "from client.example ([IPv6:2001:db8::7])\r\n\tby gw.example.net with ESMTPSA id ID\r\n\t(using TLS1.3 with cipher TLS_AES_128_GCM_SHA256)\r\n\tfor <b@y.test>;\r\n\tSun, 22 Nov 2026 12:00:00 +0000"},
		{"several recipients are not told of each other", func(m *gateway.Message) { m.Recipients = make([]gateway.Recipient, 2) },
			"from client.example ([192.0.2.7])\r\n\tby gw.example.net with ESMTP id ID;\r\n\tSun, 22 Nov 2026 12:00:00 +0000"},
		{"with a priority", func(m *gateway.Message) { m.Priority, m.Recipients = -3, nil },
			"from client.example ([192.0.2.7])\r\n\tby gw.example.net with ESMTP id ID\r\n\tPRIORITY -3;\r\n\tSun, 22 Nov 2026 12:00:00 +0000"},
		{"made here", func(m *gateway.Message) { m.Client, m.Helo, m.Protocol, m.Recipients = "", "", "", nil },
			"by gw.example.net id ID;\r\n\tSun, 22 Nov 2026 12:00:00 +0000"},
		{"a hostile HELO", func(m *gateway.Message) { m.Helo, m.Recipients = "x\r\nBcc: v@y (;", nil },
			"from x??Bcc:?v?y??? ([192.0.2.7])\r\n\tby gw.example.net with ESMTP id ID;\r\n\tSun, 22 Nov 2026 12:00:00 +0000"},
		{"a hostile recipient", func(m *gateway.Message) { m.Recipients[0].Address = "a\r\nX: y@z" },
			"from client.example ([192.0.2.7])\r\n\tby gw.example.net with ESMTP id ID;\r\n\tSun, 22 Nov 2026 12:00:00 +0000"},
		{"international", func(m *gateway.Message) { m.UTF8, m.Recipients[0].Address = true, "bücher@y.test" },
			"from client.example ([192.0.2.7])\r\n\tby gw.example.net with UTF8SMTP id ID\r\n\tfor <bücher@y.test>;\r\n\tSun, 22 Nov 2026 12:00:00 +0000"},
	} {
		m := stored(t, "").Message
		c.edit(m)
		got := string(appendReceived(nil, m, "gw.example.net"))
		want := "Received: " + strings.ReplaceAll(c.want, "ID", m.ID.String()) + "\r\n"
		if got != want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, want)
		}
		for line := range strings.SplitSeq(got, "\r\n") {
			if len(line) > 998 {
				t.Errorf("%s: a line of %d characters", c.name, len(line))
			}
		}
	}
}

func TestEdit(t *testing.T) {
	const dkim = "DKIM-Signature: v=1; d=x.test; s=k; h=From:\r\n\tX-Tidepost-Class : date; bh=; b="
	const trace, id = "Date: Sun, 22 Nov 2026 12:00:00 +0000\r\n", "Message-ID: <ID@gw.example.net>\r\n"
	for _, c := range []struct{ name, in, want string }{
		{"all there", "Date: d\r\nMessage-ID: m\r\n\r\nbody", "Date: d\r\nMessage-ID: m\r\n\r\nbody"},
		{"nothing there", "\r\nbody", trace + id + "\r\nbody"},
		{"empty", "", trace + id},
		{"no date", "Message-Id: m\r\n\r\n", trace + "Message-Id: m\r\n\r\n"},
		{"no date, but signed", "DKIM-Signature: d=x\r\n\r\n", "DKIM-Signature: d=x\r\n\r\n"},
		{"a continuation first", " x\r\n\r\n", " x\r\n\r\n"},
		{"control fields go", "date: d\r\nX-Tidepost-Class: a\r\n\tb\r\nmessage-id: m\r\nx-tidepost-anything : c\r\nX-Mailgun-Deliver-By: d\r\nX-Schedule: {}\r\n\r\n", "date: d\r\nmessage-id: m\r\n\r\n"},
		{"like a control field", "Date: d\r\nMessage-ID: m\r\nX-Tidepostal: a\r\nX-Mailgun-Tag: b\r\nX-Scheduled: c\r\n\r\n", "Date: d\r\nMessage-ID: m\r\nX-Tidepostal: a\r\nX-Mailgun-Tag: b\r\nX-Scheduled: c\r\n\r\n"},
		{"the last line goes", "Date: d\r\nMessage-ID: m\r\nX-Tidepost-Class: a", "Date: d\r\nMessage-ID: m\r\n"},
		{"a covered control field stays", dkim + "\r\nX-Tidepost-Class: a\r\nX-Tidepost-Window: 1h\r\n\r\n", dkim + "\r\nX-Tidepost-Class: a\r\n\r\n"},
		{"a control field in the body stays", "Date: d\r\nMessage-ID: m\r\n\r\nX-Tidepost-Class: a\r\n", "Date: d\r\nMessage-ID: m\r\n\r\nX-Tidepost-Class: a\r\n"},
		{"results in our name go", "Date: d\r\nMessage-ID: m\r\nAuthentication-Results: \"GW.example.net\" 1; dkim=pass\r\nAuthentication-Results: mx.test; spf=pass\r\n\r\n",
			"Date: d\r\nMessage-ID: m\r\nAuthentication-Results: mx.test; spf=pass\r\n\r\n"},
		{"Return-Path is no business of ours", "Return-Path: <a@b>\r\nDate: d\r\nMessage-ID: m\r\n\r\n", "Return-Path: <a@b>\r\nDate: d\r\nMessage-ID: m\r\n\r\n"},
		{"bytes of any kind", "Date: d\r\nMessage-ID: m\r\nX:\t\xff \r\n\r\n\x00\xff .\r\n.\r\n", "Date: d\r\nMessage-ID: m\r\nX:\t\xff \r\n\r\n\x00\xff .\r\n.\r\n"},
	} {
		s := stored(t, c.in)
		got := compose(t, &Composer{Hostname: "gw.example.net"}, s)
		want := string(appendReceived(nil, s.Message, "gw.example.net")) + strings.ReplaceAll(c.want, "ID@", s.Message.ID.String()+"@")
		if got != want {
			t.Errorf("%s: got\n%q\nwant\n%q", c.name, got, want)
		}
	}
}

// A retry and every other delivery of a message leave with the same bytes.
func TestComposeRepeats(t *testing.T) {
	c, s := &Composer{Hostname: "gw.example.net"}, stored(t, "Subject: x\r\n\r\nbody")
	first := compose(t, c, s)
	if again := compose(t, c, s); again != first {
		t.Errorf("the second time it is\n%s\nthe first time it was\n%s", again, first)
	}
	if m := parsed(t, first); m.Header.Get("Message-Id") != "<"+s.Message.ID.String()+"@gw.example.net>" {
		t.Errorf("Message-ID %s", m.Header.Get("Message-Id"))
	}
}

// counter counts what is read at once and in total.
type counter struct {
	io.ReaderAt
	largest int
	total   int64
}

func (c *counter) ReadAt(p []byte, off int64) (int, error) {
	c.largest = max(c.largest, len(p))
	n, err := c.ReaderAt.ReadAt(p, off)
	c.total += int64(n)
	return n, err
}

// A large message is never in memory: nothing is read before it is asked for,
// and then piece by piece (attacks A16).
func TestComposeStreams(t *testing.T) {
	const size = 20 << 20
	s := stored(t, "Date: d\r\nMessage-ID: m\r\n\r\n")
	content := io.NewSectionReader(zeros{}, 0, size)
	head := strings.NewReader("Date: d\r\nMessage-ID: m\r\n\r\n")
	n := &counter{ReaderAt: joined{head, content}}
	s.ReaderAt, s.Size = n, head.Size()+size
	body, total, err := (&Composer{Hostname: "gw"}).Compose(context.Background(), s, &gateway.Delivery{}, gateway.Marks{})
	if err != nil {
		t.Fatal(err)
	}
	if n.total != s.Message.Header {
		t.Errorf("Compose read %d bytes, want the header's %d", n.total, s.Message.Header)
	}
	got, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, body, make([]byte, 64<<10))
	if err != nil || got != total || n.largest > 64<<10 {
		t.Errorf("read %d of %d bytes, at most %d at once: %v", got, total, n.largest, err)
	}
}

type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

// joined is two readers, one behind the other.
type joined struct {
	a *strings.Reader
	b io.ReaderAt
}

func (j joined) ReadAt(p []byte, off int64) (int, error) {
	if off >= j.a.Size() {
		return j.b.ReadAt(p, off-j.a.Size())
	}
	n, err := j.a.ReadAt(p, off)
	if n == len(p) {
		return n, nil
	}
	if err != io.EOF {
		return n, err
	}
	k, err := j.b.ReadAt(p[n:], 0)
	return n + k, err
}

func TestComposeErrors(t *testing.T) {
	c := &Composer{Hostname: "gw"}
	short := stored(t, "Date: d\r\n\r\nbody")
	short.ReaderAt = strings.NewReader("Date")
	if _, _, err := c.Compose(context.Background(), short, &gateway.Delivery{}, gateway.Marks{}); err == nil {
		t.Error("a header that cannot be read back is no error")
	}
	lost := stored(t, "Date: d\r\n\r\nbody")
	lost.ReaderAt = strings.NewReader("Date: d\r\n\r\nbo")
	body, _, err := c.Compose(context.Background(), lost, &gateway.Delivery{}, gateway.Marks{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a body cut short reads with error %v", err)
	}
	body.Close()
	body.Close() // twice does no harm
	if _, err := body.Read(make([]byte, 1)); err != io.ErrClosedPipe {
		t.Errorf("a closed body reads with error %v", err)
	}
}

// Hostile headers cost no more than their size: twice the fields, twice the
// memory that is asked for (attacks A16, A17).
func TestHostileHeadersAreLinear(t *testing.T) {
	signers := []Signer{{"example.com", "e", keys()["ed25519"]}}
	for _, c := range []struct{ name, field string }{
		{"control fields", "X-Tidepost-A: b"},
		{"signatures that cover them", "DKIM-Signature: d=x; s=y; h=" + strings.Repeat("x-tidepost-a:", 15)},
		{"signatures of ours", "DKIM-Signature: d=example.com; s=e; b="},
		{"fields that are signed", "To: a@b"},
		{"broken encoded words", "X-Mailgun-Tag: " + strings.Repeat("=?utf-8?q?", 20)},
		{"hops", "Received: " + strings.Repeat("((by", 50)},
		{"results", "Authentication-Results: " + strings.Repeat("a ", 100)},
	} {
		allocs := func(n int) float64 {
			content := message("", "From: a@example.com", strings.Repeat(c.field+"\r\n", n)+"X-Tidepost-A: b")
			composer, s := &Composer{Hostname: "gw", Signers: signers}, stored(t, content)
			return testing.AllocsPerRun(3, func() {
				(&Reader{Hostname: "gw"}).Read([]byte(content), &gateway.Message{}, nil)
				compose(t, composer, s)
			})
		}
		if once, twice := allocs(400), allocs(800); twice > 2.5*once+100 {
			t.Errorf("%s: %.0f allocations for 400 of them, %.0f for 800", c.name, once, twice)
		}
	}
}

// The header as a whole stays readable, whatever was taken out.
func TestComposeStaysMail(t *testing.T) {
	m := parsed(t, compose(t, &Composer{Hostname: "gw.example.net"}, stored(t, newsletter())))
	if m.Header.Get("X-Tidepost-Window") != "" {
		t.Error("a control field left")
	}
	if d, err := mail.ParseDate(m.Header.Get("Date")); err != nil || !d.Equal(noon.Add(-time.Minute)) {
		t.Errorf("Date %s: %v", d, err)
	}
}

// reference edits a message line by line, the slow and obvious way.
func reference(content string) string {
	var out strings.Builder
	var controls, kept []string
	var signed bool
	lines := strings.SplitAfter(content, "\n")
	i := 0
	for i < len(lines) && lines[i] != "\r\n" && lines[i] != "\n" && lines[i] != "" {
		f := lines[i]
		for i++; i < len(lines) && (strings.HasPrefix(lines[i], " ") || strings.HasPrefix(lines[i], "\t")); i++ {
			f += lines[i]
		}
		name, _, ok := strings.Cut(f, ":")
		name = strings.ToLower(strings.TrimRight(name, " \t"))
		signed = signed || ok && name == "dkim-signature"
		if ok && strings.HasPrefix(name, "x-tidepost-") && len(name) > 0 && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
			controls = append(controls, f)
			continue
		}
		kept = append(kept, f)
	}
	out.WriteString(strings.Join(kept, ""))
	out.WriteString(strings.Join(lines[i:], ""))
	if signed && len(controls) > 0 {
		return "" // which ones stay depends on h=; TestEdit has that
	}
	return out.String()
}

// What is not ours to change leaves as it came.
func FuzzCompose(f *testing.F) {
	f.Add(newsletter())
	f.Add("X-Tidepost-Class: a\r\n b\r\nSubject: c\r\n\r\nX-Tidepost-Class: d\r\n")
	f.Add(" x\nX-Tidepost-\xff: y\n\n")
	f.Add(headed("Content-Type: text/html", "Content-Transfer-Encoding: base64") + based(link))
	f.Add("Content-Transfer-Encoding: quoted-printable\r\n" + html78 + quoted(link+"--b\r\n</body>"))
	f.Add(mixed("mixed", "b", "\r\ntext", mixed("alternative", "c", "Content-Transfer-Encoding: quoted-printable\r\n"+html78+link, html78+link)))
	f.Fuzz(func(t *testing.T, content string) {
		lower := strings.ToLower(content)
		if strings.Contains(lower, "x-mailgun") || strings.Contains(lower, "x-schedule") || strings.Contains(lower, "authentication-results") {
			return // fields that the reference does not know
		}
		want := reference(content)
		if want == "" && content != "" {
			return
		}
		checkMarkedMail(t, content)
		c, s := &Composer{Hostname: "gw"}, stored(t, content)
		got := compose(t, c, s)
		if !strings.HasSuffix(got, want) {
			t.Fatalf("%q leaves as %q, want it to end in %q", content, got, want)
		}
		added := got[:len(got)-len(want)]
		for field := range bytes.SplitSeq([]byte(strings.TrimSuffix(added, "\r\n")), []byte("\r\n")) {
			name, _, _ := strings.Cut(string(field), ":")
			if name != "Received" && name != "Date" && name != "Message-ID" && !strings.HasPrefix(name, "\t") {
				t.Fatalf("%q gains %q", content, field)
			}
		}
	})
}

// checkMarkedMail marks a mail and holds it against what came: it has the same
// parts, one List-Unsubscribe, and the same body where it is said to be untouched.
func checkMarkedMail(t *testing.T, content string) {
	t.Helper()
	var reasons []string
	s := stored(t, content)
	left := mark(t, marking(t, &reasons), s, allMarks)
	kind, found, count := shape(t, content)
	leftKind, leftFound, leftCount := shape(t, left)
	if kind != leftKind || found != leftFound || count != leftCount {
		t.Fatalf("%q has %d parts, of them %d HTML; it leaves as %q with %d and %d", content, count, found, left, leftCount, leftFound)
	}
	if len(reasons) > 1 || len(reasons) == 1 && !strings.HasSuffix(left, content[s.Message.Header:]) {
		t.Fatalf("%q is untouched for %q and leaves as %q", content, reasons, left)
	}
	marked := len(reasons) == 0 || reasons[0] != UntouchedSigned && reasons[0] != UntouchedHeader
	if _, at := readListUnsubscribe([]byte(left)); marked && len(at) != 2 {
		t.Fatalf("%q leaves with %d fields of List-Unsubscribe: %q", content, len(at), left)
	}
}

// shape tells how a mail looks to our own walk.
func shape(t *testing.T, content string) (kind entityKind, found, count int) {
	t.Helper()
	s := scanner{b: []byte(content)}
	for _, ok := s.next(); ok; _, ok = s.next() {
	}
	e := readEntity([]byte(content[:s.pos]))
	if e.kind != compound {
		return e.kind, 0, 0
	}
	var k walk
	if err := k.run(bufio.NewReaderSize(strings.NewReader(content[s.pos:]), walkBuffer), e, int64(s.pos)); err != nil {
		t.Fatal(err)
	}
	return e.kind, len(k.found), k.count
}

func FuzzHeaderScan(f *testing.F) {
	f.Add([]byte(newsletter()))
	f.Add([]byte("From: a@b\r\nX-Tidepost-Profile: {}\r\nX-Schedule: {\"dow\":\"Sun\",\"tz\":\"UTC\",\"start\":\"00:00\",\"end\":\"00:00\"}\r\n\r\n"))
	f.Add([]byte("Subject: =?utf-8?b?AA?= =?x?q?y?=\r\nExpires: x\r\nList-Id: <\r\n"))
	c := &gateway.Credential{Name: "c", Senders: []string{"b"}, Classes: []gateway.Class{gateway.Newsletter}, BulkClass: gateway.Newsletter}
	f.Fuzz(func(t *testing.T, header []byte) {
		s := scanner{b: header}
		var joined []byte
		for field, ok := s.next(); ok; field, ok = s.next() {
			joined = append(joined, field.raw...)
		}
		if want := header[:s.pos]; !bytes.HasPrefix(want, joined) || len(want)-len(joined) > 2 {
			t.Fatalf("the fields of %q are %q", want, joined)
		}
		m := &gateway.Message{Received: noon}
		(&Reader{Hostname: "gw"}).Read(header, m, nil)
		(&Reader{Hostname: "gw"}).Read(header, &gateway.Message{Received: noon}, c)
		for _, s := range append(append([]string{m.Campaign, m.Subject, m.List, m.MessageID, m.Supersede, m.Variant}, m.Tags...), m.Notes...) {
			if strings.ContainsAny(s, "\r\n\x00\x1b") || !strings.Contains(strings.ToValidUTF8(s, ""), s) {
				t.Fatalf("unfit text %q", s)
			}
		}
		if !m.NotBefore.IsZero() && !m.Deadline.IsZero() && m.Deadline.Before(m.NotBefore) {
			t.Fatalf("it may leave from %s to %s", m.NotBefore, m.Deadline)
		}
	})
}
