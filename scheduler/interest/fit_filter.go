package interest

import "math"

// step is one resolved mail as a filter sees it.
type step struct {
	at       float32 // days since the first
	days     float32 // since the one before; 0: the first
	happened bool
}

const (
	fitRounds = 8
	fitGain   = 1.0  // log-likelihood that a change must bring
	fitTrust  = 50.0 // people that the belief about a new person stands for
)

// fitFilter searches the filter under which the sequences, one of each person,
// are likeliest: expectation maximisation for Start, a pattern search for the rest.
func fitFilter(people [][]step, f Filter, wait float32) Filter {
	prior, stride := f.Start, float32(1.8)
	for range fitRounds {
		for range 3 {
			f = fitStart(people, f, &prior)
		}
		f = search(people, f, wait, stride)
		stride = 1 + (stride-1)*0.75
	}
	return fitStart(people, f, &prior)
}

// search tries each number of the filter a factor up and down and keeps what helps.
func search(people [][]step, f Filter, wait, stride float32) Filter {
	best := likelihood(people, &f, wait)
	for i := range fitted {
		for _, factor := range [2]float32{stride, 1 / stride} {
			g := f
			v := fitted[i].of(&g)
			*v = min(max(*v*factor, fitted[i].least), fitted[i].most)
			if l := likelihood(people, &g, wait); l > best+fitGain {
				f, best = g, l
				break
			}
		}
	}
	return f
}

// fitted are the numbers of a Filter that the search moves, with their bounds.
var fitted = [...]struct {
	of          func(*Filter) *float32
	least, most float32
}{
	{func(f *Filter) *float32 { return &f.Drift }, 1e-4, 0.24},
	{func(f *Filter) *float32 { return &f.Step }, 0.3, 1},
	{func(f *Filter) *float32 { return &f.Fade }, 1e-4, 0.2},
	{func(f *Filter) *float32 { return &f.Lapse }, 1e-4, 0.1},
	{func(f *Filter) *float32 { return &f.DriftDay }, 1e-5, 0.05},
	{func(f *Filter) *float32 { return &f.Revive }, 1e-5, 0.1},
	{func(f *Filter) *float32 { return &f.ReviveCap }, 0.01, 1},
	{func(f *Filter) *float32 { return &f.Low }, -9, -4},
}

// likelihood is the log probability of all outcomes, each foreseen from those that
// were known wait days or longer when its mail was sent.
func likelihood(people [][]step, f *Filter, wait float32) (sum float64) {
	g := f.grid()
	for _, steps := range people {
		b, known := belief(f.Start), 0
		product := 1.0
		for i, s := range steps {
			for ; known < i && steps[known].at+wait <= s.at; known++ {
				b.revive(f, float64(steps[known].days))
				b.move(f, float64(steps[known].days))
				b.learn(&g.p, steps[known].happened, f.weigh(steps, known))
			}
			p := foreseen(b, f, &g, steps, known, s.at)
			if !s.happened {
				p = 1 - p
			}
			product *= p
			if product < 1e-200 {
				sum += math.Log(product)
				product = 1
			}
		}
		sum += math.Log(product)
	}
	return sum
}

// weigh is the weight of one outcome as State.Resolve has it.
func (f *Filter) weigh(steps []step, i int) float32 {
	if i == 0 {
		return 1
	}
	return f.news(float64(steps[i].days))
}

// foreseen is the chance of the outcome at a moment when known steps are known.
func foreseen(b belief, f *Filter, g *grid, steps []step, known int, at float32) float64 {
	if known > 0 {
		days := float64(at - steps[known-1].at)
		b.revive(f, days)
		b.move(f, days)
	}
	return bound(b.mean(&g.p))
}

// fitStart is one step of expectation maximisation for the belief about a new person.
func fitStart(people [][]step, f Filter, prior *[Levels]float32) Filter {
	g := f.grid()
	var total [Levels]float64
	for _, steps := range people {
		back := f.backward(&g, steps)
		sum := float32(0)
		for k := range back {
			back[k] *= f.Start[k]
			sum += back[k]
		}
		if sum > 0 {
			for k := range back {
				total[k] += float64(back[k] / sum)
			}
		}
	}
	all := 0.0
	for k := range total {
		total[k] += fitTrust * (float64(prior[k]) + 0.1/Levels) // no level is ruled out
		all += total[k]
	}
	for k := range total {
		f.Start[k] = float32(total[k] / all)
	}
	return f
}

// backward is the likelihood of the whole sequence by the level it started at, up
// to a factor.
func (f *Filter) backward(g *grid, steps []step) (b belief) {
	for k := range b {
		b[k] = 1
	}
	for i := len(steps) - 1; i >= 0; i-- {
		weight := f.weigh(steps, i)
		for k := range b {
			if steps[i].happened {
				b[k] *= 1 - weight + weight*g.p[k]
			} else {
				b[k] *= 1 - weight*g.p[k]
			}
		}
		if i > 0 {
			b.unmove(f, float64(steps[i].days))
			b.normal()
		}
	}
	return b
}

// unmove is the transpose of move after revive.
func (b *belief) unmove(f *Filter, days float64) {
	for k := 1; k < Levels; k++ {
		b[k] += f.Lapse * (b[0] - b[k])
	}
	hop := min(f.Drift+f.DriftDay*float32(days), 0.25)
	down := hop + f.Fade
	old := *b
	for k := range b {
		if k < Levels-1 {
			b[k] += hop * (old[k+1] - old[k])
		}
		if k > 0 {
			b[k] += down * (old[k-1] - old[k])
		}
	}
	start := float32(0)
	for k := range b {
		start += f.Start[k] * b[k]
	}
	share := f.revived(days)
	for k := range b {
		b[k] += share * (start - b[k])
	}
}

// sequences are what a filter for happened sees of the people; of very many people
// a fixed part, since a dozen numbers need no more.
func sequences(people []History, happened func(Outcome) bool, most int) (all [][]step) {
	rows := 0
	for _, h := range people {
		rows += len(h)
	}
	every := 1 + rows/most
	for i, h := range people {
		if i%every != 0 || len(h) == 0 {
			continue
		}
		steps := make([]step, len(h))
		for j, o := range h {
			steps[j].happened = happened(o)
			if j > 0 {
				steps[j].days = float32(o.At-h[j-1].At) / secondsPerDay
				steps[j].at = float32(o.At-h[0].At) / secondsPerDay
			}
		}
		all = append(all, steps)
	}
	return all
}
