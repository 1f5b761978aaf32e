package webhook

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"tidepost/gateway"
)

// Redelivery says which events an endpoint is told of once more.
type Redelivery struct {
	Since time.Time // not before; zero: as far back as history goes
	Until time.Time // not after; zero: now
	Kind  string    // one of Kinds; "": all that the endpoint wants
	Event string    // the id of one; "": all
}

// Progress is how far a redelivery is.
type Progress struct {
	Sent    int       `json:"sent"`
	Refused int       `json:"refused"`          // for good
	At      time.Time `json:"at,omitzero"`      // of the last event that was looked at
	Share   float64   `json:"share"`            // of the time to look at, 0 to 1
	First   string    `json:"first,omitempty"`  // id of the first one refused
	Answer  string    `json:"answer,omitempty"` // to it
}

// ErrBusy says that a redelivery to the endpoint is under way.
var ErrBusy = errors.New("a redelivery to this webhook is under way")

// Stopped says that a redelivery ended before its end: the endpoint does not take
// events.
type Stopped struct {
	Progress
	Err error
}

func (e *Stopped) Error() string {
	return fmt.Sprintf("the webhook does not take events (%v); %d were sent; go on with --since %s", e.Err, e.Sent, e.At.UTC().Format(time.RFC3339))
}

const (
	redeliverTries = 5 // of one call
	redeliverPage  = 1000
)

// Redeliver reads the journal again and tells the endpoint of what it is asked to,
// under the ids that the events had the first time. The lane goes on beside it. The
// error is ErrNoEndpoint, ErrBusy, a *Stopped, or of the journal.
func (s *Sender) Redeliver(ctx context.Context, name string, r Redelivery) (Progress, error) {
	e, err := s.endpoint(name)
	if err != nil {
		return Progress{}, err
	}
	c, err := s.newCaller(&e)
	if err != nil {
		return Progress{}, err
	}
	defer c.client.CloseIdle()
	if r.Kind != "" {
		if err := c.format.checkKinds(e.Format, []string{r.Kind}); err != nil {
			return Progress{}, err
		}
		c.kinds = (&Endpoint{Kinds: []string{r.Kind}, Format: e.Format}).wants()
	}
	if r.Until.IsZero() {
		r.Until = s.now()
	}
	x := &redelivery{Redelivery: r, caller: c, s: s, tally: s.tally(name)}
	if !x.tally.begin() {
		return Progress{}, ErrBusy
	}
	defer x.tally.end()
	return x.run(ctx)
}

func (t *tally) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.again != nil {
		return false
	}
	t.again = &Progress{}
	return true
}

func (t *tally) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.again = nil
}

type redelivery struct {
	Redelivery
	*caller
	s     *Sender
	tally *tally

	mu       sync.Mutex
	progress Progress // guarded by mu
}

func (x *redelivery) run(ctx context.Context) (Progress, error) {
	var at gateway.Cursor
	var first time.Time
	for {
		events, next, err := x.s.Journal.ReadEvents(ctx, at, redeliverPage)
		if err != nil || len(events) == 0 {
			return x.shown(), err
		}
		if at = next; first.IsZero() {
			first = events[0].At
		}
		if err := x.page(ctx, events); err != nil {
			return x.shown(), err
		}
		last := events[len(events)-1].At
		x.note(func(p *Progress) {
			p.At = last
			if all := x.Until.Sub(first); all > 0 {
				p.Share = min(1, max(0, float64(last.Sub(first))/float64(all)))
			}
		})
	}
}

// page tells of what a page has, a few calls at a time.
func (x *redelivery) page(ctx context.Context, events []gateway.Event) error {
	var list []*notice
	for i := range events {
		if n, ok := x.wanted(&events[i]); ok && x.asked(&events[i]) {
			list = append(list, n)
		}
	}
	for len(list) > 0 {
		var calls sync.WaitGroup
		failed := make([]error, maxFlight)
		oldest := list[0].At
		for i := range failed {
			batch := list[:min(x.format.batch, len(list))]
			if list = list[len(batch):]; len(batch) > 0 {
				calls.Go(func() { failed[i] = x.send(ctx, batch) })
			}
		}
		calls.Wait()
		if err := errors.Join(failed...); err != nil {
			x.note(func(p *Progress) { p.At = oldest })
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return &Stopped{Progress: x.shown(), Err: err}
		}
	}
	return nil
}

func (x *redelivery) asked(e *gateway.Event) bool {
	return !e.At.Before(x.Since) && !e.At.After(x.Until) && (x.Event == "" || e.ID() == x.Event)
}

// send makes one call, again while the endpoint may yet take it.
func (x *redelivery) send(ctx context.Context, batch []*notice) error {
	for try := 1; ; try++ {
		told, r, err := x.tell(ctx, batch)
		if err != nil {
			return err
		}
		if len(told) > 0 {
			x.tally.calls.Add(1)
			x.tally.note(&r, x.now())
		}
		switch {
		case r.Verdict == Done:
			x.tally.delivered.Add(int64(len(told)))
			x.note(func(p *Progress) { p.Sent += len(told) })
			return nil
		case r.Verdict == Refused && len(batch) == 1:
			x.note(func(p *Progress) {
				if p.Refused++; p.First == "" {
					p.First, p.Answer = batch[0].id, r.Err.Error()
				}
			})
			return nil
		case r.Verdict == Refused:
			for i := range batch {
				if err := x.send(ctx, batch[i:i+1]); err != nil {
					return err
				}
			}
			return nil
		case r.Verdict == Gone || try == redeliverTries || r.After > time.Minute:
			return r.Err
		}
		if !pause(ctx, max(time.Second<<(try-1), r.After)) {
			return ctx.Err()
		}
	}
}

func (x *redelivery) note(f func(*Progress)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f(&x.progress)
	x.tally.mu.Lock()
	defer x.tally.mu.Unlock()
	*x.tally.again = x.progress
}

func (x *redelivery) shown() Progress {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.progress
}

// Test sends an event of no mail, so that a person sees what the endpoint answers.
// Receivers that only know bounces get a soft one of webhook-test@example.com.
func (s *Sender) Test(ctx context.Context, name string) (Result, error) {
	e, err := s.endpoint(name)
	if err != nil {
		return Result{}, err
	}
	c, err := s.newCaller(&e)
	if err != nil {
		return Result{}, err
	}
	defer c.client.CloseIdle()
	now := s.now()
	event := &gateway.Event{Kind: testWord, At: now, Name: "test-" + strconv.FormatInt(now.UnixMilli(), 10), Reason: "a person asked for it"}
	n := &notice{Event: event, word: testWord, id: event.Name, tenant: e.Tenant}
	if e.Format != "standard" {
		n.word, n.address = "bounced", "webhook-test@example.com"
		n.bounce = &verdict{Status: "4.0.0", Text: "a test of this webhook"}
	}
	_, r, err := c.tell(ctx, []*notice{n})
	return r, err
}

// Enable has an endpoint called again, at once, that is disabled or takes nothing. Run
// must be running.
func (s *Sender) Enable(ctx context.Context, name, actor string) error {
	if _, err := s.endpoint(name); err != nil {
		return err
	}
	w := &wake{actor: actor, done: make(chan error, 1)}
	s.mu.Lock()
	if s.wakes == nil {
		s.wakes = map[string]*wake{}
	}
	if earlier := s.wakes[name]; earlier != nil {
		earlier.done <- nil // this one does the same
	}
	s.wakes[name] = w
	s.kickLocked()
	s.mu.Unlock()
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wake is a person's word that an endpoint is back.
type wake struct {
	actor string
	done  chan error
}

// woken notes it, while no lane writes notes.
func (s *Sender) woken(ctx context.Context, name string, w *wake) error {
	n, _, ok := s.readNotes(name)
	if !ok || n.Disabled.IsZero() && n.Outage.Tries == 0 {
		return nil
	}
	off := !n.Disabled.IsZero()
	n.Disabled = time.Time{}
	if err := s.put(ctx, reader(name), &n); err != nil {
		return err
	}
	if off {
		s.told(ctx, name, "enabled", w.actor)
	}
	return nil
}
