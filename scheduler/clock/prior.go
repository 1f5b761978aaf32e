package clock

import (
	_ "embed"
	"math"
)

// Kernel is the hazard of a mail being noticed by its age, for a person of mean
// presence: exponentials with shares W, which sum to at most 1, and mean lives Tau
// in hours, ascending.
type Kernel struct{ W, Tau [3]float32 }

// builtInKernel reads 31, 55, 79, 98 % within 1 h, 6 h, 24 h, 7 d; published are
// 33, 53, 78, 95 % (decision model 4.1).
var builtInKernel = Kernel{W: [3]float32{.33, .42, .25}, Tau: [3]float32{.6, 9, 72}}

// Prior is what is shared by all persons. It is immutable once made.
type Prior struct {
	Version uint32
	Kernel  Kernel

	local, utc audience
	come       come       // how likely somebody shows up at all
	stays      [3]float32 // share of each kernel part left after an hour
}

//go:embed builtin.prior
var builtIn []byte

// BuiltIn is the prior to begin with, for any audience. It was fitted on the
// recorded activity of 303 developers, the first 70 % of the time of each (the
// "tune" persons of devclock; see TestBuiltInIsReproducible).
func BuiltIn() *Prior {
	p := new(Prior)
	if _, err := p.UnmarshalBinary(builtIn); err != nil {
		panic("clock: the embedded prior is damaged: " + err.Error())
	}
	return p
}

// prepare computes what follows from the fitted numbers.
func (p *Prior) prepare() {
	for j, tau := range p.Kernel.Tau {
		p.stays[j] = float32(math.Exp(-1 / float64(tau)))
	}
	p.local.prepare()
	p.utc.prepare()
}

// Curve is the shared curve in local time: for sensitive lists, and when nothing
// is known of a person.
func (p *Prior) Curve(out *Curve) { *out = p.local.curve }

// audience is the part for clocks in local time or in UTC.
func (p *Prior) audience(utc bool) *audience {
	if utc {
		return &p.utc
	}
	return &p.local
}
