package interest

import (
	"math"
	"testing"
)

// answers are what somebody may say; 7 is a topic that lived knows, 8 another.
var answers = map[string]func(s *State, p *Prior){
	"too often":            func(s *State, p *Prior) { s.SaidTooOften(p) },
	"not relevant":         func(s *State, p *Prior) { s.SaidIrrelevant(7) },
	"no longer interested": func(s *State, p *Prior) { s.SaidLost(p) },
}

// A story of three who leave: each answer moves what it is about, and nothing else.
func TestSaidStory(t *testing.T) {
	p := BuiltIn()
	before, m := lived()
	other := m
	m.Topic, other.Topic = 7, 8
	odds := func(p float64) float64 { return p / (1 - p) }
	type look struct{ own, other, tolerance, hazard float64 }
	at := func(s *State) look {
		u, _ := s.Leave(p, m.At, s.Pressure(p, m.At, m.Weight))
		return look{odds(s.Read(p, m)), odds(s.Read(p, other)), float64(s.Tolerance(p)), u}
	}
	was := at(&before)
	type span struct{ from, to float64 } // of what it was
	same := span{1, 1}
	for _, tt := range []struct {
		story                         string
		own, other, tolerance, hazard span
	}{
		{"too often", same, same, span{.66, .68}, span{1.1, 3}},
		{"not relevant", span{.24, .25}, same, same, same},
		{"no longer interested", span{.3, .8}, span{.3, .8}, same, span{1.1, 3}},
	} {
		s := before
		answers[tt.story](&s, p)
		is := at(&s)
		for _, x := range []struct {
			what    string
			is, was float64
			want    span
		}{
			{"the odds of reading the topic", is.own, was.own, tt.own}, {"those of another", is.other, was.other, tt.other},
			{"the tolerance", is.tolerance, was.tolerance, tt.tolerance}, {"the hazard of leaving", is.hazard, was.hazard, tt.hazard},
		} {
			if got := x.is / x.was; got < x.want.from-1e-9 || got > x.want.to+1e-9 {
				t.Errorf("%s: %s %.3f of what they were, want %v", tt.story, x.what, got, x.want)
			}
		}
	}
}

// Whatever somebody has lived through: an answer raises neither interest nor tolerance,
// twice is once, answers in any order agree, and what is written is read back.
func TestSaidOnlyLowers(t *testing.T) {
	p := BuiltIn()
	for seed := range uint64(400) {
		before := randomLife(seed, int(seed%60))
		at := int64(1800000000)
		for name, say := range answers {
			once := before
			say(&once, p)
			twice := once
			say(&twice, p)
			if twice != once {
				t.Fatalf("seed %d, %s: said twice it is not the same", seed, name)
			}
			for topic := range uint32(9) {
				m := Mail{At: at, Topic: topic, Weight: .6}
				r, c := before.Foresee(p, m)
				if r2, c2 := once.Foresee(p, m); r2 > r*1.0001 || c2 > c*1.0001 || r2 <= 0 || c2 <= 0 || math.IsNaN(r2+c2) {
					t.Fatalf("seed %d, %s: topic %d is read with %.5f and clicked with %.5f, before %.5f and %.5f", seed, name, topic, r2, c2, r, c)
				}
			}
			if once.Tolerance(p) > before.Tolerance(p) || once.Tolerance(p) < p.Fatigue.Tolerance/p.Fatigue.Reach*.99 || once.Alive(p, at) > before.Alive(p, at)+1e-6 {
				t.Fatalf("seed %d, %s: tolerance %v after %v", seed, name, once.Tolerance(p), before.Tolerance(p))
			}
			var read State
			if rest, err := read.UnmarshalBinary(once.AppendBinary(nil)); err != nil || len(rest) > 0 || read != once {
				t.Fatalf("seed %d, %s: read back as another: %v", seed, name, err)
			}
		}
		a, b := before, before
		for _, name := range []string{"too often", "not relevant", "no longer interested"} {
			answers[name](&a, p)
		}
		for _, name := range []string{"no longer interested", "too often", "not relevant"} {
			answers[name](&b, p)
		}
		if a != b {
			t.Fatalf("seed %d: the order of answers matters", seed)
		}
	}
}

// Somebody who said that a list does not concern them subscribes again, and reads.
func TestReadingTakesIrrelevanceBack(t *testing.T) {
	p := BuiltIn()
	s, m := lived()
	m.Topic = 7
	said := s
	said.SaidIrrelevant(7)
	live(&said, p, m, false)
	if got := said.favour(7) / aversion; got > s.favour(7) {
		t.Errorf("unread mail takes it back: %v", got)
	}
	live(&said, p, m, true)
	if said.slot(topicID(7)).averse() {
		t.Error("a certain reading does not take it back")
	}
	var full State
	for topic := range uint32(topicSlots) {
		full.SaidIrrelevant(topic + 1)
	}
	before := full
	if full.SaidIrrelevant(99); full != before {
		t.Error("a topic that there is no room for displaces another")
	}
	if full.SaidIrrelevant(0); full != before {
		t.Error("no topic is taken for one")
	}
	if got := full.favour(3); got != aversion {
		t.Errorf("of a topic never mailed the odds are %v, want %v", got, aversion)
	}
}

// No longer interested is a lapse: time and visits heal it.
func TestLostComesBack(t *testing.T) {
	p := BuiltIn()
	s, m := lived()
	alive := s.Alive(p, m.At)
	s.SaidLost(p)
	low := s.Alive(p, m.At)
	s.Active(p, m.At)
	if visited := s.Alive(p, m.At); !(low < alive && low < visited) {
		t.Errorf("alive %.3f, after the answer %.3f, after a visit %.3f", alive, low, visited)
	}
}
