package admin

import (
	"context"
	"sync"
	"time"

	"tidepost/gateway"
)

// diskDoc is what the store takes and what is left.
type diskDoc struct {
	Used        int64    `json:"used_bytes"`
	Log         int64    `json:"log_bytes"`
	Journal     int64    `json:"journal_bytes"`
	Index       int64    `json:"index_bytes"`
	Free        int64    `json:"free_bytes"`
	Segments    int      `json:"segments"`
	Quarantined int      `json:"quarantined"`
	HoursLeft   *float64 `json:"hours_left,omitempty"` // absent: it does not fill up
}

// How the growth of the store is measured.
const (
	diskEvery  = time.Minute
	diskWindow = time.Hour
	diskLeast  = 5 * time.Minute // less is too short to tell
)

// disk remembers how much was used when. The zero value is ready.
type disk struct {
	mu      sync.Mutex
	samples []diskSample // guarded by mu: at most a window's, oldest first
}

type diskSample struct {
	at   time.Time
	used int64
}

func used(u gateway.Usage) int64 { return u.Log + u.Journal + u.Index }

// note adds a sample and forgets those that are older than the window.
func (d *disk) note(now time.Time, bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.samples); n > 0 && now.Before(d.samples[n-1].at) {
		d.samples = nil // the clock went back
	}
	old := 0
	for old < len(d.samples) && now.Sub(d.samples[old].at) > diskWindow {
		old++
	}
	d.samples = append(d.samples[old:], diskSample{now, bytes})
}

// hoursLeft estimates when free bytes are used up at the rate of the window.
func (d *disk) hoursLeft(now time.Time, u gateway.Usage) *float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.samples) == 0 {
		return nil
	}
	first := d.samples[0]
	span, grown := now.Sub(first.at), used(u)-first.used
	if span < diskLeast || grown <= 0 {
		return nil
	}
	hours := float64(u.Free) / float64(grown) * span.Hours()
	return &hours
}

// sampleDisk measures until the context ends.
func (s *Server) sampleDisk(ctx context.Context) {
	b, ok := s.Store.(gateway.Browser)
	if !ok {
		return
	}
	tick := time.NewTicker(diskEvery)
	defer tick.Stop()
	for {
		s.disk.note(s.now(), used(b.Usage()))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) diskUse() diskDoc {
	b, ok := s.Store.(gateway.Browser)
	if !ok {
		return diskDoc{}
	}
	u := b.Usage()
	return diskDoc{
		Used: used(u), Log: u.Log, Journal: u.Journal, Index: u.Index, Free: u.Free,
		Segments: u.Segments, Quarantined: u.Quarantined, HoursLeft: s.disk.hoursLeft(s.now(), u),
	}
}
