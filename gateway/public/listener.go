package public

import (
	"net"
	"net/netip"
	"sync"
)

// How many connections there may be, and from one address: no single one can take
// all. Trusted proxies, who stand for many, count only towards the first.
const (
	maxConnections = 2000
	maxPerAddress  = 500
)

// capped is the listener with its connections counted. One too many is closed at
// once, without a word: whoever is not served should not be waited for either.
func (s *Server) capped(l net.Listener) net.Listener {
	return &door{Listener: l, max: maxConnections, each: maxPerAddress, exempt: s.trusted, refused: func() { s.Metrics.Refused.Add(1) }, of: map[netip.Addr]int{}}
}

// door lets in as many as there is room for.
type door struct {
	net.Listener
	max, each int
	exempt    func(netip.Addr) bool
	refused   func()

	mu   sync.Mutex
	open int                // guarded by mu
	of   map[netip.Addr]int // guarded by mu: by address, the exempt ones left out
}

// Accept returns the next connection that there is room for.
func (d *door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := addressOf(conn.RemoteAddr())
		if d.enter(from) {
			return &counted{Conn: conn, leave: sync.OnceFunc(func() { d.leave(from) })}, nil
		}
		d.refused()
		conn.Close()
	}
}

func (d *door) enter(from netip.Addr) bool {
	exempt := !from.IsValid() || d.exempt(from)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open >= d.max || !exempt && d.of[from] >= d.each {
		return false
	}
	d.open++
	if !exempt {
		d.of[from]++
	}
	return true
}

func (d *door) leave(from netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open--
	if n, ok := d.of[from]; ok && n > 1 {
		d.of[from] = n - 1
	} else {
		delete(d.of, from)
	}
}

// counted tells of its end.
type counted struct {
	net.Conn
	leave func()
}

// Close closes the connection and makes room for another.
func (c *counted) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
