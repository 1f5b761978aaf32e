package intake

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/emersion/go-smtp"

	"tidepost/gateway"
)

// peer is the far side of a connection, as a session sees it.
type peer struct {
	addr   netip.Addr
	text   string // addr for people
	helo   string
	esmtp  bool
	secure bool // TLS is on

	tlsVersion, tlsCipher string
}

// protocol is the "with" of Received without AUTH (RFC 3848, RFC 6531 §4.3).
func (p *peer) protocol(utf8 bool) string {
	name := "SMTP"
	switch {
	case utf8:
		name = "UTF8SMTP"
	case p.esmtp:
		name = "ESMTP"
	}
	if p.secure {
		name += "S"
	}
	return name
}

// conn is one connection: the state of the protocol. One goroutine runs it.
type conn struct {
	s      *Server
	svc    *service
	ctx    context.Context // of the work done for it
	limits *Limits
	in     wire
	peer   peer

	session smtp.Session // nil before EHLO
	ext     Extension    // the same, nil where it has no more than go-smtp asks

	greeted  bool // EHLO or HELO was said
	esmtp    bool // it was EHLO
	authed   bool
	mail     bool // MAIL was accepted
	inBdat   bool // a message is being read in chunks
	skipping bool // through the end of a malformed line
	answered bool // which was answered already
	closing  bool // after the replies that are buffered
	linger   bool // and there may be unread input
	counted  bool // by perAddress

	rcpts, overshoot, errors, junk, failedAuth int

	params  params
	content dataReader
	chunks  bdatReader
}

var errClosing = errors.New("the connection is closing")

// serve runs the connection to its end.
func (c *conn) serve() {
	defer c.close()
	defer func() {
		if p := recover(); p != nil {
			c.s.log.Error("panic in an SMTP session", "client", c.peer.text, "panic", p, "stack", string(debug.Stack()))
			c.reply(421, "4.3.0", "internal error")
			c.hangUp(RefusedErrors)
		}
	}()
	if !c.start() {
		return
	}
	for !c.closing {
		line, err := c.readCommand()
		if err != nil {
			c.lost(err)
			return
		}
		c.run(line)
	}
}

// readCommand returns the next whole, well-formed command line. What is malformed
// is answered here, up to and including the line's true end: a command ends in
// CRLF, and what a lone LF cuts off is never parsed as another one.
func (c *conn) readCommand() ([]byte, error) {
	for !c.closing {
		c.in.idle = !c.mail
		c.in.begin(c.timeout(c.limits.CommandTimeout))
		if c.skipping {
			if err := c.skipLine(); err != nil {
				return nil, err
			}
			continue
		}
		line, err := c.in.readLine(c.limits.MaxCommandLine)
		switch err {
		case nil:
			return line, nil
		case errBareLF:
			c.skipping, c.answered = true, false
			c.refuse(500, "5.5.2", "bare <LF> received; lines end in <CR><LF>")
		case errLongLine:
			c.skipping, c.answered = true, true
			c.refuse(500, "5.5.6", "line too long")
		default:
			return nil, err
		}
	}
	return nil, errClosing
}

// skipLine drops the rest of a malformed line.
func (c *conn) skipLine() error {
	crlf, err := c.in.skipLine()
	if err != nil {
		return err
	}
	if !c.answered {
		c.refuse(500, "5.5.2", "bare <LF> received; lines end in <CR><LF>")
	}
	c.skipping, c.answered = !crlf, false
	return nil
}

// timeout is d, or less under stress.
func (c *conn) timeout(d time.Duration) time.Duration {
	if c.svc.isStressed() {
		return min(d, c.limits.StressTimeout)
	}
	return d
}

// lost ends the connection for what reading reported.
func (c *conn) lost(err error) {
	if err == errClosing {
		return
	}
	if c.content.lost != nil || c.chunks.lost != nil {
		c.s.Metrics.Aborted.Add(1)
	}
	switch {
	case err == errDraining:
		c.reply(421, "4.3.2", "shutting down, try again later")
	case err == errFlood:
		c.reply(500, "5.5.6", "line too long")
		c.linger = true
	case isTimeout(err):
		c.s.Metrics.refuse(RefusedTimeout)
		c.reply(421, "4.4.2", "too slow, closing the connection")
	case err != errGone || c.mail:
		c.reply(421, "4.4.0", "connection lost")
	}
	c.closing = true
}

// hangUp closes the connection after the replies.
func (c *conn) hangUp(r Reason) {
	c.s.Metrics.refuse(r)
	c.closing, c.linger = true, true
}

// close says what is left to say and frees everything.
func (c *conn) close() {
	if c.session != nil {
		c.session.Logout()
	}
	if c.in.nc != nil {
		c.in.writeTimeout = min(c.in.writeTimeout, 5*time.Second)
		c.in.writeBy = time.Time{}
		err := c.in.flush()
		if err == nil && c.linger {
			c.awaitClose()
		}
		c.in.nc.Close()
	}
	c.in.release()
	c.svc.forget(c)
}

// awaitClose lets the client read our last words: a close with unread input
// behind it would send a reset, and take them along.
func (c *conn) awaitClose() {
	half, ok := c.in.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.in.nc.SetReadDeadline(time.Now().Add(min(time.Second, c.limits.StressTimeout)))
	io.CopyN(io.Discard, c.in.nc, maxSkip)
}

// reply buffers one reply line. The text is ours; what is not goes through escape.
func (c *conn) reply(code int, status, text string) {
	out := strconv.AppendInt(c.in.out, int64(code), 10)
	out = append(out, ' ')
	if status != "" {
		out = append(append(out, status...), ' ')
	}
	out = appendEscaped(out, text)
	c.in.out = append(out, '\r', '\n')
}

// maxReplyText keeps reply lines within 512 bytes (RFC 5321 §4.5.3.1.5).
const maxReplyText = 480

// appendEscaped appends text with all that is not printable ASCII escaped, and
// shortened: a reply never carries a client's raw bytes.
func appendEscaped(dst []byte, text string) []byte {
	const hex = "0123456789abcdef"
	start := len(dst)
	for i := 0; i < len(text); i++ {
		if len(dst)-start > maxReplyText {
			return append(dst, "..."...)
		}
		if ch := text[i]; ch >= ' ' && ch <= '~' {
			dst = append(dst, ch)
		} else {
			dst = append(dst, '\\', 'x', hex[ch>>4], hex[ch&15])
		}
	}
	return dst
}

// refuse answers an error of the client and counts it: some are answered slowly,
// more than enough end the session.
func (c *conn) refuse(code int, status, text string) {
	c.errors++
	if c.errors > c.limits.SoftErrors && c.limits.SoftErrors >= 0 {
		c.pause(c.limits.ErrorDelay)
	}
	c.reply(code, status, text)
	if over(c.errors, c.limits.HardErrors) {
		c.reply(421, "4.7.0", "too many errors")
		c.hangUp(RefusedErrors)
	}
}

func (c *conn) refuseReply(r *gateway.Reply) { c.refuse(r.Code, r.Status, r.Text) }

// pause holds the session up. Shutting down ends it early.
func (c *conn) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.svc.draining:
	}
}

// tooMuchJunk counts a command that does nothing.
func (c *conn) tooMuchJunk() bool {
	c.junk++
	if !over(c.junk, c.limits.MaxJunk) {
		return false
	}
	c.reply(421, "4.7.0", "too many commands without a message")
	c.hangUp(RefusedErrors)
	return true
}

// replyError answers an error of the session.
func (c *conn) replyError(err error) {
	r := asReply(err)
	if r == nil {
		r = replyFailed
	}
	if err != error(r) && r.Code < 500 { // there is more to it than the client is told
		c.s.log.Error("mail was not accepted", "client", c.peer.text, "error", err)
	}
	if r.Code >= 500 {
		c.refuse(r.Code, r.Status, r.Text)
	} else {
		c.reply(r.Code, r.Status, r.Text)
	}
	if r.Code == 421 {
		c.hangUp(RefusedErrors)
	}
}

var (
	replyFailed = &gateway.Reply{Code: 451, Status: "4.3.0", Text: "local error, try again later"}
	replyFull   = &gateway.Reply{Code: 452, Status: "4.3.1", Text: "Insufficient storage, try again later"}
)

// asReply returns what a client is told for err; nil: nothing in particular.
func asReply(err error) *gateway.Reply {
	var r *gateway.Reply
	var se *smtp.SMTPError
	switch {
	case errors.As(err, &r):
		return r
	case errors.As(err, &se):
		e := se.EnhancedCode
		status := strconv.Itoa(e[0]) + "." + strconv.Itoa(e[1]) + "." + strconv.Itoa(e[2])
		return &gateway.Reply{Code: se.Code, Status: status, Text: se.Message}
	case errors.Is(err, gateway.ErrFull):
		return replyFull
	case errors.Is(err, gateway.ErrStopped):
		return replyFailed
	}
	return nil
}

// replyContent answers refused content: what is wrong with it goes before what
// the session made of that.
func (c *conn) replyContent(bad *smtp.SMTPError, err error) {
	if bad == nil {
		r := asReply(err)
		switch {
		case r != nil && r.Code >= 500:
			c.s.Metrics.refuse(RefusedPolicy)
		default:
			c.s.Metrics.refuse(RefusedFull)
		}
		c.replyError(err)
		return
	}
	if bad == errContentSize {
		c.s.Metrics.refuse(RefusedSize)
	} else {
		c.s.Metrics.refuse(RefusedContent)
	}
	c.replyError(bad)
}

// endMessage answers a message that was read to its end.
func (c *conn) endMessage(bad *smtp.SMTPError, err error, size int64) {
	if bad != nil || err != nil {
		c.replyContent(bad, err)
		c.resetTransaction()
		return
	}
	m := &c.s.Metrics
	m.Messages.Add(1)
	m.Bytes.Add(size)
	m.Recipients.Add(int64(c.rcpts))
	out := append(c.in.out, "250 2.0.0 Ok"...)
	if c.ext != nil {
		if id := c.ext.Queued(); !id.IsZero() {
			out = append(append(out, ": queued as "...), id.String()...)
		}
	}
	c.in.out = append(out, '\r', '\n')
	c.errors, c.junk = 0, 0
	c.resetTransaction()
	// Now, not with the next message: a crash would make the client send this one again.
	if err := c.in.flush(); err != nil {
		c.closing = true
	}
}

// resetTransaction forgets the sender, the recipients and the content.
func (c *conn) resetTransaction() {
	if c.session != nil {
		c.session.Reset()
	}
	c.mail, c.inBdat, c.rcpts, c.overshoot = false, false, 0, 0
}

// drainLimit is how much unwanted content is read to stay in step with a client.
func (c *conn) drainLimit() int64 {
	if c.limits.MaxMessageBytes < 0 {
		return 64 << 20
	}
	return min(max(c.limits.MaxMessageBytes, 64<<10), 64<<20)
}

// addrOf returns the IP address of a connection's far side.
func addrOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
