package intake

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pires/go-proxyproto"
)

// lifecycle is what a blocked read has to know of the server. A nil one never ends.
type lifecycle struct {
	end      atomic.Int64  // when draining ends, in Unix nanoseconds; 0: not draining
	stressed *atomic.Bool  // too many connections
	stress   time.Duration // what they may wait then
}

func (l *lifecycle) isDraining() bool { return l != nil && l.end.Load() != 0 }
func (l *lifecycle) isStressed() bool { return l != nil && l.stressed.Load() }

func (l *lifecycle) drainEnd() (time.Time, bool) {
	if !l.isDraining() {
		return time.Time{}, false
	}
	return time.Unix(0, l.end.Load()), true
}

// service is one listener's connections.
type service struct {
	lifecycle
	s        *Server
	implicit bool
	work     context.Context // outlives the listener, until draining is over
	cancel   context.CancelFunc
	draining chan struct{} // closed when draining starts
	wg       sync.WaitGroup
}

func newService(s *Server, implicit bool) *service {
	svc := &service{s: s, implicit: implicit, draining: make(chan struct{})}
	svc.stressed, svc.stress = &s.stressed, s.limits.StressTimeout
	svc.work, svc.cancel = context.WithCancel(context.Background())
	return svc
}

// accept starts a goroutine for each connection until the listener closes.
func (svc *service) accept(ctx context.Context, l net.Listener) error {
	for {
		nc, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return err
			}
			// Out of file descriptors, or the client is gone already.
			svc.s.log.Error("accept failed", "error", err)
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		svc.open(nc)
	}
}

// open starts a connection, or turns it away when there are too many.
func (svc *service) open(nc net.Conn) {
	s := svc.s
	s.Metrics.Connections.Add(1)
	n := s.Metrics.Open.Add(1)
	if over(n, int64(s.limits.MaxConnections)) {
		s.Metrics.Open.Add(-1)
		s.Metrics.refuse(RefusedBusy)
		svc.turnAway(nc, "421 4.3.2 too many connections, try again later\r\n")
		return
	}
	c := svc.newConn(nc)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	svc.checkStress(n)
	svc.wg.Add(1)
	go func() {
		defer svc.wg.Done()
		c.serve()
	}()
}

// turnAway writes to an empty send buffer, which does not block.
func (svc *service) turnAway(nc net.Conn, line string) {
	if !svc.implicit {
		nc.SetWriteDeadline(time.Now().Add(time.Second))
		nc.Write([]byte(line))
	}
	nc.Close()
}

func (svc *service) newConn(nc net.Conn) *conn {
	s := svc.s
	c := &conn{s: s, svc: svc, ctx: svc.work, limits: &s.limits}
	c.in.nc = nc
	c.in.life = &svc.lifecycle
	c.in.authLimit = s.limits.MaxAuthLine
	c.in.writeTimeout = s.limits.WriteTimeout
	c.in.idle = true
	scan := scanner{normalize: s.BareNewline == BareNormalize, maxLine: s.limits.MaxLine, maxBytes: s.limits.MaxMessageBytes}
	c.content = dataReader{in: &c.in, scan: scan}
	c.chunks = bdatReader{c: c, scan: scan}
	return c
}

// start finds out who it is, checks the limits, and greets.
func (c *conn) start() bool {
	s := c.s
	if contains(s.ProxyFrom, addrOf(c.in.nc.RemoteAddr())) && !c.readProxy() {
		return false
	}
	c.peer.addr = addrOf(c.in.nc.RemoteAddr())
	c.peer.text = c.peer.addr.String()
	if !c.peer.addr.IsValid() {
		c.peer.text = "unknown"
	}
	if s.access.Load().of(c.peer.addr) == nil && !s.admit(c) {
		s.Metrics.refuse(RefusedPerAddress)
		if c.svc.implicit {
			return false
		}
		c.reply(421, "4.3.2", "too many connections from your address, try again later")
		return false
	}
	if !c.svc.implicit && spokeEarly(c.in.nc) {
		c.reply(554, "5.5.0", "synchronization error: input before the greeting")
		c.hangUp(RefusedSync)
		return false
	}
	if c.svc.implicit && !c.handshake() {
		return false
	}
	c.in.buf = make([]byte, smallBuffer)
	c.in.out = make([]byte, 0, firstReplies)
	c.reply(220, "", s.Hostname+" ESMTP Tidepost")
	return true
}

// readProxy reads the PROXY header that must come first.
func (c *conn) readProxy() bool {
	wait := c.limits.HandshakeTimeout
	p := proxyproto.NewConn(c.in.nc, proxyproto.WithPolicy(proxyproto.REQUIRE), proxyproto.SetReadHeaderTimeout(wait))
	if p.ProxyHeader() == nil {
		c.s.Metrics.refuse(RefusedHandshake)
		return false
	}
	c.in.mu.Lock()
	c.in.nc = p
	c.in.mu.Unlock()
	return true
}

// admit counts a connection from an address, unless it is one too many.
func (s *Server) admit(c *conn) bool {
	key := addressKey(c.peer.addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	if over(s.perAddress[key]+1, s.limits.MaxPerAddress) {
		return false
	}
	s.perAddress[key]++
	c.counted = true
	return true
}

// forget is the end of a connection.
func (svc *service) forget(c *conn) {
	s := svc.s
	n := s.Metrics.Open.Add(-1)
	svc.checkStress(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if !c.counted {
		return
	}
	key := addressKey(c.peer.addr)
	if s.perAddress[key]--; s.perAddress[key] == 0 {
		delete(s.perAddress, key)
	}
}

// checkStress turns stress on at three quarters of the connections and off at
// half. When it begins, those who wait already are told.
func (svc *service) checkStress(open int64) {
	s := svc.s
	limit := int64(s.limits.MaxConnections)
	switch {
	case limit < 0:
	case open*4 > limit*3 && limit > 4:
		if s.stressed.CompareAndSwap(false, true) {
			s.nudge(nil)
		}
	case open*2 < limit:
		s.stressed.Store(false)
	}
}

// nudge wakes the reads of one service's connections, or of all.
func (s *Server) nudge(svc *service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if svc == nil || c.svc == svc {
			c.in.nudge()
		}
	}
}

// drain ends the connections: idle ones now, others when their transaction is
// over, all of them at DrainTimeout.
func (svc *service) drain() {
	d := svc.s.limits.DrainTimeout
	svc.end.Store(time.Now().Add(d).UnixNano())
	close(svc.draining)
	svc.s.nudge(svc)
	done := make(chan struct{})
	go func() {
		svc.wg.Wait()
		close(done)
	}()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return
	case <-t.C:
	}
	svc.cancel()
	svc.s.mu.Lock()
	for c := range svc.s.conns {
		if c.svc == svc {
			c.in.abort()
		}
	}
	svc.s.mu.Unlock()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		svc.s.log.Error("SMTP sessions did not end")
	}
}

// openSession begins what go-smtp calls a session.
func (c *conn) openSession() {
	c.session = c.s.begin(c.ctx, &c.peer)
	c.ext, _ = c.session.(Extension)
}

// allowed answers a client that may not submit at all.
func (c *conn) allowed() bool {
	if c.ext == nil {
		return true
	}
	if err := c.ext.Allowed(); err != nil {
		c.replyError(err)
		return false
	}
	return true
}

// ready makes sure there is memory before content is asked for.
func (c *conn) ready() error {
	if c.ext == nil {
		return nil
	}
	return c.ext.Ready()
}

func (c *conn) mailLimits(path []byte) mailLimits {
	return mailLimits{maxBytes: c.limits.MaxMessageBytes, maxHold: c.s.MaxHold, now: time.Now(), null: len(path) == 0, inbound: c.s.Inbound != nil}
}
