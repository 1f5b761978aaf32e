package interest

import (
	"math"
	"testing"
)

func TestOpenness(t *testing.T) {
	p := BuiltIn()
	for _, tt := range []struct{ x, want float64 }{{0, 1}, {1, .862}, {2, .610}, {4, .281}, {-1, 1}} {
		if got := float64(p.Openness(float32(tt.x))); math.Abs(got-tt.want) > .001 {
			t.Errorf("openness at %v: %.3f, want %.3f", tt.x, got, tt.want)
		}
	}
	for _, power := range []float32{1, 2, 3.3} {
		p.Fatigue.Power = power
		last := float32(2)
		for x := float32(0); x < 20; x += 0.1 {
			now := p.Openness(x)
			if now >= last || now <= 0 {
				t.Fatalf("power %v: openness %v at x = %v, after %v", power, now, x, last)
			}
			last = now
			const h = 0.01
			slope := float64(p.Openness(x+h)-p.Openness(x-h)) / (2 * h)
			if got := float64(p.OpennessSlope(x)); x > h && math.Abs(got-slope) > 0.002 {
				t.Fatalf("power %v: slope %.4f at x = %v, want %.4f", power, got, x, slope)
			}
		}
	}
}

// The shares of readings that the decision model 4.1 names.
func TestDelay(t *testing.T) {
	p := BuiltIn()
	for _, tt := range []struct{ hours, want float64 }{{-1, 0}, {0, 0}, {1, .32}, {6, .57}, {24, .82}, {168, 1}, {1e6, 1}} {
		if got := p.Delay.By(tt.hours); math.Abs(got-tt.want) > .02 {
			t.Errorf("read within %v h: %.3f, want %.2f", tt.hours, got, tt.want)
		}
	}
}

func TestLeaveRisesWithPressure(t *testing.T) {
	p := BuiltIn()
	s, m := lived()
	lastU, lastC := -1.0, -1.0
	for x := float32(0); x < 6; x += 0.25 {
		u, c := s.Leave(p, m.At, x)
		if u <= lastU || c <= lastC || u > 1 || c > 1 {
			t.Fatalf("x = %v: hazards %v and %v, after %v and %v", x, u, c, lastU, lastC)
		}
		lastU, lastC = u, c
	}
	if u, c := s.Leave(p, m.At, 1e9); u > 1 || c > 1 {
		t.Errorf("absurd pressure: %v and %v are no probabilities", u, c)
	}
}

// A story about who leaves: newcomers more easily than those who stayed for long;
// those who stopped reading more easily than readers; and whoever left before.
func TestLeaveStory(t *testing.T) {
	p := BuiltIn()
	reader, ignorer := State{}, State{}
	m := Mail{At: 1600000000, Weight: 1}
	for range 150 {
		live(&reader, p, m, true)
		live(&ignorer, p, m, false)
		m.At += 2 * secondsPerDay
	}
	var newcomer State
	hazard := func(s *State) float64 { u, _ := s.Leave(p, m.At, 1); return u }
	if hazard(&reader) >= hazard(&newcomer) {
		t.Errorf("faithful reader %.5f, newcomer %.5f: want less", hazard(&reader), hazard(&newcomer))
	}
	if hazard(&ignorer) <= hazard(&reader) {
		t.Errorf("ignorer %.5f, reader %.5f: want more", hazard(&ignorer), hazard(&reader))
	}
	back := reader
	back.Unsubscribed(m.At)
	angry := reader
	angry.Complained(m.At)
	if !(hazard(&reader) < hazard(&back) && hazard(&back) < hazard(&angry)) {
		t.Errorf("reader %.5f, once unsubscribed %.5f, once complained %.5f: want rising", hazard(&reader), hazard(&back), hazard(&angry))
	}
	for range 10 {
		back.Unsubscribed(m.At)
		angry.Complained(m.At)
	}
	if back.unsubscribes != 3 || angry.complaints != 3 {
		t.Error("departures are counted beyond what is stored")
	}
}

// Until randomised caps have measured fatigue nobody's tolerance moves.
func TestToleranceWaitsForExperiments(t *testing.T) {
	p := BuiltIn()
	var s State
	m := Mail{At: 1600000000, Weight: 1, Pressure: 4}
	for range 100 {
		s.Resolve(p, m, true, false, 1)
		m.At += secondsPerDay
	}
	if got := s.Tolerance(p); got != p.Fatigue.Tolerance {
		t.Errorf("tolerance %v, want the usual %v", got, p.Fatigue.Tolerance)
	}
}

func TestTolerance(t *testing.T) {
	measured := BuiltIn().Fatigue
	measured.Measured = true
	p := BuiltIn().With(measured, BuiltIn().Leaving)
	// Both read half of what comes at ease; one also under pressure, the other not.
	run := func(readsUnderPressure bool) State {
		var s State
		m := Mail{At: 1600000000, Weight: 1}
		for i := range 300 {
			busy := i/30%2 == 1
			live(&s, p, m, i%2 == 0 && (!busy || readsUnderPressure))
			m.At += 4 * secondsPerDay
			if busy {
				m.At -= 3*secondsPerDay + secondsPerDay/2
			}
		}
		return s
	}
	patient, touchy := run(true), run(false)
	if a, b := patient.Tolerance(p), touchy.Tolerance(p); a <= b {
		t.Errorf("tolerance %.2f of who reads under pressure, %.2f of who does not", a, b)
	}
	// Whatever happens, it stays within reach of the prior.
	wild := State{}
	m := Mail{At: 1600000000, Weight: 1, Pressure: 50}
	for range 5000 {
		wild.Resolve(p, m, false, false, 1)
		wild.Resolve(p, m, true, false, 1)
		wild.Resolve(p, m, true, false, 1)
		m.At += secondsPerDay
	}
	if got := wild.Tolerance(p); got < p.Fatigue.Tolerance/4.01 || got > p.Fatigue.Tolerance*4.01 {
		t.Errorf("tolerance %v is out of reach of %v", got, p.Fatigue.Tolerance)
	}
}

func TestFuture(t *testing.T) {
	p := BuiltIn()
	var often, seldom, ignorer State
	m := Mail{At: 1600000000, Weight: 0.6}
	for i := range 60 {
		live(&often, p, m, true)
		live(&ignorer, p, m, false)
		if i%4 == 0 {
			live(&seldom, p, m, true)
		}
		m.At += week
	}
	a, b, c := often.Future(p, m.At), seldom.Future(p, m.At), ignorer.Future(p, m.At)
	t.Logf("weekly reader %.1f, monthly reader %.1f, weekly ignorer %.2f", a, b, c)
	if a > 26 || a < 14 {
		t.Errorf("a weekly reader is foreseen to read %.1f of about 26 mails", a)
	}
	if b >= a || c >= a/4 || c < 0 {
		t.Errorf("weekly reader %.2f, monthly reader %.2f, weekly ignorer %.2f: want falling", a, b, c)
	}
	var nobody State
	if n := nobody.Future(p, m.At); n <= 0 {
		t.Errorf("nobody known: %v readings", n)
	}
}
