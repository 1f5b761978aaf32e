package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tidepost/gateway"
	"tidepost/gateway/admin"
	"tidepost/gateway/intake"
	"tidepost/gateway/local"
	"tidepost/gateway/public"
	"tidepost/gateway/returns"
	"tidepost/gateway/webhook"
	"tidepost/scheduler/throttle"
)

// server is the running gateway: everything that serve wires together. Fields
// are set by newServer in the order in which they are started.
type server struct {
	config atomic.Pointer[Config] // replaced whole by a reload
	log    *slog.Logger
	stdout io.Writer

	prepare func(*gateway.Gateway) // changes what is wired before it opens; nil: nothing

	store     *local.Store
	gateway   *gateway.Gateway
	smtp      *intake.Server
	bus       *busParts
	links     links
	public    *public.Server
	forwarder *webhook.Forwarder
	webhooks  *webhook.Sender
	desk      *returns.Desk
	back      *intake.Server // takes bounces and complaints
	took      *prometheus.HistogramVec
	admin     *admin.Server
	listeners []namedListener
	cert      atomic.Pointer[tls.Certificate]
	rules     derived[*gateway.Rules]
	limits    derived[throttle.Limits]
	ruleFiles ruleFiles
}

// namedListener is an open port and what serves it.
type namedListener struct {
	net.Listener
	what  string
	serve func(context.Context, net.Listener) error
}

// runServe runs the gateway until ctx ends.
func runServe(ctx context.Context, cfg *Config, warnings []string, rulesDir string, stdout, stderr io.Writer) error {
	tuneMemory()
	s := newServer(cfg, stdout, stderr)
	s.ruleFiles.dir = rulesDir
	for _, w := range warnings {
		s.log.Warn(w)
	}
	if err := s.open(ctx); err != nil {
		s.close()
		return err
	}
	s.announce()
	err := s.run(ctx)
	return errors.Join(err, s.close())
}

// tuneMemory lets garbage be at most half of what is live, instead of as much:
// the gateway's promise about memory is worth a little CPU.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}

func newServer(cfg *Config, stdout, stderr io.Writer) *server {
	s := &server{stdout: stdout, log: slog.New(slog.NewTextHandler(stderr, nil))}
	s.config.Store(cfg)
	return s
}

// open prepares every part; nothing is served yet.
func (s *server) open(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		s.openStore, s.openLinks, s.openGateway, s.openBus, s.openSMTP, s.openReturns, s.openPublic, s.openWebhooks, s.openAdmin, s.loadRuleFiles,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) openStore(context.Context) error {
	c := s.config.Load()
	store, err := local.Open(local.Options{
		Dir: c.DataDir, Log: s.log,
		SettledFor: c.Retention.Settled.Duration, SettledBytes: int64(c.Retention.SettledBytes),
		HistoryFor: c.Retention.History.Duration, HistoryBytes: int64(c.Retention.HistoryBytes),
	})
	if err != nil {
		return err
	}
	s.store = store
	return nil
}

// listen opens a port. A name in front of an error says which key it was.
func (s *server) listen(key, address, what string, serve func(context.Context, net.Listener) error) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("%s: %w; is another tidepost running, or does the port need a different address?", key, err)
	}
	s.listeners = append(s.listeners, namedListener{l, what, serve})
	return nil
}

// announce says on standard output where everything is.
func (s *server) announce() {
	c := s.config.Load()
	fmt.Fprintf(s.stdout, "tidepost %s, route mode %s, data in %s\n", version, c.Route.Mode, c.DataDir)
	for _, l := range s.listeners {
		fmt.Fprintf(s.stdout, "%s on %s\n", l.what, l.Addr())
	}
	if url := s.bus.clientURL(); url != "" {
		fmt.Fprintf(s.stdout, "NATS on %s\n", url)
	}
	if c.Route.Mode == "capture" {
		fmt.Fprintln(s.stdout, "nothing leaves this machine: mail is captured; `tidepost queue list` shows it")
	}
	if s.gateway.Held {
		fmt.Fprintln(s.stdout, "this is a restored backup: mail is held until `tidepost restore --confirm`")
	}
}

// run serves until ctx ends, then stops in reverse order: clients first, so
// that nobody is told 250 by a gateway that is going away, then releasing,
// then the bus.
func (s *server) run(ctx context.Context) error {
	failed, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	stopReload := s.reloadOnHangup()
	defer stopReload()

	inner, stopInner := context.WithCancel(context.WithoutCancel(ctx))
	defer stopInner()
	var outer, middle, last sync.WaitGroup
	busContext, stopBus := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBus()
	start := func(wg *sync.WaitGroup, ctx context.Context, what string, f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				fail(fmt.Errorf("%s: %w", what, err))
			}
		})
	}
	if s.bus != nil {
		start(&last, busContext, "bus", s.bus.run)
	}
	start(&middle, inner, "gateway", s.gateway.Run)
	start(&outer, failed, "signals", s.bus.hear)
	start(&outer, failed, "unsubscribe forwarder", s.forwarder.Run)
	start(&outer, failed, "webhooks", s.webhooks.Run)
	for _, l := range s.listeners {
		start(&outer, failed, l.what, func(ctx context.Context) error { return l.serve(ctx, l.Listener) })
	}
	<-failed.Done()
	s.log.Info("stopping: clients are told 421, transactions in flight finish")
	outer.Wait()
	stopInner()
	middle.Wait()
	stopBus()
	last.Wait()
	if err := context.Cause(failed); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

func (s *server) close() error {
	var errs []error
	for _, l := range s.listeners {
		l.Close()
	}
	if s.bus != nil {
		errs = append(errs, s.bus.close())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}

// reloadOnHangup takes over a changed configuration on SIGHUP, whole or not
// at all.
func (s *server) reloadOnHangup() (stop func()) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-hangup:
				s.reload()
				s.loadRuleFiles(context.Background()) // what fails is logged, and the rules before stay
			case <-done:
				return
			}
		}
	})
	return func() { signal.Stop(hangup); close(done); wg.Wait() }
}

func (s *server) reload() {
	next, changed, restart, warnings, err := s.config.Load().Reload()
	if err != nil {
		s.log.Error("the configuration was not reloaded; the old one stays in force", "error", err)
		return
	}
	tokens, err := s.tokens(next)
	if err == nil {
		err = s.loadCertificate(next)
	}
	if err == nil {
		err = s.links.load(next.DataDir)
	}
	if err != nil {
		s.log.Error("the configuration was not reloaded; the old one stays in force", "error", err)
		return
	}
	for _, w := range warnings {
		s.log.Warn(w)
	}
	for _, key := range restart {
		s.log.Warn("a changed key is in force only after a restart", "key", key)
	}
	before := s.config.Load()
	s.config.Store(next)
	s.rules.forget()
	s.limits.forget()
	if slices.ContainsFunc(changed, plans) {
		s.gateway.Replan()
	}
	s.tellCompared(before, next)
	s.smtp.SetCredentials(credentials(next))
	s.smtp.SetTrustedNetworks(Prefixes(next.SMTP.TrustedNetworks))
	s.admin.SetTokens(tokens)
	s.webhooks.Set(next.endpoints())
	s.log.Info("configuration reloaded", "changed", changed)
}

// tellCompared writes into history what a reload changed in what is compared.
func (s *server) tellCompared(before, next *Config) {
	ctx, cancel := context.WithTimeout(context.Background(), clientTime)
	defer cancel()
	for _, c := range before.comparedDifferently(next) {
		if err := s.gateway.TellSetting(ctx, c.what, c.detail, "configuration"); err != nil {
			s.log.Error("the history does not tell of a change", "key", c.what, "error", err)
		}
	}
}

// plans reports whether a key has a say in what waits.
func plans(key string) bool {
	table, _, _ := strings.Cut(key, ".")
	return table == "policy" || table == "list_id" || table == "experiment"
}

// clientTime is how long a client's transaction may go on after the stop. With
// the goodbyes to clients and the time that the gateway gives to what it is
// sending, a stop takes at most 30 s.
const clientTime = 8 * time.Second
