package clock

const (
	pseudo = 5  // events by which own shares are shrunk to the shared ones
	temper = .5 // of the likelihood of types: nobody is exactly of one type, and hours come in bursts
	center = 4  // ln(n+1) at which the weights that grow with evidence are zero
)

// mix is the mean of the logarithms of the types' shares under the posterior.
type mix struct {
	hour [2][24]float32
	day  [7]float32
}

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

// inputs are what the pool weighs.
type inputs struct {
	x    float32 // ln(n+1) - center
	hour [2][hourly][24]float32
	day  [daily][7]float32
}

// inputs fills in from the clock.
func (c *Clock) inputs(a *audience, in *inputs) {
	var v view
	var m mix
	c.look(a, &v)
	a.resemble(&v, &m)
	in.x = ln(v.n+1) - center
	var all [3][24]float32
	a.wholeWeek(&v, &all)
	for q := range 2 {
		f := &in.hour[q]
		f[0], f[2] = a.lnHour[q], m.hour[q]
		ownHours(&v.hour[q], &v.due[q], &a.blurred[q], &f[4])
		f[6], f[7], f[8] = all[0], all[1], all[2]
		for h := range 24 {
			f[1][h], f[3][h], f[5][h] = f[0][h]*in.x, f[2][h]*in.x, f[4][h]*in.x
			f[9][h] = f[6][h] * in.x
		}
	}
	in.day[0], in.day[2] = a.lnDay, m.day
	for d := range 7 {
		g := pseudo * a.day[d]
		in.day[4][d] = ln((v.day[d] + g) / (v.dueDay[d] + g))
		in.day[1][d], in.day[3][d], in.day[5][d] = in.day[0][d]*in.x, in.day[2][d]*in.x, in.day[4][d]*in.x
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
func (a *audience) wholeWeek(v *view, out *[3][24]float32) {
	var due, seen, both, wideDue [24]float32
	k := v.nFresh / max(v.n, 1e-9)
	for h := range 24 {
		due[h] = v.dueBoth[h] * k
		both[h] = v.hour[workday][h] + v.hour[weekend][h]
	}
	ownHours(&v.fresh, &due, &a.blurAll, &out[0])
	widen(&both, &seen)
	widen(&v.dueBoth, &wideDue)
	for h := range 24 {
		g := pseudo * a.both[h]
		out[1][h] = ln((both[h] + g) / (v.dueBoth[h] + g))
		g = pseudo * a.wideAll[h]
		out[2][h] = ln((seen[h] + g) / (wideDue[h] + g))
	}
}

// resemble finds which types the person resembles.
func (a *audience) resemble(v *view, m *mix) {
	var share [maxTypes]float32
	a.posterior(v, &share)
	for i := range a.types {
		w := share[i]
		if w < .004 {
			continue
		}
		t := &a.types[i]
		for q := range 2 {
			for h := range 24 {
				m.hour[q][h] += w * t.lnHour[q][h]
			}
		}
		for d := range 7 {
			m.day[d] += w * t.lnDay[d]
		}
	}
}

// posterior is the share of belief in each type: Poisson likelihood of observed
// against expected counts with the person's overall rate left free. Shares below
// .004 are dropped.
func (a *audience) posterior(v *view, share *[maxTypes]float32) {
	var o, e [bins]float32
	for q := range 2 {
		for b := range 12 {
			o[q*12+b] = v.hour[q][2*b] + v.hour[q][2*b+1]
			e[q*12+b] = v.due[q][2*b] + v.due[q][2*b+1]
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
		if share[i] < .004*kept {
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
	for q := range 2 {
		w, f := &a.hourPool[q], &in.hour[q]
		for h := range 24 {
			var z float32
			for i := range hourly {
				z += w[i] * f[i][h]
			}
			hour[q][h] = exp(z)
		}
		scale(hour[q][:], 1)
	}
	for d := range 7 {
		var z float32
		for i := range daily {
			z += a.dayPool[i] * in.day[i][d]
		}
		day[d] = exp(z)
	}
	a.multiply(&hour, &day, out)
}

// multiply spreads day and hour shares over the week, with mean 1.
func (a *audience) multiply(hour *[2][24]float32, day *[7]float32, out *Curve) {
	var total float32
	for d := range 7 {
		row, h, r := out[d*24:d*24+24], &hour[partOf[d]], a.residue[d*24:d*24+24]
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
