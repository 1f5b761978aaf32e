package intake

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	smallBuffer  = 4 << 10  // of an idle connection
	firstReplies = 512      // of replies, enough for EHLO's
	largeBuffer  = 32 << 10 // while content is read
	maxSkip      = 1 << 20  // bytes of one malformed line that are read away before we hang up
)

var (
	errBareLF   = errors.New("a line ended in a bare LF")
	errLongLine = errors.New("a line is too long")
	errFlood    = errors.New("a line does not end")
	errDraining = errors.New("the server is shutting down")

	// errGone stands for io.EOF, which means the end of a message to those who
	// read one.
	errGone = errors.New("the client closed the connection")
)

// wire is a connection's bytes: buffered both ways, lines cut at CRLF, and one
// read deadline a phase. It is used by one goroutine; nudge alone may be called
// from others.
type wire struct {
	nc   net.Conn
	life *lifecycle

	buf   []byte // unread input is buf[r:w]
	r, w  int
	small []byte  // stands in for buf while a large one is lent
	large *[]byte // the lent one, nil when there is none
	last  byte    // the last byte that skipLine dropped
	out   []byte  // replies not written yet

	authLimit int // bytes of an AUTH command, with its CRLF

	writeTimeout time.Duration
	writeBy      time.Time // write deadline that is set

	until time.Time     // when the phase must be over
	base  time.Duration // >0: content is read, and must come at rate
	start time.Time     // of the content
	got   int64         // bytes of it
	rate  int           // bytes per second
	idle  bool          // outside of a transaction: nothing is lost by closing

	mu    sync.Mutex
	armed time.Time // the read deadline that is set; guarded by mu
}

// buffered returns the input that was read and not consumed.
func (c *wire) buffered() []byte { return c.buf[c.r:c.w] }

// begin starts a phase that must be over after d. A deadline between d and 5/4 d
// ahead is kept as it is, so that most commands set none.
func (c *wire) begin(d time.Duration) {
	now := time.Now()
	c.base = 0
	if left := c.until.Sub(now); left < d || left > d+d/4 {
		c.until = now.Add(d + d/4)
	}
}

// beginContent starts a phase that may last d, and longer by what arrives at rate.
func (c *wire) beginContent(d time.Duration, rate int) {
	c.start, c.base, c.rate, c.got = time.Now(), d, rate, 0
}

// deadline is when the phase ends. During content it moves with what came.
func (c *wire) deadline() time.Time {
	until := c.until
	if c.base > 0 {
		until = c.start.Add(c.base)
		if c.rate > 0 {
			until = until.Add(time.Duration(c.got) * time.Second / time.Duration(c.rate))
		} else {
			until = time.Now().Add(c.base)
		}
	}
	if end, ok := c.life.drainEnd(); ok && end.Before(until) {
		return end
	}
	return until
}

// arm sets the read deadline, unless the one that is set will do.
func (c *wire) arm() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle && c.life.isDraining() {
		return errDraining
	}
	c.hurry()
	want := c.deadline()
	if d := want.Sub(c.armed); d >= 0 && d <= c.base/8 {
		return nil
	}
	c.armed = want
	return c.nc.SetReadDeadline(want)
}

// hurry shortens the phase when the server has come under stress since it
// began. Asked under mu, because a nudge between the phase's beginning and the
// setting of its deadline would be lost.
func (c *wire) hurry() {
	if c.base > 0 || !c.life.isStressed() {
		return
	}
	if end := time.Now().Add(c.life.stress); end.Before(c.until) {
		c.until = end
	}
}

// nudge makes a blocked read look up and see that the server drains or is under
// stress.
func (c *wire) nudge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = time.Time{}
	c.nc.SetReadDeadline(time.Unix(1, 0))
}

// abort closes the connection under a blocked read or write, and does not wait
// for TLS to say goodbye.
func (c *wire) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	nc := c.nc
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	nc.Close()
}

// resume reports whether reading goes on after a timeout: it was a nudge, or
// the deadline that was set lies behind the real one.
func (c *wire) resume() (bool, error) {
	if c.idle && c.life.isDraining() {
		return false, errDraining
	}
	c.hurry()
	c.mu.Lock()
	c.armed = time.Time{}
	c.mu.Unlock()
	return time.Now().Before(c.deadline()), nil
}

// fill waits for input. Replies are written before it blocks, and only then, so
// that a pipelined group is answered in one piece (RFC 2920 §3.2).
func (c *wire) fill() error {
	if err := c.flush(); err != nil {
		return err
	}
	c.room()
	for {
		if err := c.arm(); err != nil {
			return err
		}
		n, err := c.nc.Read(c.buf[c.w:])
		if n > 0 {
			c.w += n
			c.got += int64(n)
			return nil
		}
		if err == nil {
			continue
		}
		if errors.Is(err, io.EOF) {
			return errGone
		}
		if !isTimeout(err) {
			return err
		}
		if again, stop := c.resume(); stop != nil {
			return stop
		} else if !again {
			return err
		}
	}
}

// room makes place behind w. Callers bound what they leave unread, so growth is
// bounded by authLimit.
func (c *wire) room() {
	if c.r > 0 {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	}
	if c.w == len(c.buf) {
		c.buf = append(c.buf, make([]byte, max(len(c.buf), smallBuffer))...)
	}
}

// flush writes the replies.
func (c *wire) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	if now := time.Now(); c.writeBy.Sub(now) < c.writeTimeout {
		c.writeBy = now.Add(c.writeTimeout + c.writeTimeout/4)
		if err := c.nc.SetWriteDeadline(c.writeBy); err != nil {
			return err
		}
	}
	_, err := c.nc.Write(c.out)
	c.out = c.out[:0]
	if cap(c.out) > smallBuffer { // a burst of commands does not cost memory for ever
		c.out = make([]byte, 0, firstReplies)
	}
	return err
}

// readLine returns the next line without its CRLF. It points into the buffer and
// holds until the next read. After errLongLine the line is still there, for
// skipLine; after errBareLF it is gone.
func (c *wire) readLine(limit int) ([]byte, error) {
	for scanned := 0; ; {
		b := c.buf[c.r:c.w]
		if i := bytes.IndexByte(b[scanned:], '\n'); i >= 0 {
			return c.cutLine(b, scanned+i, limit)
		}
		scanned = len(b)
		if scanned >= limit && scanned >= c.limitOf(b, limit) {
			return nil, errLongLine
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// cutLine consumes the line of b whose LF is at end.
func (c *wire) cutLine(b []byte, end, limit int) ([]byte, error) {
	if end >= limit && end >= c.limitOf(b, limit) {
		return nil, errLongLine
	}
	c.r += end + 1
	if end == 0 || b[end-1] != '\r' {
		return nil, errBareLF
	}
	return b[:end-1], nil
}

// limitOf returns the limit of the line that b starts: AUTH may be longer
// (RFC 4954 §4).
func (c *wire) limitOf(b []byte, limit int) int {
	if len(b) > 5 && bytes.EqualFold(b[:5], []byte("AUTH ")) {
		return max(limit, c.authLimit)
	}
	return limit
}

// skipLine drops input through the next LF and reports whether it was a CRLF.
func (c *wire) skipLine() (crlf bool, err error) {
	c.last = 0
	for skipped := 0; skipped < maxSkip; {
		b := c.buf[c.r:c.w]
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			if i > 0 {
				c.last = b[i-1]
			}
			c.r += i + 1
			return c.last == '\r', nil
		}
		if len(b) > 0 {
			c.last = b[len(b)-1]
			skipped += len(b)
		}
		c.r = c.w
		if err := c.fill(); err != nil {
			return false, err
		}
	}
	return false, errFlood
}

// enlarge lends a large buffer while content is read, shrink takes it back.
func (c *wire) enlarge() {
	if c.large != nil || len(c.buf) >= largeBuffer {
		return
	}
	c.large = largeBuffers.Get().(*[]byte)
	c.small = c.buf
	c.w = copy(*c.large, c.buf[c.r:c.w])
	c.r = 0
	c.buf = *c.large
}

func (c *wire) shrink() {
	if c.large == nil || c.w-c.r > len(c.small) {
		return
	}
	c.w = copy(c.small, c.buf[c.r:c.w])
	c.r = 0
	c.buf, c.small = c.small, nil
	largeBuffers.Put(c.large)
	c.large = nil
}

// release gives the buffers back; the wire is not used afterwards.
func (c *wire) release() {
	if c.large != nil {
		largeBuffers.Put(c.large)
		c.large = nil
	}
	c.buf, c.small, c.r, c.w = nil, nil, 0, 0
}

var largeBuffers = sync.Pool{New: func() any { b := make([]byte, largeBuffer); return &b }}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
