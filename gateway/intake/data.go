package intake

import (
	"bytes"
	"io"

	"github.com/emersion/go-smtp"
)

// What is wrong with content. The first thing found is the answer.
var (
	errContentLF   = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 5, 2}, Message: "bare <LF> received"}
	errContentCR   = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 5, 2}, Message: "bare <CR> received"}
	errContentNUL  = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 5, 2}, Message: "<NUL> received"}
	errContentLine = &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "a line is longer than smtp.max_line allows"}
	errContentSize = &smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 3, 4}, Message: "message is larger than smtp.max_message_bytes allows"}
)

// scanner judges content as it streams by: lines end in CRLF, no CR, LF or NUL
// stands alone, no line is too long, the whole is not too large. It works on
// blocks, with three vectorised searches over each, not byte by byte.
type scanner struct {
	dots      bool // stop before a dot at the start of a line: DATA, not BDAT
	normalize bool
	maxLine   int
	maxBytes  int64 // <0: no limit

	start bool            // at the start of a line, that is after a CRLF
	open  bool            // in a line that has not ended, be it in a bare LF
	line  int             // bytes of the current line so far
	size  int64           // bytes taken, without dot-stuffing
	bad   *smtp.SMTPError // the first thing that was wrong
	dirty bool            // the last block has something to normalize
}

func (s *scanner) reset(dots bool) {
	s.dots, s.start, s.open, s.line, s.size, s.bad, s.dirty = dots, true, false, 0, 0, nil, false
}

// take judges a prefix of b and returns its length. Not in it: a CR at the end
// of b, which may be half of a CRLF, and, with dots, a dot that starts a line. So
// 0 means that the caller must look, or get more.
func (s *scanner) take(b []byte) int {
	n, crlf, bareLF := 0, 0, false
	for n < len(b) && !(s.dots && s.start && b[n] == '.') {
		i := bytes.IndexByte(b[n:], '\n')
		if i < 0 {
			n += s.tail(b[n:])
			break
		}
		// A CR before b was left in it, so b[end-1] is really the byte before.
		end := n + i
		s.start = end > 0 && b[end-1] == '\r'
		if s.start {
			crlf++
			i--
		} else {
			bareLF = true
		}
		s.measure(i)
		s.line, s.open = 0, false
		n = end + 1
	}
	s.judge(b[:n], crlf, bareLF)
	s.size += int64(n)
	if s.maxBytes >= 0 && s.size > s.maxBytes {
		s.fail(errContentSize)
	}
	return n
}

// tail takes the beginning of a line whose end is not there yet.
func (s *scanner) tail(b []byte) int {
	n := len(b)
	if b[n-1] == '\r' {
		n--
	}
	if n > 0 {
		s.start, s.open = false, true
		s.measure(n)
		s.line += n
	}
	return n
}

func (s *scanner) measure(n int) {
	if s.line+n > s.maxLine {
		s.fail(errContentLine)
	}
}

// judge looks for what stands alone in a block: a bare LF was seen by take, a
// bare CR is there when there are more CRs than CRLFs.
func (s *scanner) judge(block []byte, crlf int, bareLF bool) {
	bareCR := bytes.Count(block, crByte) != crlf
	nul := bytes.IndexByte(block, 0) >= 0
	s.dirty = bareLF || bareCR || nul
	if !s.dirty || s.normalize {
		return
	}
	switch {
	case bareLF:
		s.fail(errContentLF)
	case bareCR:
		s.fail(errContentCR)
	default:
		s.fail(errContentNUL)
	}
}

var crByte = []byte{'\r'}

func (s *scanner) fail(err *smtp.SMTPError) {
	if s.bad == nil {
		s.bad = err
	}
}

// appendNormalized appends block with bare LF made CRLF, and bare CR and NUL made
// spaces (as Postfix's cleanup_replace_stray_cr_lf does). The byte before block is
// no CR, and a CR that ends it is bare.
func appendNormalized(dst, block []byte) []byte {
	for i, c := range block {
		switch {
		case c == '\n' && (i == 0 || block[i-1] != '\r'):
			dst = append(dst, '\r', '\n')
		case c == '\r' && (i+1 == len(block) || block[i+1] != '\n'), c == 0:
			dst = append(dst, ' ')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// dataReader is the content that follows DATA, without dot-stuffing, through
// <CRLF>.<CRLF> (RFC 5321 §4.5.2), and through nothing else.
type dataReader struct {
	in      *wire
	scan    scanner
	rest    []byte // judged, not read yet; points into in or scratch
	scratch []byte
	end     bool  // the end was seen
	err     error // what Read returns from now on
	lost    error // why the connection cannot be used any more
}

func (d *dataReader) reset() {
	d.scan.reset(true)
	d.rest, d.end, d.err, d.lost = nil, false, nil, nil
}

// Read implements io.Reader. After bad content it returns the *smtp.SMTPError.
func (d *dataReader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(d.rest) == 0 {
			// Return what there is rather than wait for more.
			if n > 0 && len(d.in.buffered()) == 0 {
				return n, nil
			}
			if d.rest, err = d.next(); err != nil {
				if n > 0 {
					return n, nil
				}
				return 0, err
			}
		}
		m := copy(p[n:], d.rest)
		d.rest = d.rest[m:]
		n += m
	}
	return n, nil
}

// WriteTo implements io.WriterTo, without a copy.
func (d *dataReader) WriteTo(w io.Writer) (int64, error) {
	return copyBlocks(w, &d.rest, d.next)
}

func copyBlocks(w io.Writer, rest *[]byte, next func() ([]byte, error)) (total int64, err error) {
	for {
		if len(*rest) == 0 {
			if *rest, err = next(); err == io.EOF {
				return total, nil
			} else if err != nil {
				return total, err
			}
		}
		n, err := w.Write(*rest)
		total += int64(n)
		*rest = (*rest)[n:]
		if err != nil {
			return total, err
		}
	}
}

// next returns the next block of content.
func (d *dataReader) next() ([]byte, error) {
	if d.err != nil {
		return nil, d.err
	}
	block, err := d.block()
	switch {
	case err != nil:
		d.err = err
	case d.scan.bad != nil:
		d.err = d.scan.bad
	case d.scan.dirty:
		d.scratch = appendNormalized(d.scratch[:0], block)
		return d.scratch, nil
	}
	return block, d.err
}

// block takes a block off the wire, or returns io.EOF at the end.
func (d *dataReader) block() ([]byte, error) {
	for {
		if end, err := d.dot(); err != nil {
			d.lost = err
			return nil, err
		} else if end {
			d.end = true
			return nil, io.EOF
		}
		b := d.in.buffered()
		if n := d.scan.take(b); n > 0 {
			d.in.r += n
			return b[:n], nil
		}
		if err := d.in.fill(); err != nil {
			d.lost = err
			return nil, err
		}
	}
}

// dot deals with a dot at the start of a line: it is the end, or it goes.
func (d *dataReader) dot() (end bool, err error) {
	for d.scan.start {
		b := d.in.buffered()
		switch {
		case len(b) > 0 && b[0] != '.':
			return false, nil
		case len(b) > 2 && b[1] == '\r' && b[2] == '\n':
			d.in.r += 3
			return true, nil
		case len(b) > 2 || len(b) == 2 && b[1] != '\r':
			d.in.r++
			d.scan.start = false
			return false, nil
		}
		if err := d.in.fill(); err != nil {
			return false, err
		}
	}
	return false, nil
}

// drain reads to the true end after bad content or a refusal, so that none of
// it is taken for commands. It gives up after limit bytes.
func (d *dataReader) drain(limit int64) (ok bool) {
	d.rest = nil
	for n := int64(0); !d.end && d.lost == nil && n <= limit; {
		block, _ := d.block()
		n += int64(len(block))
	}
	return d.end
}
