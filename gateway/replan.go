package gateway

import (
	"context"
	"sync"
	"time"
)

// A replan goes over all that waits, at a pace that leaves the disk and the
// processors to accepting and releasing. A tighter policy needs none: it bites
// at the release re-check.
const (
	replanBatch = 250 // 2,500 a second: a million in under seven minutes
	replanEvery = 100 * time.Millisecond
)

// replans runs at most one walk at a time.
type replans struct {
	mu      sync.Mutex
	run     context.Context // what walks live in; nil: none may begin; guarded by mu
	running bool            // guarded by mu
	again   bool            // guarded by mu: asked for during the walk
	done    sync.WaitGroup
	seen    int64 // mailboxes of the walk under way; guarded by mu
}

// begin lets walks begin.
func (r *replans) begin(run context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run = run
}

// end lets no walk begin any more and waits for the one under way.
func (r *replans) end() {
	r.mu.Lock()
	r.run = nil
	r.mu.Unlock()
	r.done.Wait()
}

// Replan looks again, in the background, at all bulk mail that waits: a policy or
// a mode has changed. Asked again while it runs it starts over once.
func (g *Gateway) Replan() {
	r := &g.replans
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running {
		r.again = true
		return
	}
	if r.run == nil || r.run.Err() != nil {
		return // what waits is planned with the new policy when it is due
	}
	run := r.run
	r.running, r.seen = true, 0
	r.done.Go(func() { g.replanAll(run) })
}

// Replanning returns how many mailboxes the walk under way has seen; -1: none is.
func (g *Gateway) Replanning() int64 {
	g.replans.mu.Lock()
	defer g.replans.mu.Unlock()
	if !g.replans.running {
		return -1
	}
	return g.replans.seen
}

func (g *Gateway) replanAll(run context.Context) {
	for {
		if err := g.endModes(run); err != nil && run.Err() == nil {
			g.log().Error("switches that the configuration took over from could not be removed", "error", err)
		}
		began := g.now()
		n, err := g.replanWalk(run)
		switch {
		case run.Err() != nil:
		case err != nil:
			g.log().Error("planning anew what waits stopped; it is planned when it is due", "error", err)
		default:
			g.log().Info("what waits was planned anew", "mailboxes", n, "took", g.now().Sub(began).Round(time.Millisecond).String())
		}
		r := &g.replans
		r.mu.Lock()
		if !r.again || run.Err() != nil {
			r.running = false
			r.mu.Unlock()
			return
		}
		r.again, r.seen = false, 0
		r.mu.Unlock()
	}
}

func (g *Gateway) replanWalk(ctx context.Context) (int64, error) {
	b, ok := g.Store.(Browser)
	if !ok {
		return 0, nil
	}
	tick := time.NewTicker(replanEvery)
	defer tick.Stop()
	var seen int64
	for from, more := (Key{}), true; more; {
		var keys []Key
		err := b.Scan(ctx, from, func(box *Mailbox) bool {
			keys = append(keys, box.Key)
			return len(keys) < replanBatch
		})
		if err != nil {
			return seen, err
		}
		for _, k := range keys {
			g.enqueue(step{key: k, do: func(t *turn) { t.replanBulk(DeliveryID{}) }})
		}
		seen += int64(len(keys))
		g.replans.mu.Lock()
		g.replans.seen = seen
		g.replans.mu.Unlock()
		if more = len(keys) == replanBatch; more {
			from, more = keys[len(keys)-1].next()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return seen, ctx.Err()
		}
	}
	return seen, nil
}

// next is the key behind k; false behind the last.
func (k Key) next() (Key, bool) {
	for i := len(k) - 1; i >= 0; i-- {
		if k[i]++; k[i] != 0 {
			return k, true
		}
	}
	return k, false
}
