package outbound

import (
	"io"
	"time"

	"tidepost/gateway"
)

// step is a command whose reply is awaited: the index of a recipient, or one
// of the following.
type step int

const (
	stepReset step = -1 - iota
	stepMail
	stepData
)

// rcptState is how far a recipient got.
type rcptState uint8

const (
	undecided rcptState = iota
	accepted            // RCPT was answered 2xx
	decided             // its outcome stands
)

// maxGroup bounds the commands in one write. What is not read yet of their
// replies must fit into the buffers between us, or both sides wait for each
// other (RFC 2920 §3.1).
const maxGroup = 100

// transaction is one message on its way through a session.
type transaction struct {
	*session
	e   *gateway.Envelope
	out []gateway.Outcome

	utf8     bool // SMTPUTF8 is written
	written  bool // MAIL is on the wire
	answered bool // MAIL was answered
	mail     bool // with 2xx
	over     bool // nothing more of it may be written
	ready    bool // 354: the content may follow
	takers   int  // recipients accepted
	notAfter time.Time
}

// begin prepares the outcomes of a transaction.
func (s *session) begin(e *gateway.Envelope) *transaction {
	n := len(e.Recipients)
	if cap(s.state) < n {
		s.state = make([]rcptState, n)
	}
	s.state = s.state[:n]
	clear(s.state)
	s.pending, s.conn.out = s.pending[:0], s.conn.out[:0]
	return &transaction{session: s, e: e, out: make([]gateway.Outcome, n)}
}

// run takes the message through MAIL, RCPT, DATA and the content.
func (t *transaction) run(body io.Reader, notAfter time.Time) {
	t.notAfter = notAfter
	body = t.examine(body)
	if !t.undecided() {
		return
	}
	if err := t.envelope(); err != nil {
		t.fail(err)
		return
	}
	switch {
	case !t.ready || t.broken:
	case t.takers == 0:
		t.cancel()
	default:
		t.content(body)
	}
}

// envelope writes MAIL, RCPT and DATA, in groups, and reads the replies.
func (t *transaction) envelope() error {
	if t.reset {
		t.conn.out = append(t.conn.out, "RSET\r\n"...)
		t.pending = append(t.pending, stepReset)
	}
	t.reset = true // until the reply to the final dot
	if err := t.queue(stepMail); err != nil {
		return err
	}
	for i := range t.e.Recipients {
		if t.state[i] != undecided {
			continue
		}
		if err := t.queue(step(i)); err != nil {
			return err
		}
	}
	if !t.features.pipelining {
		if err := t.flushGroup(); err != nil || t.takers == 0 {
			return err
		}
	}
	if err := t.queue(stepData); err != nil {
		return err
	}
	return t.flushGroup()
}

// queue adds a command, after the group before it when that is full: 100
// commands, or one without PIPELINING. Once the transaction is over it adds
// nothing.
func (t *transaction) queue(st step) error {
	if len(t.pending) >= maxGroup || len(t.pending) > 0 && !t.features.pipelining {
		if err := t.flushGroup(); err != nil {
			return err
		}
	}
	if t.over {
		return nil
	}
	t.pending = append(t.pending, st)
	switch st {
	case stepMail:
		t.conn.out = t.appendMail(t.conn.out)
	case stepData:
		t.conn.out = append(t.conn.out, "DATA\r\n"...)
	default:
		t.conn.out = t.appendRcpt(t.conn.out, &t.e.Recipients[st])
	}
	return nil
}

// flushGroup writes the commands collected and reads a reply to each.
func (t *transaction) flushGroup() error {
	if len(t.pending) == 0 {
		return nil
	}
	deadline := t.deadline(t.timeouts.Mail)
	mail := t.pending[len(t.pending)-1] != stepReset
	if !t.written && !t.notAfter.IsZero() && t.notAfter.Before(deadline) {
		deadline = t.notAfter
	}
	if err := t.flush(deadline); err != nil {
		return err
	}
	t.written = t.written || mail
	for _, st := range t.pending {
		if err := t.read(t.patience(st)); err != nil {
			return err
		}
		if t.answer(st); t.broken {
			break
		}
	}
	t.pending = t.pending[:0]
	return nil
}

// patience is how long the reply to a command may take.
func (t *transaction) patience(st step) time.Duration {
	switch st {
	case stepReset, stepMail:
		return t.timeouts.Mail
	case stepData:
		return t.timeouts.Data
	}
	return t.timeouts.Rcpt
}

// answer takes in the reply to one command.
func (t *transaction) answer(st step) {
	r := &t.reply
	if r.closing() {
		t.leave(st)
		return
	}
	switch st {
	case stepReset:
		t.broken = !r.ok()
		t.over = t.broken
		if t.broken {
			t.settle(*r.unsent(t.host, "RSET refused"))
		}
	case stepMail:
		t.answered, t.mail, t.over = true, r.ok(), !r.ok()
		if t.over {
			t.settle(r.refusal(t.host))
		}
	case stepData:
		t.ready = r.goAhead()
		// A 2xx to DATA may or may not wait for content: there is no way on.
		t.broken = r.ok()
		if !t.ready {
			t.settle(r.refusal(t.host))
		}
	default:
		t.answerRcpt(int(st))
	}
}

func (t *transaction) answerRcpt(i int) {
	switch {
	case t.state[i] == decided: // MAIL was refused, so is this
	case t.reply.ok():
		t.state[i] = accepted
		t.takers++
	default:
		t.state[i] = decided
		t.out[i] = t.reply.rcptRefusal(t.host, t.takers)
	}
}

// leave takes in a 421: the host closes, the rest gets no reply.
func (t *transaction) leave(st step) {
	t.broken, t.over = true, true
	if t.sent > 0 && !t.answered && (st == stepReset || st == stepMail) {
		t.settle(t.reply.stale(t.host))
		return
	}
	t.settle(t.reply.refusal(t.host))
}

// cancel ends a transaction whose DATA was taken although no recipient was:
// with a lone dot, and whatever is said to that (RFC 2920 §3.1).
func (t *transaction) cancel() {
	if t.write([]byte(".\r\n"), t.deadline(t.timeouts.Block)) != nil || t.read(t.timeouts.Done) != nil {
		t.broken = true
		return
	}
	t.reset, t.broken = false, t.reply.closing()
}

// content writes the message and reads what becomes of it.
func (t *transaction) content(body io.Reader) {
	if err := t.writeBody(body); err != nil {
		t.abandon(err)
		return
	}
	if err := t.read(t.timeouts.Done); err != nil {
		t.broken = true
		t.settle(deferred(t.host, "unknown outcome after end of data", err))
		return
	}
	t.reset, t.broken = false, t.reply.closing()
	o := t.reply.final(t.host)
	t.settle(o)
	if o.Kind == gateway.OutcomeDelivered && !t.features.dsn {
		t.owe()
	}
}

// owe marks the recipients to whom we owe the success DSN that the next hop
// will not make (RFC 3461 §5.2.2 a).
func (t *transaction) owe() {
	for i := range t.out {
		if t.out[i].Kind == gateway.OutcomeDelivered && t.e.Recipients[i].Notify&gateway.NotifySuccess != 0 {
			t.out[i].Relayed = true
		}
	}
}

// abandon closes the connection in the middle of the content, so that the host
// drops what it has. A host that refused the content before its end has often
// said so; then its word counts.
func (t *transaction) abandon(err error) {
	t.broken = true
	if !isSource(err) && !timedOut(err) && t.read(time.Second) == nil && !t.reply.ok() {
		t.settle(t.reply.refusal(t.host))
		return
	}
	t.settle(deferred(t.host, "connection lost in the content", err))
}

// fail takes in an error before the content.
func (t *transaction) fail(err error) {
	t.broken = true
	if !t.written || t.sent > 0 && !t.answered && !timedOut(err) {
		t.settle(*t.unwritten(err))
		return
	}
	t.settle(deferred(t.host, "connection lost", err))
}

// settle gives an outcome to every recipient that has none.
func (t *transaction) settle(o gateway.Outcome) {
	for i, st := range t.state {
		if st != decided {
			t.out[i], t.state[i] = o, decided
		}
	}
}

func (t *transaction) undecided() bool {
	for _, st := range t.state {
		if st != decided {
			return true
		}
	}
	return false
}

func deferred(host, what string, err error) gateway.Outcome {
	o := unsent(host, what, err)
	o.Kind = gateway.OutcomeDeferred
	return *o
}
