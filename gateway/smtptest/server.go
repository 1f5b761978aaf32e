// Package smtptest is an SMTP destination for tests: a polite one that keeps
// what it is sent, or one that does to its client whatever a script says.
//
//	s := smtptest.New(t)                       // go-smtp's server behind it
//	s := smtptest.Scripted(t, func(cmd string) smtptest.Step {
//		if cmd == "." {
//			return smtptest.Step{Reply: "250 ok", Then: smtptest.Reset}
//		}
//		return smtptest.Polite(cmd)
//	})
//
// Both listen on loopback and take a net.Pipe's end too (ServeConn). The
// package is for tests and simulations; it does not import testing.
package smtptest

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"sync"
	"sync/atomic"

	"github.com/emersion/go-smtp"
)

// TB is what is needed of a *testing.T or *testing.B.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// Message is one message that the server took.
type Message struct {
	From string
	To   []string
	// Commands are the MAIL and RCPT lines as they came; only where a script
	// speaks.
	Commands []string
	// Data is the content without dot stuffing, Wire the bytes after 354, the
	// final dot included; Wire only where a script speaks.
	Data, Wire []byte
	TLS        bool

	Options     *smtp.MailOptions   // nil where a script speaks
	RcptOptions []*smtp.RcptOptions // the same
}

// Server is an SMTP destination. Set the fields before Start.
type Server struct {
	// Script answers each command; nil: go-smtp's server answers. It is called
	// with "" for the greeting and "." at the end of the content, by one
	// goroutine per connection.
	Script func(cmd string) Step
	// TLSConfig offers STARTTLS in normal mode; a script says Then: Encrypt.
	TLSConfig *tls.Config
	// Implicit speaks TLS from the first byte.
	Implicit bool
	// Users are the names that may log in, with their passwords, in normal mode;
	// nil: no AUTH.
	Users map[string]string
	// Discard counts messages and keeps none.
	Discard bool

	// Connections, Accepted and Commands count what happened so far. Commands
	// are those that a script answered.
	Connections, Accepted, Commands atomic.Int64

	listener net.Listener
	handoff  *handoff
	smtp     *smtp.Server
	wg       sync.WaitGroup
	done     chan struct{}

	mu       sync.Mutex
	messages []Message             // guarded by mu
	conns    map[net.Conn]struct{} // of scripts; guarded by mu
	closed   bool                  // guarded by mu
}

// New starts a server that takes everything. It ends with the test.
func New(t TB) *Server {
	t.Helper()
	s := &Server{}
	s.Start(t)
	return s
}

// Scripted starts a server that does what script says.
func Scripted(t TB, script func(cmd string) Step) *Server {
	t.Helper()
	s := &Server{Script: script}
	s.Start(t)
	return s
}

// Start listens on loopback until the test ends.
func (s *Server) Start(t TB) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("smtptest: %v", err)
		return
	}
	s.init(l)
	s.wg.Go(s.accept)
	t.Cleanup(s.Close)
}

// StartPipe makes the server ready for ServeConn alone, without a socket.
func (s *Server) StartPipe(t TB) {
	s.init(nil)
	t.Cleanup(s.Close)
}

func (s *Server) init(l net.Listener) {
	s.listener, s.done, s.conns = l, make(chan struct{}), map[net.Conn]struct{}{}
	if s.Script != nil {
		return
	}
	s.handoff = &handoff{conns: make(chan net.Conn), done: s.done}
	s.smtp = smtp.NewServer(smtp.BackendFunc(s.session))
	s.smtp.Domain, s.smtp.EnableSMTPUTF8, s.smtp.EnableDSN = "sink.test", true, true
	s.smtp.TLSConfig, s.smtp.AllowInsecureAuth = s.TLSConfig, true
	s.smtp.MaxLineLength = 1 << 20
	s.smtp.ErrorLog = log.New(io.Discard, "", 0)
	s.wg.Go(func() { s.smtp.Serve(s.handoff) })
}

// Addr is the server's "host:port".
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Messages returns what was taken so far.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.messages...)
}

// Close ends all connections and waits for their goroutines.
func (s *Server) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	close(s.done)
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	if s.listener != nil {
		s.listener.Close()
	}
	if s.smtp != nil {
		s.smtp.Close()
	}
	s.wg.Wait()
}

func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.ServeConn(c)
	}
}

// ServeConn begins to serve one connection, which the server will close.
func (s *Server) ServeConn(c net.Conn) {
	s.Connections.Add(1)
	if s.Implicit {
		c = tls.Server(c, s.TLSConfig)
	}
	if s.Script == nil {
		select {
		case s.handoff.conns <- c:
		case <-s.done:
			c.Close()
		}
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.Close()
		return
	}
	s.conns[c] = struct{}{}
	s.wg.Go(func() { s.converse(c) })
}

func (s *Server) take(m Message) {
	s.Accepted.Add(1)
	if s.Discard {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
}

// handoff is a listener that is given its connections.
type handoff struct {
	conns chan net.Conn
	done  chan struct{}
}

func (h *handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

func (h *handoff) Close() error   { return nil }
func (h *handoff) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
