package gateway

import (
	"sync"
	"time"
)

// pulse counts what came in the last hour, by minutes.
type pulse struct {
	mu      sync.Mutex
	minutes [60]struct{ at, n int64 } // guarded by mu; at in minutes since 1970
	last    time.Time                 // guarded by mu
}

func (p *pulse) beat(at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	minute := at.Unix() / 60
	slot := &p.minutes[minute%60]
	if slot.at != minute {
		slot.at, slot.n = minute, 0
	}
	slot.n++
	p.last = at
}

func (p *pulse) hour(now time.Time) (n int64, last time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	minute := now.Unix() / 60
	for _, slot := range p.minutes {
		if minute-slot.at < 60 {
			n += slot.n
		}
	}
	return n, p.last
}

// Heard returns how many signals came in the last hour, and when the last one did
// since the start; zero: none.
func (g *Gateway) Heard() (hour int64, last time.Time) { return g.heard.hour(g.now()) }
