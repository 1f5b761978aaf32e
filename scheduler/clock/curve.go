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
	for i := range a.types {
		w := share[i]
		if w == 0 {
			continue
		}
		t := &a.types[i]
		for q := range 2 {
			to, from := &in.hour[q][1], &t.lnHour[q]
			for h := range to {
				to[h] += w * from[h]
			}
		}
		for d := range 7 {
			in.day[1][d] += w * t.lnDay[d]
		}
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
	best := float32(-1e30)
	for i := range a.types {
		t := &a.types[i]
		l := dot(&o, &t.gain)
		if !v.steady {
			l -= v.n * ln(max(dot(&e, &t.ratio)/max(v.n, 1e-6), 1e-6))
		}
		share[i] = t.lnPrior + temper*l
		best = max(best, share[i])
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
	var s, t, u, v float32
	for i := 0; i < bins; i += 4 {
		s += a[i] * b[i]
		t += a[i+1] * b[i+1]
		u += a[i+2] * b[i+2]
		v += a[i+3] * b[i+3]
	}
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
	*hour, *day = [2][24]float32{}, [7]float32{}
	for q := range 2 {
		for i := range hourly {
			w, f := at(a.hourPool[q][i*powers:], in.x), &in.hour[q][i]
			for h := range f {
				hour[q][h] += w * f[h]
			}
		}
		for h := range 24 {
			hour[q][h] = exp(hour[q][h])
		}
		scale(hour[q][:], 1)
	}
	for d := range 7 {
		for i := range daily {
			day[d] += at(a.dayPool[i*powers:], in.x) * in.day[i][d]
		}
		day[d] = exp(day[d])
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
