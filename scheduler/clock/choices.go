package clock

// choices are what persons chose, as examples: hours by part of the week, and days.
type choices struct {
	hours [2][]example
	days  []example
}

// choices makes examples of the moments of one fold, or of all if fold is negative.
func (s *study) choices(a *audience, fold int) (c choices) {
	for i := range s.moments {
		if fold < 0 || s.moments[i].person%folds == fold {
			s.moments[i].choices(a, &c)
		}
	}
	return c
}

// enough events make a moment count fully.
const enough = 8

// choices adds what was chosen after the moment.
func (m *moment) choices(a *audience, c *choices) {
	var in inputs
	m.clock.inputs(a, &in)
	weight := 1 / max(m.events, enough)
	for q := range 2 {
		e := example{f: make([]float32, 0, hourly*powers*24), y: make([]float32, 24)}
		for i := range hourly {
			e.spread(in.hour[q][i][:], in.x)
		}
		for h := range 24 {
			e.y[h] = m.next[q][h] * weight
		}
		if m.open {
			e.offer = m.offer[q][:]
		}
		c.hours[q] = append(c.hours[q], e)
	}
	e := example{f: make([]float32, 0, daily*powers*7), y: make([]float32, 7)}
	for i := range daily {
		e.spread(in.day[i][:], in.x)
	}
	for d := range 7 {
		e.y[d] = m.day[d] * weight
	}
	if m.open {
		e.offer = m.offerDay[:]
	}
	c.days = append(c.days, e)
}

// spread appends an input times 1, x, x².
func (e *example) spread(input []float32, x float32) {
	k := float32(1)
	for range powers {
		for _, f := range input {
			e.f = append(e.f, k*f)
		}
		k *= x
	}
}

// join adds the examples of o.
func (c *choices) join(o *choices) {
	for q := range 2 {
		c.hours[q] = append(c.hours[q], o.hours[q]...)
	}
	c.days = append(c.days, o.days...)
}

// ridge is how many moments the old weights count for.
const ridge = 3

// weigh fits the weights of the pool, shrunk to those that a has.
func (c *choices) weigh(a *audience) {
	for q := range 2 {
		copy(a.hourPool[q][:], softmax(c.hours[q], a.hourPool[q][:], ridge))
	}
	copy(a.dayPool[:], softmax(c.days, a.dayPool[:], ridge))
}

// loss is the sum of the log-losses under a's weights.
func (c *choices) loss(a *audience) (l float64) {
	for q := range 2 {
		l += total(c.hours[q], a.hourPool[q][:])
	}
	return l + total(c.days, a.dayPool[:])
}

// total is the loss of all examples.
func total(examples []example, weights []float32) (l float64) {
	w := make([]float64, len(weights))
	for i := range w {
		w[i] = float64(weights[i])
	}
	for i := range examples {
		l += examples[i].loss(w)
	}
	return l
}
