package scheduler

import (
	"math"
	"time"

	"tidepost/scheduler/clock"
)

// freshness is C of decision model 4.4: how much reading a mail gets, by kernel
// part, if it leaves at the beginning of an hour of the week.
type freshness struct {
	set   bool          // for this half-life
	half  time.Duration // of the value
	stays [3]float32    // share of each part left after an hour
	fresh float32       // value left after an hour
	kern  *clock.Kernel
	c     [maxHours + 1][3]float32
	rest  struct { // of the hour in which a mail leaves
		set        bool
		f          float32
		gone, left [3]float32 // share of each part that is read within it; value left behind it
	}
}

// pass makes C for the hours of an outlook, in one backward pass around the week
// for what lies behind them and one over the hours themselves.
func (r *freshness) pass(o *outlook, halfLife time.Duration) {
	if r.set && r.half == halfLife {
		return
	}
	r.set, r.half, r.kern, r.fresh, r.rest.set = true, halfLife, o.kernel, 1, false
	if halfLife > 0 {
		r.fresh = float32(math.Exp2(-float64(time.Hour) / float64(halfLife)))
	}
	var gain, keep [3]float32
	for j := range r.stays {
		r.stays[j] = exp(-1 / o.kernel.Tau[j])
		gain[j], keep[j] = o.kernel.W[j]*(1-r.stays[j])/o.meanPresence, r.stays[j]*r.fresh
	}
	at, a, b, c := int(o.hour[o.n-1])+1, float32(0), float32(0), float32(0)
	for range clock.Hours { // the three parts abreast: each waits for its last step
		if at--; at < 0 {
			at = clock.Hours - 1
		}
		q := o.presence[at]
		a, b, c = q*gain[0]+keep[0]*a, q*gain[1]+keep[1]*b, q*gain[2]+keep[2]*c
	}
	a, b, c = a/around(keep[0]), b/around(keep[1]), c/around(keep[2])
	r.c[o.n] = [3]float32{a, b, c}
	for k := o.n - 1; k >= 0; k-- {
		q := o.presence[o.hour[k]]
		a, b, c = q*gain[0]+keep[0]*a, q*gain[1]+keep[1]*b, q*gain[2]+keep[2]*c
		r.c[k] = [3]float32{a, b, c}
	}
}

// around is what one week out of the sum over all weeks to come is divided by.
func around(keep float32) float32 {
	return 1 - float32(math.Pow(float64(keep), clock.Hours))
}

// cut makes the rest of an hour of which a part f is gone.
func (r *freshness) cut(f float32) {
	r.rest.set, r.rest.f = true, f
	fresh := float32(1)
	if r.fresh < 1 {
		fresh = float32(math.Pow(float64(r.fresh), float64(1-f)))
	}
	for j, tau := range r.kern.Tau {
		stays := exp((f - 1) / tau)
		r.rest.gone[j], r.rest.left[j] = 1-stays, stays*fresh
	}
}

// reading is R for a mail that leaves when a part f of the k-th hour is gone: reads
// expected of it, were its reader sure to read it.
func (r *freshness) reading(o *outlook, k int, f float32) float32 {
	if !r.rest.set || r.rest.f != f {
		r.cut(f)
	}
	here, p := o.presence[o.hour[k]]/o.meanPresence, &r.rest
	w, c := &r.kern.W, &r.c[k+1]
	sum := here*w[0]*p.gone[0] + p.left[0]*c[0]
	sum += here*w[1]*p.gone[1] + p.left[1]*c[1]
	return sum + (here*w[2]*p.gone[2] + p.left[2]*c[2])
}

// chance is 1 - exp(-y), within 1 % where y is less than 3 and never falling.
func chance(y float32) float32 {
	return 1 - 1/(1+y*(1+y*(1./2+y*(1./6+y*(1./24+y*(1./120))))))
}
