package gateway

import (
	"encoding/json"
	"sync"
	"time"
)

// pulse counts the signals that came in the last hour, by minutes, and knows for how
// long mail has gone out with none coming back.
type pulse struct {
	mu      sync.Mutex
	minutes [60]struct{ at, n int64 } // guarded by mu; at in minutes since 1970
	silence silence                   // guarded by mu
	stored  silence                   // guarded by mu: what a restart would find
}

// silence is what of a pulse survives a restart.
type silence struct {
	Last  time.Time `json:"last,omitzero"`  // signal
	Since time.Time `json:"since,omitzero"` // first bulk mail delivered after it
}

const settingPulse = "signals/heard"

func (p *pulse) beat(at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	minute := at.Unix() / 60
	slot := &p.minutes[minute%60]
	if slot.at != minute {
		slot.at, slot.n = minute, 0
	}
	slot.n++
	p.silence = silence{Last: at}
}

// delivered notes that bulk mail has reached somebody who may answer.
func (p *pulse) delivered(at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.silence.Since.IsZero() {
		p.silence.Since = at
	}
}

func (p *pulse) hour(now time.Time) (n int64, s silence) {
	p.mu.Lock()
	defer p.mu.Unlock()
	minute := now.Unix() / 60
	for _, slot := range p.minutes {
		if minute-slot.at < 60 {
			n += slot.n
		}
	}
	return n, p.silence
}

// load takes over what was known at the last stop.
func (p *pulse) load(value []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = json.Unmarshal(value, &p.stored) // one that cannot be read is as good as none
	p.silence = p.stored
}

// unsaved is the setting to store where what a restart would find is old; it is then
// taken for stored. Most of it can wait for the next hour. What cannot is that a silence
// is over: after a crash it would look as if it had gone on.
func (p *pulse) unsaved(urgent bool) []Setting {
	p.mu.Lock()
	defer p.mu.Unlock()
	over := !p.stored.Since.IsZero() && p.silence.Last.After(p.stored.Last)
	if p.silence == p.stored || urgent && !over {
		return nil
	}
	p.stored = p.silence
	value, _ := json.Marshal(p.stored) // a struct of two times
	return []Setting{{Name: settingPulse, Value: value}}
}

// lost notes that the last of unsaved was not stored.
func (p *pulse) lost() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stored = silence{}
}

// Heard returns how many signals came in the last hour, as far as this process was
// there, and when the last one did; zero: none is known.
func (g *Gateway) Heard() (hour int64, last time.Time) {
	n, s := g.heard.hour(g.now())
	return n, s.Last
}

// Unanswered returns since when bulk mail has been delivered without any signal, also
// over restarts; zero: it has not.
func (g *Gateway) Unanswered() time.Time {
	_, s := g.heard.hour(g.now())
	return s.Since
}
