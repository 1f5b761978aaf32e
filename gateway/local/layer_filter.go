package local

import (
	"encoding/binary"
	"math/bits"
)

// filter tells of most hashes that a layer does not have them, without reading
// it. It is a Bloom filter in which all bits of a hash are in one cache line; of
// hashes that are absent about one in a hundred passes. It costs ten bits a hash,
// and unlike the smaller xor filters no memory to build.
type filter struct{ lines []filterLine }

type filterLine [8]uint64

const (
	filterBits   = 10 // for each hash
	filterProbes = 6
	lineSize     = 64
)

// newFilter makes a filter for so many hashes.
func newFilter(n int64) *filter {
	return &filter{make([]filterLine, n*filterBits/512+1)}
}

// line and bits of a hash come from different parts of it. A layer's blocks are
// found by its front, so that neighbours there are neighbours here too.
func (f *filter) line(h entryHash) *filterLine {
	hi, _ := bits.Mul64(binary.BigEndian.Uint64(h[:8]), uint64(len(f.lines)))
	return &f.lines[hi]
}

func (f *filter) add(h entryHash) {
	line, x := f.line(h), binary.BigEndian.Uint64(h[8:])
	for range filterProbes {
		line[x>>6&7] |= 1 << (x & 63)
		x >>= 9
	}
}

func (f *filter) has(h entryHash) bool {
	line, x := f.line(h), binary.BigEndian.Uint64(h[8:])
	for range filterProbes {
		if line[x>>6&7]&(1<<(x&63)) == 0 {
			return false
		}
		x >>= 9
	}
	return true
}

func (f *filter) append(b []byte) []byte {
	for i := range f.lines {
		for _, w := range f.lines[i] {
			b = binary.LittleEndian.AppendUint64(b, w)
		}
	}
	return b
}

// decodeFilter reads what append wrote; nil where it is none.
func decodeFilter(b []byte) *filter {
	if len(b) == 0 || len(b)%lineSize != 0 {
		return nil
	}
	f := &filter{make([]filterLine, len(b)/lineSize)}
	for i := range f.lines {
		for j := range f.lines[i] {
			f.lines[i][j] = binary.LittleEndian.Uint64(b[i*lineSize+j*8:])
		}
	}
	return f
}
