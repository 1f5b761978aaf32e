package replay

import "math"

// never is the wake-up of a mailbox where nothing waits.
const never = math.MaxInt64

// heap is a 4-ary min-heap of the mailboxes where something waits, by wake-up and
// then by number. Each box knows its place in it.
type heap struct {
	e     *Engine
	boxes []Box
}

func (h *heap) less(a, b Box) bool {
	x, y := h.e.box(a).wake, h.e.box(b).wake
	return x < y || x == y && a < b
}

func (h *heap) put(i int, x Box) {
	h.boxes[i] = x
	h.e.box(x).place = int32(i) + 1
}

// set gives a box its wake-up; never takes it out.
func (h *heap) set(x Box, wake int64) {
	b := h.e.box(x)
	i := int(b.place) - 1
	switch {
	case b.wake == wake && (i >= 0) == (wake != never):
		return
	case wake == never && i < 0:
		b.wake = wake
		return
	case wake == never:
		b.wake = wake
		h.take(i)
		return
	}
	b.wake = wake
	if i < 0 {
		i = len(h.boxes)
		h.boxes = append(h.boxes, x)
	}
	h.fix(i, x)
}

func (h *heap) take(i int) {
	h.e.box(h.boxes[i]).place = 0
	n := len(h.boxes) - 1
	last := h.boxes[n]
	h.boxes = h.boxes[:n]
	if i < n {
		h.fix(i, last)
	}
}

// fix puts x where it belongs, starting from place i.
func (h *heap) fix(i int, x Box) {
	for i > 0 {
		parent := (i - 1) / 4
		if !h.less(x, h.boxes[parent]) {
			break
		}
		h.put(i, h.boxes[parent])
		i = parent
	}
	for {
		least, first := -1, 4*i+1
		for c := first; c < min(first+4, len(h.boxes)); c++ {
			if least < 0 || h.less(h.boxes[c], h.boxes[least]) {
				least = c
			}
		}
		if least < 0 || !h.less(h.boxes[least], x) {
			break
		}
		h.put(i, h.boxes[least])
		i = least
	}
	h.put(i, x)
}
