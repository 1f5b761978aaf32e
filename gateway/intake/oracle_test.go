package intake

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// scriptConn is a client that sends its pieces whatever it is told: each Read
// gets at most one, and after the last one there is the end.
type scriptConn struct {
	pieces [][]byte
	mu     sync.Mutex
	out    bytes.Buffer
	done   chan struct{}
	once   sync.Once
}

func (c *scriptConn) Read(p []byte) (int, error) {
	for len(c.pieces) > 0 && len(c.pieces[0]) == 0 {
		c.pieces = c.pieces[1:]
	}
	if len(c.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.pieces[0])
	c.pieces[0] = c.pieces[0][n:]
	return n, nil
}

func (c *scriptConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(p)
}

func (c *scriptConn) Close() error                   { c.once.Do(func() { close(c.done) }); return nil }
func (*scriptConn) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 25} }
func (*scriptConn) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2000} }
func (*scriptConn) SetDeadline(time.Time) error      { return nil }
func (*scriptConn) SetReadDeadline(time.Time) error  { return nil }
func (*scriptConn) SetWriteDeadline(time.Time) error { return nil }

// scriptListener hands over scripts.
type scriptListener struct {
	conns chan net.Conn
	end   chan struct{}
	once  sync.Once
}

func newScriptListener() *scriptListener {
	return &scriptListener{conns: make(chan net.Conn), end: make(chan struct{})}
}

func (l *scriptListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.end:
		return nil, net.ErrClosed
	}
}

func (l *scriptListener) Close() error   { l.once.Do(func() { close(l.end) }); return nil }
func (l *scriptListener) Addr() net.Addr { return &net.TCPAddr{} }

// wireUnderTest is a server that scripts can be played to.
type wireUnderTest struct {
	o *outbox
	l *scriptListener
}

// ours is this package's server; theirs is go-smtp's over the same session.
func ours(t testing.TB, bare string) *wireUnderTest {
	w := &wireUnderTest{&outbox{}, newScriptListener()}
	srv := newServer(plain, w.o)
	srv.BareNewline, srv.MaxHold, srv.TLS = bare, 0, nil
	srv.SetCredentials(nil)
	srv.Limits.SoftErrors, srv.Limits.HardErrors, srv.Limits.MaxJunk = -1, 1000, 1000
	srv.Limits.MaxMessageBytes, srv.Limits.MaxLine = 1<<20, 2000
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(ctx, w.l) }()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

func theirs(t testing.TB) *wireUnderTest {
	w := &wireUnderTest{&outbox{}, newScriptListener()}
	backend := newServer(plain, w.o)
	backend.SetCredentials(nil)
	s := smtp.NewServer(backend)
	s.Domain = "mx.test"
	s.MaxRecipients, s.MaxMessageBytes = 1000, 1<<20+1 // S12 of attacks.md
	s.EnableDSN, s.EnableSMTPUTF8 = true, true
	s.ErrorLog = log.New(io.Discard, "", 0)
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(w.l) }()
	t.Cleanup(func() { s.Close(); <-done })
	return w
}

// play returns what was said and what was accepted.
func (w *wireUnderTest) play(pieces ...string) (replies string, got []accepted) {
	w.o.mu.Lock()
	w.o.list = nil
	w.o.mu.Unlock()
	c := &scriptConn{done: make(chan struct{})}
	for _, p := range pieces {
		c.pieces = append(c.pieces, []byte(p))
	}
	w.l.conns <- c
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.String(), w.o.all()
}

// happy reports whether no reply was an error.
func happy(replies string) bool {
	for line := range strings.Lines(replies) {
		if line[0] != '2' && line[0] != '3' {
			return false
		}
	}
	return true
}

// essence is what both wires must agree on. A body without CRLF at its end gets
// one here and none there.
func essence(list []accepted) string {
	var b strings.Builder
	for _, a := range list {
		body := a.Body
		if !strings.HasSuffix(body, "\r\n") && body != "" {
			body += "\r\n"
		}
		var to []string
		for _, r := range a.Recipients {
			to = append(to, fmt.Sprintf("%s notify %d original %q", r.Canonical, r.Notify, r.Original))
		}
		fmt.Fprintf(&b, "from %q to %q envid %q ret %q 8bit %v utf8 %v: %q\n", a.From, to, a.EnvID, a.Return, a.EightBit, a.UTF8, body)
	}
	return b.String()
}

// checkReplies fails where a reply is not a well-formed line.
func checkReplies(t *testing.T, replies string) {
	t.Helper()
	for line := range strings.Lines(replies) {
		text, ok := strings.CutSuffix(line, "\r\n")
		if !ok || len(line) > 512 || len(text) < 4 || text[0] < '2' || text[0] > '5' || strings.ContainsFunc(text, unprintable) {
			t.Errorf("reply %q", line)
		}
	}
}

// The negative control: go-smtp's server over the same session shows what the
// stories are there to see. Should one of these fail, go-smtp was repaired.
func TestControl(t *testing.T) {
	us, them := ours(t, BareReject), theirs(t)
	hello := []string{"EHLO x.test\r\n", envelope, "DATA\r\n"}

	// S1: the end behind CR CR LF is not seen.
	script := append(slices.Clone(hello), "Subject: x\r\n\r\nbody\r\r\n.\r\n", "NOOP\r\n")
	if replies, _ := them.play(script...); strings.Contains(replies, "nothing") {
		t.Error("S1: go-smtp sees the end:", replies)
	}
	if replies, _ := us.play(script...); !strings.HasSuffix(replies, "550 5.5.2 bare <CR> received\r\n250 2.0.0 Ok\r\n") {
		t.Error("S1: we do not:", replies)
	}

	// Bare bytes reach the backend.
	for i, e := range endings {
		script := append(slices.Clone(hello), "Subject: x\r\n\r\nbody"+e.bytes+"more\r\n.\r\n")
		_, got := them.play(script...)
		if len(got) != 1 || !strings.Contains(strings.ReplaceAll(got[0].Body, "\r\n", ""), e.bytes[:1]) && i < 6 {
			t.Errorf("%s: go-smtp stored %s", e.id, essence(got))
		}
		if _, got := us.play(script...); len(got) != 0 {
			t.Errorf("%s: we stored %q", e.id, got[0].Body)
		}
	}

	// S3: a bare LF ends a command.
	script = []string{"EHLO x.test\r\n", "NOOP x\n" + envelope}
	if replies, _ := them.play(script...); !strings.Contains(replies, "Roger") {
		t.Error("S3: go-smtp does not take the second command:", replies)
	}
	if replies, _ := us.play(script...); strings.Contains(replies, "250 2.1.0") {
		t.Error("S3: we take the second command:", replies)
	}

	// S9: what follows a malformed BDAT is taken for commands.
	script = []string{"EHLO x.test\r\n", envelope, "BDAT 100 LASTX\r\n", "RSET\r\n", envelope, "DATA\r\n", "Subject: smuggled\r\n\r\n.\r\n"}
	if _, got := them.play(script...); len(got) != 1 {
		t.Errorf("S9: go-smtp stored %d messages", len(got))
	}
	if replies, got := us.play(script...); len(got) != 0 || !strings.HasSuffix(replies, "501 5.5.4 BDAT wants a size and perhaps LAST\r\n") {
		t.Errorf("S9: we stored %d messages: %s", len(got), replies)
	}
}

// reference is DATA as RFC 5321 §4.5.2 has it, written for the eye: where the end
// is, what the content is, and whether it may stay.
func reference(in string, maxLine int, normalize bool) (content, rest string, found, good bool) {
	raw, rest, found := strings.Cut("\r\n"+in, "\r\n.\r\n")
	if !found {
		return "", "", false, false
	}
	raw = (raw + "\r\n")[2:]
	content = strings.ReplaceAll("\r\n"+raw, "\r\n.", "\r\n")[2:]
	return judged(content, maxLine, normalize, rest)
}

func judged(content string, maxLine int, normalize bool, rest string) (string, string, bool, bool) {
	good := true
	for line := range strings.Lines(content) {
		n := len(strings.TrimSuffix(line, "\n"))
		if strings.HasSuffix(line, "\r\n") {
			n--
		}
		good = good && n <= maxLine
	}
	bare := strings.ContainsAny(strings.ReplaceAll(content, "\r\n", ""), "\r\n\x00")
	if bare && !normalize {
		good = false
	}
	if normalize {
		content = strings.ReplaceAll(content, "\r\n", "\xff\xfe\xfd")
		content = strings.NewReplacer("\n", "\r\n", "\r", " ", "\x00", " ").Replace(content)
		content = strings.ReplaceAll(content, "\xff\xfe\xfd", "\r\n")
	}
	return content, rest, true, good
}

// pieces cuts s where cuts says.
func pieces(s string, cuts []byte) []string {
	var all []string
	for i := 0; len(s) > 0; i++ {
		n := len(s)
		if i < len(cuts) {
			n = min(n, int(cuts[i])+1)
		}
		all = append(all, s[:n])
		s = s[n:]
	}
	return all
}

var contentSeeds = []string{
	"", ".", "..", "a\r\n", ".a\r\n..\r\n", "a\r", "a\n", "\x00", "a\r\r\n", "\r\n\r\n", "A: b\r\n\r\nc\r\n.d\r\n", ".\r", ".\n", "\r\n.\r", "x\r\n.\r\nNOOP\r\n",
	"\n.\n", "\r.\r\n", "\r\n.\x00", strings.Repeat("x", 2001), strings.Repeat("x", 5000) + "\n", "\xff\xfe\xfdü",
}

// FuzzDataReader compares the content of DATA with the reference, for any cuts.
func FuzzDataReader(f *testing.F) {
	for _, s := range contentSeeds {
		f.Add(s, []byte{0, 1, 2, 0, 0, 5}, true)
		f.Add(s, []byte{}, false)
	}
	f.Fuzz(func(t *testing.T, text string, cuts []byte, normalize bool) {
		if strings.Contains(text, "\xff\xfe\xfd") {
			t.Skip() // the reference's own mark
		}
		in := text + "\r\n.\r\n"
		want, rest, _, good := reference(in, 2000, normalize)
		c := &scriptConn{done: make(chan struct{})}
		for _, p := range pieces(in, cuts) {
			c.pieces = append(c.pieces, []byte(p))
		}
		w := &wire{nc: c, buf: make([]byte, 16)}
		d := &dataReader{in: w, scan: scanner{normalize: normalize, maxLine: 2000, maxBytes: -1}}
		d.reset()
		w.beginContent(time.Minute, 0)
		var got bytes.Buffer
		var err error
		if len(cuts)%2 == 0 {
			_, err = d.WriteTo(&got)
		} else {
			_, err = io.CopyBuffer(&got, struct{ io.Reader }{d}, make([]byte, 1+len(cuts)))
		}
		if !good {
			if err == nil || d.scan.bad == nil {
				t.Fatalf("%q is accepted as %q", in, got.String())
			}
			if !d.drain(1 << 20) {
				t.Fatalf("the end of %q is not found", in)
			}
		} else if err != nil || got.String() != want {
			t.Fatalf("%q is %q and %v, want %q", in, got.String(), err, want)
		}
		left := string(w.buffered())
		for _, p := range c.pieces {
			left += string(p)
		}
		if left != rest {
			t.Fatalf("after %q comes %q, want %q", in, left, rest)
		}
	})
}

// FuzzBDAT compares the content of chunks with the reference, and with go-smtp's
// wire where both are content.
func FuzzBDAT(f *testing.F) {
	for _, s := range contentSeeds {
		f.Add(s, []byte{0, 1, 2, 0, 0, 5}, true)
		f.Add(s, []byte{}, false)
	}
	strict, lenient, them := ours(f, BareReject), ours(f, BareNormalize), theirs(f)
	f.Fuzz(func(t *testing.T, text string, cuts []byte, normalize bool) {
		if strings.Contains(text, "\xff\xfe\xfd") || len(text) > 1<<16 {
			t.Skip()
		}
		script := []string{"EHLO x.test\r\n", envelope}
		for _, p := range pieces(text, cuts) {
			script = append(script, "BDAT "+strconv.Itoa(len(p))+"\r\n"+p)
		}
		script = append(script, "BDAT 0 LAST\r\n", "NOOP\r\n")
		us := strict
		if normalize {
			us = lenient
		}
		replies, got := us.play(script...)
		checkReplies(t, replies)
		if !strings.HasSuffix(replies, "250 2.0.0 Ok\r\n") {
			t.Fatalf("out of step: %s", replies)
		}
		want, _, _, good := judged(text, 2000, normalize, "")
		if want != "" && !strings.HasSuffix(want, "\r\n") {
			want += "\r\n"
		}
		switch {
		case !good && len(got) > 0:
			t.Fatalf("%q is accepted as %q", text, got[0].Body)
		case good && (len(got) != 1 || got[0].Body != want):
			t.Fatalf("%q is %s, want %q: %s", text, essence(got), want, replies)
		}
		compare(t, strict, them, script)
	})
}

// compare plays a script to both wires and compares what they accepted, where
// both say that all is well. Where only one does, it is for a known reason
// (attacks.md S1–S16).
func compare(t *testing.T, us, them *wireUnderTest, script []string) {
	t.Helper()
	said, mine := us.play(script...)
	checkReplies(t, said)
	for _, a := range mine {
		checkLines(t, a.Body)
	}
	if !happy(said) {
		return
	}
	saidThere, yours := them.play(script...)
	if !happy(saidThere) {
		return
	}
	if a, b := essence(mine), essence(yours); a != b {
		t.Fatalf("%q\nwe accepted\n%sgo-smtp accepted\n%swe said\n%s", script, a, b, said)
	}
}

// FuzzSession plays whole sessions to both wires.
func FuzzSession(f *testing.F) {
	for _, s := range append(framing, abuse...) {
		var all strings.Builder
		for _, st := range s.steps {
			all.WriteString(st.send)
		}
		if all.Len() < 4000 {
			f.Add([]byte("EHLO x.test\r\n" + all.String()))
		}
	}
	f.Add([]byte("EHLO x\r\nMAIL FROM:<a@b.test> BODY=8BITMIME RET=FULL ENVID=x+2By SIZE=5\r\nRCPT TO:<b@c.test> NOTIFY=DELAY ORCPT=rfc822;x+2By\r\nDATA\r\n.a\r\n.\r\nQUIT\r\n"))
	us, them := ours(f, BareReject), theirs(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 1<<16 {
			t.Skip()
		}
		// A piece for each line, so that nobody is taken to talk out of turn.
		compare(t, us, them, strings.SplitAfter(string(in), "\r\n"))
	})
}

// FuzzCommandLine throws lines at a session, some of them in one piece.
func FuzzCommandLine(f *testing.F) {
	for _, s := range []string{"EHLO x", "MAIL FROM:<a@b.test> SIZE=10", "RCPT TO:<\"a b\"@c.test> NOTIFY=NEVER ORCPT=utf-8;\\x{FC}", "AUTH PLAIN =", "BDAT 5 LAST\r\nabcde", "STARTTLS", "\x00\r", "NOOP\nNOOP", "HELO", "MAIL FROM:<> HOLDFOR=1 BY=2;RT MT-PRIORITY=-3"} {
		f.Add(s, s)
	}
	us := ours(f, BareReject)
	f.Fuzz(func(t *testing.T, one, two string) {
		replies, got := us.play("EHLO x.test\r\n", one+"\r\n", mail, two+"\r\n", "RCPT TO:<b@x.test>\r\n"+two+"\r\n")
		checkReplies(t, replies)
		for _, a := range got {
			checkLines(t, a.Body)
			for _, r := range a.Recipients {
				if strings.ContainsFunc(r.Address+r.Original+a.From+a.EnvID, func(r rune) bool { return r < ' ' || r == 0x7f }) {
					t.Errorf("accepted %+v", a.Message)
				}
			}
		}
	})
}
