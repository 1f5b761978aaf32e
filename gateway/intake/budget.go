package intake

import (
	"container/list"
	"context"
	"sync"
)

// Budget bounds the bytes of messages in memory, over everything that moves
// messages. One value may be shared with the way out.
type Budget interface {
	// Acquire waits until n bytes are free and takes them, first come first served.
	Acquire(ctx context.Context, n int64) error
	// TryAcquire takes n bytes if they are free and nobody waits.
	TryAcquire(n int64) bool
	// Release gives n bytes back.
	Release(n int64)
}

// DefaultBudget is the number of bytes in flight when Server.Budget is nil.
const DefaultBudget = 256 << 20

// NewBudget returns a Budget of that many bytes.
func NewBudget(bytes int64) Budget { return &budget{free: bytes, size: bytes} }

type budget struct {
	size int64

	mu      sync.Mutex
	free    int64     // guarded by mu
	waiting list.List // of *waiter, guarded by mu
}

type waiter struct {
	n     int64
	ready chan struct{} // closed when the bytes were taken for it
}

func (b *budget) TryAcquire(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.free < n || b.waiting.Len() > 0 {
		return false
	}
	b.free -= n
	return true
}

func (b *budget) Acquire(ctx context.Context, n int64) error {
	n = min(n, b.size) // one larger than all would wait for ever
	if b.TryAcquire(n) {
		return nil
	}
	w := &waiter{n: n, ready: make(chan struct{})}
	b.mu.Lock()
	e := b.waiting.PushBack(w)
	b.grantLocked()
	b.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
		return b.leave(e, w, ctx.Err())
	}
}

// leave takes a waiter out of the queue, or keeps the grant it got meanwhile.
func (b *budget) leave(e *list.Element, w *waiter, err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	default:
	}
	b.waiting.Remove(e)
	b.grantLocked()
	return err
}

func (b *budget) Release(n int64) {
	n = min(n, b.size)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
	b.grantLocked()
}

// grantLocked serves the queue's head as long as there is enough.
func (b *budget) grantLocked() {
	for e := b.waiting.Front(); e != nil; e = b.waiting.Front() {
		w := e.Value.(*waiter)
		if b.free < w.n {
			return
		}
		b.free -= w.n
		b.waiting.Remove(e)
		close(w.ready)
	}
}
