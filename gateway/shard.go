package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tidepost/scheduler"
)

// shards is how many goroutines own mailboxes. Each waits for the disk by
// itself, and the store puts what they commit at the same time into one sync.
const shards = 16

// turnSize is how many steps one commit of a shard takes at most.
const turnSize = 256

// step is something to be done to one mailbox by its owner. do changes the
// turn; done hears whether the commit succeeded. A full shard blocks whoever
// brings a step: accepting slows down before memory grows.
type step struct {
	key  Key
	do   func(t *turn)
	done func(err error)
}

// shard owns the mailboxes whose keys fall to it: only its goroutine commits
// changes of them, so what it reads cannot change under its hands.
type shard struct {
	g     *Gateway
	steps chan step
}

// turn is one mailbox on its way from one revision to the next.
type turn struct {
	g      *Gateway
	now    time.Time
	box    *Mailbox // as it is after the steps so far; this turn's own copy
	change *Change
	after  []func()           // run once the change is committed
	known  *scheduler.Profile // decoded by profile
	ears   *heard             // decoded by heard
	said   string             // by the rule that the last plan followed
}

// put sets a delivery's new state and the events that tell of it. A change holds
// one state of a delivery, the last: a Store counts from the one before the
// change.
func (t *turn) put(d *Delivery, events ...Event) {
	t.box.Deliveries = t.box.With(d).Deliveries
	if i := slices.IndexFunc(t.change.Deliveries, func(o *Delivery) bool { return o.ID == d.ID }); i >= 0 {
		t.change.Deliveries[i] = d
	} else {
		t.change.Deliveries = append(t.change.Deliveries, d)
	}
	for i := range events {
		e := &events[i]
		e.At, e.Delivery = t.now, d
		e.Seq = t.seq(d)
		t.change.Events = append(t.change.Events, *e)
	}
}

// seq numbers the events of one revision of a delivery.
func (t *turn) seq(d *Delivery) uint8 {
	var n uint8
	for i := range t.change.Events {
		if e := &t.change.Events[i]; e.Delivery != nil && e.Delivery.ID == d.ID && e.Delivery.Rev == d.Rev {
			n++
		}
	}
	return n
}

// head returns the mailbox for changing what it says beside its deliveries.
func (t *turn) head() *Mailbox {
	t.change.Head = t.box
	return t.box
}

// durable makes the commit of this turn wait for the disk.
func (t *turn) durable() { t.change.Relaxed = false }

// then runs f after the turn is committed.
func (t *turn) then(f func()) { t.after = append(t.after, f) }

func (t *turn) empty() bool {
	c := t.change
	return c.Head == nil && len(c.Deliveries)+len(c.Entries)+len(c.Forget)+len(c.Settings)+len(c.Events) == 0
}

// run takes steps until the context ends. A commit that fails ends it too, and
// the whole gateway: no state may be built on one that is not stored.
func (s *shard) run(ctx context.Context) {
	batch := make([]step, 0, turnSize)
	for {
		batch = batch[:0]
		select {
		case st := <-s.steps:
			batch = append(batch, st)
		case <-ctx.Done():
			return
		}
	more:
		for len(batch) < turnSize {
			select {
			case st := <-s.steps:
				batch = append(batch, st)
			default:
				break more
			}
		}
		if err := s.commit(ctx, batch); err != nil {
			s.g.halt(fmt.Errorf("storing: %w", err))
			s.refuse(ctx, err)
			return
		}
	}
}

// refuse answers every step with the error that stopped the shard, so that
// nobody waits for it for ever.
func (s *shard) refuse(ctx context.Context, err error) {
	for {
		select {
		case st := <-s.steps:
			st.end(err)
		case <-ctx.Done():
			return
		}
	}
}

func (st *step) end(err error) {
	if st.done != nil {
		st.done(err)
	}
}

// commit does a batch of steps, in one commit where it can.
func (s *shard) commit(ctx context.Context, batch []step) error {
	for len(batch) > 0 {
		n, err := s.commitSome(ctx, batch)
		batch = batch[n:]
		if err != nil {
			for i := range batch {
				batch[i].end(err)
			}
			return err
		}
	}
	return nil
}

// commitSome does the first steps of a batch in one commit and returns how many
// they were. A suppression entry ends a commit: what comes after it must see it
// stored (design rule 5 d).
func (s *shard) commitSome(ctx context.Context, batch []step) (int, error) {
	turns := make(map[Key]*turn, len(batch))
	order := make([]*turn, 0, len(batch))
	now := s.g.now()
	var failed error
	for i, st := range batch {
		t := turns[st.key]
		if t == nil {
			if t, failed = s.turn(ctx, st.key, now); failed != nil {
				break
			}
			turns[st.key] = t
			order = append(order, t)
		}
		st.do(t)
		if len(t.change.Entries)+len(t.change.Forget) > 0 {
			batch = batch[:i+1]
			break
		}
	}
	if failed == nil {
		failed = s.store(ctx, order)
	}
	for i := range batch {
		batch[i].end(failed)
	}
	if failed != nil {
		return len(batch), failed
	}
	for _, t := range order {
		for _, f := range t.after {
			f()
		}
	}
	return len(batch), nil
}

func (s *shard) turn(ctx context.Context, k Key, now time.Time) (*turn, error) {
	stored, err := s.g.Store.Mailbox(ctx, k)
	if err != nil {
		return nil, err
	}
	box := *stored
	return &turn{g: s.g, now: now, box: &box, change: &Change{Key: k, Expect: box.Rev, Relaxed: true}}, nil
}

func (s *shard) store(ctx context.Context, order []*turn) error {
	changes := make([]*Change, 0, len(order))
	for _, t := range order {
		if !t.empty() {
			changes = append(changes, t.change)
		}
	}
	if len(changes) == 0 {
		return nil
	}
	return s.g.Store.Commit(ctx, changes...)
}

// enqueue brings a step to the owner of its mailbox. After Run has returned
// nothing is done any more: the next start finds what is stored.
func (g *Gateway) enqueue(st step) {
	select {
	case g.shards[int(st.key[0])%shards].steps <- st:
	case <-g.stopped:
	}
}

var errShutdown = errors.New("the gateway is shutting down")

// perform brings a step to its owner and waits until it is committed.
func (g *Gateway) perform(ctx context.Context, k Key, do func(t *turn)) error {
	done := make(chan error, 1)
	select {
	case g.shards[int(k[0])%shards].steps <- step{k, do, func(err error) { done <- err }}:
	case <-g.stopped:
		return errShutdown
	}
	select {
	case err := <-done:
		return err
	case <-g.stopped:
		return errShutdown
	}
}
