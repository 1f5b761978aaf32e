package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"tidepost/gateway"
)

// journal is a gateway.Journal in memory. Its cursors count events. Like the
// one on disk it gives more than was asked for where a change ends later.
type journal struct {
	mu        sync.Mutex // guards all below
	events    []gateway.Event
	cursors   map[string]gateway.Cursor
	committed chan struct{}
	change    int  // events of one change; 0: one
	most      int  // largest page asked for
	failing   bool // nothing can be read or saved
	forgetful bool // saved cursors are lost, as in a crash
	reads     int
}

func newJournal(events ...gateway.Event) *journal {
	return &journal{events: events, cursors: map[string]gateway.Cursor{}, committed: make(chan struct{})}
}

var errJournal = errors.New("the disk is gone")

func (j *journal) ReadEvents(_ context.Context, after gateway.Cursor, most int) ([]gateway.Event, gateway.Cursor, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failing {
		return nil, after, errJournal
	}
	j.reads++
	j.most = max(j.most, most)
	from := int(after.Offset)
	to := from + most
	if j.change > 1 {
		to = (to + j.change - 1) / j.change * j.change
	}
	to = min(to, len(j.events))
	return slices.Clone(j.events[from:to]), gateway.Cursor{Segment: 1, Offset: uint32(to)}, nil
}

func (j *journal) Cursor(reader string) gateway.Cursor {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.cursors[reader]
}

func (j *journal) SaveCursor(reader string, c gateway.Cursor) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.failing:
		return errJournal
	case !j.forgetful:
		j.cursors[reader] = c
	}
	return nil
}

func (j *journal) Committed() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.committed
}

func (j *journal) commit(events ...gateway.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, events...)
	close(j.committed)
	j.committed = make(chan struct{})
}

func (j *journal) set(change func(*journal)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	change(j)
}

func (j *journal) saved() int { return int(j.Cursor(Reader).Offset) }

func (j *journal) ids() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	ids := make([]string, len(j.events))
	for i := range j.events {
		ids[i] = j.events[i].ID()
	}
	return ids
}

var t0 = time.Date(2026, 11, 20, 9, 30, 0, 123456789, time.FixedZone("", 3600))

// history makes n events of deliveries whose lives are interleaved.
func history(n, deliveries int) []gateway.Event {
	kinds := []gateway.EventKind{gateway.EventAccepted, gateway.EventHeld, gateway.EventReleased, gateway.EventDeferred}
	events := make([]gateway.Event, n)
	for i := range events {
		round := i / deliveries
		d := delivery(i%deliveries, round)
		events[i] = gateway.Event{Kind: kinds[round%len(kinds)], At: t0.Add(time.Duration(i) * time.Millisecond), Delivery: d, Reason: "window"}
	}
	return events
}

func delivery(i, rev int) *gateway.Delivery {
	var id gateway.ID
	copy(id[:], fmt.Sprintf("%016d", i))
	return &gateway.Delivery{
		ID: gateway.DeliveryID{Message: id, Ordinal: uint32(i % 3)}, Rev: uint32(rev), State: gateway.Waiting,
		Mailbox: gateway.Key{1, 2, byte(i)}, Address: fmt.Sprintf("reader%d@example.com", i), Tenant: "acme", Campaign: "c-2026-11", List: "news.example.com",
		Class: gateway.Newsletter, Accepted: t0, Due: t0.Add(time.Hour), Attempts: uint16(rev),
		Reply: "451 4.7.1 <reader@example.com>: greylisted, try again later",
	}
}

// eventually waits for a condition that other goroutines bring about. The
// limit is for hangs alone.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("%s: did not happen", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
