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
type dueHeap []entry

func (h *dueHeap) push(e entry) {
	*h = append(*h, e)
	s, i := *h, len(*h)-1
	for i > 0 {
		parent := (i - 1) / 4
		if s[parent].at <= s[i].at {
			return
		}
		s[parent], s[i] = s[i], s[parent]
		i = parent
	}
}

// pop takes out the earliest entry; the heap must not be empty.
func (h *dueHeap) pop() entry {
	s := *h
	top, last := s[0], len(s)-1
	s[0] = s[last]
	*h = s[:last]
	h.down(0)
	if cap(s) > 1024 && last < cap(s)/4 { // give memory back after a campaign
		*h = append(make(dueHeap, 0, cap(s)/2), *h...)
	}
	return top
}

// clamp sets the entries between from and to to from. Their order stays.
func (h dueHeap) clamp(from, to uint32) {
	for i := range h {
		if h[i].at > from && h[i].at <= to {
			h[i].at = from
		}
	}
}

func (h dueHeap) down(i int) {
	for {
		least, first := i, 4*i+1
		for c := first; c < first+4 && c < len(h); c++ {
			if h[c].at < h[least].at {
				least = c
			}
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}
