package intake

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"tidepost/gateway"
)

// What Server.BareNewline may be.
const (
	BareReject    = "reject"    // the message is refused; the default
	BareNormalize = "normalize" // bare LF becomes CRLF, bare CR and NUL become spaces
)

// Server takes mail over SMTP submission. Its fields are set before the first
// Serve; only Submit, or Inbound, must be.
type Server struct {
	Hostname    string      // in the greeting; "": the machine's
	TLS         *tls.Config // nil: no TLS. With GetCertificate certificates can be reloaded
	Implicit    bool        // Serve speaks TLS from the first byte (RFC 8314)
	Limits      Limits
	BareNewline string // BareReject or BareNormalize

	TrustedNetworks []netip.Prefix     // may submit without AUTH
	Default         gateway.Credential // what their mail is submitted as; tenant "default", newsletters, unless set
	ProxyFrom       []netip.Prefix     // who must begin with a PROXY header, which is believed

	// Inbound makes it take mail from the world in place of submissions.
	Inbound *Inbound

	// Tenants returns the audience of a tenant; nil, or "": the tenant itself.
	Tenants func(tenant string) (audience string)
	// Refuse says why a recipient gets no mail at all, as a *gateway.Reply, or nil;
	// nil: nobody is refused.
	Refuse func(ctx context.Context, tenant, audience, canonical string) error
	// Submit makes a message durable. Content and Header are valid until it
	// returns; a File is the callee's when it returns nil. Credential is shared and
	// never nil. A *gateway.Reply as error is what the client is told.
	Submit func(context.Context, *gateway.Submission) (gateway.ID, error)
	// Spool makes a file for content above gateway.MemoryLimit, or for less when
	// memory is short; nil: 452 for such messages.
	Spool func() (gateway.SpoolFile, error)

	Budget  Budget        // of bytes in flight; nil: DefaultBudget
	MaxHold time.Duration // longest HOLDFOR; 0: FUTURERELEASE is not offered

	Log          *slog.Logger // nil: slog.Default
	LogAddresses bool         // whole names and addresses in the log
	Metrics      Metrics

	once       sync.Once
	initErr    error
	limits     Limits
	tlsConfig  *tls.Config
	log        *slog.Logger
	gate       *gate
	extensions string // lines of the EHLO answer that never change
	stressed   atomic.Bool
	access     atomic.Pointer[access]

	mu          sync.Mutex
	credentials []gateway.Credential // guarded by mu
	perAddress  map[string]int       // guarded by mu
	conns       map[*conn]struct{}   // guarded by mu
}

// init prepares what fields were set to.
func (s *Server) init() error {
	s.once.Do(func() { s.initErr = s.prepare() })
	return s.initErr
}

func (s *Server) prepare() error {
	if s.BareNewline != "" && s.BareNewline != BareReject && s.BareNewline != BareNormalize {
		return fmt.Errorf("smtp.bare_newline = %q: want reject or normalize", s.BareNewline)
	}
	extensions := []string{"DSN", "DELIVERBY", "MT-PRIORITY"}
	if s.Inbound != nil {
		if err := s.prepareInbound(); err != nil {
			return err
		}
		extensions = nil
	}
	if s.Hostname == "" {
		s.Hostname, _ = os.Hostname()
		if !validHelo([]byte(s.Hostname)) {
			s.Hostname = "localhost"
		}
	}
	if s.Budget == nil {
		s.Budget = NewBudget(DefaultBudget)
	}
	if s.log = s.Log; s.log == nil {
		s.log = slog.Default()
	}
	s.limits = s.Limits.withDefaults()
	s.tlsConfig = serverTLS(s.TLS)
	s.gate = newGate(&s.limits)
	size := "SIZE"
	if s.limits.MaxMessageBytes >= 0 {
		size += " " + strconv.FormatInt(s.limits.MaxMessageBytes, 10)
	}
	for _, e := range append([]string{"PIPELINING", size, "8BITMIME", "SMTPUTF8", "CHUNKING"}, extensions...) {
		s.extensions += "\r\n250-" + e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.perAddress = map[string]int{}
	s.conns = map[*conn]struct{}{}
	s.compileLocked()
	return nil
}

func (s *Server) audience(tenant string) string {
	if s.Tenants != nil {
		if a := s.Tenants(tenant); a != "" {
			return a
		}
	}
	return tenant
}

// show is a name or address for the log: whole only where that was asked for.
func (s *Server) show(name string) string {
	if s.LogAddresses {
		return name[:min(len(name), maxName)]
	}
	local, domain, _ := strings.Cut(name, "@")
	_, first := utf8.DecodeRuneInString(local)
	short := local[:first] + "…"
	if domain != "" {
		short += "@" + domain[:min(len(domain), maxName)]
	}
	return short
}

// Serve takes connections from l until ctx ends. Then idle clients are told 421,
// transactions in flight may finish, and it returns when all are gone, or after
// Limits.DrainTimeout.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, s.Implicit)
}

// ServeTLS is Serve with TLS from the first byte. Listeners of one Server share
// its limits.
func (s *Server) ServeTLS(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, true)
}

func (s *Server) serve(ctx context.Context, l net.Listener, implicit bool) error {
	defer l.Close()
	if err := s.init(); err != nil {
		return err
	}
	if implicit && s.TLS == nil {
		return errors.New("smtp.listen_tls needs smtp.certificate")
	}
	svc := newService(s, implicit)
	defer svc.cancel()
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-ctx.Done():
			l.Close()
		case <-stop:
		}
	}()
	err := svc.accept(ctx, l)
	close(stop)
	<-stopped
	svc.drain()
	if ctx.Err() != nil {
		return nil
	}
	return err
}
