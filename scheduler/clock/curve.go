package clock

const (
	pseudo = 5    // events by which own shares are shrunk to the shared ones
	temper = .5   // of the likelihood of types: nobody is exactly of one type, and hours come in bursts
	tiny   = .008 // a belief not worth its arithmetic
	center = 4    // ln(n+1) at which the weights that grow with evidence are zero
)

// Curve is the person's own curve, as of the last touch: a log-linear pool of the
// shared curve, of the types the person resembles, and of the person's own
// counters, trusted the more the more has been seen.
func (c *Clock) Curve(p *Prior, out *Curve) {
	a := p.audience(c.utc)
	if !c.known {
		*out = a.curve
		return
	}
	var in inputs
	c.inputs(a, &in)
	a.pool(&in, out)
}

// inputs are what the pool weighs, all of them logarithms of shares or ratios.
type inputs struct {
	x    float32                // ln(n+1) - center: how much was seen
	hour [2][hourly][24]float32 // shared, types', own in this part of the week, own of late, own unblurred, own widened
	day  [daily][7]float32      // shared, types', own
}

// inputs fills in from the clock.
func (c *Clock) inputs(a *audience, in *inputs) {
	var v view
	c.look(a, &v)
	in.x = ln(v.n+1) - center
	a.resemble(&v, in)
	a.wholeWeek(&v, in)
	for q := range 2 {
		in.hour[q][0] = a.lnHour[q]
		ownHours(&v.hour[q], &v.due[q], &a.blurred[q], &in.hour[q][2])
	}
	in.day[0] = a.lnDay
	for d := range 7 {
		g := pseudo * a.day[d]
		in.day[2][d] = ln((v.day[d] + g) / (v.dueDay[d] + g))
	}
}

// ownHours is ln(observed / expected) by hour, blurred and shrunk.
func ownHours(seen, due, shared, out *[24]float32) {
	var o, e [24]float32
	blur(seen, &o)
	blur(due, &e)
	for h := range 24 {
		g := pseudo * shared[h]
		out[h] = ln((o[h] + g) / (e[h] + g))
	}
}

// wholeWeek is ln(observed / expected) by hour of the day on any day: of late,
// unblurred, and widened.
func (a *audience) wholeWeek(v *view, in *inputs) {
	var due, seen, both, wideDue [24]float32
	k := v.nFresh / max(v.n, 1e-9)
	for h := range 24 {
		due[h] = v.dueBoth[h] * k
		both[h] = v.hour[workday][h] + v.hour[weekend][h]
	}
	f := &in.hour[workday]
	ownHours(&v.fresh, &due, &a.blurAll, &f[3])
	widen(&both, &seen)
	widen(&v.dueBoth, &wideDue)
	for h := range 24 {
		g := pseudo * a.both[h]
		f[4][h] = ln((both[h] + g) / (v.dueBoth[h] + g))
		g = pseudo * a.wideAll[h]
		f[5][h] = ln((seen[h] + g) / (wideDue[h] + g))
	}
	copy(in.hour[weekend][3:], f[3:])
}

// resemble finds which types the person resembles, and takes the mean of the
// logarithms of their shares under the posterior.
func (a *audience) resemble(v *view, in *inputs) {
	var share [maxTypes]float32
	a.posterior(v, &share)
	next := func(i int) int {
		for i++; i < len(a.types) && share[i] == 0; i++ {
		}
		return i
	}
	for i := next(-1); i < len(a.types); {
		j := next(i)
		if j == len(a.types) {
			in.resembles(&a.types[i], &a.types[i], share[i], 0)
			break
		}
		in.resembles(&a.types[i], &a.types[j], share[i], share[j])
		i = next(j)
	}
}

// resembles adds two types at a time, in order.
func (in *inputs) resembles(s, t *kind, v, w float32) {
	for q := range 2 {
		to, from, then := &in.hour[q][1], &s.lnHour[q], &t.lnHour[q]
		for h := range to {
			to[h] = to[h] + v*from[h] + w*then[h]
		}
	}
	to := &in.day[1]
	for d := range to {
		to[d] = to[d] + v*s.lnDay[d] + w*t.lnDay[d]
	}
}

// posterior is the share of belief in each type: Poisson likelihood of observed
// against expected counts with the person's overall rate left free. Shares below
// tiny are dropped.
func (a *audience) posterior(v *view, share *[maxTypes]float32) {
	var o, e [bins]float32
	for q := range 2 {
		for h := 0; h < 24; h += span {
			b := (q*24 + h) / span
			o[b] = v.hour[q][h] + v.hour[q][h+1] + v.hour[q][h+2]
			e[b] = v.due[q][h] + v.due[q][h+1] + v.due[q][h+2]
		}
	}
	best, n := float32(-1e30), max(v.n, 1e-6)
	for i := range a.types {
		t := &a.types[i]
		l := dot(&o, &t.gain)
		if !v.steady {
			due := dot(&e, &t.ratio) / n
			if due < 1e-6 {
				due = 1e-6
			}
			l -= v.n * ln(due)
		}
		l = t.lnPrior + temper*l
		if share[i] = l; l > best {
			best = l
		}
	}
	var kept float32
	for i := range a.types {
		if share[i] -= best; share[i] < -7 {
			share[i] = 0
			continue
		}
		share[i] = exp(share[i])
		kept += share[i]
	}
	rest := kept
	for i := range a.types {
		if share[i] < tiny*kept {
			rest -= share[i]
			share[i] = 0
		}
	}
	for i := range a.types {
		share[i] /= rest
	}
}

func dot(a, b *[bins]float32) float32 {
	s := a[0]*b[0] + a[4]*b[4] + a[8]*b[8] + a[12]*b[12]
	t := a[1]*b[1] + a[5]*b[5] + a[9]*b[9] + a[13]*b[13]
	u := a[2]*b[2] + a[6]*b[6] + a[10]*b[10] + a[14]*b[14]
	v := a[3]*b[3] + a[7]*b[7] + a[11]*b[11] + a[15]*b[15]
	return s + t + u + v
}

// pool weighs the inputs and multiplies days, hours and residue out.
func (a *audience) pool(in *inputs, out *Curve) {
	var hour [2][24]float32
	var day [7]float32
	a.shares(in, &hour, &day)
	a.multiply(&hour, &day, out)
}

// shares are the pooled shares of the hours in each part of the week, and of the days.
func (a *audience) shares(in *inputs, hour *[2][24]float32, day *[7]float32) {
	for q := range 2 {
		var w [hourly]float32
		for i := range w {
			w[i] = at(a.hourPool[q][i*powers:], in.x)
		}
		f, to := &in.hour[q], &hour[q]
		for h := range to {
			to[h] = exp(w[0]*f[0][h] + w[1]*f[1][h] + w[2]*f[2][h] + w[3]*f[3][h] + w[4]*f[4][h] + w[5]*f[5][h])
		}
		scale(to[:], 1)
	}
	var w [daily]float32
	for i := range w {
		w[i] = at(a.dayPool[i*powers:], in.x)
	}
	for d := range day {
		day[d] = exp(w[0]*in.day[0][d] + w[1]*in.day[1][d] + w[2]*in.day[2][d])
	}
	scale(day[:], 1)
}

// at is the polynomial w[0] + w[1] x + w[2] x².
func at(w []float32, x float32) float32 { return w[0] + x*(w[1]+x*w[2]) }

// multiply spreads day and hour shares over the week, with mean 1.
func (a *audience) multiply(hour *[2][24]float32, day *[7]float32, out *Curve) {
	var total float32
	for d := range 7 {
		row, h, r := (*[24]float32)(out[d*24:]), &hour[partOf[d]], (*[24]float32)(a.residue[d*24:])
		for i := range row {
			row[i] = day[d] * h[i] * r[i]
			total += row[i]
		}
	}
	k := Hours / total
	for i := range out {
		out[i] *= k
	}
}
