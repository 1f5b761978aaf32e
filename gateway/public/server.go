package public

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"tidepost/gateway"
	"tidepost/gateway/token"
)

// Learner takes in what readers do. *gateway.Gateway is one.
type Learner interface {
	// Learn returns when what the signal says is durable.
	Learn(ctx context.Context, s gateway.Signal) (news bool, err error)
	// SourceOf says whose mail, and of which list, a number in a token stands for.
	SourceOf(n uint32) (tenant, list string, ok bool)
	// Match finds the mail that a report is about; gateway.ErrNoMatch where it cannot.
	Match(ctx context.Context, c *gateway.Clue) (gateway.Match, error)
}

// Server answers the public address. Fields are set before Handler or Serve is
// called and not changed afterwards; the funcs are asked on every request.
type Server struct {
	Gateway Learner
	Store   gateway.Store // with its power Browser; without it the sender's own unsubscribe URL is not called

	Keys     func() *token.Keys               // nil: no link is ours
	OneClick func(header []byte) string       // the sender's own one-click URL in a message's header; nil: none
	Hooks    func(source string) (Hook, bool) // nil: none
	Sender   func(tenant, list string) string // the name that readers know a tenant by; nil: its own
	Tenants  func(name string) bool           // whether the configuration knows a tenant; nil: all. Of others opens and clicks teach nothing; their readers' choices are kept

	// Fetch gets a document over https for hooks whose signatures need one, and
	// confirms their subscriptions: webhook.Client.Fetch. nil: such hooks do not work.
	Fetch func(ctx context.Context, url string) ([]byte, error)

	// TrustedProxies are the peers whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix

	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: slog.Default
	Metrics Metrics

	once    sync.Once
	seen    *limiter // of opens and clicks: they are answered, but teach nothing
	acts    *limiter // of what changes something
	bad     *limiter // of reports that were not signed
	reports *reports
	fetches *lru.Cache[string, fetched]
	bodies  atomic.Int64 // bytes reserved for reports that are being read
	warned  sync.Once    // about X-Forwarded-For
}

// Timeouts of a connection (attacks A8).
const (
	headerTimeout   = 10 * time.Second
	readTimeout     = 30 * time.Second
	writeTimeout    = time.Minute
	idleTimeout     = time.Minute
	shutdownTimeout = 10 * time.Second
	maxHeaderBytes  = 16 << 10
)

// How long a request may wait for what it says to be stored. A reader's choice is
// stored even where the connection breaks meanwhile; a click is redirected after a
// moment in any case.
const (
	actTimeout  = 8 * time.Second // below shutdownTimeout
	seenTimeout = 2 * time.Second
	hookTimeout = 25 * time.Second
)

// Serve answers requests until the context ends, then lets those under way finish
// for a few seconds.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	base, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	server := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes - 4096, // net/http adds 4 KiB of its own
		BaseContext: func(net.Listener) context.Context { return base },
		ErrorLog:    slog.NewLogLogger(s.log().Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(s.capped(l)) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := server.Shutdown(end)
	if errors.Is(err, context.DeadlineExceeded) {
		stop()
		err = server.Close()
	}
	<-failed
	return err
}

// start prepares what the first request needs.
func (s *Server) start() {
	s.once.Do(func() {
		s.seen, s.acts, s.bad = newLimiter(seenRate, seenBurst), newLimiter(actRate, actBurst), newLimiter(badRate, badBurst)
		s.reports, s.fetches = newReports(), newFetches()
	})
}

// sender is how a tenant is called before its readers.
func (s *Server) sender(tenant, list string) string {
	if s.Sender == nil {
		return tenant
	}
	return s.Sender(tenant, list)
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Server) log() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.Default()
}
