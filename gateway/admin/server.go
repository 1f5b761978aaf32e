package admin

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
	"github.com/prometheus/client_golang/prometheus"

	"tidepost/gateway"
)

// Server is the admin API. Fields are set before Handler or Serve is called and
// not changed afterwards, except through its methods.
type Server struct {
	Gateway *gateway.Gateway
	Store   gateway.Store // with its powers Browser and Entries; one that is missing is answered 501
	Tokens  []Token       // who may ask; SetTokens replaces them

	// TrustedProxies are the peers whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix

	Info    func() Info     // nil: nothing is known
	Tenants func() []string // all that the configuration names; nil: those that ever sent
	Ready   func() error    // why mail cannot be accepted durably now; nil: it always can
	Backup  func(ctx context.Context, dir string) error
	Compact func(ctx context.Context) error
	Resume  func(ctx context.Context) error // accepts a stream of signals that lost messages; nil: none is read
	Confirm func(ctx context.Context) error // makes the store forget that it was restored, before mail leaves; nil: nothing to do
	History History                         // brings in what other services recorded; nil: nothing can
	Sources Sources
	Extra   []prometheus.Collector

	Returns Returns // nil: mail that came back is not taken

	Webhooks  Webhooks          // nil: there are none
	RuleFiles func() *RuleFiles // what rules come from files; nil, or nothing: they are set here

	Log *slog.Logger // nil: slog.Default

	once      sync.Once
	guard     *guard
	metrics   *metrics
	seen      *lru.Cache[gateway.DeliveryID, gateway.Key] // mailboxes of deliveries that were shown
	disk      disk
	confirmed atomic.Bool
	upkeep    sync.Mutex // held while a backup or a compaction runs
	reports   sync.Mutex // held while a report is made
	counted   counted    // guarded by reports
	histories histories

	pages budget // zero: the usual one
}

// Info is what the configuration says that people want to see.
type Info struct {
	Version     string
	Started     time.Time
	Mode        string // route.mode
	PolicyMode  string // policy.mode
	DataDir     string
	Warnings    []string // what the configuration was warned about
	Differences []Difference
}

// Difference is a value that was changed at run time.
type Difference struct {
	Name string    `json:"name"`
	File string    `json:"file"` // what the file says
	Now  string    `json:"now"`
	By   string    `json:"by"`
	At   time.Time `json:"at"`
}

// Sources are values that other packages keep. Each may be nil.
type Sources struct {
	Bus    func() Bus
	Stream func() Stream // of signals; nil: none is read

	Refused      func() map[string]int64 // connections, commands and messages that intake refused, by reason
	Connections  func() int64            // open SMTP connections
	AuthFailures func() int64            // of SMTP
	Stopped      func() error            // why the store stopped for good; nil: it did not
}

// Bus is how far the relay of events to NATS is.
type Bus struct {
	Server     string  `json:"server"`
	Connected  bool    `json:"connected"`
	LagEvents  int64   `json:"lag_events"`
	LagSeconds float64 `json:"lag_seconds"` // age of the oldest event not relayed
}

// Stream is how far the signals that come over NATS are applied.
type Stream struct {
	Pending    uint64  `json:"pending"`           // not looked at yet
	LagSeconds float64 `json:"lag_seconds"`       // age of the oldest opt-out that is known and not applied
	Rejected   uint64  `json:"rejected"`          // since the start
	Missed     uint64  `json:"missed"`            // since the start: left the stream before they were applied
	Recreated  uint64  `json:"recreated"`         // times that another stream was found in the place of ours
	Why        string  `json:"why,omitempty"`     // nothing moves
	Stopped    string  `json:"stopped,omitempty"` // it waits for a person
}

// Signals is what was heard from outside.
type Signals struct {
	Hour     int64     `json:"hour"` // in the last hour
	Last     time.Time `json:"last,omitzero"`
	Excluded int64     `json:"excluded"` // since the start: of what may not be learned, counted and not kept
	Stream   *Stream   `json:"stream,omitempty"`
}

// Timeouts of a connection. What takes longer, like a backup, says so itself.
const (
	headerTimeout   = 10 * time.Second // slow headers end here (attacks H11)
	readTimeout     = 30 * time.Second
	writeTimeout    = time.Minute
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 10 * time.Second
	maxHeaderBytes  = 32 << 10
)

// Serve answers requests until the context ends, then lets those under way
// finish for a few seconds.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	base, stop := context.WithCancel(context.WithoutCancel(ctx))
	server := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		BaseContext: func(net.Listener) context.Context { return base },
		ErrorLog:    slog.NewLogLogger(s.log().Handler(), slog.LevelDebug),
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop() // before waiting
	wg.Go(func() { s.sampleDisk(base) })
	wg.Go(func() { s.watchExperiments(base) })
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := server.Shutdown(end)
	if errors.Is(err, context.DeadlineExceeded) {
		stop() // actions that are still under way end after the step they are at
		err = server.Close()
	}
	<-failed
	return err
}

// start prepares what the first request needs.
func (s *Server) start() {
	s.once.Do(func() {
		s.guard = newGuard(s.Tokens, s.TrustedProxies)
		s.metrics = newMetrics(s)
		s.seen, _ = lru.New[gateway.DeliveryID, gateway.Key](rememberSize) // fails only for a size below 1
	})
}

// SetTokens replaces the tokens, as after a reload of the configuration.
func (s *Server) SetTokens(tokens []Token) {
	s.start()
	s.guard.setTokens(tokens)
}

// Accepting is told how long each message took from its last byte to our 250,
// in seconds.
func (s *Server) Accepting() prometheus.Observer {
	s.start()
	return s.metrics.accept
}

func (s *Server) info() Info {
	if s.Info == nil {
		return Info{}
	}
	return s.Info()
}

func (s *Server) now() time.Time {
	if s.Gateway != nil && s.Gateway.Now != nil {
		return s.Gateway.Now()
	}
	return time.Now()
}

func (s *Server) log() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.Default()
}

// browser is the store's power to look over all mailboxes.
func (s *Server) browser() (gateway.Browser, error) {
	if b, ok := s.Store.(gateway.Browser); ok {
		return b, nil
	}
	return nil, cannot("the store cannot be listed")
}

// holding reports whether a restored gateway still waits for a person.
func (s *Server) holding() bool { return s.Gateway.Held && !s.confirmed.Load() }
