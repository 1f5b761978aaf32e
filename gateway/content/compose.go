package content

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"tidepost/gateway"
)

// Composer makes the bytes that leave. Its fields are not changed once it is
// in use; it is safe for concurrent use.
type Composer struct {
	Hostname string           // our name in trace fields
	Signers  []Signer         // keys of From domains; none: nothing is signed
	Now      func() time.Time // dates signatures; nil: time.Now

	signing gate // bounds how many signatures are made at once
}

var _ gateway.Composer = (*Composer)(nil)

// Compose returns the message for one delivery:
//
//	DKIM-Signature, one for each key of the From domain
//	Received
//	Date and Message-ID, where the message has none and carries no signature
//	the header as it came, without control fields
//	the body as it came
//
// The body stays where it is stored and is read as it is sent. The caller
// closes the returned body first and s afterwards.
func (c *Composer) Compose(ctx context.Context, s *gateway.Stored, d *gateway.Delivery) (io.ReadCloser, int64, error) {
	out := &outgoing{w: workspaces.Get().(*workspace), src: s.ReaderAt, end: s.Size}
	signers, err := c.edit(out, s)
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

// workspace is the memory for one message's header; it goes from message to
// message.
type workspace struct {
	in     []byte  // the header as it came
	out    []byte  // what stands in front of the body, without our signatures
	fields []field // of out, for signing
	body   []byte  // a piece of the body, for hashing
}

var workspaces = sync.Pool{New: func() any { return new(workspace) }}

// edit makes what stands in front of the body and returns who signs it.
func (c *Composer) edit(out *outgoing, s *gateway.Stored) ([]*Signer, error) {
	w := out.w
	if err := w.load(s); err != nil {
		return nil, err
	}
	h := survey(w.in, c.Hostname)
	signers := c.signersFor(h.from)
	h.decide(w.in, signers)
	w.out = appendReceived(w.out[:0], s.Message, c.Hostname)
	w.out = c.appendMissing(w.out, s.Message, &h)
	w.out = h.appendKept(w.out, w.in)
	out.head, out.off = w.out, int64(h.size)
	return signers, nil
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

// outgoing reads a message as it leaves: our signatures, the edited header,
// then the stored body.
type outgoing struct {
	w        *workspace // given back by Close
	sigs     []byte
	head     []byte
	src      io.ReaderAt
	off, end int64
}

func (o *outgoing) size() int64 { return int64(len(o.sigs)+len(o.head)) + o.end - o.off }

// Read implements io.Reader.
func (o *outgoing) Read(p []byte) (int, error) {
	if o.w == nil {
		return 0, io.ErrClosedPipe
	}
	n := copy(p, o.sigs)
	o.sigs = o.sigs[n:]
	k := copy(p[n:], o.head)
	o.head = o.head[k:]
	n += k
	if n == len(p) || o.off >= o.end {
		if n == 0 && len(p) > 0 {
			return 0, io.EOF
		}
		return n, nil
	}
	rest := p[n:]
	if left := o.end - o.off; int64(len(rest)) > left {
		rest = rest[:left]
	}
	k, err := o.src.ReadAt(rest, o.off)
	o.off += int64(k)
	if err == io.EOF && k == len(rest) {
		err = nil
	} else if err == io.EOF {
		err = io.ErrUnexpectedEOF // shorter than stored: never send it as if it were whole
	}
	return n + k, err
}

// Close gives the memory back. It does not close what is stored.
func (o *outgoing) Close() error {
	if o.w != nil {
		workspaces.Put(o.w)
		o.w, o.sigs, o.head, o.off = nil, nil, nil, o.end
	}
	return nil
}
