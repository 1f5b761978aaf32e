package simulate

import (
	"math"
	"math/rand/v2"
	"slices"
)

// bump is a time of day at which somebody likes to look into their inbox.
type bump struct{ at, width, weight float64 }

// shape is a kind of day. Real days are noisy mixtures of these.
type shape struct {
	share             float64
	workday, weekend  []bump
	saturday, holiday float64 // weight of Saturdays and Sundays
}

var shapes = []shape{
	{.33, []bump{{7.5, 1, 1}, {12.5, .8, .35}, {20, 1.7, 1.2}}, []bump{{9.5, 1.5, .9}, {19.5, 2.5, 1}}, .85, .95},
	{.34, []bump{{9.2, 1, 1.2}, {13, 1.2, .6}, {16, 1.5, .7}}, []bump{{11, 2.5, .6}, {20, 2, .5}}, .4, .4},
	{.21, []bump{{21, 1.6, 1.6}, {13, 1, .25}}, []bump{{14, 3, .5}, {21.5, 1.8, 1.2}}, 1, 1.1},
	{.12, nil, nil, 1, 1}, // shifts and insomnia: anywhere
}

func drawShape(r *rand.Rand) int {
	shares := make([]float64, len(shapes))
	for i, s := range shapes {
		shares[i] = s.share
	}
	return draw(r, shares)
}

// otherShape draws a shape that is not the given one.
func otherShape(r *rand.Rand, not int) int {
	for {
		if s := drawShape(r); s != not {
			return s
		}
	}
}

// newCurve is one person's variety of a shape, with mean 1 over the week.
func newCurve(w *World, r *rand.Rand, kind int) *[168]float32 {
	workday, weekend := personal(r, shapes[kind].workday), personal(r, shapes[kind].weekend)
	var weights [7]float64
	for d := range weights {
		weights[d] = math.Exp(.25 * r.NormFloat64())
	}
	weights[5] *= shapes[kind].saturday
	weights[6] *= shapes[kind].holiday
	var c [168]float64
	total := 0.0
	for h := range c {
		bumps := workday
		if h >= 5*24 {
			bumps = weekend
		}
		c[h] = weights[h/24] * (w.Flat*awake(h%24) + (1-w.Flat)*density(bumps, float64(h%24)+.5))
		total += c[h]
	}
	out := new([168]float32)
	for h := range c {
		out[h] = float32(c[h] / total * 168)
	}
	return out
}

// personal shifts and reweighs the bumps of a shape; without any it invents two.
func personal(r *rand.Rand, bumps []bump) []bump {
	if len(bumps) == 0 {
		bumps = []bump{{24 * r.Float64(), 1.8, 1}, {24 * r.Float64(), 1.2, .6}}
	}
	own := slices.Clone(bumps)
	shift := r.NormFloat64()
	for i := range own {
		own[i].at += shift + .6*r.NormFloat64()
		own[i].width *= math.Exp(.2 * r.NormFloat64())
		own[i].weight *= math.Exp(.4 * r.NormFloat64())
	}
	return own
}

// density is a mixture of bumps on the clock face, with mean 1 over the day.
func density(bumps []bump, h float64) float64 {
	sum, total := 0.0, 0.0
	for _, b := range bumps {
		d := math.Remainder(h-b.at, 24)
		sum += b.weight * math.Exp(-d*d/(2*b.width*b.width)) / (b.width * math.Sqrt(2*math.Pi))
		total += b.weight
	}
	return 24 * sum / total
}

// awake is a day without habits: not at night.
func awake(h int) float64 {
	if h >= 7 && h < 23 {
		return 1.4
	}
	return .2
}

func sorted(visits []int32) []int32 {
	slices.Sort(visits)
	return visits
}
