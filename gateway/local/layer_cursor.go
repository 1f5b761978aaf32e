package local

import (
	"container/heap"
	"slices"
)

// layerCursor goes through a layer in order, forward only.
type layerCursor struct {
	l     *layer
	block int
	buf   []byte
	r     blockReader

	h   entryHash
	cur listed
	ok  bool // cur is an entry; false at the end
	err error
}

// cursorAt begins at the first entry of h or a later hash.
func (l *layer) cursorAt(h entryHash) *layerCursor {
	c := &layerCursor{l: l, block: -1, err: l.broken}
	c.seek(h)
	return c
}

// seek goes on to the first entry of h or a later hash.
func (c *layerCursor) seek(h entryHash) {
	if c.err != nil || c.block >= len(c.l.index) || c.ok && c.h.compare(h) >= 0 {
		return
	}
	if i := max(0, c.l.blockOf(h)); i > c.block {
		c.load(i)
		c.next()
	}
	for c.ok && c.h.compare(h) < 0 {
		c.next()
	}
}

func (c *layerCursor) load(i int) {
	c.block, c.ok, c.r, c.cur = i, false, blockReader{}, listed{}
	if i < len(c.l.index) {
		c.r.d.b, c.err = c.l.readBlock(i, &c.buf)
	}
}

func (c *layerCursor) next() {
	c.ok = false
	for c.err == nil && c.block < len(c.l.index) {
		if c.r.next() {
			l := c.r.listed(&c.cur)
			if l.Address != c.cur.Address || c.h == (entryHash{}) {
				c.h = hashText(l.Address)
			}
			c.cur, c.ok = l, true
			return
		}
		if c.r.d.err != nil {
			c.err = c.l.damaged("a block makes no sense")
			return
		}
		c.load(c.block + 1)
	}
}

// take appends the entries of h, if the cursor is there, and goes behind them.
func (c *layerCursor) take(h entryHash, dst []listed) []listed {
	for c.ok && c.h == h {
		dst = append(dst, c.cur)
		c.next()
	}
	return dst
}

// layerMerge goes through several layers at once, a hash at a time.
type layerMerge struct {
	cursors cursorHeap
	err     error
}

func mergeLayers(layers []*layer, from entryHash) *layerMerge {
	m := new(layerMerge)
	for _, l := range layers {
		m.push(l.cursorAt(from))
	}
	heap.Init(&m.cursors)
	return m
}

func (m *layerMerge) push(c *layerCursor) {
	if c.err != nil {
		m.err = c.err
	} else if c.ok {
		m.cursors = append(m.cursors, c)
	}
}

// peek returns the next hash; false at the end or on an error.
func (m *layerMerge) peek() (entryHash, bool) {
	if m.err != nil || len(m.cursors) == 0 {
		return entryHash{}, false
	}
	return m.cursors[0].h, true
}

// take returns the entries of the next hash, in the order of compareEntries and,
// where that is equal, of the lists.
func (m *layerMerge) take(dst []listed) []listed {
	h, ok := m.peek()
	if !ok {
		return dst
	}
	start, from := len(dst), 0
	for len(m.cursors) > 0 && m.cursors[0].h == h {
		c := m.cursors[0]
		dst = c.take(h, dst)
		from++
		if c.err != nil {
			m.err = c.err
			return dst[:start]
		}
		if c.ok {
			heap.Fix(&m.cursors, 0)
		} else {
			heap.Pop(&m.cursors)
		}
	}
	if from > 1 {
		slices.SortStableFunc(dst[start:], compareListed)
	}
	return dst
}

func compareListed(a, b listed) int {
	if c := compareEntries(&a.Entry, &b.Entry); c != 0 {
		return c
	}
	switch {
	case a.list < b.list:
		return -1
	case a.list > b.list:
		return 1
	}
	return 0
}

// cursorHeap has the cursor of the least hash in front; of equal ones the first
// layer's.
type cursorHeap []*layerCursor

func (c cursorHeap) Len() int { return len(c) }
func (c cursorHeap) Less(i, j int) bool {
	if d := c[i].h.compare(c[j].h); d != 0 {
		return d < 0
	}
	return c[i].l.number < c[j].l.number
}
func (c cursorHeap) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c *cursorHeap) Push(x any)   { *c = append(*c, x.(*layerCursor)) }
func (c *cursorHeap) Pop() any {
	old := *c
	x := old[len(old)-1]
	*c = old[:len(old)-1]
	return x
}
