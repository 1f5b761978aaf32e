package clock

import (
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// mail is one mail of the oracle: exposed from sent to ended.
type mail struct {
	sent, ended int64
	mass        float64
}

// dueOf is what a mail gives to each hour of the week and weekday, summed hour by
// hour from the kernel's own integral: the definition, without any cleverness.
func (m mail) dueOf(p *Prior, until, ref int64, hours *[24]float64, days *[7]float64) {
	end := min(m.ended, until)
	for t := m.sent; t < end; {
		next := min(end, (t/3600+1)*3600)
		var read float64
		for j := range 3 {
			w, tau := float64(p.Kernel.W[j]), float64(p.Kernel.Tau[j])*3600
			read += w * (math.Exp(-float64(t-m.sent)/tau) - math.Exp(-float64(next-m.sent)/tau))
		}
		h := hourAt(t)
		e := m.mass * read * float64(p.local.curve[h]) * math.Exp2(float64(next-ref)/slowHalf)
		hours[h%24] += e
		days[h/24] += e
		t = next
	}
}

// The counters of exposure, kept in constant time per touch, agree with the sum
// over all unread mails of all hours they lay there.
func TestExposureAgreesWithOracle(t *testing.T) {
	p := BuiltIn()
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		var c Clock
		var mails []mail
		at := int64(1_700_000_000)
		for range 60 {
			switch r.IntN(4) {
			case 0:
				at += r.Int64N(1800)
			case 1, 2:
				at += r.Int64N(30 * 3600)
			case 3:
				at += r.Int64N(24 * day) // several weeks at a time
			}
			open := -1
			for i := range mails {
				if mails[i].ended == math.MaxInt64 {
					open = i
				}
			}
			switch what := r.IntN(4); {
			case what < 2 || open < 0:
				m := mail{at, math.MaxInt64, .1 + r.Float64()}
				mails = append(mails, m)
				c.Sent(p, at, hourAt(at), float32(m.mass))
			case what == 2:
				m := &mails[open]
				m.ended = at
				c.Read(p, at, hourAt(at), m.sent, float32(m.mass), 1)
			default:
				m := &mails[open]
				m.ended = at
				c.Settle(p, at, hourAt(at), m.sent, float32(m.mass))
			}
		}
		at += day
		c.Advance(p, at, hourAt(at))
		compare(t, seed, p, &c, mails, at)
	}
}

// compare holds a clock against the oracle's sums.
func compare(t *testing.T, seed uint64, p *Prior, c *Clock, mails []mail, at int64) {
	t.Helper()
	var hours [24]float64
	var days [7]float64
	var stock [3]float64
	for _, m := range mails {
		m.dueOf(p, at, c.ref, &hours, &days)
		for j := range stock {
			if m.ended > at {
				stock[j] += m.mass * float64(p.Kernel.W[j]) * math.Exp(-float64(at-m.sent)/3600/float64(p.Kernel.Tau[j]))
			}
		}
	}
	for h, want := range hours {
		if got := float64(c.due[h]); math.Abs(got-want) > .015*want+.002 {
			t.Errorf("seed %d: hour %d: expected reads %.4f, oracle %.4f", seed, h, got, want)
		}
	}
	for d, want := range days {
		if got := float64(c.dueDay[d]); math.Abs(got-want) > .015*want+.002 {
			t.Errorf("seed %d: day %d: expected reads %.4f, oracle %.4f", seed, d, got, want)
		}
	}
	for j, want := range stock {
		if got := float64(c.stock[j]); math.Abs(got-want) > 1e-3 {
			t.Errorf("seed %d: unread stock %d is %.5f, oracle %.5f", seed, j, got, want)
		}
	}
}

// active feeds a clock with activity at the hour of each day, n days in a row.
func active(p *Prior, hour, days int, from int64) Clock {
	var c Clock
	from = midnight(from)
	for d := range days {
		t := from + int64(d)*day + int64(hour)*3600
		c.Active(p, t, hourAt(t), 1)
	}
	return c
}

const monday = int64(1_704_067_200) // 2024-01-01 00:00 UTC

func TestForgettingHalvesEvidence(t *testing.T) {
	p := BuiltIn()
	c := active(p, 9, 30, monday)
	before := c.Evidence()
	for _, days := range []int64{1, 60, 119, 121, 240, 2000} {
		d := c
		at := c.last + days*day
		d.Advance(p, at, hourAt(at))
		want := float64(before) * math.Exp2(-float64(days)/240)
		if got := float64(d.Evidence()); math.Abs(got-want) > .001*want+1e-6 {
			t.Errorf("after %d days evidence is %.4f, want %.4f", days, got, want)
		}
	}
}

// A reference of growth that is moved changes nothing that can be seen.
func TestRebaseChangesNothing(t *testing.T) {
	p := BuiltIn()
	a := active(p, 9, 200, monday)
	b := a
	b.refer(b.last)
	var ca, cb Curve
	a.Curve(p, &ca)
	b.Curve(p, &cb)
	for h := range ca {
		if math.Abs(float64(ca[h]-cb[h])) > 1e-3*float64(ca[h]) {
			t.Fatalf("hour %d: %v before, %v after", h, ca[h], cb[h])
		}
	}
}

func TestIdlePersonIsForgotten(t *testing.T) {
	p := BuiltIn()
	c := active(p, 3, 100, monday)
	at := c.last
	busy := c.Rate(p, at)
	c.Sent(p, at, hourAt(at), .5)
	at += 10 * 365 * day
	c.Advance(p, at, hourAt(at))
	var own, shared Curve
	c.Curve(p, &own)
	p.Curve(&shared)
	for h := range own {
		if !(own[h] > 0) || own[h] > 3*shared[h]+1 {
			t.Errorf("hour %d is still %.2f, shared %.2f", h, own[h], shared[h])
		}
	}
	if r := c.Rate(p, at); r > busy/20 {
		t.Errorf("after ten years the rate is %.2f a week, was %.2f", r, busy)
	}
	if c.stock[2] > 1e-6 {
		t.Errorf("unread stock is %v", c.stock)
	}
}

func TestRotationMovesHours(t *testing.T) {
	p := BuiltIn()
	for _, by := range []int{0, 1, 9, -5, 24, -30} {
		c := active(p, 12, 50, monday)
		c.Unzone()
		c.Rotate(by)
		want := active(p, ((12+by)%24+24)%24, 50, monday)
		if c.hour != want.hour && by != 0 {
			for h := range c.hour {
				if math.Abs(float64(c.hour[h]-want.hour[h])) > .01*float64(want.hour[h]) {
					t.Errorf("by %d: hour %d is %.3f, want %.3f", by, h, c.hour[h], want.hour[h])
				}
			}
		}
		if c.Unzoned() {
			t.Errorf("by %d: still unzoned", by)
		}
	}
}

func TestZeroClockKnowsTheSharedCurve(t *testing.T) {
	p := BuiltIn()
	var c, unzoned Clock
	unzoned.Unzone()
	var got, want Curve
	c.Curve(p, &got)
	p.Curve(&want)
	if got != want {
		t.Error("the zero clock's curve is not the shared one")
	}
	unzoned.Curve(p, &got)
	if got != p.utc.curve {
		t.Error("the unzoned clock's curve is not the shared one of UTC")
	}
	if r := c.Rate(p, monday); math.Abs(float64(r/p.come.typical)-1) > .9 {
		t.Errorf("rate of an unknown person is %.2f a week, typical %.2f", r, p.come.typical)
	}
	var out [200]float32
	c.Presence(p, monday, 0, len(out), out[:])
	for h, x := range out {
		if !(x > 0 && x < 1) {
			t.Errorf("presence %d hours ahead is %v", h, x)
		}
	}
}

func TestMassZeroTeachesNothing(t *testing.T) {
	p := BuiltIn()
	a := active(p, 9, 10, monday)
	b := a
	for range 20 {
		at := a.last + 3600
		a.Sent(p, at, hourAt(at), 0)
		b.Advance(p, at, hourAt(at))
	}
	if a != b {
		t.Error("mail of mass 0 left a trace")
	}
}

// Unread mail speaks against the hours it lies through; a read clears it.
func TestUnreadMailIsEvidence(t *testing.T) {
	p := BuiltIn()
	var reader Clock
	for d := range int64(60) {
		at := monday + d*day + 9*3600
		reader.Sent(p, at, hourAt(at), .8)
		at += 10 * 3600 // always read at 19:00, never in the first hours
		reader.Read(p, at, hourAt(at), at-10*3600, .8, 1)
	}
	var got, shared Curve
	reader.Curve(p, &got)
	p.Curve(&shared)
	if got[19] < 2*shared[19] || got[9] > shared[9]/2 || got[10] > shared[10]/2 {
		t.Errorf("19:00 is %.2f (shared %.2f), 09:00 %.2f (%.2f), 10:00 %.2f (%.2f)",
			got[19], shared[19], got[9], shared[9], got[10], shared[10])
	}
}

// An event dated far ahead does not silence the clock for ever.
func TestClockRecoversFromWrongTime(t *testing.T) {
	p := BuiltIn()
	c := active(p, 9, 60, monday)
	ahead := c.last + 50*365*day
	c.Active(p, ahead, hourAt(ahead), 1)
	at := monday + 61*day + 9*3600
	for range 30 {
		c.Active(p, at, hourAt(at), 1)
		at += day
	}
	if n := c.Evidence(); n < 20 || c.last != at-day {
		t.Errorf("evidence %.1f, last touch %d", n, c.last)
	}
	var d Clock
	if _, err := d.UnmarshalBinary(c.AppendBinary(nil)); err != nil {
		t.Error(err)
	}
}

func TestNonsenseWeightsCountNothing(t *testing.T) {
	p := BuiltIn()
	nan := float32(math.NaN())
	c := active(p, 9, 30, monday)
	want := c
	at := c.last
	c.Active(p, at, hourAt(at), nan)
	c.Sent(p, at, hourAt(at), -1)
	c.Sent(p, at, hourAt(at), nan)
	c.Read(p, at, hourAt(at), at-3600, nan, -3)
	if c != want {
		t.Error("nonsense left a trace")
	}
}

// Whatever comes in whatever order, curves stay finite, positive, of mean 1.
func TestAnyOrderKeepsCurvesSane(t *testing.T) {
	p := BuiltIn()
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 2))
		c := jumble(p, r)
		var out Curve
		c.Curve(p, &out)
		var total float64
		for h, x := range out {
			if !(x > 0) || math.IsInf(float64(x), 0) {
				t.Fatalf("seed %d: hour %d is %v", seed, h, x)
			}
			total += float64(x)
		}
		if math.Abs(total/Hours-1) > 1e-3 {
			t.Errorf("seed %d: mean is %v", seed, total/Hours)
		}
		if rate := c.Rate(p, c.last+r.Int64N(day)); !(rate > 0 && rate < Hours) {
			t.Errorf("seed %d: rate is %v", seed, rate)
		}
	}
}

// jumble is a clock after random events with times that jump back and forth.
func jumble(p *Prior, r *rand.Rand) Clock {
	var c Clock
	if r.IntN(2) == 0 {
		c.Unzone()
	}
	at := monday
	for range r.IntN(200) {
		at += r.Int64N(20*day) - 4*day
		hour := r.IntN(400) - 100
		switch r.IntN(5) {
		case 0:
			c.Active(p, at, hour, r.Float32()*3)
		case 1:
			c.Sent(p, at, hour, r.Float32())
		case 2:
			c.Read(p, at, hour, at-r.Int64N(10*day), r.Float32(), r.Float32())
		case 3:
			c.Settle(p, at, hour, at-r.Int64N(10*day), r.Float32())
		case 4:
			c.Rotate(r.IntN(100) - 50)
		}
	}
	return c
}

func TestEqualInputGivesEqualBytes(t *testing.T) {
	p := BuiltIn()
	a := jumble(p, rand.New(rand.NewPCG(7, 7)))
	b := jumble(BuiltIn(), rand.New(rand.NewPCG(7, 7)))
	if a != b || string(a.AppendBinary(nil)) != string(b.AppendBinary(nil)) {
		t.Error("the same events gave different clocks")
	}
	var ca, cb Curve
	a.Curve(p, &ca)
	b.Curve(p, &cb)
	if ca != cb {
		t.Error("the same clock gave different curves")
	}
}

func TestNothingAllocates(t *testing.T) {
	p := BuiltIn()
	c, at := habitual(p)
	var curve Curve
	var presence [48]float32
	buf := make([]byte, 0, MaxEncoded)
	if n := testing.AllocsPerRun(100, func() {
		at += 3600
		c.Sent(p, at, hourAt(at), .4)
		c.Active(p, at, hourAt(at), 1)
		c.Read(p, at, hourAt(at), at-60, .4, 1)
		c.Settle(p, at, hourAt(at), at-60, .4)
		c.Advance(p, at, hourAt(at))
		c.Curve(p, &curve)
		c.Presence(p, at, hourAt(at), len(presence), presence[:])
		c.Rate(p, at)
		buf = c.AppendBinary(buf[:0])
		if _, err := c.UnmarshalBinary(buf); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if size := unsafe.Sizeof(c); size > 512 {
		t.Errorf("a clock takes %d bytes of memory", size)
	}
}
