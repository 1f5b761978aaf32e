package clock

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestClockRoundTrip(t *testing.T) {
	p := BuiltIn()
	longest := 0
	for seed := range uint64(200) {
		c := jumble(p, rand.New(rand.NewPCG(seed, 3)))
		b := c.AppendBinary([]byte("before"))
		longest = max(longest, len(b)-6)
		var d Clock
		rest, err := d.UnmarshalBinary(append(b[6:], "rest"...))
		if err != nil || string(rest) != "rest" {
			t.Fatalf("seed %d: rest %q, error %v", seed, rest, err)
		}
		if again := d.AppendBinary(nil); string(again) != string(b[6:]) {
			t.Errorf("seed %d: a decoded clock encodes differently", seed)
		}
		for h := range c.hour {
			if got, want := float64(d.hour[h]), float64(c.hour[h]); math.Abs(got-want) > .033*want+.002 {
				t.Errorf("seed %d: hour %d is %v, was %v", seed, h, got, want)
			}
		}
	}
	if longest > MaxEncoded || MaxEncoded > 140 {
		t.Errorf("encoded clock has %d bytes, at most %d", longest, MaxEncoded)
	}
}

// Many small steps, each written and read back, add up without drift.
func TestRoundingIsFair(t *testing.T) {
	const steps, each = 4000, .01
	var total float64
	for seed := range 30 {
		c := Clock{known: true, last: monday + int64(seed)*977, ref: monday, born: monday}
		c.acts = 1
		for i := range steps {
			c.due[3] += each
			c.last += int64(i%7) + 1
			if _, err := c.UnmarshalBinary(c.AppendBinary(nil)); err != nil {
				t.Fatal(err)
			}
		}
		total += float64(c.due[3]) / 30
	}
	if math.Abs(total/(steps*each)-1) > .04 {
		t.Errorf("%v steps of %v add up to %.2f", steps, each, total)
	}
}

func TestDamagedClockIsAnError(t *testing.T) {
	c, _ := habitual(BuiltIn())
	good := c.AppendBinary(nil)
	for name, b := range map[string][]byte{
		"empty":         {},
		"other version": append([]byte{9}, good[1:]...),
		"unknown flag":  append([]byte{good[0], 0xff}, good[2:]...),
		"no clock":      {clockFormat, flagMail},
		"cut in times":  good[:7],
		"cut in counts": good[:len(good)-1],
		"far reference": append(append([]byte{}, good[:6]...), append([]byte{0, 0}, good[8:]...)...),
	} {
		d := c
		if _, err := d.UnmarshalBinary(b); err == nil || d != c {
			t.Errorf("%s: error %v, changed %v", name, err, d != c)
		}
	}
}

func FuzzClock(f *testing.F) {
	p := BuiltIn()
	for seed := range uint64(5) {
		c := jumble(p, rand.New(rand.NewPCG(seed, 4)))
		f.Add(c.AppendBinary(nil))
	}
	f.Add([]byte{clockFormat, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var c Clock
		rest, err := c.UnmarshalBinary(b)
		if err != nil {
			return
		}
		// What mail left may have faded to nothing since it was written: then it is
		// written shorter. It stays the same clock.
		if again := c.AppendBinary(nil); string(again) != string(b[:len(b)-len(rest)]) {
			var d Clock
			if _, err := d.UnmarshalBinary(again); err != nil || d != c || c.mailSeen() {
				t.Fatalf("decoded %x, encoded %x, which is %v", b, again, err)
			}
		}
		at := c.last + 12345
		c.Sent(p, at, hourAt(at), 1)
		c.Advance(p, at+30*day, hourAt(at))
		var out Curve
		c.Curve(p, &out)
		for h, x := range out {
			if !(x >= 0) || math.IsInf(float64(x), 0) {
				t.Fatalf("hour %d is %v", h, x)
			}
		}
		if r := c.Rate(p, at); !(r >= 0 && r <= Hours) {
			t.Fatalf("rate is %v", r)
		}
	})
}

func TestPriorRoundTrip(t *testing.T) {
	p := BuiltIn()
	b := p.AppendBinary(nil)
	if len(b) > 64<<10 {
		t.Errorf("a prior takes %d bytes", len(b))
	}
	var q Prior
	rest, err := q.UnmarshalBinary(append(b, 1, 2))
	if err != nil || len(rest) != 2 {
		t.Fatal(rest, err)
	}
	c, _ := habitual(p)
	var a, z Curve
	c.Curve(p, &a)
	c.Curve(&q, &z)
	if a != z || string(q.AppendBinary(nil)) != string(b) {
		t.Error("the decoded prior differs")
	}
	for n := range b {
		if _, err := q.UnmarshalBinary(b[:n]); err == nil {
			t.Fatalf("cut to %d bytes it is still a prior", n)
		}
	}
	for i := 5; i < len(b); i += 4 {
		bad := append([]byte{}, b...)
		bad[i+2], bad[i+3] = 0xc0, 0x7f // not a number
		if _, err := q.UnmarshalBinary(bad); err == nil {
			t.Fatalf("not a number at %d is accepted", i)
		}
	}
}

func TestApproximations(t *testing.T) {
	for x := -79.; x < 79; x += .0137 {
		if got, want := float64(exp(float32(x))), math.Exp(float64(float32(x))); math.Abs(got/want-1) > 2e-5 {
			t.Fatalf("exp(%v) is %v, want %v", x, got, want)
		}
	}
	for x := 1e-12; x < 1e12; x *= 1.0137 {
		if got, want := float64(ln(float32(x))), math.Log(x); math.Abs(got-want) > 5e-6*math.Max(1, math.Abs(want)) {
			t.Fatalf("ln(%v) is %v, want %v", x, got, want)
		}
	}
}
