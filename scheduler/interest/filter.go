package interest

import "math"

// Levels is the number of latent levels of interest the filter tells apart.
const Levels = 16

// belief is a distribution over the levels, lowest interest first.
type belief [Levels]float32

// Filter describes a filter of one latent level shared by all persons.
type Filter struct {
	Low, Step float32         // log-odds of the lowest level and between two neighbours
	Start     [Levels]float32 // belief about a person of whom nothing is known; sums to 1
	Drift     float32         // chance per resolved mail to move one level up, and the same down
	DriftDay  float32         // the same per day since the mail resolved before
	Fade      float32         // chance per resolved mail to move one more level down
	Lapse     float32         // chance per resolved mail to fall to the lowest level for good
	Echo      float32         // days between two mails at which the second says half as much as alone
	Revive    float32         // share per day, at first, of the way back to Start
	ReviveCap float32         // the most that one silence can go of that way
}

// grid is what is derived from a Filter for speed.
type grid struct {
	odds [Levels]float32 // odds of the outcome at each level
	p    [Levels]float32 // probability of the outcome at each level
}

func (f *Filter) grid() (g grid) {
	for k := range g.p {
		odds := math.Exp(float64(f.Low) + float64(k)*float64(f.Step))
		g.odds[k] = float32(odds)
		g.p[k] = float32(odds / (1 + odds))
	}
	return g
}

// lift gives the probabilities at each level for a mail with factor times the
// usual odds.
func (g *grid) lift(factor float32) (p [Levels]float32) {
	for k := range p {
		odds := g.odds[k] * factor
		p[k] = odds / (1 + odds)
	}
	return p
}

// mean is the probability of the outcome under the belief.
func (b *belief) mean(p *[Levels]float32) (mean float32) {
	for k := range b {
		mean += b[k] * p[k]
	}
	return mean
}

// spread is the variance of the probability of the outcome under the belief.
func (b *belief) spread(p *[Levels]float32) float32 {
	var mean, square float32
	for k := range b {
		mean += b[k] * p[k]
		square += b[k] * p[k] * p[k]
	}
	return max(0, square-mean*mean)
}

// revive moves the belief towards start by the share of a silence of days.
func (b *belief) revive(f *Filter, days float64) {
	share := f.revived(days)
	if share == 0 {
		return
	}
	for k := range b {
		b[k] += share * (f.Start[k] - b[k])
	}
}

// revived is the share of the way back to Start that a silence of days goes: half
// of ReviveCap after 1/Revive days.
func (f *Filter) revived(days float64) float32 {
	r := f.Revive * float32(days)
	return f.ReviveCap * r / (1 + r)
}

// news is the weight of an outcome days after the one before, nothing for the
// first: what befalls one of several mails of an hour befalls all of them.
func (f *Filter) news(days float64) float32 {
	return max(float32(days)/(float32(days)+f.Echo), newsLeast)
}

// newsLeast is the weight of a mail delivered along with another.
const newsLeast = 0.05

// learn conditions the belief on an outcome and returns how likely it was to
// happen. A mail that was not read counts only with the chance, weight, that
// reading would have been seen; a reading counts only with the chance, weight,
// that a person did it.
func (b *belief) learn(p *[Levels]float32, happened bool, weight float32) (mean float32) {
	mean = b.mean(p)
	usual := 1 / max(1-weight*mean, 1e-6)
	share := -weight * usual
	if happened {
		usual, share = 1-weight, weight/max(mean, 1e-6)
	}
	for k := range b {
		b[k] *= usual + share*p[k]
	}
	return mean
}

// move applies one step of the random walk, days after the step before. The belief
// must be normal.
func (b *belief) move(f *Filter, days float64) {
	hop := min(f.Drift+f.DriftDay*float32(days), 0.25)
	down := hop + f.Fade
	stay := 1 - f.Lapse
	prev, up, fall := b[0], stay*hop, stay*down
	b[0] += down*b[1] - hop*b[0]
	b[0] += f.Lapse * (1 - b[0])
	for k := 1; k < Levels-1; k++ {
		here := b[k]
		b[k] = up*prev + (stay-up-fall)*here + fall*b[k+1]
		prev = here
	}
	b[Levels-1] = up*prev + (stay-fall)*b[Levels-1]
}

// packed is a belief in one byte a level: a number of four bits of exponent and
// four of mantissa relative to the likeliest level, so that improbable levels
// keep three per cent of relative accuracy down to 2^-15. All zero: the belief
// is the Start of the filter.
type packed [Levels]uint8

const packedBias = (127 - 15) << 4

func (b *belief) pack() (c packed) {
	largest := uint32(0)
	for _, v := range b {
		largest = max(largest, math.Float32bits(v)) // positive floats sort like their bits
	}
	scale := 1.9375 / math.Float32frombits(largest)
	for k, v := range b {
		code := int32((math.Float32bits(v*scale)+1<<18)>>19) - packedBias
		c[k] = uint8(min(max(code, 1), 255)) // never zero: no level is out of reach for ever
	}
	return c
}

func (c *packed) unpack(start *[Levels]float32) (b belief) {
	if c[0] == 0 {
		return *start
	}
	sum := float32(0)
	for k, v := range c {
		b[k] = math.Float32frombits((uint32(v) + packedBias) << 19)
		sum += b[k]
	}
	scale := 1 / sum
	for k := range b {
		b[k] *= scale
	}
	return b
}

// mean is the probability of the outcome under the belief, start if it is empty.
func (c *packed) mean(p *[Levels]float32, start float32) float32 {
	var sum, mean float32
	for k, v := range c {
		w := math.Float32frombits((uint32(v) + packedBias) << 19)
		sum += w
		mean += w * p[k]
	}
	if c[0] == 0 {
		return start
	}
	return mean / sum
}

// normal scales the belief to sum to one.
func (b *belief) normal() *belief {
	sum := float32(0)
	for _, v := range b {
		sum += v
	}
	for k := range b {
		b[k] /= sum
	}
	return b
}
