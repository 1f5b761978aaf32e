package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"tidepost/gateway"
)

// Reader is the relay's name among the journal's readers.
const Reader = "nats"

// A batch costs the server a directory and a sync however large it is: 500
// events in one took 20 µs of CPU each, 100 took 90, and below some dozens
// events are cheaper one by one, at 135 (embedded server, ext4).
const (
	pageSize    = 500                   // events read, and published, at a time; a change's last ones may come on top
	fewest      = 32                    // in a batch
	linger      = 5 * time.Millisecond  // to let a page fill
	longLinger  = 50 * time.Millisecond // the same, while events come by the dozen
	resumePages = 20
)

// Relay publishes the journal's events to TIDEPOST_EVENTS. The package comment
// says what it promises. Its fields are not changed after Run was called.
type Relay struct {
	Journal gateway.Journal
	Conn    *Conn
	Stream  Stream
	Rate    int              // events a second at most, for catching up beside mail; 0: as fast as it goes
	Log     *slog.Logger     // nil: nothing is logged
	Now     func() time.Time // nil: time.Now; for Lag alone

	// Owned by Run.
	resumed bool
	at      gateway.Cursor // before the page; saved unless unsaved
	unsaved bool
	page    []*nats.Msg // read and not yet acknowledged
	next    gateway.Cursor
	gauge   gauge

	retry   retry
	linger  time.Duration // after news, before reading
	patient time.Duration // time for an answer; 0: ackTimeout
}

// Run relays until ctx is done, and returns nil then. Whatever NATS or the
// journal say, it goes on trying: an error is only ever a relay that is not
// wired up.
func (r *Relay) Run(ctx context.Context) error {
	if r.Journal == nil || r.Conn == nil {
		return errors.New("relay: needs a journal and a connection")
	}
	r.at = r.Journal.Cursor(Reader)
	r.next = r.at
	for ctx.Err() == nil {
		again := r.Conn.reconnected()
		err := r.session(ctx)
		if ctx.Err() != nil {
			break
		}
		r.stall(ctx, err)
		r.retry.pause(ctx, again, nil)
	}
	return nil
}

// session relays while there is a connection and nothing refuses.
func (r *Relay) session(ctx context.Context) error {
	ctx, end := r.Conn.during(ctx)
	defer end()
	err := r.relay(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// relay publishes page after page.
func (r *Relay) relay(ctx context.Context) error {
	p, err := r.open(ctx)
	if err != nil {
		return err
	}
	for {
		if err := r.fill(ctx); err != nil {
			return err
		}
		began := time.Now()
		n, err := p.publish(ctx, r.page)
		r.advance(n)
		if err != nil {
			return fmt.Errorf("publishing events: %w", err)
		}
		if err := r.save(); err != nil {
			return err
		}
		r.retry.wait = 0
		if r.Rate > 0 {
			sleep(ctx, time.Duration(n)*time.Second/time.Duration(r.Rate)-time.Since(began))
		}
	}
}

// open makes sure that there is a stream to publish to.
func (r *Relay) open(ctx context.Context) (*publisher, error) {
	nc, err := r.Conn.current(ctx)
	if err != nil {
		return nil, err
	}
	p := &publisher{nc: nc, timeout: r.patient, skipped: func(m *nats.Msg, err error) {
		r.skip(m.Header.Get(nats.MsgIdHdr), err)
	}}
	if p.timeout == 0 {
		p.timeout = ackTimeout
	}
	ensuring, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	stream, err := r.Stream.ensure(ensuring, nc, eventShape, r.log())
	if err != nil {
		return nil, err
	}
	if p.batches = stream.CachedInfo().Config.AllowAtomicPublish; !p.batches {
		r.log().Warn("the stream takes no atomic batches, so events go one by one and slower; NATS 2.12 and later know them", "stream", EventStream)
	}
	if !r.resumed {
		if err := r.resume(ctx, lastID(ensuring, stream)); err != nil {
			return nil, err
		}
		r.resumed = true
	}
	return p, nil
}

// resume moves past what was published before a crash and not saved: up to the
// stream's last event, where that is found soon after the saved place. Where
// it is not, as when other gateways use the stream too, the stream's window of
// duplicates does the same for a while.
func (r *Relay) resume(ctx context.Context, last string) error {
	at := r.next
	for range resumePages {
		if last == "" {
			break
		}
		events, next, err := r.Journal.ReadEvents(ctx, at, pageSize)
		if err != nil {
			return fmt.Errorf("reading the journal: %w", err)
		}
		if i := slices.IndexFunc(events, func(e gateway.Event) bool { return e.ID() == last }); i >= 0 {
			return r.resumeBehind(ctx, at, i+1)
		}
		if len(events) < pageSize {
			break
		}
		at = next
	}
	return nil
}

// resumeBehind moves n events on from a place. The journal keeps the events of
// one change together, so what it gives beyond n is still to be published.
func (r *Relay) resumeBehind(ctx context.Context, at gateway.Cursor, n int) error {
	events, next, err := r.Journal.ReadEvents(ctx, at, n)
	if err != nil {
		return fmt.Errorf("reading the journal: %w", err)
	}
	if len(events) > n {
		r.take(events[n:], next)
	}
	r.next = next
	return nil
}

// fill reads the next page of the journal, waiting until there is one. A page
// that was not published to its end stays.
func (r *Relay) fill(ctx context.Context) error {
	for len(r.page) == 0 {
		more := r.Journal.Committed() // asked for before reading, so that no commit is missed
		events, next, err := r.Journal.ReadEvents(ctx, r.next, pageSize)
		if err != nil {
			return fmt.Errorf("reading the journal: %w", err)
		}
		if len(events) > 0 {
			r.take(events, next)
			continue
		}
		r.next = next
		if err := r.save(); err != nil {
			return err
		}
		r.gauge.idle()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-more:
			sleep(ctx, r.linger)
		}
	}
	return nil
}

// take makes a page of messages of events. One that cannot be said is left
// out, or nothing behind it would ever leave.
func (r *Relay) take(events []gateway.Event, next gateway.Cursor) {
	r.next, r.unsaved = next, true
	r.page = make([]*nats.Msg, 0, len(events))
	for i := range events {
		m, err := encode(&events[i])
		if err != nil {
			r.skip(events[i].ID(), err)
			continue
		}
		r.page = append(r.page, m)
	}
	r.linger = linger
	if len(events) >= fewest {
		r.linger = longLinger
	}
	r.gauge.read(events[0].At, len(r.page), len(events), next)
}

// advance forgets the first n messages of the page: they are done with.
func (r *Relay) advance(n int) {
	clear(r.page[:n])
	r.page = r.page[n:]
	r.gauge.done(n)
	if n > 0 {
		r.retry.answered()
	}
}

// save stores how far the stream has everything.
func (r *Relay) save() error {
	if r.at == r.next && !r.unsaved {
		return nil
	}
	r.at, r.unsaved = r.next, true
	if err := r.Journal.SaveCursor(Reader, r.at); err != nil {
		return fmt.Errorf("saving the place in the journal: %w", err)
	}
	r.unsaved = false
	return nil
}

func (r *Relay) skip(id string, err error) {
	r.log().Error("an event is left out of NATS", "event", id, "error", err)
	r.gauge.skip()
}

// stall notes why nothing moves, and counts what waits.
func (r *Relay) stall(ctx context.Context, err error) {
	if r.retry.tell(r.gauge.stall(err)) {
		r.log().Warn("events wait for NATS; mail does not", "error", err)
	}
	r.retry.failed(r.Conn, err)
	r.count(ctx)
}

func (r *Relay) log() *slog.Logger { return logger(r.Log) }
