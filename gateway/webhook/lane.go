package webhook

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"tidepost/gateway"
)

const (
	maxFlight  = 4                      // calls at a time, of an endpoint
	pageEvents = 250                    // read from the journal at a time
	maxReady   = 1000                   // events that wait for their call; not more are read
	keepFor    = giveUp + time.Hour     // of events: a receiver that is back after three days is asked in time
	gather     = 20 * time.Millisecond  // after news: a store commits thousands of times a second
	sharpen    = time.Second            // between looks at how far exactly everything is done with
	maxHeld    = 1000                   // events on the list of those that were refused
	linger     = 250 * time.Millisecond // for a batch to fill

	outageFirst = 2 * time.Second // between calls of an endpoint that takes nothing
	outageLong  = 10 * time.Minute
	outageNews  = 3           // calls, until it is worth telling
	againFirst  = time.Second // before an event that failed alone is tried again
	againLong   = 30 * time.Second
	poison      = 5 // times that an event fails while others pass, until it goes on the list

	tick = time.Minute // the lane looks at itself, whatever happens
)

// lane brings the events of the journal to one endpoint. run's goroutine owns it; only
// the gauge is read by others.
type lane struct {
	*caller
	s     *Sender
	tally *tally
	log   *slog.Logger
	notes notes
	list  map[string]*held

	next   gateway.Cursor  // read up to
	saved  gateway.Cursor  // done with up to, and saved
	listed bool            // the list has changed since its place was saved
	pages  []*page         // with events that are not done with, oldest first
	ready  []*item         // to be called, in the order of the journal but for those that failed
	more   <-chan struct{} // nil: the journal may have more

	calls  int       // under way
	fails  int       // in a row
	passed int64     // events taken
	quiet  time.Time // the endpoint wants to be left alone until then
	readAt time.Time // no reading before then
	behind time.Time // since when the journal's end was not reached
	sharp  time.Time // when it was last found out how far exactly everything is done with

	ahead int            // events counted behind those that are read
	seen  gateway.Cursor // counted up to

	gauge gauge
}

// page is a piece of the journal.
type page struct {
	before gateway.Cursor
	base   int    // index of the first event behind that
	open   []open // events that are not done with, in order
}

// open is an event of a page that is not done with.
type open struct {
	index int // of it, among all events of the page
	at    time.Time
}

// item is an event that is to be told.
type item struct {
	event  gateway.Event
	page   *page // nil: it is on the list
	index  int   // in its page
	held   *held
	read   time.Time
	due    time.Time
	tries  int
	passed int64 // the lane's, when it failed first
	alone  bool  // in no batch: one that it was in was refused
}

// post is one call, and what came of it.
type post struct {
	items  []*item
	told   int
	result Result
	err    error // of the store
	ended  bool  // Run ended under it
}

func (s *Sender) newLane(e *Endpoint) (*lane, error) {
	c, err := s.newCaller(e)
	if err != nil {
		return nil, err
	}
	return &lane{caller: c, s: s, tally: s.tally(e.Name), log: s.log().With("webhook", e.Name)}, nil
}

// run sends until ctx ends.
func (l *lane) run(ctx context.Context) {
	if !l.open(ctx) {
		return
	}
	results := make(chan *post, maxFlight) // so that no call waits to tell
	var calls sync.WaitGroup
	defer func() {
		calls.Wait()
		l.end(ctx, results)
	}()
	for ctx.Err() == nil {
		now := l.now()
		l.fill(ctx, now)
		for a := l.take(ctx, now); a != nil; a = l.take(ctx, now) {
			l.calls++
			calls.Go(func() {
				l.perform(ctx, a)
				results <- a
			})
		}
		if now.Sub(l.sharp) >= sharpen {
			l.advance(ctx)
			l.sharp = now
		}
		l.save()
		l.publish()
		l.wait(ctx, results)
	}
}

// end notes the answers that came, and writes down where the next start goes on.
func (l *lane) end(ctx context.Context, results <-chan *post) {
	ctx, cancel := outlive(ctx, stopGrace)
	defer cancel()
	for len(results) > 0 {
		l.finish(ctx, <-results)
	}
	l.advance(ctx)
	l.save()
}

// wait handles a result, or returns when there may be something to do.
func (l *lane) wait(ctx context.Context, results <-chan *post) {
	now := l.now()
	timer := time.NewTimer(l.soonest(now).Sub(now))
	defer timer.Stop()
	select {
	case a := <-results:
		l.finish(ctx, a)
	case <-l.more:
		l.more, l.readAt = nil, now.Add(gather)
	case <-timer.C:
		l.count(ctx)
	case <-ctx.Done():
	}
}

// open finds where the lane goes on. A new endpoint begins at the journal's end, and
// that is written down first: a cursor alone reaches the disk a while later.
func (l *lane) open(ctx context.Context) bool {
	var known bool
	l.notes, l.list, known = l.s.readNotes(l.e.Name)
	for !known {
		l.notes = notes{Start: l.s.Journal.End(), Since: l.now()}
		err := l.s.put(ctx, reader(l.e.Name), &l.notes)
		if err == nil {
			err = l.s.Journal.SaveCursor(reader(l.e.Name), l.notes.Start)
		}
		if err == nil {
			l.log.Info("a new webhook is told of what happens from now on")
			break
		}
		l.log.Warn("a new webhook waits for the store", "error", err)
		if !pause(ctx, storeAgain) {
			return false
		}
	}
	l.next = l.s.Journal.Cursor(reader(l.e.Name))
	if l.next == (gateway.Cursor{}) {
		l.next = l.notes.Start
	}
	l.saved, l.behind, l.listed = l.next, l.now(), true
	l.notes.Outage.Next = time.Time{} // a start, or another configuration, asks at once
	return true
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// down reports whether the endpoint takes nothing.
func (l *lane) down() bool { return l.notes.Outage.Tries > 0 }

// off reports whether it wants nothing.
func (l *lane) off() bool { return !l.notes.Disabled.IsZero() }

// fill reads on in the journal while there is room. Of an endpoint that takes nothing
// it holds enough to ask again.
func (l *lane) fill(ctx context.Context, now time.Time) {
	for l.more == nil && !l.readAt.After(now) && ctx.Err() == nil {
		l.expire(ctx, now)
		if len(l.ready) >= maxReady || (l.down() || l.off()) && len(l.ready) > 0 {
			return
		}
		more := l.s.Journal.Committed() // asked for before reading, so that no commit is missed
		events, next, err := l.s.recent.read(ctx, l.next)
		switch {
		case err != nil:
			if ctx.Err() == nil {
				l.log.Warn("the journal cannot be read; events wait", "error", err)
			}
			l.readAt = now.Add(storeAgain)
		case len(events) == 0:
			l.next, l.more = next, more
		default:
			l.admit(events, next, now)
		}
	}
	if l.more != nil && len(l.pages) == 0 {
		l.behind = now
	}
	l.expire(ctx, now)
}

// admit takes in a page.
func (l *lane) admit(events []gateway.Event, next gateway.Cursor, now time.Time) {
	p := &page{before: l.next}
	for i := range events {
		if _, ok := l.wanted(&events[i]); !ok || l.list[events[i].ID()] != nil {
			continue
		}
		p.open = append(p.open, open{i, events[i].At})
		l.ready = append(l.ready, &item{event: events[i], page: p, index: i, read: now})
	}
	if l.next = next; len(p.open) > 0 {
		l.pages = append(l.pages, p)
	}
	if l.ahead -= len(p.open); l.ahead <= 0 || !before(next, l.seen) {
		l.ahead, l.seen = 0, next
	}
}

func before(a, b gateway.Cursor) bool {
	return a.Segment < b.Segment || a.Segment == b.Segment && a.Offset < b.Offset
}

// closed notes that an event is done with.
func (l *lane) closed(it *item) {
	p := it.page
	p.open = slices.DeleteFunc(p.open, func(o open) bool { return o.index == it.index })
	if len(p.open) == 0 {
		l.pages = slices.DeleteFunc(l.pages, func(q *page) bool { return q == p })
	}
}

// advance takes what is done with off the beginning of the oldest page, so that it is
// not told again after a new start. The journal knows places between changes only
// where a reading ends: it is read once more.
func (l *lane) advance(ctx context.Context) {
	if len(l.pages) == 0 {
		return
	}
	p := l.pages[0]
	done := p.open[0].index - p.base
	if done == 0 {
		return
	}
	events, next, err := l.s.Journal.ReadEvents(ctx, p.before, done)
	if err == nil && len(events) == done { // more: the next one is of the same change
		p.before, p.base = next, p.base+done
	}
}

// save writes down how far everything is done with.
func (l *lane) save() {
	at := l.next
	if len(l.pages) > 0 {
		at = l.pages[0].before
	}
	if at != l.saved {
		if err := l.s.Journal.SaveCursor(reader(l.e.Name), at); err != nil {
			l.log.Warn("the place in the journal could not be saved; events may be told twice", "error", err)
		} else {
			l.saved = at
		}
	}
	if l.listed {
		l.listed = l.s.Journal.SaveCursor(holder(l.e.Name), l.first()) != nil
	}
}

// first is the place of the oldest event on the list; the zero one where it is empty.
func (l *lane) first() (at gateway.Cursor) {
	for _, h := range l.list {
		if at == (gateway.Cursor{}) || before(h.Before, at) {
			at = h.Before
		}
	}
	return at
}

// take returns a call to make now, or nil.
func (l *lane) take(ctx context.Context, now time.Time) *post {
	most := maxFlight
	if l.down() || l.fails >= downAfter {
		most = 1 // one asks for all
	}
	if l.off() || l.calls >= most || l.rest().After(now) {
		return nil
	}
	if len(l.ready) == 0 || !l.down() {
		if it := l.again(ctx, now); it != nil {
			return &post{items: []*item{it}}
		}
	}
	batch, rest := l.split(now)
	if len(batch) == 0 || l.filling(batch, now) {
		return nil
	}
	l.ready = rest
	return &post{items: batch}
}

// rest is until when the endpoint is left alone.
func (l *lane) rest() time.Time {
	if next := l.notes.Outage.Next; l.down() && next.After(l.quiet) {
		return next
	}
	return l.quiet
}

// split returns what the next call is about, and what else waits.
func (l *lane) split(now time.Time) (batch, rest []*item) {
	most := l.format.batch
	if l.down() {
		most = 1
	}
	for i, it := range l.ready {
		if it.due.After(now) || it.alone && len(batch) > 0 {
			rest = append(rest, it)
			continue
		}
		if batch = append(batch, it); len(batch) == most || it.alone {
			return batch, append(rest, l.ready[i+1:]...)
		}
	}
	return batch, rest
}

// filling reports whether a batch should wait for more.
func (l *lane) filling(batch []*item, now time.Time) bool {
	first := batch[0]
	return len(batch) < l.format.batch && !l.down() && !first.alone && first.tries == 0 && (l.more != nil || l.readAt.After(now)) && now.Before(first.read.Add(linger))
}

// soonest is when there is something to do if nothing happens before.
func (l *lane) soonest(now time.Time) time.Time {
	at := now.Add(tick)
	sooner := func(t time.Time) {
		if t.After(now) && t.Before(at) {
			at = t
		}
	}
	sooner(l.readAt)
	sooner(l.rest())
	for i, it := range l.ready {
		if sooner(it.due); i == 0 && l.format.batch > 1 {
			sooner(it.read.Add(linger))
		}
	}
	for _, h := range l.list {
		if !h.busy {
			sooner(h.Next)
		}
	}
	return at
}
