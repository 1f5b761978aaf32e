package bus

import (
	"errors"
	"sync"
	"time"

	"tidepost/gateway"
)

// SignalLag says how far the gateway is behind the stream of signals.
type SignalLag struct {
	Permission, Evidence LaneLag

	Recreated uint64 // times, since the start, that a lane found another stream in the place of its own
}

// LaneLag says how far one lane is behind, as far as is known: while there is no
// connection nothing new is.
type LaneLag struct {
	Pending    uint64        // messages in the stream that were not looked at; of evidence, other messages among them
	Age        time.Duration // of the oldest signal that was seen and not applied; 0: there is none
	Applied    uint64        // since the start, repetitions included
	Rejected   uint64        // since the start
	Unrecorded uint64        // of those, what tidepost.signal.rejected did not take
	Missed     uint64        // of evidence, since the start: messages of any kind that left the stream before they were looked at
	Err        string        // why nothing moves; "" while it does
	Stopped    string        // an alarm: what happened and what a person has to do; "": nothing did
}

// Lag returns how far the gateway is behind. It may be called at any time and
// does not wait for anything.
func (s *Signals) Lag() SignalLag {
	s.setup()
	now := s.now()
	p, recreated := s.lanes[gateway.LanePermission].gauge.lag(now)
	e, again := s.lanes[gateway.LaneEvidence].gauge.lag(now)
	return SignalLag{Permission: p, Evidence: e, Recreated: recreated + again}
}

// laneGauge is what LaneLag is computed from.
type laneGauge struct {
	mu         sync.Mutex // guards all below
	pending    uint64     // behind the messages at work
	working    int        // messages at work
	oldest     time.Time  // of them; zero: there is none
	applied    uint64
	rejected   uint64
	unrecorded uint64
	missed     uint64
	recreated  uint64
	err        string
	stopped    string
}

func (g *laneGauge) add(change func(*laneGauge)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change(g)
}

// at notes how many messages are at work, and how many behind them.
func (g *laneGauge) at(pending uint64, working int, oldest time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pending, g.working = pending, working
	if g.oldest.IsZero() || working > 0 {
		g.oldest = oldest
	}
	if pending == 0 && working == 0 {
		g.oldest = time.Time{}
	}
}

// done notes that n messages are, up to one of an instant.
func (g *laneGauge) done(n int, last time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.working -= n
	g.oldest = last // none that waits is older
	if g.pending == 0 && g.working <= 0 {
		g.oldest = time.Time{}
	}
}

// runs notes that nothing hinders the lane any more.
func (g *laneGauge) runs() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err, g.stopped = "", ""
}

// waits returns how many messages are not applied, as far as is known.
func (g *laneGauge) waits() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pending + uint64(max(0, g.working))
}

func (g *laneGauge) stall(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = err.Error()
	if errors.Is(err, errBehind) {
		g.stopped = g.err
	}
}

func (g *laneGauge) lag(now time.Time) (l LaneLag, recreated uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l = LaneLag{Pending: g.pending + uint64(max(0, g.working)), Applied: g.applied, Rejected: g.rejected, Unrecorded: g.unrecorded,
		Missed: g.missed, Err: g.err, Stopped: g.stopped}
	if l.Pending > 0 && !g.oldest.IsZero() {
		l.Age = max(0, now.Sub(g.oldest))
	}
	return l, g.recreated
}
