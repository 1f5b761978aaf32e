package scheduler

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"tidepost/scheduler/clock"
	"tidepost/scheduler/experiment"
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

func TestModelHolds(t *testing.T) {
	p, r := modelled(t, 1) // reads at 19 UTC, 20 in Berlin; it is 10:20 there
	for _, tt := range []struct {
		aim      Aim
		from, to int // hours UTC
		reason   Reason
	}{{AimHour, 18, 19, ReadingHour}, {AimSoonest, 12, 19, ReadingHour}, {AimReads, 11, 19, ReadingHour}, {AimNow, 9, 9, NoHold}} {
		p.Aim = tt.aim
		plan := p.Plan(r, 0)
		if h := plan.At.UTC().Hour(); h < tt.from || h > tt.to || plan.Reason != tt.reason || plan.At.Sub(r.Now) > 12*time.Hour {
			t.Errorf("aim %v: %v at %v for %q", tt.aim, plan.Action, plan.At, plan.Reason)
		}
	}
	p.Aim = AimHour
	item := r.Items[0]
	item.Aim = AimNow
	r.Items[0] = item
	if plan := p.Plan(r, 0); plan.Action != Now {
		t.Errorf("the item's own aim does not count: %+v", plan)
	}
}

func TestNoDataGoesAtOnce(t *testing.T) {
	p, r := modelled(t, 1)
	learned := *r.Model
	m, person := BuiltIn(), r.Profile
	m.Observed = true
	r.Model, r.Profile = m, nil
	plan := p.Plan(r, 0)
	if plan.Action != Now || plan.Reason != NoHold || plan.Decision.Own {
		t.Errorf("nothing is known, and it is planned %+v", plan)
	}
	r.Profile = new(Profile)
	if plan = p.Plan(r, 0); plan.Action != Now {
		t.Errorf("nothing was seen yet, and it is planned %+v", plan)
	}
	p.Quiet = quietOf(t, "08:00-12:00")
	if plan = p.Plan(r, 0); plan.Reason != QuietHours {
		t.Errorf("quiet hours do not hold it: %+v", plan)
	}
	p.Quiet, p.Aim, r.Model = Quiet{}, AimHour, &learned
	r.Now = r.Now.Add(-8 * time.Hour)
	r.Items[0].Accepted = r.Now
	if plan = p.Plan(r, 0); plan.Action != Hold || plan.Decision.Own {
		t.Errorf("the learned curve is not used: %+v", plan)
	}
	r.Profile = person
	if plan = p.Plan(r, 0); !plan.Decision.Own || plan.Decision.Evidence < 30 {
		t.Errorf("the person's curve is not used: %+v", plan.Decision)
	}
}

func TestSensitiveUsesTheSharedCurve(t *testing.T) {
	p, r := modelled(t, 1)
	p.Aim = AimHour
	own := p.Plan(r, 0)
	anybody := *r
	anybody.Profile = nil
	want := p.Plan(&anybody, 0)
	if want.At.Equal(own.At) {
		t.Fatal("the person has the habits of everybody")
	}
	r.Sees = SeesNone
	if got := p.Plan(r, 0); got != want {
		t.Errorf("nothing may be seen, and it is planned\n%+v, want\n%+v", got, want)
	}
	r.Sees, r.Items[0].Sensitive = SeesFull, true
	if got := p.Plan(r, 0); got != want {
		t.Errorf("of a sensitive list, it is planned\n%+v, want\n%+v", got, want)
	}
	r.Sees, r.Items[0].Sensitive = SeesDay, false
	if got := p.Plan(r, 0); !got.At.Equal(want.At) || got.Decision.Mails == 0 {
		t.Errorf("by the day, it is planned %+v", got)
	}
}

func TestObserveReleasesAtOnce(t *testing.T) {
	p, r := modelled(t, 1)
	acting := p.Plan(r, 0)
	p.Live = false
	p.Arms = experiment.Shares{experiment.Control: 100}
	noted := p.Plan(r, 0)
	if noted.Action != Now || noted.Reason != NoHold {
		t.Errorf("under observation it is planned %+v", noted)
	}
	d := noted.Decision
	if d.Live {
		t.Error("the decision says it was carried out")
	}
	if d.Live = true; d != acting.Decision {
		t.Errorf("live would do\n%+v, and did\n%+v", d, acting.Decision)
	}
	r.Model = nil
	if got := p.Plan(r, 0); got.Decision != (Decision{}) {
		t.Errorf("without a model there is a decision: %+v", got)
	}
}

func TestControlKnowsNobody(t *testing.T) {
	p, r := modelled(t, 3)
	p.Arms = experiment.Shares{experiment.Control: 100}
	stranger := *r
	stranger.Profile = nil
	for i := range r.Items {
		a, b := p.Plan(r, i), p.Plan(&stranger, i)
		if a != b || a.Decision.Arm != ArmControl || a.Decision.Propensity != 1 {
			t.Errorf("item %d is planned %+v, and for a stranger %+v", i, a, b)
		}
	}
	if plan := p.Plan(r, 2); plan.Action != Now && plan.Reason != MinGap {
		t.Errorf("control is planned %+v", plan)
	}
}

func TestArms(t *testing.T) {
	a := experiment.Shares{experiment.Control: 10, experiment.Model: 60, experiment.Random: 20, experiment.None: 10}
	at := time.Date(2026, 4, 6, 0, 0, 0, 0, time.UTC) // the quarter begins with its first Monday
	var n [6]int
	moved := 0
	for mailbox := range uint64(20000) {
		arm := Arm(a.Of(5, mailbox, at))
		n[arm]++
		if arm != Arm(a.Of(5, mailbox, at.Add(90*24*time.Hour))) {
			t.Fatal("an arm changed within a quarter")
		}
		if arm != Arm(a.Of(5, mailbox, at.Add(-time.Second))) {
			moved++
		}
	}
	for arm, want := range map[Arm]int{ArmControl: 2000, ArmModel: 12000, ArmRandom: 4000, ArmNone: 2000} {
		if got := n[arm]; got < want-200 || got > want+200 {
			t.Errorf("%d mailboxes in arm %v, want %d", got, arm, want)
		}
	}
	if moved < 10500 || moved > 12500 { // of 1 - .01 - .36 - .04 - .01 = .58
		t.Errorf("%d mailboxes changed their arm with the quarter", moved)
	}
	if (experiment.Shares{}).Of(1, 2, at) != experiment.Model || (experiment.Shares{experiment.Control: 100}).Of(1, 2, at) != experiment.Control {
		t.Error("an arm without a share was drawn")
	}
}

func TestOtherArms(t *testing.T) {
	p, r := modelled(t, 1)
	p.MinGap, p.WeeklyCap = 0, 0
	of := func(a Arm) Plan {
		p.Only = &a
		return p.Plan(r, 0)
	}
	if got := of(ArmNone); got.Action != Now || got.Reason != ControlArm {
		t.Errorf("no promotional mail, which may not be dropped: %+v", got)
	}
	r.Items[0].Droppable = true
	if got := of(ArmNone); got.Action != Drop || got.Reason != NoneArm {
		t.Errorf("no promotional mail: %+v", got)
	}
	r.Items[0].Pressure = 0.6
	if got := of(ArmNone); got.Action != Now {
		t.Errorf("no promotional mail, but a newsletter: %+v", got)
	}
	if got := of(ArmFixedHour); got.At.In(r.Zone).Hour() != 10 || got.Reason != FixedHour {
		t.Errorf("at a fixed hour: %v %+v", got.At.In(r.Zone), got)
	}
	if got := of(ArmHistogram); got.At.In(r.Zone).Hour() < 18 || got.Reason != Histogram {
		t.Errorf("by histogram: %v %+v", got.At.In(r.Zone), got)
	}
	if ArmNone.String() != "none" || Arm(77).String() != "unknown" {
		t.Error("arms have wrong names")
	}
}

// TestRandomIsEven draws hours by many ids: each as often as the others, and the
// propensities say so.
func TestRandomIsEven(t *testing.T) {
	p, r := modelled(t, 1)
	random := ArmRandom
	p.Only, p.MinGap, p.WeeklyCap, p.MaxHold = &random, 0, 0, 24*time.Hour
	n := map[int64]int{}
	const ids = 20000
	for id := range uint64(ids) {
		r.Items[0].ID = id
		plan := p.Plan(r, 0)
		n[plan.At.Unix()/3600]++
		if got := plan.Decision.Propensity; got != 1./16 && got != 1./17 {
			t.Fatalf("propensity %v with %d hours", got, len(n))
		}
	}
	for h, c := range n {
		if c < ids/17*8/10 || c > ids/16*12/10 {
			t.Errorf("%d of %d in hour %d of %d", c, ids, h, len(n))
		}
	}
}

// TestExploration draws by many ids: the share explored is as set, and the
// propensities of the model arm sum to one over the hours.
func TestExploration(t *testing.T) {
	p, r := modelled(t, 1)
	p.Explore, p.Aim, p.MinGap, p.WeeklyCap, p.MaxHold = 0.1, AimHour, 0, 0, 24*time.Hour
	const ids = 20000
	explored, sum := 0, map[int64]float64{}
	n := map[int64]int{}
	for id := range uint64(ids) {
		r.Items[0].ID = id
		plan := p.Plan(r, 0)
		if plan.Reason == Explored {
			explored++
		}
		h := plan.At.Unix() / 3600
		n[h]++
		sum[h] += float64(plan.Decision.Propensity)
	}
	if explored < ids*9/100 || explored > ids*11/100 {
		t.Errorf("%d of %d explored, want a tenth", explored, ids)
	}
	total := 0.0
	for h, c := range n {
		mean := sum[h] / float64(c)
		total += mean
		if share := float64(c) / ids; share < mean-.02 || share > mean+.02 {
			t.Errorf("hour %d: drawn with %.3f, propensity %.3f", h, share, mean)
		}
	}
	if total < .95 || total > 1.05 {
		t.Errorf("propensities sum to %v", total)
	}
}

// TestDrop needs leave to drop, three outcomes, and the same verdict twice.
func TestDrop(t *testing.T) {
	p, r := modelled(t, 1)
	m, prof := r.Model, new(Profile)
	at := r.Now.Add(-40 * 24 * time.Hour)
	for k := range 40 { // nobody home, and much mail
		at = at.Add(23 * time.Hour)
		prof.Sent(m, time.UTC, Sent{At: at, Ref: uint16(k), Pressure: 1, Observable: true})
	}
	r.Profile, p.MinGap, p.WeeklyCap = prof, 0, 0
	it := &r.Items[0]
	if plan := p.Plan(r, 0); plan.Action == Drop || plan.Decision.Would == Drop {
		t.Errorf("not droppable, and %+v", plan)
	}
	it.Droppable = true
	plan := p.Plan(r, 0)
	if plan.Action != Hold || plan.Reason != Fatigue || plan.Decision.Would != Drop {
		t.Errorf("dropped at first sight, or not at all: %+v", plan)
	}
	it.Doomed = true
	if plan = p.Plan(r, 0); plan.Action != Drop || plan.Reason != Fatigue {
		t.Errorf("not dropped the second time: %+v", plan)
	}
	it.Value = 1000
	if plan = p.Plan(r, 0); plan.Action == Drop {
		t.Errorf("a valuable item was dropped: %+v", plan)
	}
	it.Value, it.Doomed, it.Window = 1, false, time.Second
	if plan = p.Plan(r, 0); plan.Action != Drop {
		t.Errorf("not dropped at the end of its window: %+v", plan)
	}
	young := new(Profile)
	for k := range 2 {
		young.Sent(m, time.UTC, Sent{At: r.Now.Add(-time.Duration(20-k) * 24 * time.Hour), Ref: uint16(k), Pressure: 50, Observable: true})
	}
	young.Sent(m, time.UTC, Sent{At: r.Now.Add(-24 * time.Hour), Ref: 9, Pressure: 50, Observable: true})
	r.Profile, it.Doomed, it.Window = young, true, 0
	if plan = p.Plan(r, 0); plan.Action == Drop || plan.Decision.Mails != 2 {
		t.Errorf("dropped on thin evidence: %+v", plan)
	}
	if plan.Decision.Now.U() >= 0 {
		t.Errorf("and it is wanted: %+v", plan.Decision)
	}
}

// TestRetryIsNotHeldAgain: the model decides once, before the first attempt.
func TestRetryIsNotHeldAgain(t *testing.T) {
	p, r := modelled(t, 1)
	r.Items[0].Counted = true
	if plan := p.Plan(r, 0); plan.Action != Now || plan.Decision != (Decision{}) {
		t.Errorf("a retry is planned %+v", plan)
	}
	if i, plan := p.Next(r); i != 0 || plan.Action != Now {
		t.Errorf("a retry is next planned %+v", plan)
	}
}

func TestMomentum(t *testing.T) {
	p, r := modelled(t, 1)
	r.Now = time.Date(2026, 3, 10, 14, 40, 0, 0, time.UTC)
	p.Aim, p.Momentum = AimHour, true
	r.Items[0].Value = 1
	before := p.Plan(r, 0)
	click := Evidence{Kind: Clicked, At: r.Now.Add(-time.Minute), Ref: 59, Weight: 1}
	prof := *r.Profile
	prof.Sent(r.Model, time.UTC, Sent{At: r.Now.Add(-time.Hour), Ref: 70, Pressure: 0.1, Observable: true})
	click.Ref = 70
	if !prof.Observe(r.Model, time.UTC, SeesFull, click) {
		t.Fatal("the click is no news")
	}
	r.Profile = &prof
	p.Momentum = false
	calm := p.Plan(r, 0).Decision
	p.Momentum = true
	after := p.Plan(r, 0).Decision
	if before.Action != Hold {
		t.Fatalf("before the click it is planned %+v", before)
	}
	if ratio := after.Now.Read / calm.Now.Read; ratio < 3.5 || ratio > 4 {
		t.Errorf("a click a minute ago makes reading now %.2f times likelier, want nearly 4", ratio)
	}
}

// TestDST plans around changes of the clocks: the hour of the plan is the hour of
// the wall clock, and the hour that does not exist is no hour.
func TestDST(t *testing.T) {
	p, r := modelled(t, 1)
	p.MinGap, p.WeeklyCap, p.Quiet, p.MaxHold = 0, 0, Quiet{}, 24*time.Hour
	for _, zone := range zones(t)[:7] {
		for _, day := range seasons {
			var h hours
			from := day.Add(7 * time.Minute).Unix()
			h.fill(zone, p.Quiet, from, from+60*3600)
			for k := range h.n {
				wall := time.Unix(h.from[k], 0).In(zone)
				if got, want := int(h.local[k]), (int(wall.Weekday())+6)%7*24+wall.Hour(); got != want {
					t.Fatalf("%v is hour %d of the week, not %d", wall, want, got)
				}
				if k > 0 && (h.from[k] <= h.from[k-1] || h.from[k]-h.from[k-1] > 3600) {
					t.Fatalf("%v: hour %d begins %d s after the one before", zone, k, h.from[k]-h.from[k-1])
				}
			}
			if h.until(h.n-1) <= from+60*3600 {
				t.Fatalf("%v: the hours end too early", zone)
			}
		}
	}
	spring := time.Date(2026, 3, 28, 22, 0, 0, 0, time.UTC)
	r.Now, r.Items[0].Accepted = spring, spring
	p.Aim = AimHour
	if got := p.Plan(r, 0).At.In(r.Zone); got.Hour() != 20 || got.Day() != 29 {
		t.Errorf("after the change it leaves at %v, want 20 h on the wall as before", got)
	}
}

// TestReadsAgainstDirectSum checks the backward recursion of 4.4.
func TestReadsAgainstDirectSum(t *testing.T) {
	_, r := modelled(t, 1)
	p := &Policy{}
	var o outlook
	o.view(p, r, true, r.Zone, r.Now.Unix()+20*3600)
	var h hours
	h.fill(r.Zone, Quiet{}, r.Now.Unix(), r.Now.Unix()+20*3600)
	o.foresee(&h)
	half := 30 * time.Hour
	var f freshness
	f.pass(&o, half)
	for k := range h.n {
		for j := range 3 {
			want, tau := 0.0, float64(o.kernel.Tau[j])
			for a := range 24 * 365 {
				psi := float64(o.presence[(int(o.hour[k])+a)%168] / o.meanPresence)
				want += psi * float64(o.kernel.W[j]) * math.Exp(-float64(a)/tau) * (1 - math.Exp(-1/tau)) * math.Exp2(-float64(a)/half.Hours())
			}
			if got := float64(f.c[k][j]); math.Abs(got-want) > 1e-5*(1+want) {
				t.Fatalf("part %d of hour %d: %v, want %v", j, k, got, want)
			}
		}
		sum := f.c[k][0] + f.c[k][1] + f.c[k][2]
		if got := f.reading(&o, k, 0); math.Abs(float64(got-sum)) > 1e-4*float64(sum) {
			t.Errorf("leaving at the beginning of hour %d reads %v, want %v", k, got, sum)
		}
	}
	for y := float32(0); y < 3; y += .1 {
		if got, want := float64(chance(y)), 1-math.Exp(-float64(y)); math.Abs(got-want) > .01*want+1e-6 {
			t.Errorf("chance of %v is %v, want %v", y, got, want)
		}
	}
}

// TestWaitAgainstSimulation checks the wait foreseen by walking the week.
func TestWaitAgainstSimulation(t *testing.T) {
	_, r := modelled(t, 1)
	var o outlook
	o.view(&Policy{}, r, true, r.Zone, r.Now.Unix()+30*3600)
	var h hours
	h.fill(r.Zone, Quiet{}, r.Now.Unix(), r.Now.Unix()+30*3600)
	o.foresee(&h)
	o.await()
	for k := range h.n {
		want, alive := 0.0, 1.0
		for a := range 168 * 60 {
			q := float64(o.presence[(int(o.hour[k])+a)%168])
			want += alive * (q/2 + (1 - q))
			alive *= 1 - q
		}
		if got := float64(o.wait[k]); math.Abs(got-want) > 1e-3*want {
			t.Fatalf("hour %d: waits %v, want %v", k, got, want)
		}
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

// BenchmarkModelPlanWithCurve has the curve at hand, as a warm profile has.
func BenchmarkModelPlanWithCurve(b *testing.B) {
	p, r := modelled(b, 3)
	r.Curve = new(clock.Curve)
	r.Profile.Clock.Curve(r.Model.Clock, r.Curve)
	b.ReportAllocs()
	for b.Loop() {
		p.Plan(r, 2)
	}
}

func TestCurveAtHand(t *testing.T) {
	p, r := modelled(t, 3)
	want := p.Plan(r, 1)
	r.Curve = new(clock.Curve)
	r.Profile.Clock.Curve(r.Model.Clock, r.Curve)
	if got := p.Plan(r, 1); got != want {
		t.Errorf("with the curve at hand it is planned\n%+v, want\n%+v", got, want)
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
	at := time.Date(2026, 3, 6, 9, 20, 0, 0, time.UTC)
	prof.Sent(m, time.UTC, Sent{At: at, Ref: 99, Pressure: 1, Observable: true})
	b.ReportAllocs()
	p := new(Profile)
	for b.Loop() {
		*p = *prof
		if !p.Observe(m, time.UTC, SeesFull, Evidence{Kind: Opened, At: at.Add(2 * time.Hour), Ref: 99, Weight: 1}) {
			b.Fatal("no news")
		}
	}
}

func BenchmarkProfileSent(b *testing.B) {
	m, prof := habits(b, 19, 60)
	at := time.Date(2026, 3, 10, 9, 20, 0, 0, time.UTC)
	zone := time.UTC
	b.ReportAllocs()
	p := new(Profile)
	for b.Loop() {
		*p = *prof
		p.Sent(m, zone, Sent{At: at, Ref: 99, Pressure: 1, Observable: true})
	}
}

func BenchmarkProfileSentToday(b *testing.B) {
	m, prof := habits(b, 19, 60)
	at := time.Date(2026, 3, 5, 20, 20, 0, 0, time.UTC)
	zone := time.UTC
	b.ReportAllocs()
	p := new(Profile)
	for b.Loop() {
		*p = *prof
		p.Sent(m, zone, Sent{At: at, Ref: 99, Pressure: 1, Observable: true})
	}
}
