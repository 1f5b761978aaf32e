package scheduler

import (
	"math"
	"time"

	"tidepost/scheduler/clock"
)

// freshness is C of decision model 4.4: how much reading a mail gets, by kernel
// part, if it leaves at the beginning of an hour of the week.
type freshness struct {
	stays [3]float32 // share of each part left after an hour
	fresh float32    // value left after an hour
	kern  *clock.Kernel
	c     [3][maxHours + 1]float32
	rest  struct { // of the hour in which a mail leaves
		f, fresh float32
		stays    [3]float32
	}
}

// pass makes C for the hours of an outlook, in one backward pass around the week
// for what lies behind them and one over the hours themselves.
func (r *freshness) pass(o *outlook, halfLife time.Duration) {
	r.kern, r.fresh = o.kernel, 1
	if halfLife > 0 {
		r.fresh = float32(math.Exp2(-float64(time.Hour) / float64(halfLife)))
	}
	for j := range r.c {
		s := float32(math.Exp(-1 / float64(o.kernel.Tau[j])))
		r.stays[j] = s
		gain, keep := o.kernel.W[j]*(1-s)/o.meanPresence, s*r.fresh
		at, c := int(o.hour[o.n-1])+1, float32(0)
		for range clock.Hours {
			if at--; at < 0 {
				at = clock.Hours - 1
			}
			c = o.presence[at]*gain + keep*c
		}
		c /= 1 - float32(math.Pow(float64(keep), clock.Hours))
		r.c[j][o.n] = c
		for k := o.n - 1; k >= 0; k-- {
			c = o.presence[o.hour[k]]*gain + keep*c
			r.c[j][k] = c
		}
	}
}

// cut makes the rest of an hour of which a part f is gone.
func (r *freshness) cut(f float32) {
	r.rest.f, r.rest.fresh = f, float32(math.Pow(float64(r.fresh), float64(1-f)))
	for j, tau := range r.kern.Tau {
		r.rest.stays[j] = exp((f - 1) / tau)
	}
}

// reading is R for a mail that leaves in the rest of the k-th hour: reads expected
// of it, were its reader sure to read it.
func (r *freshness) reading(o *outlook, k int) (sum float32) {
	here, p := o.presence[o.hour[k]]/o.meanPresence, &r.rest
	for j := range r.c {
		sum += here*r.kern.W[j]*(1-p.stays[j]) + p.stays[j]*p.fresh*r.c[j][k+1]
	}
	return sum
}

// chance is 1 - exp(-y), within 1 % where y is less than 3 and never falling.
func chance(y float32) float32 {
	y = min(y, 3.4)
	return y / (1 + y/2 + y*y/12)
}
