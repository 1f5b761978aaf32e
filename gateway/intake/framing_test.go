package intake

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// smuggled is what an attacker wants to be taken for a second message.
const smuggled = "MAIL FROM:<smug@x.test>\r\nRCPT TO:<victim@x.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nboo\r\n.\r\n"

// endings that are none (attacks.md F1–F8, F10).
var endings = []struct{ id, bytes, reply string }{
	{"F1", "\n.\n", "550 5.5.2 bare <LF> received"},
	{"F2", "\n.\r", "550 5.5.2 bare <LF> received"},
	{"F3", "\n.\r\n", "550 5.5.2 bare <LF> received"},
	{"F4", "\r.\n", "550 5.5.2 bare <LF> received"},
	{"F5", "\r.\r", "550 5.5.2 bare <CR> received"},
	{"F6", "\r.\r\n", "550 5.5.2 bare <CR> received"},
	{"F7", "\r\n.\n", "550 5.5.2 bare <LF> received"},
	{"F8", "\r\n.\r", "550 5.5.2 bare <CR> received"},
	{"F10a", "\r\n.\r\r\n", "550 5.5.2 bare <CR> received"},
	{"F10b", "\r\n\x00.\r\n", "550 5.5.2 <NUL> received"},
	{"F10c", "\r\n.\x00\r\n", "550 5.5.2 <NUL> received"},
}

// F1–F8, F10: read to the true end, answered once, nothing stored; what follows the
// false end is content and never commands.
func TestFalseEndings(t *testing.T) {
	for _, e := range endings {
		body := "Subject: first\r\n\r\nbody" + e.bytes + smuggled
		story{id: e.id, steps: []step{toData(), on(body, e.reply)}}.run(t)
	}
}

// The same bytes cut anywhere between two writes.
func TestFalseEndingsCut(t *testing.T) {
	o := &outbox{}
	c := dial(t, serve(t, newServer(plain, o)), plain)
	for _, e := range endings {
		body := "Subject: x\r\n\r\nbody" + e.bytes + "MAIL FROM:<smug@x.test>\r\n.\r\n"
		for cut := 14; cut < 18+len(e.bytes); cut++ {
			c.say(envelope+"DATA\r\n", "250", "250", "354")
			c.send(body[:cut])
			time.Sleep(time.Millisecond)
			c.say(body[cut:], "550 5.5.2 ") // which of two is named depends on the cut
			c.quiet()
			c.say("EHLO again.test\r\n", "250") // forgives nothing, but is no error
			c.say(envelope+"DATA\r\n", "250", "250", "354")
			c.say("Subject: good\r\n\r\n.\r\n", "250 2.0.0 Ok: queued as ")
		}
	}
	for _, a := range o.all() {
		if a.Body != "Subject: good\r\n\r\n" {
			t.Errorf("stored %q", a.Body)
		}
	}
}

// F1–F10 with BareNewline "normalize": one message, nothing bare in it.
func TestNormalize(t *testing.T) {
	normalize := func(s *Server) { s.BareNewline = BareNormalize }
	all := append(endings, struct{ id, bytes, reply string }{"F9", "\r\r\n", ""})
	for _, e := range all {
		text := "Subject: first\r\n\r\nbody" + e.bytes + "MAIL FROM:<smug@x.test>\r\nDATA\r\nboo\r\n"
		for _, m := range allModes {
			t.Run(e.id+"/"+string(m), func(t *testing.T) {
				o := &outbox{}
				srv := newServer(m, o)
				normalize(srv)
				c := dial(t, serve(t, srv), m)
				story{steps: []step{toData(), on(text+".\r\n", "250 2.0.0 Ok: queued as ")}}.tell(c)
				size := len(strings.ReplaceAll(text, "\r\n.", "\r\n")) // no dot of these is stuffed but one
				chunk := fmt.Sprintf(envelope+"BDAT %d LAST\r\n%s", len(text), text)
				story{steps: []step{on(chunk, "250", "250", "250 2.0.0 Ok: queued as ")}}.tell(c)
				if n := len(o.all()); n != 2 {
					t.Fatalf("%d stored, want 2", n)
				}
				for _, a := range o.all() {
					checkLines(t, a.Body)
					if !strings.Contains(a.Body, "MAIL FROM:<smug@x.test>\r\nDATA\r\nboo\r\n") || len(a.Body) < size {
						t.Errorf("stored %q", a.Body)
					}
				}
			})
		}
	}
}

// checkLines fails where something stands alone in stored content.
func checkLines(t *testing.T, body string) {
	t.Helper()
	rest := strings.ReplaceAll(body, "\r\n", "")
	if strings.ContainsAny(rest, "\r\n\x00") {
		t.Errorf("bare CR, LF or NUL in %q", body)
	}
	if body != "" && !strings.HasSuffix(body, "\r\n") {
		t.Errorf("no CRLF at the end of %q", body)
	}
}

func TestFraming(t *testing.T) {
	for _, s := range framing {
		s.run(t)
	}
}

var framing = []story{
	{id: "F9 end behind CR CR LF", steps: []step{toData(), on("Subject: x\r\n\r\nbody\r\r\n.\r\n", "550 5.5.2 bare <CR>")}},

	{id: "F12 bare LF hides a command", steps: []step{
		on("NOOP x\nMAIL FROM:<smug@x.test>\r\n", "500 5.5.2", "500 5.5.2"),
		on("RCPT TO:<b@x.test>\r\n", "503"),
	}},
	{id: "F12 bare LF, slowly", steps: []step{
		on("EHLO x\n", "500 5.5.2"),
		on("MAIL FROM:<smug@x.test>\n", "500 5.5.2"),
		on("NOOP\r\n", "500 5.5.2"), // still the same line
	}},
	{id: "F12 only LF, for ever", steps: []step{
		on(strings.Repeat("NOOP\n", 21), append(times(21, "500 5.5.2"), "421 4.7.0", closed)...),
	}},

	{id: "F13 content before 354", modes: []mode{plain, startTLS, implicit}, steps: []step{
		on(envelope+"DATA\r\nSubject: x\r\n\r\n.\r\n", "250", "250", "554 5.5.0", closed),
	}},
	{id: "F13 content before 354, authenticated", modes: []mode{authTLS}, stored: 1, steps: []step{
		on(envelope+"DATA\r\nSubject: x\r\n\r\n.\r\n", "250", "250", "354", "250 2.0.0 Ok: queued as "),
	}},
	{id: "F13 content after a DATA that is refused", steps: []step{
		on("MAIL FROM:<a@x.test>\r\nDATA\r\nMAIL FROM:<smug@x.test>\r\n", "250", "554 5.5.0", closed),
	}},
	{id: "F13 commands behind EHLO", modes: []mode{plain, startTLS, implicit}, steps: []step{
		on("EHLO x\r\n"+envelope, "554 5.5.0", closed),
	}},

	{id: "F14 chunk after a rejected recipient", steps: []step{
		on("MAIL FROM:<a@x.test>\r\nRCPT TO:<@>\r\nBDAT 33 LAST\r\nMAIL FROM:<smug@x.test>\r\nNOOP\r\n\r\n", "250", "5", "554 5.5.1"),
	}},
	{id: "F14 chunk out of place", steps: []step{
		on("BDAT 33 LAST\r\nMAIL FROM:<smug@x.test>\r\nNOOP\r\n\r\n", "503 5.5.1"),
	}},

	{id: "F15 BDAT LASTX", steps: []step{on(envelope+"BDAT 20 LASTX\r\n"+smuggled, "250", "250", "501 5.5.4", closed)}},
	{id: "F15 BDAT LAST LAST", steps: []step{on(envelope+"BDAT 20 LAST LAST\r\n"+smuggled, "250", "250", "501 5.5.4", closed)}},
	{id: "F15 BDAT -1", steps: []step{on(envelope+"BDAT -1\r\n"+smuggled, "250", "250", "501 5.5.4", closed)}},
	{id: "F15 BDAT +1", steps: []step{on(envelope+"BDAT +1\r\n"+smuggled, "250", "250", "501 5.5.4", closed)}},
	{id: "F15 BDAT over 32 bits", steps: []step{on(envelope+"BDAT 4294967296 LAST\r\n"+smuggled, "250", "250", "501 5.5.4", closed)}},
	{id: "F15 BDAT over 64 bits", steps: []step{on(envelope+"BDAT 99999999999999999999\r\n"+smuggled, "250", "250", "501 5.5.4", closed)}},
	{id: "F15 BDAT without size", steps: []step{on(envelope+"BDAT\r\n"+smuggled, "250", "250", "501 5.5.4", closed)}},
	{id: "F15 second chunk malformed", steps: []step{
		on(envelope+"BDAT 3\r\nA:b", "250", "250", "250 2.0.0 Ok: 3 octets"),
		on("BDAT 1 LAST LAST\r\n"+smuggled, "501 5.5.4", closed),
	}},

	{id: "F16 chunk of 4 GB", steps: []step{on(envelope+"BDAT 4000000000\r\n"+smuggled, "250", "250", "552 5.3.4", closed)}},
	{id: "F16 second chunk of 4 GB", steps: []step{
		on(envelope+"BDAT 3\r\nA:b", "250", "250", "250"),
		on("BDAT 4000000000 LAST\r\n"+smuggled, "552 5.3.4", closed),
	}},
	{id: "F16 chunk a little too large", server: maxBytes(100), steps: []step{
		on(envelope+"BDAT 101 LAST\r\n"+strings.Repeat("NOOP\r\n", 16)+"NOOP\n", "250", "250", "552 5.3.4"),
	}},
	{id: "F16 chunks that add up to too much", server: maxBytes(100), steps: []step{
		on(envelope+"BDAT 60\r\n"+strings.Repeat("NOOP\r\n", 10), "250", "250", "250 2.0.0"),
		on("BDAT 60\r\n"+strings.Repeat("NOOP\r\n", 10), "552 5.3.4"),
		on("BDAT 60 LAST\r\n"+strings.Repeat("NOOP\r\n", 10), "503 5.5.1"),
	}},

	{id: "F17 other commands within a message", stored: 1, body: "A: b\r\n\r\nc\r\n", steps: []step{
		on(envelope+"BDAT 8\r\nA: b\r\n\r\n", "250", "250", "250"),
		on("MAIL FROM:<smug@x.test>\r\n", "503"),
		on("RCPT TO:<smug@x.test>\r\n", "503"),
		on("DATA\r\n", "503"),
		on("STARTTLS\r\n", "50"),
		on("AUTH PLAIN AGFubgBzZWNyZXQ=\r\n", "503"),
		on("NOOP\r\n", "250"),
		on("BDAT 3 LAST\r\nc\r\n", "250 2.0.0 Ok: queued as "),
	}},
	{id: "F17 RSET drops the part", stored: 1, body: "D: e\r\n", steps: []step{
		on(envelope+"BDAT 6\r\nA: b\r\n", "250", "250", "250"),
		on("RSET\r\n", "250 2.0.0"),
		on("BDAT 6 LAST\r\nA: b\r\n", "503"),
		on(envelope+"BDAT 6 LAST\r\nD: e\r\n", "250", "250", "250 2.0.0 Ok: queued as "),
	}},
	{id: "F17 EHLO drops the part", steps: []step{
		on(envelope+"BDAT 6\r\nA: b\r\n", "250", "250", "250"),
		on("EHLO again.test\r\n", "250"),
		on("BDAT 6 LAST\r\nA: b\r\n", "503"),
	}},
	{id: "F17 QUIT drops the part", steps: []step{
		on(envelope+"BDAT 6\r\nA: b\r\n", "250", "250", "250"),
		on("QUIT\r\n", "221", closed),
	}},

	{id: "F19 command of 513 bytes", steps: []step{on("NOOP "+strings.Repeat("x", 506)+"\r\n", "250")}},
	{id: "F19 command of 2049 bytes", steps: []step{on("NOOP "+strings.Repeat("x", 2042)+"\r\n", "500 5.5.6")}},
	{id: "F19 command of 100,000 bytes without LF", steps: []step{
		on(strings.Repeat("x", 100_000), "500 5.5.6"),
		on("\r\n"),
	}},
	{id: "F19 long command that ends in LF", steps: []step{
		on(strings.Repeat("x", 3000)+"\nMAIL FROM:<smug@x.test>\r\n", "500 5.5.6", "500 5.5.2"),
		on("RCPT TO:<b@x.test>\r\n", "503"),
	}},

	{id: "chunk ends between CR and LF", stored: 1, body: "A: b\r\n\r\nc\r\n", steps: []step{
		on(envelope+"BDAT 5\r\nA: b\r", "250", "250", "250"),
		on("BDAT 1\r\n\n", "250"), on("BDAT 2\r\n\r\n", "250"),
		on("BDAT 1\r\nc", "250"), on("BDAT 1\r\n\r", "250"), on("BDAT 1 LAST\r\n\n", "250 2.0.0 Ok: queued as "),
	}},
	{id: "chunk ends in a bare CR", steps: []step{
		on(envelope+"BDAT 5\r\nA: b\r", "250", "250", "250"),
		on("BDAT 3\r\nabc", "550 5.5.2 bare <CR>"),
		on("BDAT 3 LAST\r\nabc", "503"),
	}},
	{id: "message ends in a bare CR", steps: []step{
		on(envelope+"BDAT 5 LAST\r\nA: b\r", "250", "250", "550 5.5.2 bare <CR>"),
	}},
	{id: "message without CRLF at its end", stored: 1, body: "A: b\r\n\r\nc\r\n", steps: []step{
		on(envelope+"BDAT 9 LAST\r\nA: b\r\n\r\nc", "250", "250", "250 2.0.0 Ok: queued as "),
	}},
	{id: "an empty LAST chunk", stored: 1, body: "A: b\r\n", steps: []step{
		on(envelope+"BDAT 6\r\nA: b\r\nBDAT 0 LAST\r\n", "250", "250", "250", "250 2.0.0 Ok: queued as "),
	}},
	{id: "two messages in one write", stored: 2, steps: []step{
		on(strings.Repeat(envelope+"BDAT 6 LAST\r\nA: b\r\n", 2), "250", "250", "250 2.0.0 Ok: queued as ", "250", "250", "250 2.0.0 Ok: queued as "),
	}},
	{id: "dots", stored: 1, body: ".\r\n..\r\n.x\r\na.\r\n", steps: []step{toData(), on("..\r\n...\r\n..x\r\na.\r\n.\r\n", "250 2.0.0 Ok: queued as ")}},
	{id: "dots are content of chunks", stored: 1, body: ".\r\n..\r\n", steps: []step{
		on(envelope+"BDAT 7 LAST\r\n.\r\n..\r\n", "250", "250", "250 2.0.0 Ok: queued as "),
	}},
	{id: "an empty message", stored: 1, steps: []step{toData(), on(".\r\n", "250 2.0.0 Ok: queued as ")}},
}

func times(n int, s string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = s
	}
	return all
}

func maxBytes(n int64) func(*Server) {
	return func(s *Server) { s.Limits.MaxMessageBytes = n }
}

// F20: the same answer in DATA and BDAT, and the session stays in step.
func TestLongLines(t *testing.T) {
	for _, n := range []int{998, 1000, 2500, 65536, 65537, 200_000} {
		want, stored := "250 2.0.0", 2
		if n > 65536 {
			want, stored = "554 5.6.0", 0
		}
		text := "Subject: x\r\n\r\n" + strings.Repeat("x", n) + "\r\n"
		chunk := fmt.Sprintf("BDAT %d LAST\r\n", len(text))
		story{id: fmt.Sprint("F20/", n), stored: stored, steps: []step{
			toData(), on(text+".\r\n", want),
			on(envelope, "250", "250"), on(chunk+text, want),
			// S8 of attacks.md: the same in the segment of the command or behind it
			on(envelope+chunk, "250", "250"), on(text, want),
		}}.runStored(t, stored/2*3)
	}
}

func (s story) runStored(t *testing.T, n int) {
	s.stored = n
	s.run(t)
}

// F13: somebody talks before the greeting.
func TestTalksFirst(t *testing.T) {
	for _, m := range []mode{plain, implicit, authTLS} {
		for _, burst := range []string{"EHLO x\r\n" + smuggled, smuggled} {
			t.Run(string(m), func(t *testing.T) {
				o := &outbox{}
				c := connect(t, serve(t, newServer(m, o)), m)
				c.send(burst)
				if last := c.gone(); !strings.HasPrefix(last, "554 5.5.0") {
					t.Errorf("the last reply was %q, want 554 5.5.0", last)
				}
				story{id: "F13"}.check(t, o)
			})
		}
	}
}

// F18: TLS ends inside a chunk, clear text follows.
func TestCloseNotifyInChunk(t *testing.T) {
	for _, m := range []mode{startTLS, implicit, authTLS} {
		t.Run("F18/"+string(m), func(t *testing.T) {
			o := &outbox{}
			c := dial(t, serve(t, newServer(m, o)), m)
			c.say(envelope, "250", "250")
			c.send("BDAT 10 LAST\r\nA: b\r")
			c.conn.(*tls.Conn).CloseWrite()
			c.raw.Write([]byte("\n"))
			c.gone()
			story{}.check(t, o)
		})
	}
}

// F21: content that breaks off, or stops.
func TestTruncated(t *testing.T) {
	parts := map[string]string{
		"DATA":                         "DATA\r\n|Subject: x\r\n\r\nMAIL FROM:<smug@x.test>\r\nha",
		"BDAT":                         "BDAT 100 LAST\r\n|Subject: x\r\n\r\nMAIL FROM:<smug@x.test>\r\nha",
		"chunk done, LAST never comes": "BDAT 6\r\n|A: b\r\n",
	}
	ends := map[string]func(*client){
		"FIN":   func(c *client) { c.conn.(interface{ CloseWrite() error }).CloseWrite() },
		"RST":   func(c *client) { c.raw.(*net.TCPConn).SetLinger(0); c.raw.Close() },
		"stall": func(*client) {},
	}
	for what, part := range parts {
		for how, end := range ends {
			for _, m := range allModes {
				t.Run(fmt.Sprintf("F21/%s/%s/%s", what, how, m), func(t *testing.T) {
					t.Parallel()
					o := &outbox{}
					srv := newServer(m, o)
					srv.Limits.DataTimeout = 80 * time.Millisecond
					srv.Limits.CommandTimeout = 80 * time.Millisecond
					srv.Limits.MinDataRate = 1 << 20
					c := dial(t, serve(t, srv), m)
					cmd, text, _ := strings.Cut(part, "|")
					c.say(envelope, "250", "250")
					c.send(cmd)
					if what == "DATA" {
						c.want("354")
					}
					c.send(text)
					end(c)
					if how == "stall" {
						c.until("421 4.4.2")
						// The rest comes after all, and is commands to whoever believes it.
						c.send("\r\n.\r\n" + smuggled)
						c.gone()
					} else if how == "FIN" {
						c.gone()
					}
					story{}.check(t, o)
				})
			}
		}
	}
}

// F22, F23: what comes behind STARTTLS in clear text is nobody's.
func TestStartTLS(t *testing.T) {
	for id, behind := range map[string]string{
		"F22 injection":         "STARTTLS\r\nEHLO evil\r\n" + smuggled,
		"F22 injection of a LF": "STARTTLS\r\n\n",
		"F23 garbage for hello": "STARTTLS\r\n|\x16\x03garbage in place of a ClientHello, quite long\r\n",
		"F23 SMTP for hello":    "STARTTLS\r\n|EHLO evil\r\n" + smuggled,
		"F23 nothing at all":    "STARTTLS\r\n|",
	} {
		t.Run(id, func(t *testing.T) {
			o := &outbox{}
			srv := newServer(plain, o)
			srv.Limits.HandshakeTimeout = 100 * time.Millisecond
			c := dial(t, serve(t, srv), plain)
			now, later, waits := strings.Cut(behind, "|")
			c.send(now)
			if waits {
				c.want("220 2.0.0")
				c.send(later)
			}
			if last := c.gone(); waits && last != "" && strings.HasPrefix(last, "250") {
				t.Errorf("the last reply was %q: the session goes on in clear text", last)
			}
			story{}.check(t, o)
		})
	}
}

// After STARTTLS nothing is remembered (RFC 3207 §4.2).
func TestStartTLSForgets(t *testing.T) {
	o := &outbox{}
	c := dial(t, serve(t, newServer(startTLS, o)), startTLS)
	c.say("STARTTLS\r\n", "503")
	c.say("MAIL FROM:<a@x.test>\r\n", "250")
	c.say("RSET\r\n", "250")

	raw := connect(t, c.raw.RemoteAddr().String(), plain)
	raw.want("220")
	raw.say("EHLO one.test\r\n", "250")
	raw.say("STARTTLS\r\n", "220")
	raw.conn = tls.Client(raw.raw, clientTLS)
	raw.r.Reset(raw.conn)
	raw.say("MAIL FROM:<a@x.test>\r\n", "503 5.5.1 say EHLO")
}

// F25: addresses that are not ASCII.
func TestUTF8Addresses(t *testing.T) {
	utf8 := func(addr string) string { return "MAIL FROM:<" + addr + "> SMTPUTF8\r\n" }
	for _, s := range []story{
		{id: "F25 without the parameter", steps: []step{
			on("MAIL FROM:<jürgen@x.test>\r\n", "550 5.6.7"),
			on("MAIL FROM:<a@bücher.test>\r\n", "550 5.6.7"),
			on("MAIL FROM:<a@x.test>\r\n", "250"), on("RCPT TO:<jürgen@x.test>\r\n", "550 5.6.7"),
		}},
		{id: "F25 with it", steps: []step{on(utf8("jürgen@bücher.test"), "250"), on("RCPT TO:<用户@例子.test>\r\n", "250")}},
		{id: "F25 overlong", steps: []step{on(utf8("a\xc0\xafb@x.test"), "553 5.1.7")}},
		{id: "F25 surrogate", steps: []step{on(utf8("a\xed\xa0\x80b@x.test"), "553 5.1.7")}},
		{id: "F25 right-to-left override", steps: []step{on(utf8("a\u202eb@x.test"), "553 5.1.7")}},
		{id: "F25 not UTF-8", steps: []step{on(utf8("a\xff@x.test"), "553 5.1.7")}},
		{id: "F25 C1 control", steps: []step{on(utf8("a\u0085b@x.test"), "553 5.1.7")}},
	} {
		s.run(t)
	}
}
