package admin

import (
	"time"

	"tidepost/gateway"
	"tidepost/suppression/rules"
)

const (
	// outcomeWindow is how long after a decision what its reader does counts.
	outcomeWindow = 7 * 24 * time.Hour

	// maxPending is how many decisions wait for their outcome at a time: some 170 MB
	// where it comes to that.
	maxPending = 1 << 19
)

// What became of a decision's mail and what its reader did, as bits.
const (
	didOpen uint8 = 1 << iota
	didClick
	didUnsubscribe
	didComplain
	wasDelivered
	wasDropped
	wasBounced
	onlyWatched // what lot drew was noted and not done
)

// backtestFold joins the decisions of the journal with what came of them, and tries
// rules on them. Its memory is bounded by what waits for an outcome.
type backtestFold struct {
	test         *rules.Backtest
	tenant       string
	since, until time.Time
	begins       time.Time // of the history that is kept
	waiting      pending

	delivered, dropped, bounced uint64
	early                       uint64 // decisions judged before their window was over, for want of room
	open                        uint64 // and those whose window reaches beyond now
	nameless                    uint64 // opt-outs and complaints that name no delivery
	corrupt                     uint64
}

func newBacktestFold(test *rules.Backtest, tenant string, since, until time.Time) *backtestFold {
	return &backtestFold{test: test, tenant: tenant, since: since, until: until, waiting: pending{most: maxPending}}
}

// visit takes in one event of the journal.
func (f *backtestFold) visit(e *gateway.Event) {
	if f.begins.IsZero() {
		f.begins = e.At
	}
	if e.At.Before(f.since) || e.At.After(f.until.Add(outcomeWindow)) {
		return
	}
	f.settle(e.At.Add(-outcomeWindow))
	if len(e.Facts) > 0 {
		f.decided(e)
	}
	switch e.Kind {
	case gateway.EventDelivered:
		f.became(e, wasDelivered)
	case gateway.EventDropped, gateway.EventSuppressed:
		f.became(e, wasDropped)
	case gateway.EventBounced:
		f.became(e, wasBounced)
	case gateway.EventOpened:
		f.did(e, didOpen)
	case gateway.EventClicked:
		f.did(e, didClick)
	case gateway.EventUnsubscribed:
		f.did(e, didUnsubscribe)
	case gateway.EventComplained:
		f.did(e, didComplain)
	}
}

// decided takes in a decision.
func (f *backtestFold) decided(e *gateway.Event) {
	if e.Delivery == nil || e.At.After(f.until) || f.tenant != "" && e.Delivery.Tenant != f.tenant {
		return
	}
	if f.waiting.full() {
		f.early++
		f.add(f.waiting.pop())
	}
	id := e.Delivery.ID.Hash()
	f.waiting.push(id, e.At.Unix(), e.Facts)
	if why, err := e.Delivery.Why(); err == nil && !why.At.IsZero() && !why.Live {
		f.waiting.mark(id, onlyWatched)
	}
}

// became notes what became of a delivery.
func (f *backtestFold) became(e *gateway.Event, what uint8) {
	if e.Delivery != nil {
		f.waiting.mark(e.Delivery.ID.Hash(), what)
	}
}

// did notes what the reader of a delivery did.
func (f *backtestFold) did(e *gateway.Event, what uint8) {
	h, ok := hear(e)
	if !ok || f.tenant != "" && h.tenant != f.tenant {
		return
	}
	leaves := what == didUnsubscribe || what == didComplain
	switch {
	case h.about.Message.IsZero() && leaves:
		f.nameless++
	case h.human || leaves:
		f.waiting.mark(h.about.Hash(), what)
	}
}

// settle judges the decisions made up to a time: their window is over.
func (f *backtestFold) settle(upTo time.Time) {
	for last := upTo.Unix(); f.waiting.len() > 0 && f.waiting.oldest() <= last; {
		f.add(f.waiting.pop())
	}
}

// add judges a decision with what came of it.
func (f *backtestFold) add(p pendingDecision) {
	d, err := rules.Decode(p.facts)
	if err != nil {
		f.corrupt++
		return
	}
	d.Outcome = rules.Outcome{Opened: p.did&didOpen != 0, Clicked: p.did&didClick != 0,
		Unsubscribed: p.did&didUnsubscribe != 0, Complained: p.did&didComplain != 0}
	if p.did&onlyWatched != 0 {
		d.Propensity = 1
	}
	switch {
	case p.did&wasDelivered != 0:
		f.delivered++
	case p.did&wasBounced != 0:
		f.bounced++
	case p.did&wasDropped != 0:
		f.dropped++
		// Held at first and dropped later, it never went. What lot decided stays, as
		// the estimate weighs by how likely just that was.
		if d.Propensity <= 0 || d.Propensity >= 1 {
			d.Happened = rules.Dropped
		}
	}
	f.test.Add(&d)
}

// rest judges what still waits; some of it is too young for all of its outcome.
func (f *backtestFold) rest() {
	young := f.until.Add(-outcomeWindow).Unix()
	for f.waiting.len() > 0 {
		p := f.waiting.pop()
		if p.at > young {
			f.open++
		}
		f.add(p)
	}
}

// pending are decisions that wait for what comes of them, in the order they were made.
type pending struct {
	most  int
	queue []pendingDecision // the first gone of them are done with
	gone  int
	began uint32            // number of queue[0]
	at    map[uint64]uint32 // hash of a delivery: number of its decision
	block []byte            // what facts are copied into; a block is freed with the last that lies in it
}

// pendingDecision is one of them: its facts as they were recorded.
type pendingDecision struct {
	id    uint64
	at    int64
	facts []byte
	did   uint8
}

const pendingBlock = 256 << 10

func (p *pending) len() int      { return len(p.queue) - p.gone }
func (p *pending) full() bool    { return p.len() >= p.most }
func (p *pending) oldest() int64 { return p.queue[p.gone].at }

// push appends a decision. The second about a delivery is not the first plan of it.
func (p *pending) push(id uint64, at int64, facts []byte) {
	if p.at == nil {
		p.at = map[uint64]uint32{}
	}
	if _, twice := p.at[id]; twice {
		return
	}
	if cap(p.block)-len(p.block) < len(facts) {
		p.block = make([]byte, 0, max(pendingBlock, len(facts)))
	}
	from := len(p.block)
	p.block = append(p.block, facts...)
	p.at[id] = p.began + uint32(len(p.queue))
	p.queue = append(p.queue, pendingDecision{id: id, at: at, facts: p.block[from:len(p.block):len(p.block)]})
}

// mark notes something about a decision, if it still waits.
func (p *pending) mark(id uint64, did uint8) {
	if n, ok := p.at[id]; ok {
		p.queue[n-p.began].did |= did
	}
}

// pop takes out the oldest.
func (p *pending) pop() pendingDecision {
	d := p.queue[p.gone]
	p.queue[p.gone].facts = nil
	delete(p.at, d.id)
	p.gone++
	if p.gone > 1024 && p.gone > len(p.queue)/2 {
		kept := copy(p.queue, p.queue[p.gone:])
		clear(p.queue[kept:])
		p.queue, p.began, p.gone = p.queue[:kept], p.began+uint32(p.gone), 0
	}
	return d
}
