package clock

// An hour is taken as drawn in two steps: a day of the week, then an hour of a
// working day or of a weekend day. 7 + 24 + 24 numbers then say nearly all that
// 168 would, from a fifth of the evidence. What the two steps cannot say is a
// residue shared by all (see audience).
const (
	workday = 0
	weekend = 1
)

// parts of the week by weekday.
var partOf = [7]int{workday, workday, workday, workday, workday, weekend, weekend}

// view is a clock's evidence as of its last touch, ready to be compared with
// shares. Expectations are scaled to the sum of what was observed: how much a
// person reads is not a question of when, and an overrated mass (dropout,
// fatigue) must not pass for absence.
type view struct {
	n       float32 // events
	hour    [2][24]float32
	due     [2][24]float32
	day     [7]float32
	dueDay  [7]float32
	fresh   [24]float32
	steady  bool // nothing was due from mail: the dues are the shared shares
	nFresh  float32
	nPart   [2]float32
	dueBoth [24]float32 // on any day
}

// look makes the view of a clock.
func (c *Clock) look(a *audience, v *view) {
	c.counted(a, v)
	if v.steady {
		return
	}
	scale(v.dueDay[:], v.n)
	scale(v.due[workday][:], v.nPart[workday])
	scale(v.due[weekend][:], v.nPart[weekend])
	scale(v.dueBoth[:], v.n)
}

// counted is look with the expectations as they were counted.
func (c *Clock) counted(a *audience, v *view) {
	*v = view{}
	slow, fast := 1/grow(c.last-c.ref, slowHalf), 1/grow(c.last-c.ref, fastHalf)
	var mail float32
	for d, o := range c.day {
		v.day[d] = o * slow
		v.n += v.day[d]
		mail += c.dueDay[d] * slow
	}
	for h := range 24 {
		v.hour[weekend][h] = c.weekend[h] * slow
		v.hour[workday][h] = max(0, c.hour[h]-c.weekend[h]) * slow
		v.nPart[workday] += v.hour[workday][h]
		v.nPart[weekend] += v.hour[weekend][h]
		v.fresh[h] = c.fresh[h] * fast
		v.nFresh += v.fresh[h]
	}
	acts := c.acts * slow
	if v.steady = mail < 1e-3*(acts+1e-3); v.steady {
		v.expectShared(a)
		return
	}
	v.expect(c, a, acts, slow)
}

// expectShared fills the dues where nothing but activity was seen.
func (v *view) expectShared(a *audience) {
	for d := range v.dueDay {
		v.dueDay[d] = v.n * a.day[d]
	}
	for h := range 24 {
		v.due[workday][h] = v.nPart[workday] * a.hour[workday][h]
		v.due[weekend][h] = v.nPart[weekend] * a.hour[weekend][h]
		v.dueBoth[h] = v.n * a.both[h]
	}
}

// expect fills the dues from activity and from mail. Mail's due hours are kept for
// the whole week; they are told apart by the shares of the days and the shared curve.
func (v *view) expect(c *Clock, a *audience, acts, slow float32) {
	var total, ends float32
	for d := range v.dueDay {
		v.dueDay[d] = acts*a.day[d] + c.dueDay[d]*slow
		total += v.dueDay[d]
		if partOf[d] == weekend {
			ends += c.dueDay[d] * slow
		}
	}
	mail := max(total-acts, 1e-9)
	shareEnd := ends / mail
	for h := range 24 {
		wd, we := (1-shareEnd)*a.hour[workday][h], shareEnd*a.hour[weekend][h]
		due := c.due[h] * slow / max(wd+we, 1e-9)
		v.due[workday][h] = acts*(1-a.weekend)*a.hour[workday][h] + due*wd
		v.due[weekend][h] = acts*a.weekend*a.hour[weekend][h] + due*we
		v.dueBoth[h] = acts*a.both[h] + c.due[h]*slow
	}
}

// scale makes the sum of a equal to total.
func scale(a []float32, total float32) {
	k := total / max(sum(a), 1e-9)
	for i := range a {
		a[i] *= k
	}
}

func sum(a []float32) (s float32) {
	for _, x := range a {
		s += x
	}
	return s
}

// blur is the circular binomial filter (1,4,6,4,1)/16: a sigma of one hour.
func blur(in *[24]float32, out *[24]float32) {
	a, b, m, d := in[22], in[23], in[0], in[1]
	for h := range 24 {
		e := in[(h+2)%24]
		out[h] = (a + e + 4*(b+d) + 6*m) / 16
		a, b, m, d = b, m, d, e
	}
}

// widen is the circular mean of nine hours: a sigma of 2.6.
func widen(in *[24]float32, out *[24]float32) {
	var s float32
	for i := -4; i <= 4; i++ {
		s += in[(i+24)%24]
	}
	for h := range 24 {
		out[h] = s / 9
		s += in[(h+5)%24] - in[(h+20)%24]
	}
}
