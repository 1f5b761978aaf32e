package scheduler

import (
	"math/rand/v2"
	"testing"
	"time"
)

// habits is a model that is in use and a profile of somebody who reads around hour,
// with that many readings behind them.
func habits(t testing.TB, hour, reads int) (*Model, *Profile) {
	t.Helper()
	m := BuiltIn()
	m.Version, m.Observed = 1, true
	p := new(Profile)
	rng := rand.New(rand.NewPCG(uint64(hour), uint64(reads)))
	began := time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	for k := range reads {
		at := began.Add(time.Duration(k) * 24 * time.Hour)
		p.Sent(m, time.UTC, Sent{At: at, Ref: uint16(k), Pressure: 0.3, Observable: true})
		read := time.Date(at.Year(), at.Month(), at.Day(), hour, rng.IntN(60), 0, 0, time.UTC)
		if read.Before(at) {
			read = read.Add(24 * time.Hour)
		}
		p.Observe(m, time.UTC, SeesFull, Evidence{Kind: Opened, At: read, Ref: uint16(k), Weight: 1})
	}
	return m, p
}

func live(p Policy) *Policy {
	p.Live = true
	return &p
}

func modelled(t testing.TB, items int) (*Policy, *Request) {
	m, prof := habits(t, 19, 60)
	p := live(Policy{MaxHold: 48 * time.Hour, MinGap: 12 * time.Hour, WeeklyCap: 5, Quiet: quietOf(t, "22:00-07:00"), Zone: zoneOf(t, "Europe/Berlin")})
	now := time.Date(2026, 3, 10, 9, 20, 0, 0, time.UTC)
	r := &Request{Now: now, Zone: zoneOf(t, "Europe/Berlin"), Gates: new(Gates), Profile: prof, Model: m, Mailbox: 7}
	for i := range 3 {
		r.Gates.Count(Send{At: now.Add(-time.Duration(50+40*i) * time.Hour), Bulk: true})
	}
	for i := range items {
		r.Items = append(r.Items, Item{ID: uint64(i + 1), Accepted: now.Add(-time.Duration(i) * time.Minute), Value: float32(1 + i), Pressure: 1})
	}
	return p, r
}

func TestModelPlan(t *testing.T) {
	p, r := modelled(t, 3)
	for i := range r.Items {
		plan := p.Plan(r, i)
		t.Logf("%d %v %v %s %+v", i, plan.Action, plan.At, plan.Reason, plan.Decision)
	}
	p, r = modelled(t, 1)
	for _, a := range []Aim{AimSoonest, AimHour, AimReads, AimNow} {
		p.Aim = a
		plan := p.Plan(r, 0)
		t.Logf("aim %d %v %v %s now %v best %v", a, plan.Action, plan.At, plan.Reason, plan.Decision.Now, plan.Decision.Best)
	}
}

func BenchmarkModelPlan(b *testing.B) {
	p, r := modelled(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		p.Plan(r, 0)
	}
}

func BenchmarkModelPlanOfThree(b *testing.B) {
	p, r := modelled(b, 3)
	b.ReportAllocs()
	for b.Loop() {
		p.Plan(r, 2)
	}
}

func BenchmarkModelPlanWithoutHistory(b *testing.B) {
	p, r := modelled(b, 1)
	r.Profile, r.Model = nil, BuiltIn()
	b.ReportAllocs()
	for b.Loop() {
		p.Plan(r, 0)
	}
}

func BenchmarkProfileObserve(b *testing.B) {
	m, prof := habits(b, 19, 60)
	at := time.Date(2026, 3, 10, 9, 20, 0, 0, time.UTC)
	zone := zoneOf(b, "Europe/Berlin")
	b.ReportAllocs()
	for b.Loop() {
		p := *prof
		p.Observe(m, zone, SeesFull, Evidence{Kind: Opened, At: at, Ref: 59, Weight: 1})
	}
}

func BenchmarkProfileSent(b *testing.B) {
	m, prof := habits(b, 19, 60)
	at := time.Date(2026, 3, 10, 9, 20, 0, 0, time.UTC)
	zone := zoneOf(b, "Europe/Berlin")
	b.ReportAllocs()
	for b.Loop() {
		p := *prof
		p.Sent(m, zone, Sent{At: at, Ref: 99, Pressure: 1, Observable: true})
	}
}

func BenchmarkProfileSentToday(b *testing.B) {
	m, prof := habits(b, 19, 60)
	at := time.Date(2026, 3, 5, 20, 20, 0, 0, time.UTC)
	zone := zoneOf(b, "Europe/Berlin")
	b.ReportAllocs()
	for b.Loop() {
		p := *prof
		p.Sent(m, zone, Sent{At: at, Ref: 99, Pressure: 1, Observable: true})
	}
}
