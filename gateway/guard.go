package gateway

import (
	"sync"
	"time"
)

// dropGuard keeps a rule that is wrong from emptying a queue: when more than
// a share of an hour's bulk mail is about to be dropped by policy, the rest is
// held instead and a person is told (policy.max_drop).
type dropGuard struct {
	mu    sync.Mutex
	hours map[string]*dropHour // by tenant; guarded by mu
}

type dropHour struct {
	start            time.Time
	planned, dropped int
	told             bool
}

// dropFew is how many drops an hour may have whatever their share: the first
// mail of the hour would be all of it.
const dropFew = 100

// planned counts a bulk delivery that was planned.
func (g *dropGuard) planned(tenant string, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hour(tenant, now).planned++
}

// allow counts a drop, or reports that it must not be. first is set when it is
// the hour's first refusal.
func (g *dropGuard) allow(tenant string, share float64, now time.Time) (ok, first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.hour(tenant, now)
	if h.dropped < dropFew || float64(h.dropped) < share*float64(h.planned) {
		h.dropped++
		return true, false
	}
	first = !h.told
	h.told = true
	return false, first
}

func (g *dropGuard) hour(tenant string, now time.Time) *dropHour {
	h := g.hours[tenant]
	if h == nil || now.Sub(h.start) >= time.Hour || now.Before(h.start) {
		h = &dropHour{start: now}
		if g.hours == nil {
			g.hours = map[string]*dropHour{}
		}
		g.hours[tenant] = h
	}
	return h
}
