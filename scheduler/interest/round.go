package interest

import "math"

// short keeps the 16 bits of a positive number that three bytes hold besides its
// exponent: stocks err by less than 1 in 100,000.
func short(v float32) float32 {
	return math.Float32frombits((math.Float32bits(v) + 0x7f) &^ 0xff)
}

// half is the nearest number that two bytes hold: 11 bits besides an exponent of
// five, between 2^-23 and 256. Zero stays zero.
func half(v float32) float32 { return halfFrom(halfOf(v)) }

const halfBias = (127 - 24) << 11

func halfOf(v float32) uint16 {
	bits := int32((math.Float32bits(max(v, 0))+1<<11)>>12) - halfBias
	return uint16(min(max(bits, 0), math.MaxUint16))
}

func halfFrom(u uint16) float32 {
	if u == 0 {
		return 0
	}
	return math.Float32frombits((uint32(u) + halfBias) << 12)
}
