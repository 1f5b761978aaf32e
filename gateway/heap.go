package gateway

import "time"

// entry is one mailbox in a queue: 20 bytes, so that ten million held
// deliveries take 200 MB and no more.
type entry struct {
	key Key
	at  uint32 // Unix seconds; good until 2106
}

// dueSeconds rounds an instant for an entry: up where it lies ahead, so that
// nothing leaves early, and down where it has come.
func dueSeconds(due, now time.Time) uint32 {
	if due.After(now) {
		return seconds(due.Add(time.Second - 1))
	}
	return seconds(now)
}

func seconds(t time.Time) uint32 {
	switch s := t.Unix(); {
	case t.IsZero() || s < 0:
		return 0
	case s > 1<<32-1:
		return 1<<32 - 1
	default:
		return uint32(s)
	}
}

// dueHeap is a 4-ary min-heap of mailboxes by the instant they are due. A
// mailbox may stand in it more than once: whoever takes one out looks at the
// mailbox itself, so a stale entry costs a look and nothing else.
//
// It lies in chunks: one slice of millions would be copied whenever it grows,
// and while it is copied be in memory twice.
type dueHeap struct {
	chunks [][]entry // all full but the last
	n      int
}

const (
	chunkBits = 12
	chunkSize = 1 << chunkBits // entries, 80 KB
)

// len is the number of entries.
func (h *dueHeap) len() int { return h.n }

// first returns the earliest entry's instant; the heap must not be empty.
func (h *dueHeap) first() uint32 { return h.at(0).at }

func (h *dueHeap) at(i int) *entry { return &h.chunks[i>>chunkBits][i&(chunkSize-1)] }

func (h *dueHeap) push(e entry) {
	h.grow(e)
	i := h.n - 1
	for i > 0 {
		child, parent := h.at(i), h.at((i-1)/4)
		if parent.at <= child.at {
			return
		}
		*child, *parent = *parent, *child
		i = (i - 1) / 4
	}
}

// grow appends an entry. The first chunk grows as it must, because most heaps
// stay small; the others come whole.
func (h *dueHeap) grow(e entry) {
	last := h.n >> chunkBits
	if last == len(h.chunks) {
		var chunk []entry
		if last > 0 {
			chunk = make([]entry, 0, chunkSize)
		}
		h.chunks = append(h.chunks, chunk)
	}
	h.chunks[last] = append(h.chunks[last], e)
	h.n++
}

// pop takes out the earliest entry; the heap must not be empty.
func (h *dueHeap) pop() entry {
	top := *h.at(0)
	h.n--
	*h.at(0) = *h.at(h.n)
	last := h.n >> chunkBits
	h.chunks[last] = h.chunks[last][:h.n&(chunkSize-1)]
	if len(h.chunks[last]) == 0 {
		h.chunks[last] = nil // memory goes back after a campaign
		h.chunks = h.chunks[:last]
	}
	h.down(0)
	return top
}

// clamp sets the entries between from and to to from. Their order stays.
func (h *dueHeap) clamp(from, to uint32) {
	for i := range h.n {
		if e := h.at(i); e.at > from && e.at <= to {
			e.at = from
		}
	}
}

func (h *dueHeap) down(i int) {
	for {
		least, first := i, 4*i+1
		for c := first; c < first+4 && c < h.n; c++ {
			if h.at(c).at < h.at(least).at {
				least = c
			}
		}
		if least == i {
			return
		}
		a, b := h.at(i), h.at(least)
		*a, *b = *b, *a
		i = least
	}
}
