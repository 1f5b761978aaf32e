package scheduler

import (
	"testing"
	"time"

	"tidepost/scheduler/interest"
)

// What was learned comes back whole, and damage is noticed.
func TestLearnerCodec(t *testing.T) {
	l := NewLearner(BuiltIn())
	var s interest.State
	for i := range 300 {
		m := interest.Mail{At: 1_700_000_000 + int64(i)*3600, Weight: 1}
		l.Observe(&s, m, i%3 == 0, i%9 == 0)
		s.Resolve(l.model.Interest, m, i%3 == 0, i%9 == 0, 1)
	}
	for i := range 600 {
		l.Planned(&Decision{At: time.Unix(1_700_000_000, 0), Interest: float32(i) / 600, Mails: 5}, 1, true)
	}
	b := l.AppendBinary(nil)
	back, err := ReadLearner(b)
	if err != nil {
		t.Fatal(err)
	}
	was, is := l.Model(), back.Model()
	if !is.Observed || is.Demand != was.Demand || is.Interest.Reading.Weights != was.Interest.Reading.Weights || is.Version != was.Version {
		t.Errorf("came back as %+v, was %+v", is.Demand, was.Demand)
	}
	for n := range b {
		if _, err := ReadLearner(b[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes are read without an error", n, len(b))
		}
	}
}

func FuzzLearner(f *testing.F) {
	f.Add(NewLearner(BuiltIn()).AppendBinary(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ReadLearner(b)
		if err == nil && l.Model() == nil {
			t.Error("a learner without a model")
		}
	})
}
