package intake

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"slices"
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

// lockedSession is for go-smtp's server, which calls Reset while Data still runs
// in the goroutine that it made for BDAT.
type lockedSession struct {
	mu sync.Mutex
	smtp.Session
}

func (s *lockedSession) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Session.Reset()
}

func (s *lockedSession) Mail(from string, o *smtp.MailOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Session.Mail(from, o)
}

func (s *lockedSession) Rcpt(to string, o *smtp.RcptOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Session.Rcpt(to, o)
}

func (s *lockedSession) Data(r io.Reader) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Session.Data(r)
}

func (s *lockedSession) Logout() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Session.Logout()
}

func theirs(t testing.TB) *wireUnderTest {
	w := &wireUnderTest{&outbox{}, newScriptListener()}
	backend := newServer(plain, w.o)
	backend.SetCredentials(nil)
	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		sess, err := backend.NewSession(c)
		return &lockedSession{Session: sess}, err
	}))
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
