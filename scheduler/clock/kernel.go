package clock

import "math"

// Delay is one read by a human of a mail whose hour of sending was chosen at
// random. Over random hours every age meets the same mean presence, so that the
// ages need no correction for it; over chosen hours they would.
type Delay struct {
	Hours  float32 // from sent to read
	Weight float32 // 0 counts as 1
}

const (
	kernelMass   = 200 // reads that the kernel at hand counts for
	kernelRounds = 60
)

// FitKernel fits shares and mean lives to the delays by expectation maximisation,
// shrunk to from: some hundred reads begin to move it. The total of W stays, since
// reads alone do not tell how much is never read.
func FitKernel(delays []Delay, from Kernel) Kernel {
	k := from
	total := sum(from.W[:])
	if total <= 0 {
		return from
	}
	for range kernelRounds {
		var n, life [3]float64
		for j := range n {
			n[j] = kernelMass * float64(from.W[j]/total)
			life[j] = n[j] * float64(from.Tau[j])
		}
		for _, d := range delays {
			if w, ok := d.weight(); ok {
				k.credit(float64(d.Hours), w, &n, &life)
			}
		}
		all := n[0] + n[1] + n[2]
		for j := range n {
			k.W[j] = total * float32(n[j]/all)
			k.Tau[j] = float32(math.Max(life[j]/math.Max(n[j], 1e-9), .05))
		}
	}
	return k.sorted()
}

// weight is the weight of a delay; false if the delay makes no sense.
func (d Delay) weight() (float64, bool) {
	if !(d.Hours >= 0) || d.Hours > 10000 || !(d.Weight >= 0) {
		return 0, false
	}
	if d.Weight == 0 {
		return 1, true
	}
	return float64(d.Weight), true
}

// credit shares a delay among the parts that may have caused it.
func (k *Kernel) credit(age, weight float64, n, life *[3]float64) {
	var p [3]float64
	var all float64
	for j := range p {
		tau := float64(k.Tau[j])
		p[j] = float64(k.W[j]) / tau * math.Exp(-age/tau)
		all += p[j]
	}
	if all <= 0 {
		p[2], all = 1, 1
	}
	for j := range p {
		n[j] += weight * p[j] / all
		life[j] += weight * p[j] / all * age
	}
}

// sorted puts the parts in ascending order of their lives.
func (k Kernel) sorted() Kernel {
	for _, ij := range [3][2]int{{0, 1}, {1, 2}, {0, 1}} {
		i, j := ij[0], ij[1]
		if k.Tau[i] > k.Tau[j] {
			k.Tau[i], k.Tau[j] = k.Tau[j], k.Tau[i]
			k.W[i], k.W[j] = k.W[j], k.W[i]
		}
	}
	return k
}

// WithKernel is the prior with another kernel and the next version.
func (p *Prior) WithKernel(k Kernel) *Prior {
	next := *p
	next.Version++
	next.Kernel = k
	next.prepare()
	return &next
}
