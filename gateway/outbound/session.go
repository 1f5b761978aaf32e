package outbound

import (
	"context"
	"errors"
	"io"
	"time"

	"tidepost/gateway"
)

// session is one connection that is ready for MAIL.
type session struct {
	*conn
	features features
	timeouts Timeouts

	used   time.Time // when the last message was done
	sent   int       // messages begun
	reset  bool      // a transaction may be open: RSET goes before the next MAIL
	broken bool      // nothing more may be written

	// Scratch space of the transaction under way.
	pending []step
	state   []rcptState
}

var _ gateway.Session = (*session)(nil)

// idleCheck is the idle time after which a connection is looked at before it
// is used again: hosts close idle ones, and it is better to know before MAIL.
const idleCheck = time.Second

// Send transmits one message. Where PIPELINING is offered all commands leave
// in one write and the content in the next.
func (s *session) Send(ctx context.Context, e *gateway.Envelope, body io.Reader, notAfter time.Time) []gateway.Outcome {
	t := s.begin(e)
	release := s.watch(ctx, s.timeouts.Transaction)
	if o := s.check(ctx, notAfter); o != nil {
		t.settle(*o)
	} else {
		t.run(body, notAfter)
		s.sent++
	}
	if !release() {
		s.broken = true
	}
	s.used = time.Now()
	return t.out
}

// check finds out, before MAIL, why it cannot be written.
func (s *session) check(ctx context.Context, notAfter time.Time) *gateway.Outcome {
	switch {
	case s.broken:
		return s.lost("send", errors.New("the connection is closed"))
	case ctx.Err() != nil:
		return s.lost("send", ctx.Err())
	case !notAfter.IsZero() && !time.Now().Before(notAfter):
		return s.lost("send", errors.New("too late to begin"))
	case s.stale():
		return s.unsolicited()
	}
	return nil
}

// stale reports that the host has said something, or closed, since the last
// message. What is waiting to be read now would be taken for the reply to MAIL.
func (s *session) stale() bool {
	if s.br.Buffered() > 0 {
		return true
	}
	if time.Since(s.used) < idleCheck {
		return false
	}
	s.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := s.br.Peek(1)
	return err == nil || !timedOut(err)
}

// unsolicited reads what the host said unasked, most often a 421. A host that
// talks out of turn on a new connection will do so on the next one: that is an
// attempt, lest we connect for ever.
func (s *session) unsolicited() *gateway.Outcome {
	s.broken = true
	if err := s.read(time.Second); err != nil {
		return s.unwritten(err)
	}
	o := s.reply.stale(s.host)
	if s.sent == 0 {
		o = s.reply.refusal(s.host)
	}
	return &o
}

// unwritten is the outcome when MAIL could not be written. On a new connection
// that is the destination's trouble, on an old one only the connection's.
func (s *session) unwritten(err error) *gateway.Outcome {
	o := s.lost("send", err)
	o.Busy = s.sent == 0
	return o
}

// Usable reports whether another message may be sent.
func (s *session) Usable() bool { return !s.broken }

// Close says QUIT where that still makes sense, and closes the connection.
func (s *session) Close() error {
	if !s.broken {
		s.broken = true
		s.quit(s.timeouts.Quit)
	}
	return s.Conn.Close()
}

func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
