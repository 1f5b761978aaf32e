package content

import "hash"

// appendRelaxed appends a header field in relaxed form (RFC 6376 §3.4.2): name
// in lower case, in one line, white space reduced to single spaces.
func appendRelaxed(dst, name, value []byte) []byte {
	dst = append(lowerASCII(dst, name), ':')
	begin, gap := len(dst), false
	for _, c := range value {
		switch c {
		case ' ', '\t', '\r', '\n':
			gap = true
		default:
			if gap && len(dst) > begin {
				dst = append(dst, ' ')
			}
			gap = false
			dst = append(dst, c)
		}
	}
	return append(dst, '\r', '\n')
}

// bodyCanon hashes a body in relaxed form (RFC 6376 §3.4.4): no white space at
// the ends of lines, single spaces within, no empty lines at the end. A line
// feed ends a line also without its carriage return.
type bodyCanon struct {
	hash   hash.Hash
	out    []byte // not hashed yet
	lines  int    // line ends seen and not written: at the end of the body but one they go
	gap    bool   // white space seen and not written
	cr     bool   // a carriage return seen and not written
	filled bool   // something was written
}

const canonPiece = 8 << 10

func (c *bodyCanon) write(b []byte) {
	for i := 0; i < len(b); {
		switch b[i] {
		case ' ', '\t':
			c.returned()
			c.gap = true
			i++
		case '\r':
			c.returned()
			c.cr = true
			i++
		case '\n':
			c.gap, c.cr = false, false
			c.lines++
			i++
		default:
			end := i + 1
			for end < len(b) && b[end] > ' ' {
				end++
			}
			// A control character other than the four above is no end of a word;
			// it starts the next one, without a gap.
			c.word(b[i:end])
			i = end
		}
	}
}

// returned writes a carriage return that turned out not to end a line.
func (c *bodyCanon) returned() {
	if c.cr {
		c.cr = false
		c.word([]byte{'\r'})
	}
}

func (c *bodyCanon) word(w []byte) {
	c.returned()
	for ; c.lines > 0; c.lines-- {
		c.emit("\r\n")
	}
	if c.gap {
		c.gap = false
		c.emit(" ")
	}
	c.filled = true
	if len(c.out)+len(w) > canonPiece {
		c.flush()
	}
	if len(w) > canonPiece {
		c.hash.Write(w)
		return
	}
	c.out = append(c.out, w...)
}

func (c *bodyCanon) emit(s string) {
	if len(c.out)+len(s) > canonPiece {
		c.flush()
	}
	c.out = append(c.out, s...)
}

func (c *bodyCanon) flush() {
	c.hash.Write(c.out)
	c.out = c.out[:0]
}

// close ends the last line; a body of nothing but empty lines stays empty.
func (c *bodyCanon) close() {
	c.returned()
	if c.filled {
		c.emit("\r\n")
	}
	c.flush()
}
