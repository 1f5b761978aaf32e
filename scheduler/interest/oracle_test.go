package interest

import (
	"math"
	"math/rand/v2"
	"testing"
)

// oracle is the forward algorithm as the textbook has it: a full transition matrix
// in float64, nothing rounded, nothing incremental.
type oracle struct {
	f     Filter
	b     [Levels]float64
	first bool
}

func newOracle(f Filter) *oracle {
	o := &oracle{f: f, first: true}
	sum := 0.0
	for k, v := range f.Start {
		o.b[k] = float64(v)
		sum += o.b[k]
	}
	for k := range o.b {
		o.b[k] /= sum
	}
	return o
}

func (o *oracle) p(k int, lift float64) float64 {
	return 1 / (1 + math.Exp(-float64(o.f.Low)-float64(k)*float64(o.f.Step)-lift))
}

// silence returns towards the start.
func (o *oracle) silence(days float64) [Levels]float64 {
	b := o.b
	r := float64(o.f.Revive) * days
	share := float64(o.f.ReviveCap) * r / (1 + r)
	for k := range b {
		b[k] = (1-share)*b[k] + share*float64(o.f.Start[k])
	}
	return b
}

func (o *oracle) mean(days float64) (mean float64) {
	for k, v := range o.silence(days) {
		mean += v * o.p(k, 0)
	}
	return mean
}

func (o *oracle) resolve(days, lift float64, read bool, weight float64) {
	b := o.silence(days)
	var next [Levels]float64
	for from := range b {
		for to := range b {
			next[to] += b[from] * o.transition(from, to, days)
		}
	}
	if !o.first {
		weight *= math.Max(days/(days+float64(o.f.Echo)), newsLeast)
	}
	o.first = false
	predicted := 0.0
	for k, v := range next {
		predicted += v * o.p(k, lift)
	}
	sum := 0.0
	for k := range next {
		if read {
			next[k] *= weight*o.p(k, lift)/predicted + 1 - weight
		} else {
			next[k] *= 1 - weight*o.p(k, lift)
		}
		sum += next[k]
	}
	for k := range next {
		next[k] /= sum
	}
	o.b = next
}

// transition is the chance to go from one level to another: a step of the walk,
// then, perhaps, a lapse.
func (o *oracle) transition(from, to int, days float64) float64 {
	up := math.Min(float64(o.f.Drift)+float64(o.f.DriftDay)*days, 0.25)
	down := up + float64(o.f.Fade)
	walk := func(to int) float64 {
		switch {
		case to == from+1 && to < Levels:
			return up
		case to == from-1:
			return down
		case to == from:
			stay := 1.0
			if from < Levels-1 {
				stay -= up
			}
			if from > 0 {
				stay -= down
			}
			return stay
		}
		return 0
	}
	lapse := float64(o.f.Lapse)
	if to == 0 {
		return (1-lapse)*walk(0) + lapse
	}
	return (1 - lapse) * walk(to)
}

func TestFilterAgainstOracle(t *testing.T) {
	p := BuiltIn()
	random := rand.New(rand.NewPCG(3, 4))
	worst := 0.0
	for range 200 {
		var s State
		o := newOracle(p.Open)
		rate := random.Float64() * random.Float64()
		m := Mail{At: 1600000000}
		for i := range 60 {
			m.Level = float32(random.IntN(3)-1) * 0.4
			weight := float32(1)
			if random.IntN(5) == 0 {
				weight = 0.5
			}
			days := s.resolved.daysTo(m.At)
			read := random.Float64() < rate
			o.resolve(days, float64(m.Level), read, float64(weight))
			s.Resolve(p, m, read, false, weight)
			m.At += int64(1+random.IntN(40)) * secondsPerDay
			got, _ := s.filtered(p, m.At)
			want := o.mean(s.resolved.daysTo(m.At))
			off := math.Abs(logit(got) - logit(want))
			worst = max(worst, off)
			if off > 0.1 {
				t.Fatalf("after %d mails at rate %.2f: foreseen %.4f, the oracle says %.4f", i+1, rate, got, want)
			}
		}
	}
	t.Logf("one byte a level errs by at most %.3f in log-odds", worst)
}

// Pressure is kept in two numbers; the oracle remembers every send.
func TestPressureAgainstDirectSum(t *testing.T) {
	p := BuiltIn()
	random := rand.New(rand.NewPCG(7, 8))
	for range 50 {
		var s State
		var sends []Mail
		at := int64(1600000000)
		for range 80 {
			at += int64(random.IntN(6 * secondsPerDay))
			m := Mail{At: at, Weight: []float32{1, .6, .4, .1}[random.IntN(4)]}
			s.Sent(p, m)
			sends = append(sends, m)
			later, extra := at+int64(random.IntN(10*secondsPerDay)), random.Float32()
			got, want := float64(s.Pressure(p, later, extra)), directPressure(p, sends, later, extra)
			if math.Abs(got-want) > 0.005*want {
				t.Fatalf("pressure %.5f, direct sum %.5f", got, want)
			}
		}
	}
}

func directPressure(p *Prior, sends []Mail, at int64, extra float32) (x float64) {
	for _, tau := range []float64{float64(p.Fatigue.Fast), float64(p.Fatigue.Slow)} {
		stock := float64(extra)
		for _, m := range sends {
			stock += float64(m.Weight) * math.Exp(-float64(at-m.At)/secondsPerDay/tau)
		}
		x += stock / (float64(p.Fatigue.Tolerance) * tau / 7) / 2
	}
	return x
}

// A delivery told late counts like one told in time.
func TestSentOutOfOrder(t *testing.T) {
	p := BuiltIn()
	a := Mail{At: 1600000000, Weight: 1}
	b := Mail{At: a.At + 3*secondsPerDay, Weight: 0.6}
	var inOrder, late State
	inOrder.Sent(p, a)
	inOrder.Sent(p, b)
	late.Sent(p, b)
	late.Sent(p, a)
	at := b.At + secondsPerDay
	if x, y := inOrder.Pressure(p, at, 0), late.Pressure(p, at, 0); math.Abs(float64(x-y)) > 1e-4 {
		t.Errorf("pressure %v in order, %v told late", x, y)
	}
}

// Sent at exactly the tolerated pace for long, a person is at x = 1.
func TestPressureIsOneAtTolerance(t *testing.T) {
	p := BuiltIn()
	var s State
	m := Mail{At: 1600000000, Weight: p.Fatigue.Tolerance / 28}
	sum, n := 0.0, 0
	for i := range 28 * 30 {
		s.Sent(p, m)
		m.At += week / 28
		if i > 28*20 {
			sum += float64(s.Pressure(p, m.At, m.Weight/2)) // between two mails
			n++
		}
	}
	if x := sum / float64(n); math.Abs(x-1) > 0.02 {
		t.Errorf("x = %.3f at the tolerated pace, want 1", x)
	}
}
