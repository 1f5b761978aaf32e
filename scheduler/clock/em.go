package clock

import "math"

// Expectation maximisation over kinds of persons: each person is of one shape at
// one shift of hours, so that early and late risers, and unknown zones, share shapes.

const (
	rounds    = 40
	shapeMass = 20 // events (per root of a person's events) of the old shape that a new one is shrunk to
)

// evidence is one person's counters for the fit, weighted so that busy persons do
// not decide alone.
type evidence struct {
	o, chance [55]float32 // observed; expected by the shared shares, divided by them
	weight    float32
}

// gather makes a person's evidence from a clock.
func (a *audience) gather(c *Clock) evidence {
	var v view
	c.look(a, &v)
	e := evidence{weight: float32(1 / math.Sqrt(math.Max(float64(v.n), 1)))}
	for q := range 2 {
		for h := range 24 {
			e.o[q*24+h] = v.hour[q][h]
			e.chance[q*24+h] = v.due[q][h] / max(a.hour[q][h], 1e-6)
		}
	}
	for d := range 7 {
		e.o[48+d] = v.day[d]
		e.chance[48+d] = v.dueDay[d] / max(a.day[d], 1e-6)
	}
	return e
}

// learnShapes fits shapes and the prior of their shifts, starting at those a has.
// Shifts further than reach hours are not tried.
func (a *audience) learnShapes(people []evidence, reach int) {
	if a.count == 0 {
		a.guessShapes(people, reach)
	}
	old := a.shapes
	for range rounds {
		var next tally
		gains := a.gains()
		for i := range people {
			a.assign(&people[i], gains, &next)
		}
		a.update(&next, &old, reach, float32(len(people)))
	}
}

// guessShapes starts from arbitrary groups of persons.
func (a *audience) guessShapes(people []evidence, reach int) {
	a.count = maxShapes
	var t tally
	for i := range people {
		k := (i*2654435761>>7 ^ i) % maxShapes
		t.add(&people[i], k, 0, people[i].weight)
	}
	var flat [maxShapes]shape
	for k := range flat {
		flat[k] = shape{hour: a.hour, day: a.day}
	}
	a.update(&t, &flat, reach, float32(len(people)))
}

// gains is ln(share/shared share) of each shape at each shift, and of its days.
type gains struct {
	hour [maxShapes][24][48]float32
	day  [maxShapes][7]float32
}

func (a *audience) gains() *gains {
	g := new(gains)
	for k := range a.count {
		for s := range 24 {
			for q := range 2 {
				for h := range 24 {
					g.hour[k][s][q*24+h] = log32(a.shapes[k].hour[q][(h-s+24)%24]) - a.lnHour[q][h]
				}
			}
		}
		for d := range 7 {
			g.day[k][d] = log32(a.shapes[k].day[d]) - a.lnDay[d]
		}
	}
	return g
}

// tally sums what each shape explains.
type tally struct {
	o, chance [maxShapes][55]float32
	share     [maxShapes][24]float32
}

// assign spreads one person over shapes and shifts by the tempered posterior.
func (a *audience) assign(e *evidence, g *gains, t *tally) {
	var l [maxShapes][24]float32
	best := float32(-1e30)
	for k := range a.count {
		var day float32
		for d := range 7 {
			day += e.o[48+d] * g.day[k][d]
		}
		for s, prior := range a.shift[k] {
			if prior == 0 {
				continue
			}
			l[k][s] = log32(prior) + temper*(day+dot48(&e.o, &g.hour[k][s]))
			best = max(best, l[k][s])
		}
	}
	var all float32
	for k := range a.count {
		for s, prior := range a.shift[k] {
			if prior == 0 || l[k][s] < best-9 {
				l[k][s] = 0
				continue
			}
			l[k][s] = exp(l[k][s] - best)
			all += l[k][s]
		}
	}
	for k := range a.count {
		for s, w := range l[k] {
			if w > 1e-4*all {
				t.share[k][s] += w / all
				t.add(e, k, s, e.weight*w/all)
			}
		}
	}
}

// add counts the person's hours, shifted back by s, for shape k.
func (t *tally) add(e *evidence, k, s int, w float32) {
	for q := range 48 {
		from := q/24*24 + (q%24+s)%24
		t.o[k][q] += w * e.o[from]
		t.chance[k][q] += w * e.chance[from]
	}
	for d := 48; d < 55; d++ {
		t.o[k][d] += w * e.o[d]
		t.chance[k][d] += w * e.chance[d]
	}
}

// update makes the next shapes and priors, shrunk to the old shapes.
func (a *audience) update(t *tally, old *[maxShapes]shape, reach int, people float32) {
	var total float32
	for k := range a.count {
		mass := sum(t.o[k][48:])
		floor := shapeMass + .005*mass
		for q := range 2 {
			part := max(sum(t.o[k][q*24:q*24+24]), 1e-6) / max(sum(t.o[k][:48]), 1e-6)
			for h := range 24 {
				i := q*24 + h
				a.shapes[k].hour[q][h] = (t.o[k][i] + floor*part*old[k].hour[q][h]) / (t.chance[k][i] + floor*part)
			}
			scale(a.shapes[k].hour[q][:], 1)
		}
		for d := range 7 {
			a.shapes[k].day[d] = (t.o[k][48+d] + floor*old[k].day[d]) / (t.chance[k][48+d] + floor)
		}
		scale(a.shapes[k].day[:], 1)
		for s := range 24 {
			a.shift[k][s] = 0
			if min(s, 24-s) <= reach {
				a.shift[k][s] = t.share[k][s]/max(people, 1) + 1e-4
			}
			total += a.shift[k][s]
		}
	}
	for k := range a.count {
		for s := range 24 {
			a.shift[k][s] /= total
		}
	}
}

// dot48 is the inner product of the hours.
func dot48(a *[55]float32, b *[48]float32) float32 {
	var s, t, u, v float32
	for i := 0; i < 48; i += 4 {
		s += a[i] * b[i]
		t += a[i+1] * b[i+1]
		u += a[i+2] * b[i+2]
		v += a[i+3] * b[i+3]
	}
	return s + t + u + v
}
