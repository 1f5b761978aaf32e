package clock

import "math"

// example is one choice among alternatives: which hours were chosen, by the inputs
// of each. The model is softmax(weights . inputs + offer).
type example struct {
	f     []float32 // inputs, one row of len(y) alternatives after the other
	y     []float32 // how often each alternative was chosen, times the example's weight
	offer []float32 // logarithm of how often each could be chosen; nil: all alike
}

// softmax fits weights by Newton's method, shrunk to start by a ridge in units of
// examples. The loss is convex; eight steps reach its bottom.
func softmax(examples []example, start []float32, ridge float64) []float32 {
	n := len(start)
	w := make([]float64, n)
	for i, s := range start {
		w[i] = float64(s)
	}
	for range 8 {
		grad, hess := make([]float64, n), make([]float64, n*n)
		for i := range w {
			grad[i] = ridge * (w[i] - float64(start[i]))
			hess[i*n+i] = ridge
		}
		for i := range examples {
			examples[i].slope(w, grad, hess)
		}
		step := solve(hess, grad, n)
		var largest float64
		for i := range w {
			largest = math.Max(largest, math.Abs(step[i]))
		}
		k := math.Min(1, 1/math.Max(largest, 1e-9))
		for i := range w {
			w[i] -= k * step[i]
		}
		if largest < 1e-4 {
			break
		}
	}
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(w[i])
	}
	return out
}

// chance is the model's distribution over the alternatives.
func (e *example) chance(w []float64, p []float64) {
	b := len(e.y)
	top := math.Inf(-1)
	for j := range b {
		p[j] = 0
		if e.offer != nil {
			p[j] = float64(e.offer[j])
		}
		for i := range w {
			p[j] += w[i] * float64(e.f[i*b+j])
		}
		top = math.Max(top, p[j])
	}
	var all float64
	for j := range b {
		p[j] = math.Exp(p[j] - top)
		all += p[j]
	}
	for j := range b {
		p[j] /= all
	}
}

// slope adds the example's part of gradient and Hessian of the loss.
func (e *example) slope(w, grad, hess []float64) {
	n, b := len(w), len(e.y)
	var buf [24]float64
	p := buf[:b]
	e.chance(w, p)
	var mass float64
	for _, y := range e.y {
		mass += float64(y)
	}
	var mean [hourly * powers]float64
	var weighed [24]float64
	for i := range n {
		f := e.f[i*b : i*b+b]
		for j, x := range f {
			weighed[j] = p[j] * float64(x)
			mean[i] += weighed[j]
			grad[i] += (mass*p[j] - float64(e.y[j])) * float64(x)
		}
		for k := range i + 1 {
			var s float64
			for j, x := range e.f[k*b : k*b+b] {
				s += weighed[j] * float64(x)
			}
			s = mass * (s - mean[i]*mean[k])
			hess[i*n+k] += s
			if i != k {
				hess[k*n+i] += s
			}
		}
	}
}

// loss is minus the log-likelihood of the example.
func (e *example) loss(w []float64) (l float64) {
	var buf [24]float64
	p := buf[:len(e.y)]
	e.chance(w, p)
	for j, y := range e.y {
		if y > 0 {
			l -= float64(y) * math.Log(math.Max(p[j], 1e-12))
		}
	}
	return l
}

// solve is the solution of the positive definite system m x = b by Cholesky.
func solve(m, b []float64, n int) []float64 {
	l := make([]float64, n*n)
	for i := range n {
		for j := range i + 1 {
			s := m[i*n+j]
			for k := range j {
				s -= l[i*n+k] * l[j*n+k]
			}
			if i == j {
				l[i*n+i] = math.Sqrt(math.Max(s, 1e-12))
			} else {
				l[i*n+j] = s / l[j*n+j]
			}
		}
	}
	x := make([]float64, n)
	for i := range n {
		s := b[i]
		for k := range i {
			s -= l[i*n+k] * x[k]
		}
		x[i] = s / l[i*n+i]
	}
	for i := n - 1; i >= 0; i-- {
		s := x[i]
		for k := i + 1; k < n; k++ {
			s -= l[k*n+i] * x[k]
		}
		x[i] = s / l[i*n+i]
	}
	return x
}
