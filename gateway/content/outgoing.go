package content

import (
	"bufio"
	"io"
	"sync"
)

// workspace is the memory for one message; it goes from message to message.
type workspace struct {
	in     []byte  // the header as it came
	out    []byte  // what stands in front of the body, without our signatures
	fields []field // of out, for signing
	body   []byte  // a piece of the body, for hashing

	// Of mail that is marked alone.
	lines *bufio.Reader // walks over the body
	raw   []byte        // an encoded part as it is stored, later as it is marked
	html  []byte        // the HTML parts, decoded
	made  []byte        // the ones that changed, encoded again
}

// maxKept is how many bytes of a buffer are kept for the next message.
const maxKept = 256 << 10

var workspaces = sync.Pool{New: func() any { return new(workspace) }}

// give gives the memory back, but for what an unusual message made large.
func (w *workspace) give() {
	if max(cap(w.raw), cap(w.html), cap(w.made)) > maxKept {
		w.raw, w.html, w.made = nil, nil, nil
	}
	workspaces.Put(w)
}

// segment is a piece of what leaves: some bytes of our own and then a run of
// the stored message.
type segment struct {
	text     []byte
	from, to int64
}

func (s *segment) size() int64 { return int64(len(s.text)) + s.to - s.from }

// outgoing reads a message as it leaves: our signatures, then segments, the
// first of which begins with the edited header. A mail that is not marked has
// one segment.
type outgoing struct {
	w    *workspace // given back by Close
	sigs []byte
	src  io.ReaderAt
	segment
	more []segment
}

func (o *outgoing) size() int64 {
	n := int64(len(o.sigs)) + o.segment.size()
	for i := range o.more {
		n += o.more[i].size()
	}
	return n
}

// Read implements io.Reader.
func (o *outgoing) Read(p []byte) (int, error) {
	if o.w == nil {
		return 0, io.ErrClosedPipe
	}
	n := copy(p, o.sigs)
	o.sigs = o.sigs[n:]
	for n < len(p) {
		k := copy(p[n:], o.text)
		o.text = o.text[k:]
		n += k
		if n == len(p) {
			break
		}
		if o.from < o.to {
			k, err := o.source(p[n:])
			return n + k, err
		}
		if len(o.more) == 0 {
			if n == 0 {
				return 0, io.EOF
			}
			break
		}
		o.segment, o.more = o.more[0], o.more[1:]
	}
	return n, nil
}

// source reads from the run of the stored message.
func (o *outgoing) source(p []byte) (int, error) {
	if left := o.to - o.from; int64(len(p)) > left {
		p = p[:left]
	}
	n, err := o.src.ReadAt(p, o.from)
	o.from += int64(n)
	if err == io.EOF {
		err = nil
		if n < len(p) {
			err = io.ErrUnexpectedEOF // shorter than stored: never send it as if it were whole
		}
	}
	return n, err
}

// Close gives the memory back. It does not close what is stored.
func (o *outgoing) Close() error {
	if o.w != nil {
		o.w.give()
		o.w = nil
	}
	return nil
}
