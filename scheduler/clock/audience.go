package clock

import "math"

const (
	maxShapes = 8
	maxTypes  = 96            // of persons: shapes at shifts, as many as the posterior is worth
	span      = 3             // hours that the posterior takes together: as good as single hours
	bins      = 2 * 24 / span // of both parts of the week
)

// hourly and daily are the numbers of inputs pooled for an hour and for a day. The
// weight of each is a polynomial of degree powers-1 in the logarithm of evidence.
const (
	hourly = 6
	daily  = 3
	powers = 3
)

// audience is what a prior knows of all persons whose hours are local, or of those
// whose hours are UTC because their zone is unknown.
type audience struct {
	curve  Curve // shared by all
	count  int   // of shapes
	shapes [maxShapes]shape
	shift  [maxShapes][24]float32 // prior share of each shape shifted by 0..23 hours; sums to 1

	// Weights of the log-linear pool, see pool.
	hourPool [2][hourly * powers]float32
	dayPool  [daily * powers]float32

	// What follows from the above.
	hour    [2][24]float32 // shares of the hours, by part of the week
	both    [24]float32    // shares of the hours, whole week
	day     [7]float32     // shares of the days
	weekend float32        // share of Saturday and Sunday
	residue Curve          // curve / (day * hour), mean about 1
	lnHour  [2][24]float32
	lnDay   [7]float32
	blurred [2][24]float32 // hour, blurred
	blurAll [24]float32
	wideAll [24]float32
	types   []kind
}

// shape is a way to spend the week: shares of the hours of working days and of
// weekend days, and of the days. Each sums to 1.
type shape struct {
	hour [2][24]float32
	day  [7]float32
}

// kind is a shape at a shift, prepared for comparison.
type kind struct {
	lnPrior float32
	gain    [bins]float32 // ln(share / shared share) of a span of hours
	ratio   [bins]float32 // share / shared share
	lnHour  [2][24]float32
	lnDay   [7]float32
}

// prepare computes what follows from the fitted numbers.
func (a *audience) prepare() {
	a.splitCurve()
	for q := range 2 {
		blur(&a.hour[q], &a.blurred[q])
	}
	blur(&a.both, &a.blurAll)
	widen(&a.both, &a.wideAll)
	a.types = a.types[:0:0]
	least := a.leastPrior()
	for k := range a.count {
		for s, prior := range a.shift[k] {
			if prior >= least && prior > 0 && len(a.types) < maxTypes {
				a.types = append(a.types, a.kindOf(&a.shapes[k], s, prior))
			}
		}
	}
}

// splitCurve takes the shared curve apart into day, hour by part, and residue.
func (a *audience) splitCurve() {
	total := sum(a.curve[:])
	a.hour, a.both, a.day = [2][24]float32{}, [24]float32{}, [7]float32{}
	for i, g := range a.curve {
		g /= total
		a.day[i/24] += g
		a.both[i%24] += g
		a.hour[partOf[i/24]][i%24] += g
	}
	a.weekend = a.day[5] + a.day[6]
	for q := range 2 {
		scale(a.hour[q][:], 1)
		for h := range 24 {
			a.lnHour[q][h] = log32(a.hour[q][h])
		}
	}
	for d := range a.day {
		a.lnDay[d] = log32(a.day[d])
	}
	for i, g := range a.curve {
		a.residue[i] = g / total / (a.day[i/24] * a.hour[partOf[i/24]][i%24])
	}
}

// leastPrior is the prior below which a type is left out.
func (a *audience) leastPrior() float32 {
	least := float32(3e-4)
	for {
		n := 0
		for k := range a.count {
			for _, p := range a.shift[k] {
				if p >= least {
					n++
				}
			}
		}
		if n <= maxTypes {
			return least
		}
		least *= 1.1
	}
}

// kindOf prepares the shape shifted by s hours.
func (a *audience) kindOf(sh *shape, s int, prior float32) kind {
	k := kind{lnPrior: log32(prior)}
	var share, shared [bins]float32
	ends := [2]float32{1 - sh.day[5] - sh.day[6], sh.day[5] + sh.day[6]}
	all := [2]float32{1 - a.weekend, a.weekend}
	for q := range 2 {
		for h := range 24 {
			x := sh.hour[q][(h-s+24)%24]
			k.lnHour[q][h] = log32(x)
			share[(q*24+h)/span] += x * ends[q]
			shared[(q*24+h)/span] += a.hour[q][h] * all[q]
		}
	}
	for b := range bins {
		k.ratio[b] = share[b] / shared[b]
		k.gain[b] = log32(k.ratio[b])
	}
	for d := range k.lnDay {
		k.lnDay[d] = log32(sh.day[d])
	}
	return k
}

// log32 is exact, for what is computed once.
func log32(x float32) float32 { return float32(math.Log(math.Max(float64(x), 1e-12))) }
