package interest

import (
	"math"
	"math/rand/v2"
	"testing"
)

const week = 7 * secondsPerDay

// live sends the mail, and resolves it.
func live(s *State, p *Prior, m Mail, read bool) {
	m.Pressure = s.Pressure(p, m.At, m.Weight)
	s.Sent(p, m)
	s.Resolve(p, m, read, false, 1)
}

func TestTopics(t *testing.T) {
	const newsletter, promo = 0xdead0001, 0xbeef0002
	p := BuiltIn()
	tests := []struct {
		name             string
		newsletter       bool // whether newsletters are read
		promo            func(i int) bool
		newsletterAtMost float64
		newsletterFloor  float64
		promoAtMost      float64
		promoFloor       float64
	}{
		{"reads newsletters, ignores promotions", true, func(int) bool { return false }, 1, 0.6, 0.25, 0},
		{"reads everything", true, func(int) bool { return true }, 1, 0.75, 1, 0.75},
		{"ignores everything", false, func(int) bool { return false }, 0.06, 0, 0.06, 0},
		{"reads newsletters, every second promotion", true, func(i int) bool { return i%2 == 0 }, 1, 0.65, 0.75, 0.3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s State
			at := int64(1600000000)
			for i := range 25 {
				live(&s, p, Mail{At: at, Topic: newsletter, Weight: 0.6}, tt.newsletter)
				live(&s, p, Mail{At: at + 3*secondsPerDay, Topic: promo, Weight: 1}, tt.promo(i))
				at += week
			}
			n := s.Read(p, Mail{At: at, Topic: newsletter, Weight: 0.6})
			o := s.Read(p, Mail{At: at, Topic: promo, Weight: 1})
			u := s.Read(p, Mail{At: at, Topic: 0xfeed0003, Weight: 1})
			t.Logf("newsletter %.3f, promotion %.3f, unknown topic %.3f", n, o, u)
			if n < tt.newsletterFloor || n > tt.newsletterAtMost {
				t.Errorf("newsletter: Read = %.3f, want %.2f to %.2f", n, tt.newsletterFloor, tt.newsletterAtMost)
			}
			if o < tt.promoFloor || o > tt.promoAtMost {
				t.Errorf("promotion: Read = %.3f, want %.2f to %.2f", o, tt.promoFloor, tt.promoAtMost)
			}
		})
	}
}

// One topic alone says nothing that the person does not say.
func TestSingleTopicIsThePerson(t *testing.T) {
	p := BuiltIn()
	var with, without State
	m := Mail{At: 1600000000, Weight: 0.6}
	for i := range 40 {
		read := i%3 == 0
		live(&without, p, m, read)
		m.Topic = 99
		live(&with, p, m, read)
		a := with.Read(p, m)
		m.Topic = 0
		if b := without.Read(p, m); a != b {
			t.Fatalf("after %d mails: with a topic %v, without %v", i+1, a, b)
		}
		m.At += week
	}
}

func TestTopicSlotsMakeRoom(t *testing.T) {
	p := BuiltIn()
	var s State
	m := Mail{At: 1600000000, Weight: 0.6}
	for i := range 60 {
		m.Topic = 1 // the faithful one
		if i%3 == 1 {
			m.Topic = uint32(1000 + i) // all kinds of others, once each
		}
		live(&s, p, m, m.Topic == 1)
		m.At += week / 2
	}
	m.Topic = 1
	if s.favour(1) <= 1 {
		t.Errorf("the most used topic was pushed out: favour %v", s.favour(1))
	}
}

func TestThinEvidence(t *testing.T) {
	p := BuiltIn()
	var s State
	m := Mail{At: 1600000000, Weight: 0.6}
	first := s.Sd(p, m)
	for i, want := range []int{1, 2, 3, 4} {
		live(&s, p, m, false)
		m.At += week
		if got := s.Mails(); got != want {
			t.Errorf("after %d mails: Mails = %d", i+1, got)
		}
	}
	if now := s.Sd(p, m); now >= first {
		t.Errorf("Sd = %.3f after four misses, %.3f before any: should fall", now, first)
	}
	// Evidence that can hardly be trusted hardly counts.
	var doubtful State
	for range 5 {
		doubtful.Resolve(p, m, false, false, 0.2)
		m.At += week
	}
	if got := doubtful.Mails(); got != 1 {
		t.Errorf("five mails of weight .2: Mails = %d, want 1", got)
	}
	doubtful.Resolve(p, m, false, false, 0)
	doubtful.Resolve(p, m, false, false, float32(math.NaN()))
	if got := doubtful.Mails(); got != 1 {
		t.Errorf("mails of no weight count: Mails = %d, want 1", got)
	}
}

func TestQuietRevival(t *testing.T) {
	p := BuiltIn()
	var s State
	m := Mail{At: 1600000000, Weight: 0.6}
	for range 30 {
		live(&s, p, m, false)
		m.At += week
	}
	last, alive := s.Read(p, m), s.Alive(p, m.At)
	for _, days := range []int64{30, 90, 365, 1000} {
		later := m
		later.At += days * secondsPerDay
		now, living := s.Read(p, later), s.Alive(p, later.At)
		if now <= last || living <= alive {
			t.Errorf("%d days of silence: Read %.4f after %.4f, Alive %.3f after %.3f; want both to rise", days, now, last, living, alive)
		}
		last, alive = now, living
	}
	if start := p.startRead; last >= float64(start) {
		t.Errorf("after three years: Read = %.3f, more than a newcomer's %.3f", last, start)
	}
}

func TestActiveRevivesOnceADay(t *testing.T) {
	p := BuiltIn()
	var s State
	m := Mail{At: 1600000000, Weight: 0.6}
	for range 12 {
		live(&s, p, m, false)
		m.At += week
	}
	before := s.Read(p, m)
	s.Active(p, m.At)
	after := s.Read(p, m)
	if after <= before {
		t.Errorf("a visit: Read %.4f, before %.4f; want more", after, before)
	}
	kept := s
	for i := range int64(20) {
		s.Active(p, m.At+i*60)
	}
	s.Active(p, m.At-30*secondsPerDay) // told late
	if s != kept {
		t.Error("more visits on the same day, or older ones, change the state")
	}
}

func TestProvisional(t *testing.T) {
	p := BuiltIn()
	var s State
	m := Mail{At: 1600000000, Weight: 0.6}
	for i := range 12 {
		live(&s, p, m, i%2 == 0)
		m.At += week
	}
	kept := s
	last := s.Read(p, m)
	for _, hours := range []float64{0.2, 1, 6, 24, 72, 168} {
		u := s.Provisional(p, hours, 1)
		if now := u.Read(p, m); now > last {
			t.Errorf("unread for %v h: Read %.4f, more than %.4f earlier", hours, now, last)
		} else {
			last = now
		}
	}
	one, three := s.Provisional(p, 48, 1), s.Provisional(p, 48, 3)
	if one.Read(p, m) <= three.Read(p, m) {
		t.Error("three unread mails should say more than one")
	}
	if none := s.Provisional(p, 48, 0); none != s || s != kept {
		t.Error("no unread mail, or asking, changed the state")
	}
}

// Whoever reads is never foreseen to read less for it: not less than before, but
// for the drift of one who is all but certain, nor less than had the mail been
// ignored. With several topics a reading may take a
// little from the lead that its topic had over the others, but no more.
func TestReadNeverLowersRead(t *testing.T) {
	p := BuiltIn()
	tests := []struct {
		name   string
		topics int
		slack  float64
	}{
		{"no topic", 1, 0.005},
		{"three topics", 3, 0.05},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			for range 1000 {
				var s State
				rate := random.Float64()
				m := Mail{At: 1600000000, Weight: 0.6}
				for range 40 {
					m.Topic = uint32(random.IntN(tt.topics))
					next := m
					next.At += int64(1+random.IntN(20)) * secondsPerDay
					before := s.Read(p, next)
					s.Sent(p, m)
					read, ignored := s, s
					read.Resolve(p, m, true, random.IntN(5) == 0, 1)
					ignored.Resolve(p, m, false, false, 1)
					after, otherwise := read.Read(p, next), ignored.Read(p, next)
					if after <= otherwise || after < before-tt.slack {
						t.Fatalf("%d mails: Read %.4f after reading, %.4f before, %.4f after none", s.Mails(), after, before, otherwise)
					}
					s = ignored
					if random.Float64() < rate {
						s = read
					}
					m = next
				}
			}
		})
	}
}
