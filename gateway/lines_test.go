package gateway

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tidepost/scheduler/throttle"
)

// hosts is a far side whose domains are served by few hosts; it counts what is
// open at a time.
type hosts struct {
	*farSide
	host func(domain string) string
	mu   sync.Mutex
	open int
	most int
}

func (h *hosts) Route(_ context.Context, domain string) (Destination, error) {
	return Destination{Name: h.host(domain)}, nil
}

func (h *hosts) Open(ctx context.Context, d Destination) (Session, error) {
	s, err := h.farSide.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open++
	h.most = max(h.most, h.open)
	return &hostSession{s, h}, nil
}

type hostSession struct {
	Session
	h *hosts
}

func (s *hostSession) Close() error {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.h.open--
	return nil
}

func (s *hostSession) Send(ctx context.Context, e *Envelope, body io.Reader, t time.Time) []Outcome {
	return s.Session.Send(ctx, e, body, t)
}

// byDomain makes a world in which every domain is a line of its own.
func byDomain(t *testing.T, connections int, host func(domain string) string, set func(w *world)) (*world, *hosts) {
	var h *hosts
	w := newWorld(t, newMemory(), func(w *world) {
		h = &hosts{farSide: w.far, host: host}
		limits := func(string) throttle.Limits {
			return throttle.Limits{Connections: connections, MessagesPerConnection: 100}
		}
		w.Router, w.Transport, w.Limits = h, h, limits
		w.Throttle = &throttle.Group{Limits: limits}
		w.Line = func(domain string) string { return domain }
		if set != nil {
			set(w)
		}
	})
	return w, h
}

func oneHost(string) string       { return "mx.provider.test" }
func itself(domain string) string { return domain }

// Many small domains at one provider share its connections without waiting for
// each other's rest.
func TestDomainsShareADestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, h := byDomain(t, 2, oneHost, func(w *world) { w.far.delay = 100 * time.Millisecond })
		var ids []DeliveryID
		for i := range 200 {
			ids = append(ids, w.submit(fmt.Sprintf("ann@d%d.test", i), nil))
		}
		for range 300 {
			ids = append(ids, w.submit("bob@big.test", nil))
		}
		time.Sleep(90 * time.Second)
		for _, id := range ids {
			w.wantEnd(id, EventDelivered)
		}
		if h.most > 2 {
			t.Errorf("%d connections at a time, want 2", h.most)
		}
	})
}

// A provider that said 421 on one domain's connection is left alone by all.
func TestBusyDestinationIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := byDomain(t, 2, oneHost, func(w *world) {
			w.far.answer = func(_ *Envelope, n int) Outcome {
				return Outcome{Kind: OutcomeDeferred, Code: 421, Busy: true}
			}
		})
		w.submit("ann@a.test", nil)
		time.Sleep(time.Second)
		w.submit("bob@b.test", nil)
		time.Sleep(10 * time.Second)
		w.far.mu.Lock()
		defer w.far.mu.Unlock()
		if w.far.opens != 1 {
			t.Errorf("%d connections in the 15 s after a 421, want 1", w.far.opens)
		}
	})
}

// A hundred thousand domains do not open a hundred thousand connections, and
// a line that has nothing left is forgotten.
func TestManyLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, h := byDomain(t, 2, itself, func(w *world) { w.far.delay = time.Second; w.MaxConnections = 100 })
		var ids []DeliveryID
		for i := range 2000 {
			ids = append(ids, w.submit(fmt.Sprintf("ann@d%d.test", i), nil))
		}
		time.Sleep(5 * time.Minute)
		for _, id := range ids {
			w.wantEnd(id, EventDelivered)
		}
		if h.most > 100 {
			t.Errorf("%d connections at a time, want 100", h.most)
		}
		w.queue.mu.Lock()
		defer w.queue.mu.Unlock()
		if n := len(w.queue.lines); n > 0 {
			t.Errorf("%d lines are remembered though nothing waits", n)
		}
	})
}

// A busy line does not keep all connections from the others.
func TestLinesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := byDomain(t, 1, oneHost, func(w *world) { w.far.delay = 100 * time.Millisecond; w.far.down = true })
		for range 2000 {
			w.submit("bob@big.test", nil)
		}
		id := w.submit("ann@small.test", nil)
		time.Sleep(time.Second)
		w.raise(false)
		time.Sleep(2 * time.Minute)
		w.wantEnd(id, EventDelivered)
	})
}
