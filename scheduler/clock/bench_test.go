package clock

import "testing"

// habitual is a clock with a year of both kinds of evidence.
func habitual(p *Prior) (Clock, int64) {
	var c Clock
	at := int64(1_700_000_000)
	for i := range 400 {
		at += 20*3600 + int64(i%5)*1800
		hour := hourAt(at)
		if i%2 == 0 {
			c.Active(p, at, hour, 1)
			continue
		}
		c.Sent(p, at, hour, .4)
		c.Read(p, at+3600, hourAt(at+3600), at, .4, 1)
	}
	return c, at
}

// hourAt is the hour of the week in UTC.
func hourAt(at int64) int { return int((at/3600 + 72) % Hours) }

func BenchmarkActiveToday(b *testing.B) {
	p := BuiltIn()
	c, at := habitual(p)
	c.Sent(p, at, hourAt(at), .4)
	start := c
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%8 == 0 {
			c = start
		}
		t := at + int64(i%8+1)*2*3600
		c.Active(p, t, hourAt(t), 1)
	}
}

func BenchmarkReadToday(b *testing.B) {
	p := BuiltIn()
	c, at := habitual(p)
	c.Sent(p, at, hourAt(at), .4)
	start := c
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%8 == 0 {
			c = start
		}
		t := at + int64(i%8+1)*2*3600
		c.Read(p, t, hourAt(t), at, .4, 1)
	}
}

func BenchmarkSentToday(b *testing.B) {
	p := BuiltIn()
	c, at := habitual(p)
	c.Sent(p, at, hourAt(at), .4)
	start := c
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%8 == 0 {
			c = start
		}
		t := at + int64(i%8+1)*2*3600
		c.Sent(p, t, hourAt(t), .4)
	}
}

// The worst touch is after more than a week, with mail unread all the time and the
// reference of growth too old.
func BenchmarkAdvanceWorst(b *testing.B) {
	p := BuiltIn()
	c, at := habitual(p)
	c.Sent(p, at, hourAt(at), .4)
	c.ref -= 100 * day
	start := c
	t := at + 335*3600 + 1800
	b.ReportAllocs()
	for b.Loop() {
		c = start
		c.Advance(p, t, hourAt(t))
	}
}

func BenchmarkCurve(b *testing.B) {
	p := BuiltIn()
	mixed, at := habitual(p)
	var acts, few Clock
	for i := range 300 {
		t := at - int64(300-i)*17*3600
		acts.Active(p, t, hourAt(t), 1)
		if i < 5 {
			few.Active(p, t, hourAt(t), 1)
		}
	}
	unzoned := acts
	unzoned.Unzone()
	for name, c := range map[string]*Clock{"mixed": &mixed, "activity": &acts, "few": &few, "unzoned": &unzoned} {
		b.Run(name, func(b *testing.B) {
			var out Curve
			b.ReportAllocs()
			for b.Loop() {
				c.Curve(p, &out)
			}
		})
	}
}

func BenchmarkPresence48(b *testing.B) {
	p := BuiltIn()
	c, at := habitual(p)
	var out [48]float32
	b.ReportAllocs()
	for b.Loop() {
		c.Presence(p, at, hourAt(at), 48, out[:])
	}
}

func BenchmarkAppendBinary(b *testing.B) {
	c, _ := habitual(BuiltIn())
	buf := make([]byte, 0, MaxEncoded)
	b.ReportAllocs()
	for b.Loop() {
		buf = c.AppendBinary(buf[:0])
	}
}

func BenchmarkUnmarshalBinary(b *testing.B) {
	c, _ := habitual(BuiltIn())
	buf := c.AppendBinary(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.UnmarshalBinary(buf); err != nil {
			b.Fatal(err)
		}
	}
}
