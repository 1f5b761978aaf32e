package local

import (
	"errors"
	"testing"

	"tidepost/gateway"
)

func TestAcceptIsThereAfterwards(t *testing.T) {
	s := mustOpen(t, testOptions(t.TempDir()))
	m := testMessage(1, 2)
	ds := accept(t, s, m, []byte("hello"))
	if m.ID.IsZero() || len(ds) != 2 || ds[1].ID.Ordinal != 1 || ds[1].ID.Message != m.ID {
		t.Fatalf("deliveries %+v of message %v", ds, m.ID)
	}
	if got := mailbox(t, s, 2); got.Delivery(ds[1].ID) != ds[1] || got.Rev != 0 || got.Address != testAddress(2) || got.Audience != "acme" {
		t.Errorf("mailbox is %+v", got)
	}
	if got := body(t, s, ds[1].Ref); got != "hello" {
		t.Errorf("body is %q", got)
	}
	if got := mailbox(t, s, 3); got.Rev != 0 || len(got.Deliveries) != 0 {
		t.Errorf("a mailbox never heard of is %+v", got)
	}
}

func TestCommitGoesOnFromTheExpectedRevision(t *testing.T) {
	s := mustOpen(t, testOptions(t.TempDir()))
	d := accept(t, s, testMessage(1), []byte("hello"))[0]
	sending := step(t, s, d, gateway.Sending, gateway.EventReleased)
	if got := mailbox(t, s, 1); got.Rev != 1 || got.Delivery(d.ID) != sending {
		t.Fatalf("mailbox is %+v", got)
	}
	stale := &gateway.Change{Key: d.Mailbox, Expect: 0, Deliveries: []*gateway.Delivery{d.Next()}}
	fresh := &gateway.Change{Key: testKey(9), Expect: 0, Head: &gateway.Mailbox{Zone: "Europe/Oslo"}}
	if err := s.Commit(ctx, stale, fresh); !errors.Is(err, gateway.ErrConflict) || !stale.Failed || fresh.Failed {
		t.Errorf("err %v, stale failed %v, fresh failed %v", err, stale.Failed, fresh.Failed)
	}
	if got := mailbox(t, s, 9); got.Rev != 1 || got.Zone != "Europe/Oslo" {
		t.Errorf("mailbox of the change beside it is %+v", got)
	}
	step(t, s, sending, gateway.Delivered, gateway.EventDelivered)
	if got := mailbox(t, s, 1); got.Rev != 2 || len(got.Deliveries) != 0 {
		t.Errorf("mailbox after settling is %+v", got)
	}
	events, at, err := s.ReadEvents(ctx, gateway.Cursor{}, 10)
	if err != nil || len(events) != 2 || events[0].Kind != gateway.EventReleased || events[1].Delivery.State != gateway.Delivered {
		t.Errorf("events %+v, %v", events, err)
	}
	if events, _, _ := s.ReadEvents(ctx, at, 10); len(events) != 0 {
		t.Errorf("behind the end there are %d events", len(events))
	}
}

func TestReopen(t *testing.T) {
	for _, how := range []string{"closed", "killed", "killed after a checkpoint"} {
		t.Run(how, func(t *testing.T) {
			o := testOptions(t.TempDir())
			s := mustOpen(t, o)
			done := accept(t, s, testMessage(1, 2), []byte("hello"))
			waits := accept(t, s, testMessage(2, 3), []byte("again"))
			step(t, s, step(t, s, done[0], gateway.Sending, gateway.EventReleased), gateway.Delivered, gateway.EventDelivered)
			if how == "killed after a checkpoint" {
				if err := s.checkpoint(); err != nil {
					t.Fatal(err)
				}
			}
			step(t, s, step(t, s, done[1], gateway.Sending, gateway.EventReleased), gateway.Delivered, gateway.EventDelivered)
			if how == "closed" {
				s.Close()
			} else {
				s.kill()
			}
			s = mustOpen(t, o)
			if got := mailbox(t, s, 1); len(got.Deliveries) != 0 || got.Rev != 2 && got.Rev != 0 {
				t.Errorf("the settled mailbox is %+v", got)
			}
			for i, n := range []int{2, 3} {
				got := mailbox(t, s, n)
				if len(got.Deliveries) != 1 || got.Deliveries[0].ID != waits[i].ID || body(t, s, got.Deliveries[0].Ref) != "again" {
					t.Errorf("mailbox %d is %+v", n, got)
				}
			}
			n := 0
			s.Due(ctx, func(gateway.Due) error { n++; return nil })
			if n != 2 {
				t.Errorf("%d mailboxes are due, want 2", n)
			}
		})
	}
}

// kill leaves the directory as a process that died would: nothing is flushed,
// nothing is cleaned up.
func (s *Store) kill() {
	s.stop(gateway.ErrStopped) // a checkpoint under way ends after its transaction
	close(s.quit)
	s.running.Wait()
	s.log.close()
	s.journal.close()
	s.guard.stop()
	s.abandon()
	// Close is harmless now: abandon has let the lock go.
}
