package outbound

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

// Sizes of what one message needs while it is written.
const (
	readSize  = 32 << 10
	blockSize = 64 << 10 // content in one write, which has a deadline of its own
)

// errSource marks an error of the body's reader, not of the connection.
var errSource = errors.New("message could not be read")

func isSource(err error) bool { return errors.Is(err, errSource) }

// dotWriter makes the lines of a message fit for DATA: a dot is put before
// lines that start with one (RFC 5321 §4.5.2), every line ends with CRLF, and
// no bare CR, bare LF or NUL gets on the wire (§2.3.8, §4.1.1.4; attack F11).
// Intake refuses those already; a bare LF becomes CRLF here, a bare CR and a
// NUL a space.
type dotWriter struct {
	flush func([]byte) error
	out   []byte // at most blockSize, with room for what a byte may become
	in    []byte

	inLine bool // something of the present line is written
	cr     bool // the last byte was CR and is not written yet
}

var dotWriters = sync.Pool{New: func() any {
	return &dotWriter{out: make([]byte, 0, blockSize), in: make([]byte, readSize)}
}}

// writeBody writes the content and the final dot.
func (t *transaction) writeBody(body io.Reader) error {
	w := dotWriters.Get().(*dotWriter)
	w.flush = t.block
	defer func() {
		w.flush, w.out, w.inLine, w.cr = nil, w.out[:0], false, false
		dotWriters.Put(w)
	}()
	if err := w.copy(body); err != nil {
		return err
	}
	return w.end()
}

// block writes a block of content. Each has a deadline of its own, so that a
// host which stops reading is left.
func (t *transaction) block(b []byte) error { return t.write(b, t.deadline(t.timeouts.Block)) }

// copy reads body to its end.
func (w *dotWriter) copy(body io.Reader) error {
	for empty := 0; empty < 100; empty++ {
		n, err := body.Read(w.in)
		if n > 0 {
			empty = 0
			if err := w.add(w.in[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return errors.Join(errSource, err)
		}
	}
	return errors.Join(errSource, io.ErrNoProgress)
}

// add takes in the next bytes. Runs of bytes that stay as they are are copied
// at once; only what changes is looked at closely.
func (w *dotWriter) add(p []byte) error {
	if w.cr {
		w.cr = false
		if p[0] != '\n' {
			if err := w.emit(" "); err != nil {
				return err
			}
		} else if err := w.newline(); err != nil {
			return err
		} else {
			p = p[1:]
		}
	}
	clean := bytes.IndexByte(p, 0) < 0
	for len(p) > 0 {
		n, err := w.run(p, clean)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// run writes one run of unchanged bytes, then the one that changes, and
// returns how many bytes of p that was.
func (w *dotWriter) run(p []byte, clean bool) (int, error) {
	if !w.inLine && p[0] == '.' {
		if err := w.emit("."); err != nil {
			return 0, err
		}
	}
	for i := 0; ; {
		line := p[i:]
		nl := bytes.IndexByte(line, '\n')
		if nl >= 0 {
			line = line[:nl+1]
		}
		if bad := stray(line, clean); bad >= 0 {
			return w.change(p, i+bad)
		}
		if nl < 0 {
			return len(p), w.tail(p)
		}
		i += nl + 1
		if i == len(p) || p[i] == '.' {
			w.inLine = false
			return i, w.write(p[:i])
		}
	}
}

// stray returns the index of the first byte that may not stand in a line as it
// is, or -1: a NUL, a CR that no LF follows, an LF that no CR precedes. A CR at
// the very end is left to tail.
func stray(line []byte, clean bool) int {
	body := line
	switch {
	case bytes.HasSuffix(line, []byte("\r\n")):
		body = line[:len(line)-2]
	case bytes.HasSuffix(line, []byte("\r")):
		body = line[:len(line)-1]
	}
	bad := bytes.IndexByte(body, '\r')
	if !clean {
		if i := bytes.IndexByte(body, 0); i >= 0 && (bad < 0 || i < bad) {
			bad = i
		}
	}
	if bad < 0 && len(body) == len(line) && len(line) > 0 && line[len(line)-1] == '\n' {
		bad = len(line) - 1
	}
	return bad
}

// change writes p up to the byte at i, and what stands for that byte.
func (w *dotWriter) change(p []byte, i int) (int, error) {
	if err := w.write(p[:i]); err != nil {
		return 0, err
	}
	w.inLine = w.inLine || i > 0
	if p[i] == '\n' {
		return i + 1, w.newline()
	}
	return i + 1, w.emit(" ")
}

// tail writes the end of p, which is not the end of a line. A CR is kept back
// until it is known what follows.
func (w *dotWriter) tail(p []byte) error {
	if n := len(p); p[n-1] == '\r' {
		w.cr = true
		p = p[:n-1]
	}
	w.inLine = w.inLine || len(p) > 0
	return w.write(p)
}

func (w *dotWriter) newline() error {
	w.inLine = false
	return w.write([]byte("\r\n"))
}

func (w *dotWriter) emit(s string) error {
	w.inLine = true
	return w.write([]byte(s))
}

// write appends p to the block and flushes whenever it is full.
func (w *dotWriter) write(p []byte) error {
	for len(w.out)+len(p) > blockSize {
		n := blockSize - len(w.out)
		w.out = append(w.out, p[:n]...)
		p = p[n:]
		if err := w.flush(w.out); err != nil {
			return err
		}
		w.out = w.out[:0]
	}
	w.out = append(w.out, p...)
	return nil
}

// end completes the last line, adds the final dot and flushes.
func (w *dotWriter) end() error {
	if w.cr {
		w.cr = false
		if err := w.emit(" "); err != nil {
			return err
		}
	}
	end := ".\r\n"
	if w.inLine {
		end = "\r\n.\r\n"
	}
	if err := w.write([]byte(end)); err != nil {
		return err
	}
	return w.flush(w.out)
}
