package gateway

import (
	"encoding/binary"
	"slices"
	"time"
)

// pastMark is how far a mailbox's history was brought in from elsewhere: the same
// rows again, and those before them, change nothing.
type pastMark struct {
	until int64    // unix milliseconds of the newest row taken; 0: none was
	marks []uint32 // of the rows at that very time
}

// manyMarks is how many rows at one instant are told apart; of more, those that come
// with a later file are taken for known.
const manyMarks = 16

// passed reports whether a row is known, or older than one that is.
func (m *pastMark) passed(r *Past) bool {
	at := r.At.UnixMilli()
	return at < m.until || at == m.until && (len(m.marks) == manyMarks || slices.Contains(m.marks, r.Mark))
}

// note remembers a row; they come in order of time.
func (m *pastMark) note(r *Past) {
	if at := r.At.UnixMilli(); at > m.until {
		m.until, m.marks = at, nil
	}
	if len(m.marks) < manyMarks {
		m.marks = append(m.marks, r.Mark)
	}
}

// coarsen leaves no more than the day, and of that its end: rows of it that come
// later are taken for known.
func (m *pastMark) coarsen() {
	if m.until == 0 {
		return
	}
	const day = int64(24 * time.Hour / time.Millisecond)
	m.until, m.marks = (m.until+day-1)/day*day, nil
}

func (m *pastMark) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(m.until))
	b = append(b, byte(len(m.marks)))
	for _, hash := range m.marks {
		b = binary.BigEndian.AppendUint32(b, hash)
	}
	return b
}

// parsePastMark reads what append wrote and returns what is behind it.
func parsePastMark(b []byte) (m pastMark, rest []byte, err error) {
	until, n := binary.Uvarint(b)
	if n <= 0 || until == 0 || until >= 1<<62 || len(b) == n || b[n] > manyMarks || len(b) < n+1+4*int(b[n]) {
		return pastMark{}, nil, errHeard
	}
	m.until = int64(until)
	marks := int(b[n])
	b = b[n+1:]
	for range marks {
		m.marks = append(m.marks, binary.BigEndian.Uint32(b))
		b = b[4:]
	}
	return m, b, nil
}
