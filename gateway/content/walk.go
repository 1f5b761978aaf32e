package content

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// The limits of a mail that is rewritten (attacks A16).
const (
	maxNesting = 100     // multiparts in each other
	maxParts   = 1000    // in all
	maxHTML    = 1 << 20 // bytes of its HTML, decoded
	maxStored  = 4 * maxHTML
	maxLinks   = 2000 // links that are rewritten
)

// walkBuffer is the longest line of a part's header that is read.
const walkBuffer = 32 << 10

// page is one HTML part, as it is stored and as it is marked.
type page struct {
	entity
	start, end int64  // in the stored message; the line end before a boundary is the boundary's
	text       []byte // decoded
	edits      []edit
}

// walk finds the HTML parts of a multipart in one pass over its lines. It holds
// one line and the header of one part, whatever the message is like.
type walk struct {
	stack   []string       // boundaries of the open multiparts
	levels  map[string]int // the same: where they are in stack
	count   int
	header  []byte // of the part that begins, while heading
	heading bool
	open    bool // the last of found is not at its end
	eol     int  // length of the line end before this line

	found     []page
	protected bool
	strange   bool   // HTML that cannot be edited was seen
	reason    string // the mail is left alone
}

// run walks over the body of a multipart that stands at from.
func (k *walk) run(lines *bufio.Reader, top entity, from int64) error {
	k.levels = make(map[string]int)
	k.push(top.boundary)
	at, begins := from, true
	for k.reason == "" && len(k.stack) > 0 {
		line, err := lines.ReadSlice('\n')
		whole := !errors.Is(err, bufio.ErrBufferFull)
		if whole && err != nil && err != io.EOF {
			return err
		}
		if begins {
			k.line(line, at, whole)
		}
		at += int64(len(line))
		k.eol = eolOf(line)
		begins = whole
		if err == io.EOF {
			k.close(at)
			break
		}
	}
	return nil
}

func eolOf(line []byte) int {
	switch {
	case bytes.HasSuffix(line, []byte("\r\n")):
		return 2
	case bytes.HasSuffix(line, []byte("\n")):
		return 1
	}
	return 0
}

// line takes one line, or the beginning of one that is longer than the buffer.
func (k *walk) line(line []byte, at int64, whole bool) {
	if whole && len(line) > 2 && line[0] == '-' && line[1] == '-' {
		if level, last, ok := k.delimiter(line); ok {
			k.close(at - int64(k.eol))
			k.delimit(level, last)
			return
		}
	}
	if !k.heading {
		return
	}
	if k.header = append(k.header, line...); !whole || len(k.header) > MaxField {
		k.reason = UntouchedParts
		return
	}
	if isEmptyLine(line) {
		k.heading = false
		k.begin(readEntity(k.header), at+int64(len(line)))
	}
}

// delimiter reports whose boundary a line is, and whether it ends that multipart
// (RFC 2046 §5.1.1). A map finds it, so that a hundred open multiparts cost no
// more than one.
func (k *walk) delimiter(line []byte) (level int, last, ok bool) {
	name := bytes.TrimRight(line[2:], " \t\r\n")
	if len(name) > maxBoundary+2 {
		return 0, false, false
	}
	if level, ok = k.levels[string(name)]; ok {
		return level, false, true
	}
	if name, last = bytes.CutSuffix(name, []byte("--")); last {
		level, ok = k.levels[string(name)]
	}
	return level, last, ok
}

// delimit ends what is open below a level, and that level itself, or begins its
// next part.
func (k *walk) delimit(level int, last bool) {
	keep := level + 1
	if last {
		keep = level
	}
	for _, name := range k.stack[keep:] {
		delete(k.levels, name)
	}
	k.stack = k.stack[:keep]
	k.header, k.heading = k.header[:0], !last
	if last {
		return
	}
	if k.count++; k.count > maxParts {
		k.reason = UntouchedParts
	}
}

// begin enters the part whose header was read.
func (k *walk) begin(e entity, at int64) {
	switch e.kind {
	case compound:
		k.push(e.boundary)
	case hypertext:
		k.found, k.open = append(k.found, page{entity: e, start: at, end: at}), true
	case protected:
		k.protected = true
	case uneditable:
		k.strange = true
	case ambiguous:
		k.reason = UntouchedHeader
	}
}

// push opens a multipart. One whose boundary is that of another around it would
// be read differently by every reader.
func (k *walk) push(boundary string) {
	if _, twice := k.levels[boundary]; twice || len(k.stack) == maxNesting {
		k.reason = UntouchedParts
		return
	}
	k.levels[boundary] = len(k.stack)
	k.stack = append(k.stack, boundary)
}

// close ends the HTML part that is open.
func (k *walk) close(at int64) {
	if k.open {
		p := &k.found[len(k.found)-1]
		p.end = max(p.start, at)
		k.open = false
	}
}
