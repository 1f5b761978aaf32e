package interest

import "testing"

// lived is a person with some history, and the mail after it.
func lived() (State, Mail) {
	p := BuiltIn()
	var s State
	m := Mail{At: 1600000000, Topic: 7, Weight: 0.6}
	for i := range 30 {
		m.Topic = uint32(7 + i%3)
		s.Sent(p, m)
		s.Resolve(p, m, i%3 == 0, i%9 == 0, 1)
		m.At += 5*secondsPerDay + int64(i)*977
	}
	return s, m
}

func BenchmarkRead(b *testing.B) {
	p := BuiltIn()
	s, m := lived()
	sum := 0.0
	for b.Loop() {
		sum += s.Read(p, m)
	}
	_ = sum
}

func BenchmarkForesee(b *testing.B) {
	p := BuiltIn()
	s, m := lived()
	for b.Loop() {
		s.Foresee(p, m)
	}
}

func BenchmarkSd(b *testing.B) {
	p := BuiltIn()
	s, m := lived()
	for b.Loop() {
		s.Sd(p, m)
	}
}

func BenchmarkPressure(b *testing.B) {
	p := BuiltIn()
	s, m := lived()
	for b.Loop() {
		s.Pressure(p, m.At, 1)
	}
}

func BenchmarkLeave(b *testing.B) {
	p := BuiltIn()
	s, m := lived()
	for b.Loop() {
		s.Leave(p, m.At, 1.3)
	}
}

func BenchmarkFuture(b *testing.B) {
	p := BuiltIn()
	s, m := lived()
	for b.Loop() {
		s.Future(p, m.At)
	}
}

func BenchmarkSent(b *testing.B) {
	p := BuiltIn()
	s, m := lived()
	for b.Loop() {
		s.Sent(p, m)
		m.At += 86400
	}
}

func BenchmarkResolve(b *testing.B) {
	p := BuiltIn()
	s, m := lived()
	for i := 0; b.Loop(); i++ {
		m.At += secondsPerDay
		s.Resolve(p, m, i%4 == 0, i%16 == 0, 1)
	}
}

func BenchmarkProvisional(b *testing.B) {
	p := BuiltIn()
	s, _ := lived()
	for b.Loop() {
		s.Provisional(p, 30, 1)
	}
}

func BenchmarkCodec(b *testing.B) {
	s, _ := lived()
	buf := make([]byte, 0, MaxStateSize)
	for b.Loop() {
		buf = s.AppendBinary(buf[:0])
		if _, err := s.UnmarshalBinary(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	l := NewLearner(BuiltIn())
	s, m := lived()
	for i := 0; b.Loop(); i++ {
		l.Observe(&s, m, i%4 == 0, i%16 == 0)
	}
}

func BenchmarkSnapshot(b *testing.B) {
	l := NewLearner(BuiltIn())
	for b.Loop() {
		l.Snapshot()
	}
}
