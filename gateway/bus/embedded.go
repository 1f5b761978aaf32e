package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// DefaultMaxStore is what the embedded server may take on disk unless
// Embedded.MaxStore says otherwise.
const DefaultMaxStore = 2 << 30

const (
	maxServerMemory = 32 << 20 // of memory streams, which we have none of
	healthInterval  = 10 * time.Second
	restartInterval = 30 * time.Second
)

// Embedded is a NATS server with JetStream in this process. Every write to its
// streams is synced before it is acknowledged: with NATS's default of two
// minutes a power cut takes the acknowledged messages with it. It handles no
// signals and opens no port unless Listen is set. Its fields are not changed
// after Start.
type Embedded struct {
	Dir      string       // of the streams; made with mode 0700
	Listen   string       // host:port for clients, on loopback; "": none, port 0: any
	MaxStore int64        // bytes on disk, all streams together; 0: DefaultMaxStore
	Log      *slog.Logger // nil: nothing is logged

	mu        sync.Mutex
	srv       *server.Server // guarded by mu; nil while stopped
	port      int            // guarded by mu; the client port of the first start
	suspected chan struct{}  // guarded by mu; a token asks Run for a restart
}

// Start starts the server and returns when its streams are recovered. It gives
// up when ctx is done.
func (e *Embedded) Start(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.startLocked(ctx)
}

func (e *Embedded) startLocked(ctx context.Context) error {
	if e.srv != nil {
		return errors.New("the embedded NATS server runs already")
	}
	opts, err := e.optionsLocked()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(e.Dir, 0o700); err != nil {
		return fmt.Errorf("data_dir: the embedded NATS server keeps its streams there: %w", err)
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("embedded NATS server: %w", err)
	}
	if err := launch(ctx, srv, &serverLog{to: logger(e.Log)}); err != nil {
		return err
	}
	e.srv = srv
	if a, ok := srv.Addr().(*net.TCPAddr); ok {
		e.port = a.Port
	}
	return nil
}

// launch starts a server and waits until it is ready or has failed.
func launch(ctx context.Context, srv *server.Server, l *serverLog) error {
	srv.SetLoggerV2(l, false, false, false)
	started := make(chan struct{})
	go func() {
		defer close(started)
		srv.Start()
	}()
	var err error
	select {
	case <-started:
		if why := l.failure(); why != "" {
			err = fmt.Errorf("embedded NATS server: %s", why)
		} else if !srv.JetStreamEnabled() {
			err = errors.New("embedded NATS server: JetStream did not start")
		}
	case <-ctx.Done():
		err = fmt.Errorf("starting the embedded NATS server: %w", ctx.Err())
		<-started // it cannot be called off, but it ends
	}
	if err != nil {
		srv.Shutdown()
	}
	return err
}

func (e *Embedded) optionsLocked() (*server.Options, error) {
	if e.Dir == "" {
		return nil, errors.New("data_dir: the embedded NATS server needs a directory for its streams")
	}
	o := &server.Options{
		ServerName:             "tidepost",
		DontListen:             true,
		NoSigs:                 true,
		JetStream:              true,
		DisableJetStreamBanner: true,
		StoreDir:               e.Dir,
		SyncAlways:             true,
		JetStreamMaxStore:      e.maxStore(),
		JetStreamMaxMemory:     maxServerMemory,
		MaxConn:                1000,
	}
	if e.Listen == "" {
		return o, nil
	}
	host, port, err := listenAddress(e.Listen)
	if err != nil {
		return nil, err
	}
	o.DontListen, o.Host, o.Port = false, host, port
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
		if e.port != 0 { // clients know the port of the first start
			o.Port = e.port
		}
	}
	return o, nil
}

func (e *Embedded) maxStore() int64 {
	if e.MaxStore > 0 {
		return e.MaxStore
	}
	return DefaultMaxStore
}

// listenAddress reads nats.listen and refuses what others can reach: the
// embedded server has no accounts, so whoever connects may read everything.
func listenAddress(listen string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(listen)
	n, portErr := strconv.ParseUint(p, 10, 16)
	if err != nil || portErr != nil {
		return "", 0, fmt.Errorf("nats.listen: %q is not host:port, as in 127.0.0.1:4222", listen)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	a, err := netip.ParseAddr(host)
	if err != nil || !a.Unmap().IsLoopback() {
		return "", 0, fmt.Errorf("nats.listen: %s is open to other machines and so needs accounts, which the embedded server does not have: "+
			"listen on 127.0.0.1, or run a NATS server and set nats.url", listen)
	}
	return host, int(n), nil
}

// Run keeps the server running until ctx is done, then shuts it down. It
// starts it where Start was not called, and restarts it where JetStream closed
// itself after a disk error.
func (e *Embedded) Run(ctx context.Context) error {
	e.mu.Lock()
	e.suspected = make(chan struct{}, 1)
	suspected := e.suspected
	var err error
	if e.srv == nil {
		err = e.startLocked(ctx)
	}
	e.mu.Unlock()
	if err != nil {
		return err
	}
	e.supervise(ctx, suspected)
	return e.Shutdown(context.WithoutCancel(ctx))
}

func (e *Embedded) supervise(ctx context.Context, suspected <-chan struct{}) {
	tick := time.NewTicker(healthInterval)
	defer tick.Stop()
	var last time.Time
	for {
		broken := false
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			broken = !e.healthy()
		case <-suspected:
			broken = true
		}
		if broken && time.Since(last) >= restartInterval {
			e.restart(ctx)
			last = time.Now()
		}
	}
}

// restart is for a server whose JetStream does not answer. While it fails the
// server is down and the next tick tries again.
func (e *Embedded) restart(ctx context.Context) {
	log := logger(e.Log)
	log.Warn("restarting the embedded NATS server: JetStream does not answer; look for disk errors above")
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.srv != nil {
		e.srv.Shutdown()
		e.srv = nil
	}
	if err := e.startLocked(ctx); err != nil && ctx.Err() == nil {
		log.Error("the embedded NATS server does not start", "error", err)
	}
}

func (e *Embedded) healthy() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.srv != nil && e.srv.JetStreamEnabled()
}

// suspect tells Run that a publish got no answer although we are connected:
// after a failed write a stream is silent until the server is restarted.
func (e *Embedded) suspect() {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case e.suspected <- struct{}{}:
	default: // no Run, or it knows already
	}
}

// Shutdown closes the streams and waits until the server has stopped, or
// until ctx is done; stopping then goes on behind it. A stopped server may be
// started again.
func (e *Embedded) Shutdown(ctx context.Context) error {
	e.mu.Lock()
	srv := e.srv
	e.srv = nil
	e.mu.Unlock()
	if srv == nil {
		return nil
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		srv.Shutdown()
		srv.WaitForShutdown()
	}()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stopping the embedded NATS server: %w", ctx.Err())
	}
}

// ClientURL returns where other programs on this machine connect to; "" when
// there is no port or the server does not run.
func (e *Embedded) ClientURL() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.srv == nil || e.Listen == "" {
		return ""
	}
	return e.srv.ClientURL()
}

// Usage returns the bytes that the streams take on disk, and how many they may.
func (e *Embedded) Usage() (used, limit int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.srv == nil {
		return 0, e.maxStore()
	}
	info, err := e.srv.Jsz(nil)
	if err != nil {
		return 0, e.maxStore()
	}
	return int64(info.Store), e.maxStore()
}

// InProcessConn opens a connection to the server without a port. With it an
// *Embedded is what nats.InProcessServer asks for, across restarts.
func (e *Embedded) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	srv := e.srv
	e.mu.Unlock()
	if srv == nil {
		return nil, errors.New("the embedded NATS server does not run")
	}
	return srv.InProcessConn()
}
