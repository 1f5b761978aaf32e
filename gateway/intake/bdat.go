package intake

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"github.com/emersion/go-smtp"
)

// maxChunk is the largest chunk size that is a number to us: RFC 3030 sets no
// limit, but what does not fit 32 bits is an attempt to overflow somebody.
const maxChunk = 1<<32 - 1

var crlfBytes = []byte("\r\n")

// parseChunk reads the argument of BDAT: a size and perhaps LAST. When it is not
// understood, how much content follows is not known.
func parseChunk(arg []byte) (size int64, last, ok bool) {
	num, word, more := bytes.Cut(arg, spaceByte)
	if more {
		if !bytes.EqualFold(word, []byte("LAST")) {
			return 0, false, false
		}
		last = true
	}
	if len(num) == 0 || len(num) > 10 || !allDigits(num) {
		return 0, false, false
	}
	size, err := strconv.ParseInt(string(num), 10, 64)
	return size, last, err == nil && size <= maxChunk
}

// bdat is the BDAT command outside of a BDAT message: its first chunk, or one that
// is out of place. Later chunks are read by bdatReader.
func (c *conn) bdat(arg []byte) {
	size, last, ok := parseChunk(arg)
	switch {
	case !ok:
		c.badChunk()
	case !c.mail:
		c.refuseChunk(size, 503, "5.5.1", "BDAT needs MAIL and RCPT first")
	case c.rcpts == 0:
		c.refuseChunk(size, 554, "5.5.1", "no valid recipients")
	case over(size, c.limits.MaxMessageBytes):
		c.s.Metrics.refuse(RefusedSize)
		c.refuseChunk(size, 552, "5.3.4", errContentSize.Message)
		c.resetTransaction()
	default:
		c.bdatMessage(size, last)
	}
}

// badChunk answers a size that cannot be read: what follows may be content or
// commands, so nothing that follows is read.
func (c *conn) badChunk() {
	c.reply(501, "5.5.4", "BDAT wants a size and perhaps LAST")
	c.hangUp(RefusedSync)
}

// refuseChunk answers a chunk that is not wanted and reads it away (RFC 3030 §2),
// unless that would take too long.
func (c *conn) refuseChunk(size int64, code int, status, text string) {
	if size > c.drainLimit() {
		c.reply(code, status, text)
		c.hangUp(RefusedSize)
		return
	}
	if c.swallow(size) {
		c.refuse(code, status, text)
	}
}

// bdatMessage reads a message of one or more chunks.
func (c *conn) bdatMessage(size int64, last bool) {
	if err := c.ready(); err != nil {
		if c.swallow(size) {
			c.replyError(err)
			c.resetTransaction()
		}
		return
	}
	r := &c.chunks
	r.reset(size, last)
	c.inBdat = true
	c.in.enlarge()
	c.in.beginContent(c.timeout(c.limits.DataTimeout), c.limits.MinDataRate)
	err := c.session.Data(r)
	c.inBdat = false
	c.endBdat(r, err)
}

// endBdat answers the chunk at which the message ended, well or badly.
func (c *conn) endBdat(r *bdatReader, err error) {
	defer c.in.shrink()
	if r.lost != nil {
		c.lost(r.lost)
		return
	}
	if r.again != nil {
		c.resetTransaction()
		c.run(r.again)
		return
	}
	if !r.end && !c.swallow(r.left) {
		return
	}
	if err == nil && !r.end {
		err = errUnread
	}
	c.endMessage(r.scan.bad, err, r.scan.size)
}

// swallow reads n bytes away.
func (c *conn) swallow(n int64) bool {
	c.in.beginContent(c.timeout(c.limits.DataTimeout), c.limits.MinDataRate)
	for n > 0 {
		if len(c.in.buffered()) == 0 {
			if err := c.in.fill(); err != nil {
				c.lost(err)
				return false
			}
		}
		m := min(n, int64(len(c.in.buffered())))
		c.in.r += int(m)
		n -= m
	}
	return true
}

// errUnread is for a session that took a message without having read it.
var errUnread = errors.New("message was not read to its end")

// bdatReader is the content of a message that comes in chunks (RFC 3030 §2). At
// the end of a chunk it answers, and reads the following commands itself until
// there is another chunk: so a message takes no goroutine of its own.
type bdatReader struct {
	c       *conn
	scan    scanner
	rest    []byte // judged, not read yet
	scratch []byte
	left    int64 // of the current chunk
	size    int64 // of the current chunk, for its reply
	last    bool
	cr      bool   // the previous chunk ended in a CR
	end     bool   // all was read
	again   []byte // the command that ended the message early; nil: none did
	err     error
	lost    error // why the connection cannot be used any more
}

func (r *bdatReader) reset(size int64, last bool) {
	r.scan.reset(false)
	r.left, r.size, r.last = size, size, last
	r.rest, r.cr, r.end, r.again, r.err, r.lost = nil, false, false, nil, nil, nil
}

// Read implements io.Reader. After bad content it returns the *smtp.SMTPError,
// after RSET and the like smtp.ErrDataReset.
func (r *bdatReader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(r.rest) == 0 {
			if n > 0 && (r.left == 0 || len(r.c.in.buffered()) == 0) {
				return n, nil
			}
			if r.rest, err = r.next(); err != nil {
				if n > 0 {
					return n, nil
				}
				return 0, err
			}
		}
		m := copy(p[n:], r.rest)
		r.rest = r.rest[m:]
		n += m
	}
	return n, nil
}

// WriteTo implements io.WriterTo, without a copy.
func (r *bdatReader) WriteTo(w io.Writer) (int64, error) {
	return copyBlocks(w, &r.rest, r.next)
}

// next returns the next block of content.
func (r *bdatReader) next() ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	block, err := r.block()
	switch {
	case err != nil:
		r.err = err
	case r.scan.bad != nil:
		r.err = r.scan.bad
	case r.scan.dirty:
		r.scratch = appendNormalized(r.scratch[:0], block)
		return r.scratch, nil
	}
	return block, r.err
}

// block takes a block out of the current chunk, or of the next one.
func (r *bdatReader) block() ([]byte, error) {
	in := &r.c.in
	for {
		if r.left == 0 {
			if r.last {
				return r.finish()
			}
			if err := r.nextChunk(); err != nil {
				return nil, err
			}
			continue
		}
		b := in.buffered()
		if int64(len(b)) > r.left {
			b = b[:r.left]
		}
		if len(b) > 0 && r.cr {
			return r.joint(b), nil
		}
		if n := r.scan.take(b); n > 0 {
			in.r += n
			r.left -= int64(n)
			return b[:n], nil
		}
		if int64(len(b)) == r.left { // the chunk ends in a CR
			in.r++
			r.left, r.cr = 0, true
			continue
		}
		if err := in.fill(); err != nil {
			r.lost = err
			return nil, err
		}
	}
}

// joint decides on a CR at the end of the previous chunk.
func (r *bdatReader) joint(b []byte) []byte {
	r.cr = false
	if b[0] != '\n' {
		return r.bareCR()
	}
	r.c.in.r++
	r.left--
	r.scan.start, r.scan.open, r.scan.line, r.scan.dirty = true, false, 0, false
	r.scan.size += 2
	return crlfBytes
}

func (r *bdatReader) bareCR() []byte {
	r.scan.start, r.scan.open = false, true
	r.scan.judge(crByte, 0, false)
	r.scan.measure(1)
	r.scan.line++
	r.scan.size++
	return crByte
}

// finish is after the last chunk. A last line without CRLF gets one, for all
// that is stored are lines; a DKIM signature covers the body as if it had one
// (RFC 6376 §3.4.3).
func (r *bdatReader) finish() ([]byte, error) {
	switch {
	case r.cr:
		r.cr = false
		return r.bareCR(), nil
	case r.scan.open:
		r.scan.open, r.scan.dirty = false, false
		return crlfBytes, nil
	}
	r.end = true
	return nil, io.EOF
}

// nextChunk answers the chunk that is used up and reads on to the next one. What
// else may be said meanwhile is answered here.
func (r *bdatReader) nextChunk() error {
	c := r.c
	c.replyChunk(r.size)
	for {
		line, err := c.readCommand()
		if err != nil {
			r.lost = err
			return err
		}
		v, arg := cutVerb(line)
		switch v {
		case verbBDAT:
			return r.open(arg)
		case verbRSET, verbEHLO, verbHELO, verbQUIT:
			r.again = line
			return smtp.ErrDataReset
		}
		c.run(line)
		if c.closing {
			r.lost = errClosing
			return errClosing
		}
	}
}

func (c *conn) replyChunk(size int64) {
	out := append(c.in.out, "250 2.0.0 Ok: "...)
	c.in.out = append(strconv.AppendInt(out, size, 10), " octets\r\n"...)
}

// open starts the chunk that a BDAT command announces.
func (r *bdatReader) open(arg []byte) error {
	c := r.c
	size, last, ok := parseChunk(arg)
	if !ok {
		c.badChunk()
		r.lost = errClosing
		return errClosing
	}
	r.left, r.size, r.last = size, size, last
	if over(r.scan.size+size, c.limits.MaxMessageBytes) {
		r.scan.fail(errContentSize)
		if size > c.drainLimit() {
			c.reply(552, "5.3.4", errContentSize.Message)
			c.hangUp(RefusedSize)
			r.lost = errClosing
		}
		return errContentSize
	}
	c.in.beginContent(c.timeout(c.limits.DataTimeout), c.limits.MinDataRate)
	return nil
}
