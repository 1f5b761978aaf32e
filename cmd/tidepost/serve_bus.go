package main

import (
	"cmp"
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"tidepost/gateway/admin"
	"tidepost/gateway/bus"
)

// busParts are the bus as far as it runs: the embedded server unless NATS is
// elsewhere, and the relay of events once somebody can listen to them.
type busParts struct {
	embedded *bus.Embedded
	conn     *bus.Conn
	relay    *bus.Relay
	signals  *bus.Signals
}

func (s *server) openBus(ctx context.Context) error {
	n := s.config.Load().NATS
	log := s.log.With(slog.String("part", "bus"))
	s.bus = &busParts{}
	if n.URL == "" {
		s.bus.embedded = &bus.Embedded{Dir: filepath.Join(s.config.Load().DataDir, "nats"), Listen: n.Listen, Log: log}
		if err := s.bus.embedded.Start(ctx); err != nil {
			return err
		}
	}
	if n.URL == "" && n.Listen == "" {
		return nil // nobody could hear the events; the journal has them
	}
	conn, err := bus.Connect(context.WithoutCancel(ctx), bus.Options{URL: n.URL, CredentialsFile: n.CredentialsFile, CAFile: n.CAFile, Embedded: s.bus.embedded, Log: log})
	if err != nil {
		return err
	}
	s.bus.conn = conn
	s.bus.relay = &bus.Relay{Journal: s.store, Conn: conn, Log: log}
	s.bus.signals = &bus.Signals{To: s.gateway, Conn: conn, Tenants: s.knowsTenant, Log: log, Took: s.observeSignal}
	s.gateway.PermissionLag = func() time.Duration { return s.bus.signals.Lag().Permission.Age }
	if s.bus.embedded != nil {
		// The server's memory is ours here: an id it remembers takes 150 bytes.
		s.bus.relay.Rate, s.bus.relay.Stream.Duplicates = 3000, 2*time.Minute
		s.bus.signals.Stream.Duplicates = 2 * time.Minute
	}
	return nil
}

// run keeps the bus going until ctx ends.
func (b *busParts) run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	if b.embedded != nil {
		wg.Go(func() { b.embedded.Run(ctx) }) // it logs what goes wrong and starts again
	}
	if b.relay == nil {
		return nil
	}
	return b.relay.Run(ctx)
}

// clientURL is where programs reach the embedded server; "" where they cannot.
func (b *busParts) clientURL() string {
	if b.embedded == nil || b.embedded.Listen == "" {
		return ""
	}
	return b.embedded.ClientURL()
}

// stream says how far the signals over NATS are applied; nil where none come.
func (b *busParts) stream() func() admin.Stream {
	if b.signals == nil {
		return nil
	}
	return func() admin.Stream {
		l := b.signals.Lag()
		return admin.Stream{
			Pending: l.Permission.Pending + l.Evidence.Pending, LagSeconds: l.Permission.Age.Seconds(),
			Rejected: l.Permission.Rejected + l.Evidence.Rejected, Missed: l.Permission.Missed + l.Evidence.Missed,
			Recreated: l.Recreated, Why: cmp.Or(l.Permission.Err, l.Evidence.Err), Stopped: cmp.Or(l.Permission.Stopped, l.Evidence.Stopped),
		}
	}
}

// resume accepts a stream that lost messages; nil where none is read.
func (b *busParts) resume() func(context.Context) error {
	if b.signals == nil {
		return nil
	}
	return b.signals.Resume
}

// hear applies signals until ctx ends: before the gateway stops, so that what was
// taken is applied.
func (b *busParts) hear(ctx context.Context) error {
	if b.signals == nil {
		return nil
	}
	return b.signals.Run(ctx)
}

func (b *busParts) close() error {
	if b.conn != nil {
		b.conn.Close()
	}
	if b.embedded != nil {
		return b.embedded.Shutdown(context.Background())
	}
	return nil
}

// lag says how far NATS is behind, for people and metrics; nil where events
// go nowhere.
func (b *busParts) lag() func() admin.Bus {
	if b.relay == nil {
		return nil
	}
	return func() admin.Bus {
		l := b.relay.Lag()
		return admin.Bus{Server: b.conn.Status(), Connected: b.conn.Connected(), LagEvents: int64(l.Events), LagSeconds: l.Age.Seconds()}
	}
}
