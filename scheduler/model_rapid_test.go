package scheduler

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawProfile lets a person live for a while: mails come, some are read, some twice
// and late, and the person is seen now and then.
func drawProfile(t *rapid.T, m *Model, zone *time.Location, now time.Time) *Profile {
	p := new(Profile)
	at := now.Add(-time.Duration(rapid.IntRange(1, 120).Draw(t, "days")) * 24 * time.Hour)
	for k := range rapid.IntRange(0, 40).Draw(t, "mails") {
		at = at.Add(minutes(t, "later", 1, 4*minutesPerDay))
		if at.After(now) {
			break
		}
		p.Sent(m, zone, Sent{At: at, Ref: uint16(k), Topic: uint32(k % 3), Pressure: 0.6, Observable: k%5 > 0})
		for range rapid.IntRange(0, 2).Draw(t, "signals") {
			e := Evidence{At: at.Add(minutes(t, "delay", 1, 3*minutesPerDay)), Ref: uint16(k - rapid.IntRange(0, 1).Draw(t, "late")), Weight: 1}
			e.Kind = rapid.SampledFrom([]Kind{Opened, Opened, Clicked, Active}).Draw(t, "kind")
			if !e.At.After(now) {
				p.Observe(m, zone, SeesFull, e)
			}
		}
	}
	return p
}

func drawLive(t *rapid.T, list []*time.Location) (*world, *Request) {
	w := drawWorld(t, list)
	m := *supportedModel
	m.Version = uint32(rapid.IntRange(0, 1).Draw(t, "learned"))
	w.p.Live = true
	w.p.Salt = rapid.Uint64().Draw(t, "salt")
	w.p.Aim = Aim(rapid.IntRange(0, 4).Draw(t, "aim"))
	w.p.Explore = rapid.SampledFrom([]float32{0, 0, 0.02, 0.5}).Draw(t, "explore")
	w.p.Momentum = rapid.Bool().Draw(t, "momentum")
	r := &Request{Now: w.now, Zone: w.zone, Gates: w.gates, Model: &m, Mailbox: rapid.Uint64().Draw(t, "mailbox")}
	if rapid.IntRange(0, 4).Draw(t, "known") > 0 {
		r.Profile = drawProfile(t, &m, w.zone, w.now)
	}
	r.Sees = Sees(rapid.IntRange(0, 3).Draw(t, "sees"))
	return w, r
}

var supportedModel = func() *Model {
	m := BuiltIn()
	m.Version, m.Observed = 1, true
	return m
}()

func drawLiveItem(t *rapid.T, now time.Time) Item {
	it := drawItem(t, now)
	it.Value = rapid.Float32Range(0.1, 10).Draw(t, "value")
	it.Topic = rapid.Uint32Range(0, 3).Draw(t, "topic")
	it.Pressure = rapid.SampledFrom([]float32{0, 0.6, 1}).Draw(t, "pressure")
	it.Sensitive = rapid.IntRange(0, 5).Draw(t, "sensitive") == 0
	it.Doomed = rapid.Bool().Draw(t, "doomed")
	it.HalfLife = rapid.SampledFrom([]time.Duration{0, 0, 3 * time.Hour, 48 * time.Hour}).Draw(t, "half-life")
	return it
}

// TestLiveStaysInside plans single items live: what is held is held inside window,
// deadline and daylight, what leaves leaves by the gates.
func TestLiveStaysInside(t *testing.T) {
	list := zones(t)
	rapid.Check(t, func(t *rapid.T) {
		w, r := drawLive(t, list)
		arm := Arm(rapid.IntRange(0, int(ArmHistogram)).Draw(t, "arm"))
		w.p.Only = &arm
		r.Items = []Item{drawLiveItem(t, w.now)}
		it := &r.Items[0]
		plan := w.p.Plan(r, 0)
		_, end := w.bounds(it)
		gates := w.p.gated(r, 0, queue{gates: gatesOf(r)})
		switch plan.Action {
		case Hold:
			if !plan.At.After(w.now) {
				t.Fatalf("held until %v at %v", plan.At, w.now)
			}
			if plan.At.After(end) && plan.At.After(gates.At) {
				t.Fatalf("held until %v, past %v: %+v", plan.At, end, plan)
			}
			if wallQuiet(w.p.Quiet, plan.At, w.zone) && !it.HardDeadline {
				t.Fatalf("held until %v, at night: %+v", plan.At, plan)
			}
			if plan.Reason != WindowEnd && plan.Reason != QuietHours && plan.Reason != Limit && !plan.At.Equal(gates.At) && !w.permits(plan.At, w.now) && plan.Reason != Fatigue {
				t.Fatalf("held until %v, when the gates are closed: %+v", plan.At, plan)
			}
		case Now:
			if gates.Action != Now {
				t.Fatalf("leaves, where the gates say %+v: %+v", gates, plan)
			}
		case Drop:
			late := plan.Reason == Deadline && it.HardDeadline || plan.Reason == Limit
			if !late && !it.Droppable {
				t.Fatalf("dropped for %q", plan.Reason)
			}
		}
	})
}

// TestReplanChangesNothing plans again at instants up to the release: while nothing
// happens the plan stays.
func TestReplanChangesNothing(t *testing.T) {
	list := zones(t)
	rapid.Check(t, func(t *rapid.T) {
		w, r := drawLive(t, list)
		for i := w.gates.Len() - 1; i >= 0; i-- { // of sends ahead of now less is believed the further ahead
			if s := w.gates.Send(i); s.At.After(w.now) {
				w.gates.Return(s.At, s.Ref)
			}
		}
		for range rapid.IntRange(1, 4).Draw(t, "items") {
			r.Items = append(r.Items, drawLiveItem(t, w.now))
		}
		i, next := w.p.Next(r)
		if i >= 0 {
			return
		}
		until := next.At
		var plans []Plan
		for i := range r.Items {
			plans = append(plans, w.p.Plan(r, i))
			if plans[i].Decision.Would == Drop {
				return // it is planned again to be dropped, not to be held on
			}
			if d := r.Items[i].Deadline; r.Items[i].HardDeadline && d.Before(until) {
				until = d // that it is dropped then is news
			}
		}
		for range 6 {
			room := int(until.Sub(w.now) / time.Minute)
			if room < 1 {
				return
			}
			later := *r
			later.Now = w.now.Add(minutes(t, "then", 0, room-1))
			for i, first := range plans {
				plan := w.p.Plan(&later, i)
				if plan.Decision.Would == Drop {
					return // of the hours left none is worth it
				}
				if plan.Action != first.Action || !plan.At.Equal(first.At) {
					t.Fatalf("at %v: %+v\nat %v: %+v\nitem %d of %+v\n%+v", w.now, first, later.Now, plan, i, r.Items, w.p)
				}
			}
		}
	})
}

// TestLiveRun lets a mailbox's items come and go under the arms, with news in
// between, and checks every release against the gates.
func TestLiveRun(t *testing.T) {
	list := zones(t)
	rapid.Check(t, func(t *rapid.T) {
		w, r := drawLive(t, list)
		arm := Arm(rapid.IntRange(0, int(ArmHistogram)).Draw(t, "arm"))
		w.p.Only = &arm
		*w.gates = Gates{}
		for range rapid.IntRange(1, 7).Draw(t, "items") {
			it := drawLiveItem(t, w.now)
			it.Bypass = rapid.IntRange(0, 6).Draw(t, "bypass") == 0
			it.Priority = int8(rapid.IntRange(-1, 1).Draw(t, "priority"))
			r.Items = append(r.Items, it)
		}
		for steps := 0; len(r.Items) > 0; steps++ {
			if steps > 600 {
				t.Fatalf("no end: %+v", r.Items)
			}
			i, plan := w.p.Next(r)
			if i < 0 {
				if !plan.At.After(r.Now) {
					t.Fatalf("at %v to wait for %+v", r.Now, plan)
				}
				r.Now = plan.At.Add(3 * time.Millisecond)
				for j := range r.Items {
					if alone := w.p.Plan(r, j); alone.Decision.Would == Drop {
						r.Items[j].Doomed = true
					}
				}
				continue
			}
			checkLive(t, w, r, i, plan)
			if plan.Action == Now {
				w.gates.Count(Send{At: r.Now, Bulk: !r.Items[i].Bypass})
			}
			r.Items = append(r.Items[:i], r.Items[i+1:]...)
		}
	})
}

func checkLive(t *rapid.T, w *world, r *Request, i int, plan Plan) {
	it := &r.Items[i]
	if single := w.p.Plan(r, i); single.Action != plan.Action || single.Reason != plan.Reason {
		t.Fatalf("Next says %+v, Plan says %+v", plan, single)
	}
	if plan.Action == Drop {
		if plan.Reason == Fatigue && (!it.Droppable || plan.Decision.Mails < leastMails) {
			t.Fatalf("%+v was dropped for %q", it, plan.Reason)
		}
		return
	}
	if r.Now.Before(it.NotBefore) {
		t.Fatalf("%+v left at %v", it, r.Now)
	}
	if it.Bypass {
		return
	}
	if wallQuiet(w.p.Quiet, r.Now, w.zone) {
		t.Fatalf("%+v left at night, %v", it, r.Now)
	}
	if plan.Reason != WindowEnd && !w.permits(r.Now.Add(time.Second), r.Now) {
		t.Fatalf("%+v left at %v past a gate for %q", it, r.Now, plan.Reason)
	}
}
