package content

import (
	"context"
	"fmt"
	"io"
	"time"

	"tidepost/gateway"
)

// Composer makes the bytes that leave. Its fields are not changed once it is
// in use; it is safe for concurrent use.
type Composer struct {
	Hostname string           // our name in trace fields
	Signers  []Signer         // keys of From domains; none: nothing is signed
	Links    *Links           // what marks lead to; nil: marks are ignored
	Now      func() time.Time // dates signatures; nil: time.Now

	// Untouched is told of each mail that leaves without the marks that were asked
	// for, with one of the reasons below; nil: nobody is. It is called from Compose.
	Untouched func(reason string)

	signing gate // bounds how many signatures are made at once
}

var _ gateway.Composer = (*Composer)(nil)

// Compose returns the message for one delivery:
//
//	DKIM-Signature, one for each key of the From domain
//	Received
//	Date and Message-ID, where the message has none and carries no signature
//	CFBL-Address, where marks ask for it and we sign for the From domain
//	List-Unsubscribe and List-Unsubscribe-Post, where marks ask for them
//	the header as it came, without control fields
//	the body as it came, but for the HTML that marks are put into
//
// What is marked is made from the stored message and the delivery alone: a retry
// carries the same links. A mail that cannot be marked leaves without.
//
// The body stays where it is stored and is read as it is sent. The caller
// closes the returned body first and s afterwards.
func (c *Composer) Compose(ctx context.Context, s *gateway.Stored, d *gateway.Delivery, marks gateway.Marks) (io.ReadCloser, int64, error) {
	out := &outgoing{w: workspaces.Get().(*workspace), src: s.ReaderAt}
	signers, err := c.edit(out, s, d, marks)
	if err != nil {
		out.Close()
		return nil, 0, fmt.Errorf("composing %s: %w", d.ID, err)
	}
	if len(signers) > 0 {
		if out.sigs, err = c.sign(ctx, out, signers); err != nil {
			out.Close()
			return nil, 0, fmt.Errorf("signing %s: %w", d.ID, err)
		}
	}
	return out, out.size(), nil
}

// edit makes what leaves but for the signatures, and returns who signs it.
func (c *Composer) edit(out *outgoing, s *gateway.Stored, d *gateway.Delivery, marks gateway.Marks) ([]*Signer, error) {
	w := out.w
	if err := w.load(s); err != nil {
		return nil, err
	}
	h := survey(w.in, c.Hostname)
	signers := c.signersFor(h.from)
	if s.Message.Returned {
		signers = nil // a stranger wrote it, From and all: it gets no signature of ours
	}
	h.decide(w.in, signers)
	var m *marker
	if c.Links != nil && isMarked(marks) {
		m = c.marker(s, d, marks, &h)
	}
	w.out = appendReceived(w.out[:0], s.Message, c.Hostname)
	if !s.Message.Returned {
		w.out = c.appendMissing(w.out, s.Message, &h)
	}
	if marks.Complaints != "" && !h.orphan && !h.signed {
		w.out = appendComplaints(w.out, w.in, marks, signers)
	}
	if m != nil {
		w.out = m.appendUnsubscribe(w.out, w.in, &h)
	}
	w.out = h.appendKept(w.out, w.in)
	out.segment = segment{text: w.out, from: int64(h.size), to: s.Size}
	if m == nil {
		return signers, nil
	}
	reason, err := m.rewrite(out, &h)
	if reason != "" {
		c.untouched(reason)
	}
	return signers, err
}

func (c *Composer) untouched(reason string) {
	if c.Untouched != nil {
		c.Untouched(reason)
	}
}

// load reads the header into w.in. A message stored without the length of its
// header is read up to the limit.
func (w *workspace) load(s *gateway.Stored) error {
	n := s.Message.Header
	if n <= 0 || n > MaxHeader {
		n = MaxHeader
	}
	n = min(n, s.Size)
	if int64(cap(w.in)) < n {
		w.in = make([]byte, n)
	}
	w.in = w.in[:n]
	if got, err := s.ReadAt(w.in, 0); got < len(w.in) {
		return fmt.Errorf("reading the header: %w", err)
	}
	return nil
}

// appendMissing adds what RFC 6409 §8 lets a submission server add, to a
// message that nobody has signed and whose first line would not continue it.
// Both are made from the stored message, so that a retry repeats them.
func (c *Composer) appendMissing(b []byte, m *gateway.Message, h *headerSurvey) []byte {
	if h.signed || h.orphan {
		return b
	}
	if !h.date {
		b = append(b, "Date: "...)
		b = append(appendDate(b, m.Received), '\r', '\n')
	}
	if !h.messageID {
		b = append(b, "Message-ID: <"...)
		b = append(b, m.ID.String()...)
		b = append(b, '@')
		b = append(appendAtom(b, c.Hostname), ">\r\n"...)
	}
	return b
}
