package clock

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// reader is a simulated person: when present, and what is left unread.
type reader struct {
	truth Curve
	mass  float64   // expected reads of a mail over its life, at mean presence
	g     []float64 // hazard of a mail of mass 1 in each ten minutes of its age
}

// newReader draws a habit: peaked, as in the decision model §5.
func newReader(r *rand.Rand) reader {
	peaks := [][]float64{{7.5, 20}, {9.5, 14}, {20.5}, {23.5, 3}}[r.IntN(4)]
	p := reader{mass: .3}
	var total float64
	for h := range p.truth {
		x := .12
		for _, peak := range peaks {
			away := math.Abs(float64(h%24) + .5 - peak)
			away = math.Min(away, 24-away)
			x += math.Exp(-away * away / 4)
		}
		if h >= 120 && len(peaks) == 2 {
			x *= .5
		}
		p.truth[h] = float32(x)
		total += x
	}
	for h := range p.truth {
		p.truth[h] *= float32(Hours / total)
	}
	return p
}

// reads says when a mail sent at sent is read, if within ten days.
func (p *reader) reads(r *rand.Rand, k *Kernel, sent int64) (int64, bool) {
	if p.g == nil {
		p.g = hazards(k)
	}
	for i, g := range p.g {
		t := sent + int64(i)*600
		if r.Float64() < 1-math.Exp(-p.mass*float64(p.truth[hourAt(t)])*g) {
			return t + 300, true
		}
	}
	return 0, false
}

// hazards are the kernel's in each ten minutes of ten days.
func hazards(k *Kernel) []float64 {
	out := make([]float64, 1440)
	for i := range out {
		age := float64(i) / 6
		for j := range k.W {
			tau := float64(k.Tau[j])
			out[i] += float64(k.W[j]) * (math.Exp(-age/tau) - math.Exp(-(age+1./6)/tau))
		}
	}
	return out
}

// biased draws hours as marketers send: 80 % at 10:00, 15 % at 15:00, the rest anywhere.
func biased(r *rand.Rand, d int64) int64 {
	hour := int64(10)
	if x := r.Float64(); x > .95 {
		hour = r.Int64N(24)
	} else if x > .8 {
		hour = 15
	}
	return monday + d*day + hour*3600 + r.Int64N(3600)
}

// study lets a person receive mails at biased hours, and returns the clock and the
// plain histogram of its reads.
func (p *reader) study(r *rand.Rand, prior *Prior, mails int) (Clock, [Hours]float64) {
	var c Clock
	var naive [Hours]float64
	type event struct {
		at, sent int64
	}
	var pending []event
	step := func(until int64) {
		for i := 0; i < len(pending); {
			if pending[i].at > until {
				i++
				continue
			}
			e := pending[i]
			pending = append(pending[:i], pending[i+1:]...)
			c.Read(prior, e.at, hourAt(e.at), e.sent, float32(p.mass), 1)
		}
	}
	for m := range mails {
		sent := biased(r, int64(m)*3+r.Int64N(2))
		step(sent)
		c.Sent(prior, sent, hourAt(sent), float32(p.mass))
		if at, ok := p.reads(r, &prior.Kernel, sent); ok {
			pending = append(pending, event{at, sent})
			naive[hourAt(at)]++
		}
	}
	end := monday + int64(mails)*3*day + 20*day
	step(end)
	c.Advance(prior, end, hourAt(end))
	return c, naive
}

// correlation of two curves.
func correlation(a, b []float64) float64 {
	var ma, mb, va, vb, c float64
	for i := range a {
		ma += a[i] / float64(len(a))
		mb += b[i] / float64(len(b))
	}
	for i := range a {
		va += (a[i] - ma) * (a[i] - ma)
		vb += (b[i] - mb) * (b[i] - mb)
		c += (a[i] - ma) * (b[i] - mb)
	}
	return c / math.Sqrt(va*vb+1e-12)
}

// What is sent at 10:00 is read at 10:00 by whoever is there, and so the plain
// histogram learns the sender's habit. Exposure takes it out again: with the
// audience known, and with the embedded prior of another audience.
func TestBiasedSendsTeachTheTruth(t *testing.T) {
	embedded := BuiltIn()
	if raceEnabled {
		t.Skip("slow, and nothing here runs concurrently")
	}
	const persons = 150
	segment := Fit(audienceOf(200, 90, 0, 77), embedded)
	for _, row := range []struct {
		prior string
		p     *Prior
		mails int
		least float64 // mean correlation with the truth
		over  float64 // more than the histogram's
	}{
		{"segment", segment, 8, .50, .25},
		{"segment", segment, 24, .72, .35},
		{"segment", segment, 56, .85, .40},
		{"segment", segment, 104, .90, .40},
		{"embedded", embedded, 24, .28, 0},
		{"embedded", embedded, 56, .48, .08},
		{"embedded", embedded, 104, .60, .14},
	} {
		t.Run(fmt.Sprint(row.prior, row.mails), func(t *testing.T) {
			own, naive, fooled := teach(row.p, row.mails, persons)
			t.Logf("correlation with the truth %.2f, histogram %.2f, fooled %.2f", own, naive, fooled)
			if own < row.least || own < naive+row.over || fooled > .1 {
				t.Errorf("correlation with the truth %.2f, histogram %.2f, fooled %.2f", own, naive, fooled)
			}
		})
	}
}

// teach returns the mean correlations with the truth of curves and histograms, and
// the share of persons believed to be at their best at 10:00 who are not.
func teach(p *Prior, mails, persons int) (own, naive, fooled float64) {
	r := rand.New(rand.NewPCG(uint64(mails), 5))
	for range persons {
		who := newReader(r)
		c, counts := who.study(r, p, mails)
		var curve Curve
		c.Curve(p, &curve)
		got, truth, histogram := byHour(curve[:]), byHour(who.truth[:]), make([]float64, 24)
		for h, n := range counts {
			histogram[h%24] += n
		}
		own += correlation(got, truth) / float64(persons)
		naive += correlation(histogram, truth) / float64(persons)
		if best(got) == 10 && truth[10] < truth[best(truth)]/2 {
			fooled += 1 / float64(persons)
		}
	}
	return own, naive, fooled
}

func byHour(week []float32) []float64 {
	out := make([]float64, 24)
	for h, x := range week {
		out[h%24] += float64(x)
	}
	return out
}

func best(a []float64) int {
	b := 0
	for i := range a {
		if a[i] > a[b] {
			b = i
		}
	}
	return b
}

func TestKernelIsRecoveredFromRandomisedSends(t *testing.T) {
	truth := Kernel{W: [3]float32{.15, .35, .50}, Tau: [3]float32{.4, 6, 90}}
	r := rand.New(rand.NewPCG(1, 6))
	var delays []Delay
	for range 20000 {
		j, x := 0, r.Float32()
		for x > truth.W[j] && j < 2 {
			x -= truth.W[j]
			j++
		}
		delays = append(delays, Delay{Hours: float32(r.ExpFloat64()) * truth.Tau[j]})
	}
	got := FitKernel(delays, builtInKernel)
	for j := range truth.W {
		if math.Abs(float64(got.W[j]-truth.W[j])) > .04 || math.Abs(math.Log(float64(got.Tau[j]/truth.Tau[j]))) > .25 {
			t.Errorf("part %d: share %.2f of %.2f h, want %.2f of %.2f h", j, got.W[j], got.Tau[j], truth.W[j], truth.Tau[j])
		}
	}
}

func TestKernelStaysWhereDataAreFew(t *testing.T) {
	nan := float32(math.NaN())
	for name, delays := range map[string][]Delay{
		"none":     nil,
		"few":      {{Hours: 1}, {Hours: 30}, {Hours: 500}},
		"nonsense": {{Hours: -1}, {Hours: nan}, {Hours: 1, Weight: nan}, {Hours: 1e9}},
	} {
		got := FitKernel(delays, builtInKernel)
		for j := range got.W {
			if math.Abs(float64(got.W[j]-builtInKernel.W[j])) > .02 || math.Abs(float64(got.Tau[j]/builtInKernel.Tau[j]-1)) > .15 {
				t.Errorf("%s: %+v", name, got)
			}
		}
	}
	p := BuiltIn()
	q := p.WithKernel(Kernel{W: [3]float32{.2, .3, .5}, Tau: [3]float32{1, 10, 100}})
	if q.Version != p.Version+1 || q.stays == p.stays || p.Kernel != builtInKernel {
		t.Error("WithKernel changed the old prior or not the new one")
	}
}

// audienceOf makes histories of persons of simulated habits, all shifted by hours.
func audienceOf(people, events, shift int, seed uint64) []History {
	r := rand.New(rand.NewPCG(seed, 8))
	out := make([]History, people)
	for i := range out {
		who := newReader(r)
		slot := int64(400_000)
		for len(out[i].Hours) < events {
			slot += r.Int64N(8) + 1
			if r.Float32() < who.truth[wrap(int(slot%Hours)-shift)]/8 {
				out[i].Hours = append(out[i].Hours, slot)
			}
		}
	}
	return out
}

// heldOut is the log-loss of the last third of the histories given the rest.
func heldOut(p *Prior, people []History) (l float64) {
	for _, h := range people {
		cut := len(h.Hours) * 2 / 3
		var c Clock
		var curve Curve
		feed(&c, p, h.Hours[:cut])
		c.Curve(p, &curve)
		l += surprise(&curve, h.Hours[cut:]) / float64(len(people))
	}
	return l
}

func TestFitLearnsAnotherAudience(t *testing.T) {
	from := BuiltIn()
	nights := audienceOf(120, 90, 7, 1)
	p := Fit(nights, from)
	if p == from || p.Version != from.Version+1 {
		t.Fatal("nothing was learned")
	}
	fresh := audienceOf(60, 90, 7, 2)
	if before, after := heldOut(from, fresh), heldOut(p, fresh); after > before-.03 {
		t.Errorf("log-loss of new persons of this audience was %.3f, is %.3f", before, after)
	}
	again := Fit(nights, from)
	if string(again.AppendBinary(nil)) != string(p.AppendBinary(nil)) {
		t.Error("the same histories gave two priors")
	}
	if string(from.AppendBinary(nil)) != string(builtIn) {
		t.Error("Fit changed the prior it started from")
	}
}

func TestFitNeedsPeople(t *testing.T) {
	from := BuiltIn()
	for name, people := range map[string][]History{
		"nobody":      nil,
		"few":         audienceOf(10, 90, 7, 1),
		"hardly seen": audienceOf(200, 5, 7, 1),
	} {
		if Fit(people, from) != from {
			t.Errorf("%s: a prior was learned", name)
		}
	}
}

// live plays weeks of traffic of an audience into a learner.
func live(l *Learner, p *Prior, people []History) {
	for i, h := range people {
		var c Clock
		for _, slot := range h.Hours {
			at := (slot - 72) * 3600
			c.Active(p, at, wrap(int(slot%Hours)), 1)
			l.Observe(p, uint64(i), &c, at)
		}
	}
}

func TestLearnerRefits(t *testing.T) {
	from := BuiltIn()
	var l Learner
	live(&l, from, audienceOf(150, 120, 7, 3))
	p, r := l.Refit(from)
	if !r.Adopted || r.After >= r.Before || r.People != 150 {
		t.Fatalf("report %+v", r)
	}
	fresh := audienceOf(60, 90, 7, 4)
	if before, after := heldOut(from, fresh), heldOut(p, fresh); after > before-.03 {
		t.Errorf("log-loss of new persons was %.3f, is %.3f", before, after)
	}
}

// From reads of mail alone, all sent in the morning, the audience is learned and
// not the sender's habit.
func TestLearnerSeesThroughSendTimes(t *testing.T) {
	from := BuiltIn()
	l := Learner{Horizon: 60 * day}
	truth := newReader(rand.New(rand.NewPCG(12, 1)))
	for i := range uint64(150) {
		for _, mails := range []int{30, 60} { // the same life, seen twice
			c, _ := truth.study(rand.New(rand.NewPCG(i, 9)), from, mails)
			l.Observe(from, i, &c, c.last)
		}
	}
	p, report := l.Refit(from)
	var was, is Curve
	from.Curve(&was)
	p.Curve(&is)
	b, a := correlation(byHour(was[:]), byHour(truth.truth[:])), correlation(byHour(is[:]), byHour(truth.truth[:]))
	t.Logf("%+v, correlation of the shared curve with the truth %.2f, then %.2f", report, b, a)
	if !report.Adopted || a < b+.1 {
		t.Errorf("%+v; correlation with the truth was %.2f, is %.2f", report, b, a)
	}
}

// Where what comes is exactly what the prior says, every other prior is worse, and
// must not be taken.
func TestWorseRefitIsNotAdopted(t *testing.T) {
	from := BuiltIn()
	var l Learner
	live(&l, from, audienceOf(60, 90, 0, 5))
	for i := range l.moments {
		m := &l.moments[i]
		var in inputs
		m.clock.inputs(&from.local, &in)
		from.local.shares(&in, &m.next, &m.day)
		share := [2]float32{sum(m.day[:5]), sum(m.day[5:])}
		for q := range 2 {
			scale(m.next[q][:], 20*share[q])
		}
		scale(m.day[:], 20)
		m.events = 20
	}
	p, report := l.Refit(from)
	if report.Adopted || p != from || report.After <= report.Before || report.Before == 0 {
		t.Errorf("%+v, new prior: %v", report, p != from)
	}
}

func TestLearnerIsBounded(t *testing.T) {
	from := BuiltIn()
	l := Learner{People: 50}
	live(&l, from, audienceOf(600, 40, 0, 5))
	if len(l.followed) > 50 || len(l.followed) < 10 || len(l.moments) > 100 {
		t.Errorf("%d persons followed, %d moments kept", len(l.followed), len(l.moments))
	}
}
