package clock

import "math"

// ln is the natural logarithm of a positive normal number, to 2e-5. A curve takes
// some hundred of them, which is why math.Log will not do.
func ln(x float32) float32 {
	bits := math.Float32bits(x)
	exponent := float32(int32(bits>>23) - 127)
	m := math.Float32frombits(bits&0x7fffff|0x3f800000) - 1.5 // in -.5..+.5
	// ln(1.5+m) by the odd series in z = m/(3+m), |z| <= 1/5
	z := m / (3 + m)
	zz := z * z
	return exponent*math.Ln2 + .4054651 + 2*z*(1+zz*(1./3+zz*(1./5+zz*(1./7))))
}

// exp is e^x to 1e-5 of its value, for x in -80..80.
func exp(x float32) float32 {
	x = max(-80, min(80, x)) * math.Log2E
	whole := float32(int32(x+128.5)) - 128 // rounds to the nearest
	f := (x - whole) * math.Ln2            // in -.35..+.35
	e := 1 + f*(1+f*(1./2+f*(1./6+f*(1./24+f*(1./120)))))
	return e * math.Float32frombits(uint32(int32(whole)+127)<<23)
}
