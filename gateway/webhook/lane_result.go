package webhook

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tidepost/gateway"
)

// perform makes a call. It runs beside the lane and leaves it alone.
func (l *lane) perform(ctx context.Context, a *post) {
	list := make([]*notice, 0, len(a.items))
	for _, it := range a.items {
		if n, ok := newNotice(&it.event); ok {
			list = append(list, n)
		}
	}
	var told []*notice
	told, a.result, a.err = l.tell(ctx, list)
	a.told, a.ended = len(told), a.result.Verdict != Done && ctx.Err() != nil
}

// finish notes what came of a call.
func (l *lane) finish(ctx context.Context, a *post) {
	l.calls--
	now := l.now()
	switch {
	case a.ended:
		l.back(a.items) // it was no answer; the next start makes the call again
		return
	case a.err != nil:
		l.log.Warn("a webhook's event waits for the store", "error", a.err)
		l.later(a.items, now.Add(storeAgain))
		return
	}
	l.tally.skipped.Add(int64(len(a.items) - a.told))
	if a.told == 0 {
		l.done(ctx, a.items)
		return
	}
	l.tally.calls.Add(1)
	l.tally.note(&a.result, now)
	switch r := &a.result; r.Verdict {
	case Done:
		l.tally.delivered.Add(int64(a.told))
		l.passed += int64(a.told)
		l.recovered(ctx)
		l.done(ctx, a.items)
	case Gone:
		l.back(a.items)
		l.disable(ctx, r, now)
	case Refused:
		l.refused(ctx, a, now)
	default:
		l.failed(ctx, a, now)
	}
}

func (t *tally) note(r *Result, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.Verdict == Done {
		t.lastSuccess = now
		return
	}
	t.failures.Add(1)
	t.lastFailure, t.lastError = now, r.Err.Error()
	if r.Excerpt != "" {
		t.lastError += ": " + r.Excerpt
	}
}

// done is the end of events: they were taken, or are nobody's any more.
func (l *lane) done(ctx context.Context, items []*item) {
	for _, it := range items {
		if it.held != nil {
			l.unlist(ctx, it.held)
			continue
		}
		l.closed(it)
	}
}

// back puts events where they were; later puts them behind the others.
func (l *lane) back(items []*item) {
	for _, it := range items {
		if it.held != nil {
			it.held.busy = false
			continue
		}
		l.ready = append(l.ready, it)
	}
	slices.SortStableFunc(l.ready, func(a, b *item) int {
		switch {
		case before(a.page.before, b.page.before):
			return -1
		case before(b.page.before, a.page.before):
			return 1
		}
		return 0
	})
}

func (l *lane) later(items []*item, due time.Time) {
	for _, it := range items {
		if it.held != nil {
			it.held.busy, it.held.Next = false, due
			continue
		}
		it.due = due
		l.ready = append(l.ready, it)
	}
}

// recovered notes that the endpoint takes events.
func (l *lane) recovered(ctx context.Context) {
	l.fails = 0
	if !l.down() {
		return
	}
	was := l.notes.Outage
	l.notes.Outage = outage{}
	if was.Tries >= outageNews {
		l.log.Info("a webhook takes events again", "since", was.Since)
		l.keep(ctx)
	}
}

// disable ends the calls: the endpoint is gone for good, until a person says that it
// is back.
func (l *lane) disable(ctx context.Context, r *Result, now time.Time) {
	if l.off() {
		return // calls that were under way say so too
	}
	l.notes.Disabled = now
	l.keep(ctx)
	l.log.Error("a webhook says that it is gone and is disabled; `tidepost webhooks enable` tries it again", "answer", r.Err)
	l.s.told(ctx, l.e.Name, fmt.Sprintf("disabled: %v", r.Err), "webhook")
}

// told writes into history what was switched.
func (s *Sender) told(ctx context.Context, name, detail, actor string) {
	if s.Tell == nil {
		return
	}
	ctx, cancel := outlive(ctx, stopGrace)
	defer cancel()
	if err := s.Tell(ctx, reader(name), detail, actor); err != nil {
		s.log().Warn("history does not tell what was switched", "webhook", name, "error", err)
	}
}

// refused is an answer that would be the same next time: the events go on the list, a
// batch one by one.
func (l *lane) refused(ctx context.Context, a *post, now time.Time) {
	if len(a.items) > 1 {
		for _, it := range a.items {
			it.alone = true
		}
		l.back(a.items)
		return
	}
	l.hold(ctx, a.items[0], &a.result, now)
}

// failed is no answer, or one that another time may be better.
func (l *lane) failed(ctx context.Context, a *post, now time.Time) {
	r := &a.result
	if r.After > 0 {
		l.quiet = now.Add(r.After)
	}
	if l.fails++; l.fails >= downAfter || l.down() {
		l.outage(ctx, r, now)
	}
	for _, it := range a.items {
		if it.held != nil {
			l.hold(ctx, it, r, now)
			continue
		}
		if it.tries++; it.tries == 1 {
			it.passed = l.passed
		}
		switch {
		case it.tries < poison || l.passed == it.passed:
		case len(a.items) > 1:
			it.alone = true
		default:
			l.hold(ctx, it, r, now)
			continue
		}
		due := now.Add(min(againFirst<<min(it.tries-1, 10), againLong))
		if l.down() {
			due = time.Time{} // the outage says when
		}
		l.later([]*item{it}, due)
	}
}

// outage notes that the endpoint takes nothing, and when it is asked again. One that
// asks for less now and then is no news.
func (l *lane) outage(ctx context.Context, r *Result, now time.Time) {
	o := &l.notes.Outage
	if o.Tries++; o.Tries == 1 {
		o.Since = now
	}
	o.grow(now, r, l.s.random(), outageFirst, outageLong)
	if o.Tries == outageNews {
		l.log.Warn("a webhook takes nothing; its events wait", "answer", r.Err)
	}
	if o.Tries >= outageNews {
		l.keep(ctx)
	}
}

// keep stores the notes. Where that fails they are stored the next time.
func (l *lane) keep(ctx context.Context) {
	ctx, cancel := outlive(ctx, stopGrace)
	defer cancel()
	if err := l.s.put(ctx, reader(l.e.Name), &l.notes); err != nil {
		l.log.Warn("the notes of a webhook could not be stored", "error", err)
	}
}

// late reports whether what is older than three days is given up: the endpoint takes
// nothing, or not as much as there is, for so long, or wants nothing.
func (l *lane) late(now time.Time) bool {
	return l.off() || l.down() && l.notes.Outage.long() || now.Sub(l.behind) >= giveUp
}

// expire gives up what is older than three days, so that an endpoint that never comes
// back does not keep history for ever.
func (l *lane) expire(ctx context.Context, now time.Time) {
	if len(l.ready) == 0 || !l.late(now) {
		return
	}
	var old []*item
	l.ready = slices.DeleteFunc(l.ready, func(it *item) bool {
		if now.Sub(it.event.At) <= keepFor {
			return false
		}
		old = append(old, it)
		return true
	})
	if len(old) == 0 {
		return
	}
	l.lost(len(old), old[len(old)-1].event.ID())
	l.done(ctx, old)
	l.keep(ctx)
	l.log.Error("events are given up: the webhook did not take them for three days; `tidepost webhooks redeliver` can tell of them once it is back",
		"events", len(old), "first", old[0].event.ID(), "from", old[0].event.At, "last", old[len(old)-1].event.ID(), "to", old[len(old)-1].event.At)
}

func (l *lane) lost(n int, last string) {
	l.notes.GivenUp += int64(n)
	l.notes.LastLost = last
	l.tally.givenUp.Add(int64(n))
}

// hold puts an event on the list, or back on it.
func (l *lane) hold(ctx context.Context, it *item, r *Result, now time.Time) {
	h := it.held
	if h == nil {
		if len(l.list) >= maxHeld { // so much is refused that it is the endpoint
			l.fails = max(l.fails, downAfter)
			l.outage(ctx, r, now)
			l.later([]*item{it}, time.Time{})
			return
		}
		h = &held{id: it.event.ID(), Before: it.page.before}
	}
	h.Tries++
	if h.busy = false; h.postpone(now, r, l.s.random()) {
		l.lost(1, h.id)
		l.keep(ctx)
		l.unlist(ctx, h)
		l.log.Error("an event is given up: the webhook refused it for three days", "event", h.id, "calls", h.Tries, "answer", h.Last)
		return
	}
	if err := l.s.put(ctx, settingWebhook+l.e.Name+heldPart+h.id, h); err != nil {
		l.log.Warn("an event that a webhook refuses could not be put aside; that is tried again", "event", h.id, "error", err)
		l.later([]*item{it}, now.Add(storeAgain))
		return
	}
	l.list[h.id], l.listed = h, true
	if it.held == nil {
		l.log.Warn("a webhook refuses an event; it is tried again for three days", "event", h.id, "answer", r.Err)
		l.closed(it)
	}
}

// unlist takes an event off the list.
func (l *lane) unlist(ctx context.Context, h *held) {
	ctx, cancel := outlive(ctx, stopGrace)
	defer cancel()
	if err := l.s.put(ctx, settingWebhook+l.e.Name+heldPart+h.id, nil); err != nil {
		l.log.Warn("an event stays on a webhook's list, and is told once more", "event", h.id, "error", err)
		h.busy, h.Next = false, l.now().Add(storeAgain)
		return
	}
	delete(l.list, h.id)
	l.listed = true
}

// again returns an event of the list whose time has come, or nil.
func (l *lane) again(ctx context.Context, now time.Time) *item {
	for _, h := range l.list {
		if h.busy || h.Next.After(now) {
			continue
		}
		event, err := l.find(ctx, h)
		switch {
		case err != nil:
			h.Next = now.Add(storeAgain)
		case event == nil:
			l.lost(1, h.id)
			l.keep(ctx)
			l.unlist(ctx, h)
			l.log.Error("an event is given up: history does not go back to it any more", "event", h.id)
		default:
			h.busy = true
			return &item{event: *event, held: h, read: now}
		}
	}
	return nil
}

// find reads an event of the list from the journal; nil where it is not there.
func (l *lane) find(ctx context.Context, h *held) (*gateway.Event, error) {
	events, _, err := l.s.Journal.ReadEvents(ctx, h.Before, pageEvents)
	if err != nil {
		return nil, err
	}
	for i := range events {
		if events[i].ID() == h.id {
			return &events[i], nil
		}
	}
	return nil, nil
}
