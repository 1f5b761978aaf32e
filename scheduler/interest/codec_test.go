package interest

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// randomLife takes a person through many mails of all kinds.
func randomLife(seed uint64, mails int) State {
	p := BuiltIn()
	random := rand.New(rand.NewPCG(seed, 9))
	var s State
	rate, at := random.Float64(), int64(1500000000)
	for range mails {
		m := Mail{At: at, Topic: uint32(random.IntN(9)), Weight: random.Float32(), Level: float32(random.NormFloat64())}
		s.Sent(p, m)
		switch random.IntN(12) {
		case 0:
			s.Active(p, at)
		case 1:
			s.Unsubscribed(at)
		case 2:
			s.Complained(at)
		default:
			s.Resolve(p, m, random.Float64() < rate, random.IntN(9) == 0, random.Float32())
		}
		at += int64(random.IntN(20 * secondsPerDay))
	}
	return s
}

func TestStateRoundTrip(t *testing.T) {
	if MaxStateSize > 90 {
		t.Errorf("a state takes %d bytes, 90 is all that the profile has room for", MaxStateSize)
	}
	for seed := range uint64(300) {
		s := randomLife(seed, int(seed))
		b := s.AppendBinary([]byte("before"))
		if len(b) > 6+MaxStateSize {
			t.Fatalf("%d bytes, want at most %d", len(b)-6, MaxStateSize)
		}
		var got State
		rest, err := got.UnmarshalBinary(append(b[6:], "after"...))
		if err != nil || string(rest) != "after" {
			t.Fatalf("seed %d: rest %q, %v", seed, rest, err)
		}
		if got != s {
			t.Fatalf("seed %d: read back\n%+v\nwant\n%+v", seed, got, s)
		}
	}
}

func TestDamagedState(t *testing.T) {
	s := randomLife(1, 50)
	whole := s.AppendBinary(nil)
	for n := range whole {
		got := s
		if _, err := got.UnmarshalBinary(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes: no error", n, len(whole))
		} else if got != s {
			t.Errorf("%d of %d bytes: state changed", n, len(whole))
		}
	}
	other := bytes.Clone(whole)
	other[0] = 99
	if _, err := s.UnmarshalBinary(other); err == nil {
		t.Error("unknown version: no error")
	}
}

func FuzzState(f *testing.F) {
	for seed := range uint64(4) {
		s := randomLife(seed, 10*int(seed))
		f.Add(s.AppendBinary(nil))
	}
	p := BuiltIn()
	f.Fuzz(func(t *testing.T, b []byte) {
		var s State
		rest, err := s.UnmarshalBinary(b)
		if err != nil {
			return
		}
		// What can be read can be used and is written as it was.
		if again := s.AppendBinary(nil); !bytes.Equal(again, b[:len(b)-len(rest)]) {
			t.Fatalf("read %x, written %x", b, again)
		}
		m := Mail{At: 1600000000, Topic: 3, Weight: 1}
		checkProbability(t, "Read", s.Read(p, m))
		checkProbability(t, "Click", s.Click(p, m))
		checkProbability(t, "Sd", s.Sd(p, m))
		checkProbability(t, "Alive", s.Alive(p, m.At))
		u, c := s.Leave(p, m.At, s.Pressure(p, m.At, 1))
		checkProbability(t, "unsubscribe", u)
		checkProbability(t, "complaint", c)
		s.Active(p, m.At)
		s.Sent(p, m)
		s.Resolve(p, m, true, false, 1)
		s.Resolve(p, m, false, true, 0.5)
		checkProbability(t, "Read after", s.Read(p, m))
		var got State
		if _, err := got.UnmarshalBinary(s.AppendBinary(nil)); err != nil || got != s {
			t.Fatalf("lived on: %v, read back %+v, want %+v", err, got, s)
		}
	})
}

func checkProbability(t *testing.T, what string, p float64) {
	t.Helper()
	if !(p >= 0 && p <= 1) {
		t.Fatalf("%s = %v", what, p)
	}
}

func TestPriorRoundTrip(t *testing.T) {
	p := BuiltIn()
	b, err := p.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a prior takes %d bytes", len(b))
	if len(b) > 16<<10 {
		t.Errorf("a prior takes %d bytes", len(b))
	}
	var got Prior
	if err := got.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	if got != *p {
		t.Error("a prior read back differs")
	}
	for n := range b {
		if err := got.UnmarshalBinary(b[:n]); err == nil {
			t.Fatalf("%d of %d bytes: no error", n, len(b))
		}
	}
	s, m := lived()
	for i := range b {
		damaged := bytes.Clone(b)
		damaged[i] ^= 0x5a
		var q Prior
		if q.UnmarshalBinary(damaged) == nil {
			checkProbability(t, "Read", s.Read(&q, m))
		}
	}
}
