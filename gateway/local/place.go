package local

import "tidepost/gateway"

// place is where a record begins in a log: the segment's number in the upper
// half, the offset in it in the lower. Later records have greater places; no
// record has place 0.
type place uint64

func placeOf(segment, offset uint32) place { return place(segment)<<32 | place(offset) }

func (p place) segment() uint32 { return uint32(p >> 32) }

func (p place) offset() uint32 { return uint32(p) }

func (p place) cursor() gateway.Cursor {
	return gateway.Cursor{Segment: p.segment(), Offset: p.offset()}
}

func cursorPlace(c gateway.Cursor) place { return placeOf(c.Segment, c.Offset) }
