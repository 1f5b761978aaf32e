package webhook

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"time"

	"tidepost/gateway"
)

// downAfter is how many calls of a host have to fail in a row, without one that it
// answered, until it counts as down.
const downAfter = 3

// downPause is between two calls of a host that is down. No longer: one that
// answers 500 to a few URLs only looks the same.
const downPause = time.Minute

// book is what a Forwarder knows of what is owed. Run's goroutine owns it.
type book struct {
	f       *Forwarder
	entries map[string]*entry // by setting
	hosts   map[string]*host
	tenants map[string]int    // calls under way
	bad     map[string]string // settings that cannot be read, and their values
	calls   int               // under way

	looked time.Time
	lookAt time.Time
	kick   <-chan struct{} // nil: the next look has its time already
}

// entry is one call that is owed.
type entry struct {
	name  string
	raw   []byte // the value as it is stored
	debt  debt
	host  *host
	due   time.Time
	busy  bool
	store *attempt // is to be stored only; nil: it is a call's turn
}

// host is one receiver.
type host struct {
	entries map[string]*entry
	busy    bool
	fails   int       // calls in a row
	until   time.Time // it asked to be left alone
	wake    time.Time // nothing of it is due before; the zero value: look
}

func newBook(f *Forwarder) *book {
	return &book{f: f, entries: map[string]*entry{}, hosts: map[string]*host{}, tenants: map[string]int{}, bad: map[string]string{}}
}

// look takes in what the store has now.
func (b *book) look(now time.Time) {
	b.looked, b.lookAt = now, now.Add(lookEvery)
	if b.f.Kick != nil {
		b.kick = b.f.Kick() // before the look: what comes after it kicks
	}
	if b.kick != nil {
		b.lookAt = now.Add(lookAnyway)
	}
	stored := b.f.Pending()
	pending := 0
	for name, value := range stored {
		if strings.HasPrefix(name, gateway.SettingForward) {
			pending++
			b.take(name, value, now)
		}
	}
	for name, e := range b.entries {
		if _, found := stored[name]; !found && !e.busy {
			b.remove(e)
		}
	}
	maps.DeleteFunc(b.bad, func(name, _ string) bool { _, found := stored[name]; return !found })
	maps.DeleteFunc(b.hosts, func(_ string, h *host) bool { return len(h.entries) == 0 && !h.busy && !h.until.After(now) })
	b.f.Metrics.Pending.Store(int64(pending))
}

// take takes in one setting.
func (b *book) take(name string, value []byte, now time.Time) {
	old := b.entries[name]
	if old != nil && (old.busy || old.store != nil || bytes.Equal(old.raw, value)) {
		return // the value is the one that we know, or we are about to change it
	}
	if old != nil {
		b.remove(old)
	}
	e := &entry{name: name, raw: value}
	if err := json.Unmarshal(value, &e.debt); err != nil {
		if b.bad[name] != string(value) {
			b.bad[name] = string(value)
			b.f.log().Error("a one-click call that is owed cannot be read; it is left as it is", "setting", name, "error", err)
		}
		return
	}
	// A clock that was set back is not to put a call off for longer than we ever do.
	e.due = e.debt.Next
	if latest := now.Add(2 * maxRetryAfter); e.due.After(latest) {
		e.due = latest
	}
	h := b.hosts[e.debt.host()]
	if h == nil {
		h = &host{entries: map[string]*entry{}}
		b.hosts[e.debt.host()] = h
	}
	e.host, h.entries[name], b.entries[name] = h, e, e
	h.wake = time.Time{}
}

func (b *book) remove(e *entry) {
	delete(b.entries, e.name)
	delete(e.host.entries, e.name)
}

// next returns a call to make now, or nil: of what is due, what waited longest.
func (b *book) next(now time.Time) *attempt {
	if b.calls >= maxCalls {
		return nil
	}
	var first *entry
	for _, h := range b.hosts {
		if h.busy || h.until.After(now) || h.wake.After(now) {
			continue
		}
		if e := b.choose(h, now); e != nil && (first == nil || e.due.Before(first.due)) {
			first = e
		}
	}
	if first == nil {
		return nil
	}
	first.busy, first.host.busy = true, true
	b.calls++
	b.tenants[first.debt.Tenant]++
	if first.store != nil {
		return first.store
	}
	return &attempt{name: first.name, entry: first, debt: first.debt, call: true}
}

// choose returns what of a host is to be called now, or nil. What was tried least
// comes first: one URL that always fails does not stand in front of those that
// would succeed.
func (b *book) choose(h *host, now time.Time) *entry {
	var first *entry
	h.wake = time.Time{}
	for _, e := range h.entries {
		switch {
		case e.due.After(now):
			if first == nil && (h.wake.IsZero() || e.due.Before(h.wake)) {
				h.wake = e.due
			}
		case b.tenants[e.debt.Tenant] >= maxTenant:
			h.wake = now
		case first == nil || e.before(first):
			first = e
		}
	}
	if first != nil {
		h.wake = time.Time{}
	}
	return first
}

func (e *entry) before(o *entry) bool {
	if e.debt.Waited != o.debt.Waited {
		return e.debt.Waited < o.debt.Waited
	}
	return e.due.Before(o.due)
}

// soonest returns when there is something to do if nothing happens before. What
// was due at now and was not begun waits for a call to end.
func (b *book) soonest(now time.Time) time.Time {
	soonest := b.lookAt
	if b.calls >= maxCalls {
		return soonest
	}
	for _, h := range b.hosts {
		at := h.wake
		if at.Before(h.until) {
			at = h.until
		}
		if !h.busy && at.After(now) && at.Before(soonest) {
			soonest = at
		}
	}
	return soonest
}

// finish notes what came of an attempt.
func (b *book) finish(a *attempt, now time.Time) {
	e := a.entry
	e.busy, e.host.busy, e.host.wake = false, false, time.Time{}
	b.calls--
	if b.tenants[e.debt.Tenant]--; b.tenants[e.debt.Tenant] == 0 {
		delete(b.tenants, e.debt.Tenant)
	}
	if a.called {
		a.called = false
		b.report(e, &a.result, now)
	}
	switch {
	case a.err != nil:
		a.err = nil
		e.store, e.due = a, now.Add(storeAgain)
	case a.settle:
		b.remove(e)
		b.f.Metrics.Pending.Add(-1)
	default:
		e.store, e.debt, e.raw, e.due = nil, a.debt, a.value, a.debt.Next
	}
}

// report notes how a host does. While it is down, one call that fails speaks for
// all that are due there: made one by one, with 15 s each, a thousand of them would
// not be done in three days.
func (b *book) report(e *entry, r *Result, now time.Time) {
	h := e.host
	if r.Verdict != Again || r.Status != 0 && r.Status < 500 && r.Status != http.StatusTooManyRequests {
		h.fails = 0
		return
	}
	h.fails++
	if r.After > 0 {
		h.until = now.Add(r.After)
	}
	if h.fails < downAfter {
		return
	}
	if until := now.Add(downPause); until.After(h.until) {
		h.until = until
	}
	for _, o := range h.entries {
		switch {
		case o == e || o.store != nil || o.due.After(now):
		case o.debt.postpone(now, r, b.f.random()):
			o.store = &attempt{name: o.name, entry: o, debt: o.debt, settle: true}
		default:
			o.due = o.debt.Next // it is not stored: a new start asks the host itself
		}
	}
}
