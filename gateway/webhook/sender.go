package webhook

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"tidepost/gateway"
)

// Journal is what a Sender reads events from.
type Journal interface {
	gateway.Journal
	// End is the cursor behind the last event that can be read.
	End() gateway.Cursor
}

// Store is where a Sender finds what events do not say, and keeps its notes.
type Store interface {
	Body(ctx context.Context, r gateway.Ref) (*gateway.Stored, error)
	Mailbox(ctx context.Context, k gateway.Key) (*gateway.Mailbox, error)
	Message(ctx context.Context, id gateway.ID) (*gateway.Message, gateway.Ref, error)
	Commit(ctx context.Context, changes ...*gateway.Change) error
	Settings() map[string][]byte
}

// Sender posts events to endpoints. Each endpoint has a lane of its own, with its own
// cursor in the journal; the package comment says what is promised. Its fields are
// set before Run is called.
type Sender struct {
	Journal Journal
	Store   Store
	Tell    func(ctx context.Context, what, detail, actor string) error // writes into history what was switched; nil: nobody does
	Log     *slog.Logger                                                // nil: slog.Default
	Now     func() time.Time                                            // nil: time.Now

	recent *recent // Run's

	mu      sync.Mutex
	wanted  []Endpoint        // guarded by mu
	wakes   map[string]*wake  // guarded by mu: lanes to be started anew
	lanes   map[string]*lane  // guarded by mu: those that run
	tallies map[string]*tally // guarded by mu
	changed chan struct{}     // guarded by mu: closed and replaced

	jitter func() float64          // tests: in [0,1); nil: random
	client func(*Endpoint) *Client // tests; nil: as the endpoint says
}

// tally is what happened at an endpoint since the start, whatever lane it had.
type tally struct {
	calls, failures, delivered, givenUp, skipped atomic.Int64

	mu          sync.Mutex
	lastSuccess time.Time // guarded by mu
	lastFailure time.Time // guarded by mu
	lastError   string    // guarded by mu
	again       *Progress // guarded by mu: of the redelivery under way
}

// ErrNoEndpoint says that no endpoint has that name. It is a gateway.ErrNotFound.
var ErrNoEndpoint = fmt.Errorf("no webhook has that name: %w", gateway.ErrNotFound)

// Set replaces the endpoints. It may be called at any time; endpoints that stay as
// they are go on undisturbed.
func (s *Sender) Set(endpoints []Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = endpoints
	s.kickLocked()
}

func (s *Sender) kickLocked() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// running is a lane with its end.
type running struct {
	*lane
	stop context.CancelFunc
	done chan struct{}
}

// Run sends until ctx ends. It returns within a second then; calls that were under
// way are made again after the next start.
func (s *Sender) Run(ctx context.Context) error {
	s.recent = newRecent(s.Journal)
	all := map[string]*running{}
	defer func() {
		for _, r := range all {
			<-r.done
		}
	}()
	for ctx.Err() == nil {
		wanted, wakes, changed := s.news()
		s.stop(ctx, all, wanted, wakes)
		s.forget(ctx, wanted)
		for i := range wanted {
			if all[wanted[i].Name] == nil {
				s.start(ctx, all, &wanted[i])
			}
		}
		s.show(all)
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return nil
}

// news returns what is wanted now, and a channel that is closed when that changes.
func (s *Sender) news() (wanted []Endpoint, wakes map[string]*wake, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted, wakes, s.wakes = s.wanted, s.wakes, nil
	s.changed = make(chan struct{})
	return wanted, wakes, s.changed
}

// stop ends lanes whose endpoint is gone, has changed, or is to start anew.
func (s *Sender) stop(ctx context.Context, all map[string]*running, wanted []Endpoint, wakes map[string]*wake) {
	stay := map[string]*Endpoint{}
	for i := range wanted {
		stay[wanted[i].Name] = &wanted[i]
	}
	for name, r := range all {
		if e := stay[name]; e == nil || wakes[name] != nil || !reflect.DeepEqual(*e, r.e) {
			r.stop()
			<-r.done
			delete(all, name)
		}
	}
	for name, w := range wakes {
		w.done <- s.woken(ctx, name, w)
	}
}

func (s *Sender) start(ctx context.Context, all map[string]*running, e *Endpoint) {
	l, err := s.newLane(e)
	if err != nil {
		s.log().Error("a webhook cannot be called", "webhook", e.Name, "error", err)
		return
	}
	r := &running{lane: l, done: make(chan struct{})}
	ctx, r.stop = context.WithCancel(ctx)
	all[e.Name] = r
	go func() {
		defer close(r.done)
		defer l.client.CloseIdle()
		l.run(ctx)
	}()
}

func (s *Sender) show(all map[string]*running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lanes = map[string]*lane{}
	for name, r := range all {
		s.lanes[name] = r.lane
	}
}

// tally returns an endpoint's.
func (s *Sender) tally(name string) *tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tallies == nil {
		s.tallies = map[string]*tally{}
	}
	if s.tallies[name] == nil {
		s.tallies[name] = &tally{}
	}
	return s.tallies[name]
}

// endpoint returns the endpoint of that name; the error is ErrNoEndpoint.
func (s *Sender) endpoint(name string) (Endpoint, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.wanted {
		if e.Name == name {
			return e, nil
		}
	}
	return Endpoint{}, ErrNoEndpoint
}

func (s *Sender) log() *slog.Logger {
	if s.Log == nil {
		return slog.Default()
	}
	return s.Log
}

func (s *Sender) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

func (s *Sender) random() float64 {
	if s.jitter == nil {
		return rand.Float64()
	}
	return s.jitter()
}
