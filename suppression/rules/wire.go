package rules

import (
	"encoding/binary"
	"time"
)

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendTexts(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendText(b, s)
	}
	return b
}

// appendSpan writes whole seconds, 0 to 100 years.
func appendSpan(b []byte, d time.Duration) []byte {
	return binary.AppendUvarint(b, uint64(min(max(d/time.Second, 0), maxAge)))
}

// decoder reads a decision from the front of b. After the first mistake bad is
// set, and everything reads as zero.
type decoder struct {
	b   []byte
	bad bool
}

var zeros [8]byte

// take is the next n bytes, at most 8 where they do not exist.
func (r *decoder) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return zeros[:min(n, len(zeros))]
	}
	taken := r.b[:n]
	r.b = r.b[n:]
	return taken
}

func (r *decoder) byte() byte { return r.take(1)[0] }

// uvarint is a number up to the limit.
func (r *decoder) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if r.bad || n <= 0 || v > limit {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// varint is a number from −limit to limit.
func (r *decoder) varint(limit int64) int64 {
	v, n := binary.Varint(r.b)
	if r.bad || n <= 0 || v > limit || v < -limit {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *decoder) span() time.Duration { return time.Duration(r.uvarint(maxAge)) * time.Second }

// length is how many members follow, each of which takes at least so many bytes:
// a number larger than that allows is no reason to reserve memory.
func (r *decoder) length(each int) int {
	return int(r.uvarint(uint64(len(r.b) / each)))
}

func (r *decoder) text() string {
	n := r.length(1)
	if r.bad {
		return ""
	}
	return string(r.take(n))
}

func (r *decoder) texts() []string {
	n := r.length(1)
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = r.text()
	}
	return list
}
