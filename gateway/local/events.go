package local

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"tidepost/gateway"
)

// announcement is a channel that is closed and replaced when there is news.
type announcement struct {
	mu sync.Mutex
	c  chan struct{} // guarded by mu; nil while nobody waits
}

func (a *announcement) wait() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.c == nil {
		a.c = make(chan struct{})
	}
	return a.c
}

func (a *announcement) make() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.c != nil {
		close(a.c)
		a.c = nil
	}
}

// Committed is closed and replaced whenever events were added.
func (s *Store) Committed() <-chan struct{} { return s.committed.wait() }

// announce wakes the journal's readers when events they may read were added.
func (s *Store) announce() {
	if s.news.Load() && s.journal.durable.Load() == s.journal.written.Load() && s.news.Swap(false) {
		s.committed.make()
	}
}

// ReadEvents returns up to max events after the cursor, and the cursor after
// them. The events of one change stay together, so that the last change may
// bring a few more than max. A change that is not on disk yet is not read: what
// a reader passes on must not be forgotten by a crash.
func (s *Store) ReadEvents(ctx context.Context, after gateway.Cursor, max int) ([]gateway.Event, gateway.Cursor, error) {
	var events []gateway.Event
	at, err := s.readJournal(ctx, cursorPlace(after), func(_ place, c *change) bool {
		events = append(events, c.events...)
		return len(events) < max
	})
	return events, at.cursor(), err
}

// End is the cursor behind the last event that can be read.
func (s *Store) End() gateway.Cursor { return place(s.journal.durable.Load()).cursor() }

// readJournal calls visit for the changes from a place on until it returns
// false, and returns the place behind the last one visited.
func (s *Store) readJournal(ctx context.Context, from place, visit func(place, *change) bool) (place, error) {
	words := make(map[string]string)
	durable := place(s.journal.durable.Load())
	for from < durable {
		if err := ctx.Err(); err != nil {
			return from, err
		}
		n := from.segment()
		limit := int64(0)
		if n == durable.segment() {
			limit = int64(durable.offset())
		}
		end, more, err := s.readChanges(n, int64(from.offset()), limit, words, visit)
		if err != nil && !errors.Is(err, gateway.ErrNotFound) && !errors.Is(err, errSegmentHeader) {
			return from, err
		}
		if err == nil {
			from = placeOf(n, uint32(end))
			if !more {
				return from, nil
			}
		}
		next, ok := s.history.after(n)
		if !ok {
			return from, nil
		}
		from = placeOf(next, segmentHeader)
	}
	return from, nil
}

// readChanges visits the changes of one segment; more is false when visit wants
// no more.
func (s *Store) readChanges(n uint32, offset, limit int64, words map[string]string, visit func(place, *change) bool) (end int64, more bool, err error) {
	sc, done, err := s.history.scan(n, offset, limit)
	if err != nil {
		return 0, false, err
	}
	defer done()
	for {
		r, err := sc.next()
		if err != nil {
			return 0, false, fmt.Errorf("reading the journal: %w", err)
		}
		if r.typ == 0 {
			return sc.off, true, nil
		}
		if r.typ != recordChange {
			continue
		}
		c, err := decodeChange(r.payload, words)
		if err != nil {
			continue // replay or the scan that found it has reported it
		}
		if !visit(placeOf(n, uint32(r.off)), c) {
			return sc.off, false, nil
		}
	}
}
