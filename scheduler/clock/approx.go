package clock

import "math"

// A curve takes more than a hundred logarithms and half as many exponentials,
// which math.Log and math.Exp would make half of its cost.

// lnTable holds the logarithm and the inverse of the middle of each of 128 parts
// of 1..2. It is never changed.
var lnTable = func() (t [128]struct{ inverse, ln float32 }) {
	for i := range t {
		middle := 1 + (float64(i)+.5)/128
		t[i].inverse, t[i].ln = float32(1/middle), float32(math.Log(middle))
	}
	return t
}()

// ln is the natural logarithm of a positive normal number, to 1e-6.
func ln(x float32) float32 {
	bits := math.Float32bits(x)
	t := &lnTable[bits>>16&127]
	r := math.Float32frombits(bits&0x7fffff|0x3f800000)*t.inverse - 1 // |r| <= 1/256
	return float32(int32(bits>>23)-127)*math.Ln2 + t.ln + r*(1-r*.5)
}

// exp is e^x to 1e-5 of its value; x below -80 or above 80 counts as that.
func exp(x float32) float32 {
	if x < -80 {
		x = -80
	} else if x > 80 {
		x = 80
	}
	x *= math.Log2E
	whole := int32(x+256.5) - 256 // rounds to the nearest
	f := (x - float32(whole)) * math.Ln2
	ff := f * f
	return (1 + f + ff*((1./2+f*(1./6))+ff*(1./24+f*(1./120)))) * math.Float32frombits(uint32(whole+127)<<23)
}
