package webhook

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxCalls   = 4               // at once
	maxTenant  = maxCalls - 1    // of them for one tenant, so that its slow receivers leave one to others
	lookEvery  = 5 * time.Second // for new work where nobody tells
	lookAnyway = time.Minute     // where somebody does
	lookPause  = time.Second     // between two looks, however often somebody tells
	storeAgain = 5 * time.Second // after the store did not take a result
	stopGrace  = 500 * time.Millisecond
)

// Forwarder calls the ESP's own one-click URL (RFC 8058) after a reader opted out
// with us. What is owed is a setting each, committed with the opt-out: its name
// begins with gateway.SettingForward, its value is a gateway.Forwarding, and the
// Forwarder keeps its progress in the same value. A call is made at least
// once, and again while the receiver does not take it: after a minute, then in
// growing waits up to eight hours, 19 calls in three days, and not before
// the receiver wants it (Retry-After). Then it is given up, with an error in the log.
type Forwarder struct {
	// Pending returns the settings; names without the prefix are passed over.
	Pending func() map[string][]byte
	// Done stores a setting's new value, or removes it where the value is nil.
	Done   func(ctx context.Context, name string, value []byte) error
	Client *Client
	Log    *slog.Logger     // nil: slog.Default
	Now    func() time.Time // nil: time.Now

	// Kick returns a channel that is closed when something new may be there, and
	// replaced then. nil, or a nil channel: the Forwarder looks each 5 s.
	Kick func() <-chan struct{}

	Metrics ForwardMetrics

	jitter func() float64 // tests: in [0,1); nil: random
}

// ForwardMetrics are what a Forwarder counts.
type ForwardMetrics struct {
	Pending atomic.Int64 // owed now
	Calls   atomic.Int64 // made
	Done    atomic.Int64 // taken by the ESP
	GivenUp atomic.Int64 // three days without an answer, or refused for good
}

// Run makes the calls that are owed until ctx ends. It returns within a second
// then; a call that was under way is made again after the next start.
func (f *Forwarder) Run(ctx context.Context) error {
	b := newBook(f)
	results := make(chan *attempt)
	var calls sync.WaitGroup
	defer calls.Wait()
	for ctx.Err() == nil {
		now := f.now()
		if !now.Before(b.lookAt) {
			b.look(now)
		}
		for a := b.next(now); a != nil; a = b.next(now) {
			calls.Go(func() {
				f.perform(ctx, a)
				select {
				case results <- a:
				case <-ctx.Done():
				}
			})
		}
		if a := f.wait(ctx, b, now, results); a != nil {
			b.finish(a, f.now())
		}
	}
	return nil
}

// wait returns a result, or nil when it is time to look for work.
func (f *Forwarder) wait(ctx context.Context, b *book, now time.Time, results <-chan *attempt) *attempt {
	timer := time.NewTimer(b.soonest(now).Sub(f.now()))
	defer timer.Stop()
	select {
	case a := <-results:
		return a
	case <-b.kick:
		// A store commits thousands of times a second: one look answers them all.
		b.kick, b.lookAt = nil, b.looked.Add(lookPause)
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

// attempt is one entry's turn: a call where one is due, and what came of it, to be
// stored.
type attempt struct {
	name   string
	entry  *entry // the book's
	debt   debt   // as it will be
	call   bool   // false: there is only something to store
	called bool   // the result is news
	result Result
	settle bool   // it is over: the setting goes
	value  []byte // what to store, where it stays
	err    error  // of Done
}

// perform makes the call and stores what came of it. It runs beside the book and
// leaves it alone.
func (f *Forwarder) perform(ctx context.Context, a *attempt) {
	if a.call {
		a.result = f.Client.Do(ctx, Request{URL: a.debt.URL, Header: oneClickHeader, Body: oneClick})
		if a.result.Verdict == Again && ctx.Err() != nil {
			return // Run is over: it was no answer, and is made again
		}
		a.call, a.called = false, true
		f.Metrics.Calls.Add(1)
		a.settle = a.debt.tried(f.now(), &a.result, f.random())
		if !a.settle {
			a.value = a.debt.encode()
		}
	}
	store, cancel := outlive(ctx, stopGrace)
	defer cancel()
	if a.err = f.Done(store, a.name, a.value); a.err != nil {
		f.log().Warn("the outcome of a one-click call could not be stored; that is tried again", "setting", a.name, "error", a.err)
		return
	}
	if a.settle {
		f.tell(a)
	}
}

// outlive returns a context that ends a while after ctx does: an answer that has
// come is stored although Run is over.
func outlive(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-longer.Done():
		}
	})
	return longer, func() { stop(); cancel() }
}

// oneClick is the body that RFC 8058 §3.2 asks for, byte by byte.
var (
	oneClick       = []byte("List-Unsubscribe=One-Click")
	oneClickHeader = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
)

// tell logs and counts the end of an entry.
func (f *Forwarder) tell(a *attempt) {
	log := f.log().With("setting", a.name, "tenant", a.debt.Tenant, "host", a.debt.host(), "opted_out", a.debt.At, "calls", a.debt.Tries)
	switch {
	case a.result.Verdict == Done:
		f.Metrics.Done.Add(1)
		return
	case a.result.Verdict == Gone:
		log.Error("the sender does not take one-click opt-outs at this URL any more: tell it of this opt-out", "answer", a.result.Err)
	case a.result.Verdict == Refused:
		log.Error("the sender refused a one-click opt-out: tell it of this one", "answer", a.result.Err, "body", a.result.Excerpt)
	default:
		log.Error("the sender took no one-click opt-out for three days: given up; tell it of this one", "answer", a.debt.Last)
	}
	f.Metrics.GivenUp.Add(1)
}

func (f *Forwarder) log() *slog.Logger {
	if f.Log == nil {
		return slog.Default()
	}
	return f.Log
}

func (f *Forwarder) now() time.Time {
	if f.Now == nil {
		return time.Now()
	}
	return f.Now()
}

func (f *Forwarder) random() float64 {
	if f.jitter == nil {
		return rand.Float64()
	}
	return f.jitter()
}
