package intake

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"tidepost/gateway"
)

// maxHeader is how much of a message is handed over as its header at most.
const maxHeader = 256 << 10

// bufferSizes are what a message's buffer grows through. The last one is a byte
// more than may be kept in memory, so that one too many is seen.
var bufferSizes = [...]int{64 << 10, 256 << 10, gateway.MemoryLimit + 1}

var bufferPools [len(bufferSizes)]sync.Pool

// body gathers one message: in memory while it is small and there is memory, in a
// spool file otherwise. Whoever holds memory never waits for more: it goes to its
// file. So those who wait, and hold nothing yet, always get their turn.
type body struct {
	budget Budget
	spool  func() (gateway.SpoolFile, error)
	wait   time.Duration

	held  int64 // taken from the budget
	class int   // of buf
	buf   *[]byte
	n     int // bytes in buf
	file  gateway.SpoolFile
	size  int64
}

// ready takes the memory that any message needs: the first buffer, and the wire's
// large one. It waits when there is none.
func (b *body) ready(ctx context.Context, declared int64) error {
	if b.held > 0 {
		return nil
	}
	need := int64(bufferSizes[0] + largeBuffer)
	if !b.budget.TryAcquire(need) {
		ctx, cancel := context.WithTimeout(ctx, b.wait)
		defer cancel()
		if b.budget.Acquire(ctx, need) != nil {
			return replyFull
		}
	}
	b.held, b.class = need, 0
	b.buf = takeBuffer(0)
	// A size that was declared saves the copies of growing.
	for declared > int64(len(*b.buf)) && declared <= gateway.MemoryLimit && b.grow() {
	}
	return nil
}

// grow takes the next larger buffer, if there is one and the memory for it.
func (b *body) grow() bool {
	if b.class+1 == len(bufferSizes) {
		return false
	}
	more := int64(bufferSizes[b.class+1] - bufferSizes[b.class])
	if !b.budget.TryAcquire(more) {
		return false
	}
	b.held += more
	next := takeBuffer(b.class + 1)
	copy(*next, (*b.buf)[:b.n])
	bufferPools[b.class].Put(b.buf)
	b.buf, b.class = next, b.class+1
	return true
}

func takeBuffer(class int) *[]byte {
	if b, ok := bufferPools[class].Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, bufferSizes[class])
	return &b
}

// read takes everything from r.
func (b *body) read(r io.Reader) error {
	for {
		if b.n == len(*b.buf) && !b.grow() {
			return b.readFile(r)
		}
		n, err := r.Read((*b.buf)[b.n:])
		b.n += n
		if err == io.EOF {
			b.size = int64(b.n)
			if b.size > gateway.MemoryLimit {
				return b.readFile(r)
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// readFile goes on in a spool file. The buffer keeps the header.
func (b *body) readFile(r io.Reader) error {
	if b.spool == nil || b.n < maxHeader && headerLen((*b.buf)[:b.n]) == b.n {
		return replyFull // no file, or no memory for the header
	}
	f, err := b.spool()
	if err != nil {
		return fmt.Errorf("%w: %w", replyFull, err)
	}
	b.file = f
	w := &spoolWriter{file: f}
	if _, err := w.Write((*b.buf)[:b.n]); err == nil {
		_, err = io.Copy(w, r)
		if err != nil && w.err == nil {
			return err
		}
	}
	if w.err != nil {
		return fmt.Errorf("%w: %w", replyFull, w.err)
	}
	b.size = w.n
	return nil
}

// spoolWriter counts, and tells the file's errors from the client's.
type spoolWriter struct {
	file gateway.SpoolFile
	n    int64
	err  error
}

func (w *spoolWriter) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	w.n += int64(n)
	if err != nil {
		w.err = err
	}
	return n, err
}

func (b *body) content() gateway.Content {
	if b.file != nil {
		return gateway.Content{File: b.file, Size: b.size}
	}
	return gateway.Content{Bytes: (*b.buf)[:b.n:b.n], Size: b.size}
}

// header is the content through its first empty line, at most maxHeader bytes.
func (b *body) header() []byte {
	n := min(headerLen((*b.buf)[:b.n]), maxHeader)
	return (*b.buf)[:n:n]
}

// headerLen returns the length of the header of b with its empty line, or of b
// where that never comes.
func headerLen(b []byte) int {
	if bytes.HasPrefix(b, crlfBytes) {
		return len(crlfBytes)
	}
	if i := bytes.Index(b, emptyLine); i >= 0 {
		return i + len(emptyLine)
	}
	return len(b)
}

var emptyLine = []byte("\r\n\r\n")

// release gives back the memory, and throws away a file that nobody took.
func (b *body) release() {
	if b.file != nil {
		b.file.Discard()
		b.file = nil
	}
	if b.held == 0 {
		return
	}
	bufferPools[b.class].Put(b.buf)
	b.budget.Release(b.held)
	b.buf, b.held, b.n, b.size = nil, 0, 0, 0
}
