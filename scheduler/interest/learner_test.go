package interest

import (
	"math"
	"math/rand/v2"
	"testing"
)

// crowd is a list made up for tests: everybody has a level of interest that does
// not change, all mails have the same weight.
type crowd struct {
	random *rand.Rand
	levels []float64 // log-odds of reading
	click  float64   // share of readers who click
	every  int64     // seconds between two mails
}

func newCrowd(people int, mean, spread, click float64, every int64) *crowd {
	c := &crowd{random: rand.New(rand.NewPCG(11, 12)), levels: make([]float64, people), click: click, every: every}
	for i := range c.levels {
		c.levels[i] = mean + spread*c.random.NormFloat64()
	}
	return c
}

// histories draws mails for everybody; shift moves the log-odds of each mail.
func (c *crowd) histories(mails int, shift func(mail int) float64) []History {
	people := make([]History, len(c.levels))
	for mail := range mails {
		m := Mail{At: 1600000000 + int64(mail)*c.every, Weight: 0.6, Campaign: uint32(mail + 1)}
		for i, level := range c.levels {
			read := c.random.Float64() < sigmoid(level+shift(mail))
			people[i] = append(people[i], Outcome{Mail: m, Read: read, Clicked: read && c.random.Float64() < c.click})
		}
	}
	return people
}

func steady(int) float64 { return 0 }

// online lives through the histories mail by mail and returns what was foreseen of
// the mails from first on.
func online(p *Prior, people []History, first int) (opened, clicked []prediction) {
	l := NewLearner(p)
	states := make([]State, len(people))
	for mail := range people[0] {
		p = l.Snapshot()
		for i, h := range people {
			o := h[mail]
			if mail >= first {
				read, click := states[i].Foresee(p, o.Mail)
				opened = append(opened, prediction{p: read, happened: o.Read, mail: mail})
				clicked = append(clicked, prediction{p: click, happened: o.Clicked, mail: mail})
			}
		}
		for i, h := range people {
			o := h[mail]
			states[i].Sent(p, o.Mail)
			l.Observe(&states[i], o.Mail, o.Read, o.Clicked)
			states[i].Resolve(p, o.Mail, o.Read, o.Clicked, 1)
		}
	}
	return opened, clicked
}

// The built-in weights come from one list; others have other rates and cadences.
func TestLearnerFollowsOtherLists(t *testing.T) {
	tests := []struct {
		name         string
		mean, spread float64
		click        float64
		every        int64
	}{
		{"hardly read, daily", -4.5, 1, .2, secondsPerDay},
		{"read by most, weekly", 1.5, 1, .3, week},
		{"everybody clicks, monthly", 0, 2, .9, 30 * secondsPerDay},
		{"all alike, twice a day", -1, 0, .1, secondsPerDay / 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCrowd(600, tt.mean, tt.spread, tt.click, tt.every)
			opened, clicked := online(BuiltIn(), c.histories(40, steady), 15)
			for what, all := range map[string][]prediction{"opened": opened, "clicked": clicked} {
				s := scored(all)
				t.Log(what, s)
				if s.error > 0.03 {
					t.Errorf("%s: calibration error %.3f", what, s.error)
				}
			}
		})
	}
}

// A lucky campaign says little about the next one; a lasting change does.
func TestLuckIsNotChange(t *testing.T) {
	c := newCrowd(1500, -1.5, 1.2, .2, week)
	const lucky = 20
	people := c.histories(lucky+1, func(mail int) float64 {
		if mail == lucky {
			return 0.7
		}
		return 0
	})
	p := BuiltIn()
	l := NewLearner(p)
	states := make([]State, len(people))
	before := 0.0
	for mail := range lucky + 1 {
		if mail == lucky {
			before = float64(l.Snapshot().Reading.Weights[inConstant])
		}
		for i, h := range people {
			l.Observe(&states[i], h[mail].Mail, h[mail].Read, h[mail].Clicked)
		}
		for i, h := range people {
			states[i].Sent(p, h[mail].Mail)
			states[i].Resolve(p, h[mail].Mail, h[mail].Read, h[mail].Clicked, 1)
		}
	}
	after := float64(l.Snapshot().Reading.Weights[inConstant])
	level := float64(l.Level(lucky + 1))
	t.Logf("constant %.3f, then %.3f; level of the lucky campaign %.3f", before, after, level)
	if moved := after - before; moved > 0.3 {
		t.Errorf("the constant moved by %.3f of .7 for one lucky campaign", moved)
	}
	if level < 0.3 || level > 0.8 {
		t.Errorf("level of the lucky campaign %.3f, want about .7 less what the list took", level)
	}
	if l.Level(9999) != 0 || l.Level(0) != 0 {
		t.Error("an unknown campaign has a level")
	}
}

// Campaigns that run side by side do not disturb each other.
func TestLearnerTellsCampaignsApart(t *testing.T) {
	l := NewLearner(BuiltIn())
	random := rand.New(rand.NewPCG(13, 14))
	for range 2000 {
		for campaign, rate := range []float64{.15, .4} {
			var s State
			l.Observe(&s, Mail{At: 1600000000, Campaign: uint32(campaign + 1)}, random.Float64() < rate, false)
		}
	}
	if a, b := l.Level(1), l.Level(2); b-a < 0.8 {
		t.Errorf("levels %.2f and %.2f, want them about 1.3 apart", a, b)
	}
}

// Where outcomes come late, a Learner that looks at the person of today believes
// that it knew more than it did; the evidence of the sending keeps it honest.
func TestEvidenceKeepsLateOutcomesHonest(t *testing.T) {
	const late = 4 // mails
	c := newCrowd(800, -1, 2, .2, secondsPerDay)
	people := c.histories(40, steady)
	for _, h := range people { // moods last for three mails
		for j := range h {
			h[j].Read = h[j-j%3].Read
		}
	}
	run := func(honest bool) (all []prediction) {
		p := BuiltIn()
		l := NewLearner(p)
		states := make([]State, len(people))
		kept := make([][]Evidence, len(people))
		for mail := range people[0] {
			for i, h := range people {
				if o := h[max(mail-late, 0)]; mail < late {
					continue
				} else if honest {
					l.ObserveSent(kept[i][mail-late], o.Mail, o.Read, o.Clicked)
				} else {
					l.Observe(&states[i], o.Mail, o.Read, o.Clicked)
				}
			}
			p = l.Snapshot()
			for i, h := range people {
				s := &states[i]
				if mail >= late {
					o := h[mail-late]
					s.Resolve(p, o.Mail, o.Read, o.Clicked, 1)
				}
				all = append(all, prediction{p: s.Read(p, h[mail].Mail), happened: h[mail].Read})
				kept[i] = append(kept[i], s.Evidence(p, h[mail].Mail))
				s.Sent(p, h[mail].Mail)
			}
		}
		return all[len(all)/4:]
	}
	honest, hasty := scored(run(true)), scored(run(false))
	t.Logf("honest %v; hasty %v", honest, hasty)
	if honest.loss > hasty.loss || honest.error > hasty.error || honest.error > 0.03 {
		t.Errorf("with the evidence kept %v, without %v", honest, hasty)
	}
}

// Carrying an expectation back is the mirror of carrying a belief forward.
func TestUnmoveMirrorsMove(t *testing.T) {
	f := BuiltIn().Open
	random := rand.New(rand.NewPCG(17, 18))
	for range 100 {
		days := random.Float64() * 100
		var b, value belief
		for k := range b {
			b[k], value[k] = random.Float32(), random.Float32()
		}
		forth, back := *b.normal(), value
		forth.revive(&f, days)
		forth.move(&f, days)
		back.unmove(&f, days)
		x, y := float32(0), float32(0)
		for k := range b {
			x += forth[k] * value[k]
			y += b[k] * back[k]
		}
		if math.Abs(float64(x-y)) > 1e-5 {
			t.Fatalf("%.1f days: %v forward, %v backward", days, x, y)
		}
	}
}

func TestEvidenceIsTheInputs(t *testing.T) {
	p := BuiltIn()
	for seed := range uint64(100) {
		s := randomLife(seed, int(seed))
		m := Mail{At: 1700000000, Topic: 3}
		var in inputs
		s.inputs(p, m, &in)
		e := s.Evidence(p, m)
		for i, v := range e.inputs() {
			if off := math.Abs(v - in[i]); off > 0.5/evidenceUnit && math.Abs(in[i]) < 7.9 {
				t.Errorf("seed %d input %d: %.3f kept as %.3f", seed, i, in[i], v)
			}
		}
	}
}

func TestSnapshotStands(t *testing.T) {
	l := NewLearner(BuiltIn())
	first := l.Snapshot()
	kept := *first
	s, m := lived()
	for i := range 1000 {
		l.Observe(&s, m, i%2 == 0, false)
	}
	if *first != kept {
		t.Error("learning changed a prior already published")
	}
	second := l.Snapshot()
	if second.Version <= first.Version {
		t.Errorf("versions %d, then %d", first.Version, second.Version)
	}
	if second.Reading == first.Reading {
		t.Error("nothing was learned")
	}
}

func TestSignsHold(t *testing.T) {
	random := rand.New(rand.NewPCG(15, 16))
	l := NewLearner(BuiltIn())
	lives := make([]State, 50)
	for i := range lives {
		lives[i] = randomLife(uint64(i), i)
	}
	for i := range 3000 { // outcomes without any sense
		s := lives[i%len(lives)]
		l.Observe(&s, Mail{At: 1600000000 + int64(i)*3600, Weight: 1}, random.IntN(2) == 0, random.IntN(2) == 0)
	}
	p := l.Snapshot()
	for i, sign := range signs {
		for _, w := range []float32{p.Reading.Weights[i], p.Tapping.Weights[i]} {
			if float64(w)*sign < 0 || math.IsNaN(float64(w)) {
				t.Errorf("input %d has weight %v", i, w)
			}
		}
	}
	if !p.sane() {
		t.Error("a published prior would be refused when read back")
	}
}

func TestFitFindsAnotherList(t *testing.T) {
	c := newCrowd(400, -3, 1, .15, 2*secondsPerDay)
	people := c.histories(40, steady)
	train := make([]History, len(people))
	for i, h := range people {
		train[i] = h[:20]
	}
	fitted := Fit(train, BuiltIn())
	if !fitted.sane() {
		t.Fatal("the fitted prior would be refused when read back")
	}
	for _, horizon := range []int{0, 20} {
		plain, _ := online(BuiltIn(), people, horizon)
		better, _ := online(fitted, people, horizon)
		a, b := scored(plain), scored(better)
		t.Logf("from mail %d: built in %v; fitted %v", horizon, a, b)
		if b.loss > a.loss+0.0005 {
			t.Errorf("from mail %d: log-loss %.4f after fitting, %.4f before", horizon, b.loss, a.loss)
		}
	}
}

func TestFitKeepsPriorOnFewData(t *testing.T) {
	c := newCrowd(20, 1, 1, .5, week)
	from := BuiltIn()
	got := Fit(c.histories(10, steady), from)
	got.Version = from.Version
	if *got != *from {
		t.Error("200 outcomes changed the prior")
	}
	if got := Fit(nil, from); got.Reading != from.Reading {
		t.Error("nothing changed the prior")
	}
	// Nobody reads: there is nothing to learn about levels, and nothing may break.
	nobody := newCrowd(300, -50, 0, 0, week).histories(20, steady)
	silent := Fit(nobody, from)
	if !silent.sane() || silent.Open != from.Open {
		t.Error("a list that nobody reads broke the prior")
	}
}

func TestDeterminism(t *testing.T) {
	c := newCrowd(120, -1, 1, .2, week)
	people := c.histories(20, steady)
	a, b := Fit(people, BuiltIn()), Fit(people, BuiltIn())
	if *a != *b {
		t.Error("fitting twice gives two priors")
	}
	x, _ := online(a, people, 0)
	y, _ := online(b, people, 0)
	for i := range x {
		if x[i] != y[i] {
			t.Fatalf("prediction %d: %v, then %v", i, x[i], y[i])
		}
	}
	s, r := randomLife(5, 80), randomLife(5, 80)
	if s != r {
		t.Error("the same life gives two states")
	}
}

func TestNoAllocation(t *testing.T) {
	p := BuiltIn()
	s, m := lived()
	l := NewLearner(p)
	buf := make([]byte, 0, MaxStateSize)
	sink := 0.0
	n := testing.AllocsPerRun(100, func() {
		read, click := s.Foresee(p, m)
		u, c := s.Leave(p, m.At, s.Pressure(p, m.At, 1))
		later := s.Provisional(p, 20, 2)
		sink += read + click + u + c + s.Future(p, m.At) + s.Sd(p, m) + s.Alive(p, m.At) + later.Read(p, m) + s.Click(p, m)
		s.Sent(p, m)
		l.Observe(&s, m, true, false)
		s.Resolve(p, m, true, false, 1)
		s.Active(p, m.At)
		buf = s.AppendBinary(buf[:0])
		if _, err := s.UnmarshalBinary(buf); err != nil {
			t.Error(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
	_ = sink
}
