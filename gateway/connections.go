package gateway

import (
	"sync"
	"time"
)

// connections open to each destination, which may serve many lines: thousands
// of domains share one provider's hosts. Lines that find all of them taken wait
// in order.
type connections struct {
	mu    sync.Mutex
	dests map[string]*shared // guarded by mu
}

type shared struct {
	open    int
	waiting []*line
	queued  map[*line]bool // the same lines
}

// connectionWait is when a line that waits for a connection asks again by
// itself, in case that the one it was given went unused.
const connectionWait = 30 * time.Second

// acquire takes a connection, or lets the line wait for one.
func (c *connections) acquire(name string, most int, ln *line) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.dests[name]
	if d == nil {
		d = &shared{queued: map[*line]bool{}}
		if c.dests == nil {
			c.dests = map[string]*shared{}
		}
		c.dests[name] = d
	}
	if d.open < most {
		d.open++
		return true
	}
	if !d.queued[ln] {
		d.queued[ln] = true
		d.waiting = append(d.waiting, ln)
	}
	return false
}

// release gives a connection back.
func (c *connections) release(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dests[name].open--
}

// next returns the line that has waited longest for a connection, or nil.
func (c *connections) next(name string) *line {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.dests[name]
	if d == nil || len(d.waiting) == 0 {
		if d != nil && d.open == 0 {
			delete(c.dests, name)
		}
		return nil
	}
	ln := d.waiting[0]
	d.waiting = d.waiting[1:]
	delete(d.queued, ln)
	return ln
}

// wanted reports whether a line waits for a connection to the destination.
func (c *connections) wanted(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.dests[name]
	return d != nil && len(d.waiting) > 0
}
