package gateway

import "sync"

// tellersAtOnce bounds how many notifications are written at a time.
const tellersAtOnce = 32

// tellers write the notifications that must be stored before the decision that
// they tell of: no shard waits for them. While an end is being told nothing else
// is decided about the delivery, so that it is told once.
type tellers struct {
	about reservations
	slots chan struct{}

	mu    sync.Mutex
	ended bool // guarded by mu; so is wg from 0 to 1
	wg    sync.WaitGroup
}

func (t *tellers) has(id DeliveryID) bool     { return t.about.has(id) }
func (t *tellers) remove(id DeliveryID)       { t.about.remove(id) }
func (t *tellers) reserve(id DeliveryID) bool { return t.about.add(id) }

// start runs f beside the shards. After end it does not: the delivery waits in
// the store, and the next start decides again.
func (t *tellers) start(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return
	}
	t.wg.Go(func() {
		t.slots <- struct{}{}
		defer func() { <-t.slots }()
		f()
	})
}

// end waits for what is being told.
func (t *tellers) end() {
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	t.wg.Wait()
}

// tell has f write a notification once the turn is committed, unless one about
// the delivery is being written already. f ends with a step that removes the
// delivery from those being told of.
func (t *turn) tell(id DeliveryID, f func()) {
	if t.g.telling.reserve(id) {
		t.then(func() { t.g.telling.start(f) })
	}
}
