package outbound

import (
	"bufio"
	"bytes"
	"errors"
	"strings"

	"tidepost/gateway"
)

// What is read of one reply. RFC 5321 §4.5.3.1.5 allows 512 bytes a line; real
// hosts write more, hostile ones do not stop.
const (
	maxReplyLine  = 2 << 10  // kept of a line; the rest is read and dropped
	maxReplyBytes = 64 << 10 // of all lines, dropped bytes included
	maxReplyLines = 100
)

var (
	errReplyTooLong   = errors.New("reply is too long")
	errReplyMalformed = errors.New("reply is not SMTP")
)

// reply is one SMTP reply (RFC 5321 §4.2). It is read into again and again;
// its text is valid until the next read.
type reply struct {
	code int
	text []byte // the lines without their codes, each ended by '\n'
	size int    // bytes read
	cut  []byte // beginning of a line that was too long
}

// read reads a whole reply. After an error the connection is out of step and
// must be closed.
func (r *reply) read(br *bufio.Reader) error {
	r.code, r.text, r.size = 0, r.text[:0], 0
	for range maxReplyLines {
		line, err := r.line(br)
		if err != nil {
			return err
		}
		code := parseCode(line)
		if code == 0 {
			return errReplyMalformed
		}
		// RFC 5321 §4.2.1 wants one code on all lines; where they differ the
		// last one counts, as for other clients.
		r.code = code
		if len(line) > 4 {
			r.text = append(r.text, line[4:]...)
		}
		r.text = append(r.text, '\n')
		if len(line) == 3 || line[3] == ' ' {
			return nil
		}
	}
	return errReplyTooLong
}

// line reads one line, without its end. What is over maxReplyLine is dropped.
func (r *reply) line(br *bufio.Reader) ([]byte, error) {
	line, err := br.ReadSlice('\n')
	r.size += len(line)
	if len(line) > maxReplyLine {
		r.cut = append(r.cut[:0], line[:maxReplyLine]...)
		line = r.cut
	}
	for errors.Is(err, bufio.ErrBufferFull) && r.size <= maxReplyBytes {
		var rest []byte
		rest, err = br.ReadSlice('\n')
		r.size += len(rest)
	}
	if r.size > maxReplyBytes {
		return nil, errReplyTooLong
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

// parseCode returns the code of a reply line, 0 when the line is none.
func parseCode(line []byte) int {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' || !digit(line[1]) || !digit(line[2]) {
		return 0
	}
	if len(line) > 3 && line[3] != ' ' && line[3] != '-' {
		return 0
	}
	return int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func (r *reply) ok() bool        { return r.code/100 == 2 }
func (r *reply) goAhead() bool   { return r.code == 354 }
func (r *reply) challenge() bool { return r.code == 334 }

// closing reports that the host is about to close the connection (RFC 5321
// §3.8: 421 may answer any command).
func (r *reply) closing() bool { return r.code == 421 }

// refused reports a permanent refusal: of EHLO it means that HELO may do.
func (r *reply) refused() bool { return r.code/100 == 5 }

// lines calls yield with the text of each line.
func (r *reply) lines(yield func([]byte) bool) {
	for line := range bytes.Lines(r.text) {
		if !yield(line[:len(line)-1]) {
			return
		}
	}
}

// final is what the reply to the final dot means for a delivery.
func (r *reply) final(remote string) gateway.Outcome {
	o := gateway.Outcome{Code: r.code, Remote: remote}
	o.Status, o.Text = r.words()
	switch r.code / 100 {
	case 2:
		o.Kind = gateway.OutcomeDelivered
	case 5:
		o.Kind = gateway.OutcomeFailed
	case 4:
		o.Kind = gateway.OutcomeDeferred
		o.Busy = r.closing() || busy(o.Status, o.Text)
	default: // 354 and the like: it took nothing that we know of
		o.Kind = gateway.OutcomeDeferred
		o.Text = escape([]byte("unexpected reply: " + o.Text))
	}
	return o
}

// refusal is what the reply to a command before the final dot means, when it
// is not the one that lets us go on. A 2xx out of place delivers nothing.
func (r *reply) refusal(remote string) gateway.Outcome {
	o := r.final(remote)
	if o.Kind == gateway.OutcomeDelivered {
		o.Kind, o.Text = gateway.OutcomeDeferred, escape([]byte("unexpected reply: "+o.Text))
	}
	return o
}

// rcptRefusal is refusal for RCPT. RFC 5321 §4.5.3.1.10: a 552 that means too
// many recipients is to be read as 452; one that says 5.2.2 is a full mailbox.
func (r *reply) rcptRefusal(remote string, accepted int) gateway.Outcome {
	o := r.refusal(remote)
	if r.code == 552 && accepted > 0 && (o.Status == "" || o.Status == "5.5.3") {
		o.Kind = gateway.OutcomeDeferred
	}
	return o
}

// stale is what 421 in place of the reply to MAIL means on a connection that
// carried mail before: time to reconnect, and to slow down only if it says so.
func (r *reply) stale(remote string) gateway.Outcome {
	o := r.refusal(remote)
	o.Kind, o.Busy = gateway.OutcomeUnsent, strings.HasPrefix(o.Status, "4.7.") || busy(o.Status, o.Text)
	return o
}

// unsent is what a reply before MAIL means: nothing was tried.
func (r *reply) unsent(remote, what string) *gateway.Outcome {
	o := r.refusal(remote)
	o.Kind, o.Text = gateway.OutcomeUnsent, escape([]byte(what+": "+o.Text))
	return &o
}
