package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler"
)

func testCommit(t *testing.T, open Open) {
	s := opened(t, open)
	d := accept(t, s, message(1), "x")[0]
	box := mailbox(t, s, key(1))
	change := next(box, d, gateway.Sending, gateway.EventReleased)
	var gates scheduler.Gates
	gates.Count(scheduler.Send{At: began, Bulk: true, Ref: 7})
	change.Head = &gateway.Mailbox{Zone: "Europe/Oslo", Profile: []byte("habits"), Gates: gates}
	commit(t, s, change)
	got := mailbox(t, s, key(1))
	if got.Rev != 1 || got.Zone != "Europe/Oslo" || string(got.Profile) != "habits" || got.Gates != gates {
		t.Errorf("the head is %+v", got)
	}
	if got.Address != addressOf(1) || got.Audience != "acme" {
		t.Errorf("a head without an address made it %q in %q", got.Address, got.Audience)
	}
	if sending := got.Delivery(d.ID); sending == nil || sending.State != gateway.Sending || sending.Rev != 1 {
		t.Fatalf("the delivery is %+v", sending)
	}
	settled := next(got, got.Deliveries[0], gateway.Delivered, gateway.EventDelivered)
	settled.Relaxed = true
	commit(t, s, settled)
	if got := mailbox(t, s, key(1)); got.Rev != 2 || len(got.Deliveries) != 0 || got.Zone != "Europe/Oslo" {
		t.Errorf("after settling the mailbox is %+v", got)
	}
}

func testConflict(t *testing.T, open Open) {
	s := opened(t, open)
	d := accept(t, s, message(1), "x")[0]
	box := mailbox(t, s, key(1))
	commit(t, s, next(box, d, gateway.Waiting, gateway.EventPlanned))
	stale := next(box, d, gateway.Dropped, gateway.EventDropped)
	unknown := &gateway.Change{Key: key(2), Expect: 7, Head: &gateway.Mailbox{Zone: "UTC"}}
	good := &gateway.Change{Key: key(3), Head: &gateway.Mailbox{Zone: "UTC"}}
	err := s.Commit(ctx, stale, unknown, good)
	if !errors.Is(err, gateway.ErrConflict) || !stale.Failed || !unknown.Failed || good.Failed {
		t.Errorf("error %v; failed: stale %v, unknown %v, good %v", err, stale.Failed, unknown.Failed, good.Failed)
	}
	if got := mailbox(t, s, key(1)); got.Rev != 1 || len(got.Deliveries) != 1 {
		t.Errorf("the refused change left %+v", got)
	}
	if got := mailbox(t, s, key(3)); got.Rev != 1 || got.Zone != "UTC" {
		t.Errorf("the change beside it made %+v", got)
	}
}

func testRace(t *testing.T, open Open) {
	s := opened(t, open)
	for round := range 20 {
		var won atomic.Int32
		var wg sync.WaitGroup
		expect := mailbox(t, s, key(1)).Rev
		for i := range 4 {
			wg.Go(func() {
				c := &gateway.Change{Key: key(1), Expect: expect, Head: &gateway.Mailbox{Zone: fmt.Sprint(round, i)}}
				switch err := s.Commit(ctx, c); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, gateway.ErrConflict):
					t.Errorf("Commit: %v", err)
				}
			})
		}
		wg.Wait()
		if got := mailbox(t, s, key(1)).Rev; won.Load() != 1 || got != expect+1 {
			t.Fatalf("round %d: %d changes won, revision %d after %d", round, won.Load(), got, expect)
		}
	}
}

func testChain(t *testing.T, open Open) {
	s := opened(t, open)
	d := accept(t, s, message(1), "x")[0]
	one := next(&gateway.Mailbox{Key: key(1)}, d, gateway.Waiting, gateway.EventPlanned)
	two := next(&gateway.Mailbox{Key: key(1), Rev: 1}, one.Deliveries[0], gateway.Sending, gateway.EventReleased)
	commit(t, s, one, two)
	if got := mailbox(t, s, key(1)); got.Rev != 2 || got.Deliveries[0].State != gateway.Sending {
		t.Errorf("the mailbox is %+v", got)
	}
}

func testAcceptBetween(t *testing.T, open Open) {
	s := opened(t, open)
	first := accept(t, s, message(1), "x")[0]
	box := mailbox(t, s, key(1))
	second := accept(t, s, message(1), "y")[0]
	commit(t, s, next(box, first, gateway.Sending, gateway.EventReleased))
	got := mailbox(t, s, key(1))
	if len(got.Deliveries) != 2 || got.Deliveries[0].State != gateway.Sending || got.Deliveries[1].ID != second.ID {
		t.Errorf("the mailbox holds %v", got.Deliveries)
	}
}

func testImmutable(t *testing.T, open Open) {
	s := opened(t, open)
	d := accept(t, s, message(1), "x")[0]
	before := mailbox(t, s, key(1))
	was, held := *before, *before.Deliveries[0]
	accept(t, s, message(1), "y")
	commit(t, s, next(before, d, gateway.Delivered, gateway.EventDelivered))
	if !reflect.DeepEqual(*before, was) || len(before.Deliveries) != 1 || !reflect.DeepEqual(*before.Deliveries[0], held) {
		t.Errorf("the earlier state became %+v", before)
	}
}

func testDue(t *testing.T, open Open) {
	dir := t.TempDir()
	s := open(t, dir)
	ds := accept(t, s, message(1, 2, 3, 4, 5, 6), "x")
	at := began.Add(3 * time.Hour)
	set := func(n int, change func(*gateway.Delivery)) {
		d := ds[n-1].Next()
		change(d)
		commit(t, s, &gateway.Change{Key: key(n), Deliveries: []*gateway.Delivery{d}})
	}
	set(2, func(d *gateway.Delivery) { d.Due = at })
	set(3, func(d *gateway.Delivery) { d.Due, d.Paused = at, true })
	set(4, func(d *gateway.Delivery) { d.State = gateway.Captured })
	set(5, func(d *gateway.Delivery) { d.State, d.Due = gateway.Sending, at })
	set(6, func(d *gateway.Delivery) { d.State = gateway.Dropped })
	later := message(2)
	later.Class, later.Tenant = gateway.Transactional, "other"
	d := accept(t, s, later, "y")[0].Next()
	d.Due = at.Add(-time.Minute)
	commit(t, s, &gateway.Change{Key: key(2), Expect: 1, Deliveries: []*gateway.Delivery{d}})
	want := map[gateway.Key]gateway.Due{
		key(1): {Mailbox: key(1), Domain: "example1.test", Tenant: "acme", Bulk: true},
		key(2): {Mailbox: key(2), Domain: "example2.test", Tenant: "other", At: d.Due},
		key(5): {Mailbox: key(5), Domain: "example2.test", Tenant: "acme", Bulk: true},
	}
	for range 2 {
		if got := due(t, s); !reflect.DeepEqual(got, want) {
			t.Errorf("due are\n%v, want\n%v", got, want)
		}
		end(s)
		s = open(t, dir)
	}
	stop := errors.New("enough")
	if err := s.Due(ctx, func(gateway.Due) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("an error of yield came back as %v", err)
	}
	end(s)
}

// due collects what a store says is due.
func due(t testing.TB, s gateway.Store) map[gateway.Key]gateway.Due {
	t.Helper()
	got := make(map[gateway.Key]gateway.Due)
	err := s.Due(ctx, func(d gateway.Due) error {
		if _, twice := got[d.Mailbox]; twice {
			t.Errorf("mailbox %s is due twice", d.Mailbox)
		}
		got[d.Mailbox] = d
		return nil
	})
	if err != nil {
		t.Fatalf("Due: %v", err)
	}
	return got
}

func testStopped(t *testing.T, open Open) {
	s := open(t, t.TempDir())
	if _, ok := s.(closer); !ok {
		t.Skip("cannot be closed")
	}
	d := accept(t, s, message(1), "x")[0]
	end(s)
	if _, err := s.Accept(ctx, message(2), gateway.Content{Bytes: []byte("x"), Size: 1}); !errors.Is(err, gateway.ErrStopped) {
		t.Errorf("Accept: %v", err)
	}
	c := &gateway.Change{Key: key(1), Deliveries: []*gateway.Delivery{d.Next()}}
	if err := s.Commit(ctx, c); !errors.Is(err, gateway.ErrStopped) {
		t.Errorf("Commit: %v", err)
	}
}
