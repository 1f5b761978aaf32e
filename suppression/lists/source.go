package lists

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
)

const (
	defaultMaxBytes = 8 << 30 // 50 million lines of 150 bytes
	// A list of addresses shrinks to a third or a tenth, one with the same reply in
	// every line to a thirtieth; a bomb of zeros to a thousandth.
	maxRatio  = 200
	ratioFrom = 16 << 20 // bytes out before the ratio is looked at
)

var (
	errTooBig = errors.New("the unpacked file is larger than is allowed")
	errRatio  = errors.New("the gzip file unpacks to more than 200 times its size")
)

// open recognises what the bytes are, unpacks gzip and takes off the UTF-8 mark.
func open(r io.Reader, maxBytes int64) (io.Reader, *Error) {
	counted := &counter{r: r}
	b := bufio.NewReaderSize(counted, 4096)
	if head, _ := b.Peek(2); !bytes.Equal(head, []byte{0x1f, 0x8b}) {
		return text(b)
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return nil, &Error{Problem: "the gzip file cannot be unpacked", Err: err, Remedy: "fetch it again, or unpack it first", Fatal: true}
	}
	b = bufio.NewReaderSize(&guard{z: z, in: counted, max: maxBytes}, 4096)
	if head, _ := b.Peek(2); bytes.Equal(head, []byte{0x1f, 0x8b}) {
		return nil, &Error{Problem: "the file is packed twice", Remedy: "unpack it once", Fatal: true}
	}
	return text(b)
}

// text refuses what is no UTF-8 text and takes the mark off what is.
func text(b *bufio.Reader) (io.Reader, *Error) {
	head, _ := b.Peek(64)
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		b.Discard(3)
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")), everyOtherNUL(head):
		return nil, &Error{Line: 1, Column: 1, Problem: "the file is UTF-16", Remedy: `save it as UTF-8 (in Excel: "CSV UTF-8")`, Fatal: true}
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return nil, &Error{Problem: "the file is a ZIP archive or a spreadsheet", Remedy: "unpack it, or save the sheet as CSV", Fatal: true}
	}
	return b, nil
}

// everyOtherNUL tells UTF-16 without mark, in which Latin text has a NUL beside
// each letter.
func everyOtherNUL(head []byte) bool {
	var nul [2]int
	for i, c := range head {
		if c == 0 {
			nul[i%2]++
		}
	}
	return len(head) >= 4 && (nul[0]*3 > len(head) || nul[1]*3 > len(head)) && (nul[0] == 0 || nul[1] == 0)
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// guard stops a gzip stream that grows too much.
type guard struct {
	z        *gzip.Reader
	in       *counter
	out, max int64
}

func (g *guard) Read(p []byte) (int, error) {
	n, err := g.z.Read(p)
	g.out += int64(n)
	switch {
	case g.out > g.max:
		return 0, errTooBig
	case g.out > ratioFrom && g.out > maxRatio*g.in.n:
		return 0, errRatio
	}
	return n, err
}
