package lists

import (
	"bytes"
	"io"
	"unicode/utf8"
)

// maxLine is the longest line, and the longest record of several lines, in bytes.
const maxLine = 64 << 10

// lines cuts a stream into lines. Its window always holds a whole line of maxLine or
// all that is left, so everything above it works on plain slices. What it gives is
// valid until the next call.
type lines struct {
	r        io.Reader
	buf      []byte
	pos, end int // the window: the current line starts at pos
	next     int // where the line behind it starts
	line     int // number of the line at pos, 0 before the first
	taken    int // how many lines the current record has
	lf       int // the next LF at or behind pos if not in front of it
	searched int // up to here there is no other
	err      error
}

func newLines(r io.Reader) *lines {
	return &lines{r: r, buf: make([]byte, 4*maxLine), lf: -1, taken: 1}
}

// fill makes the window hold a longest line behind pos, or all there is.
func (l *lines) fill() {
	if l.err != nil || l.end-l.pos > maxLine+1 {
		return
	}
	copy(l.buf, l.buf[l.pos:l.end])
	l.lf, l.searched, l.end = l.lf-l.pos, l.searched-l.pos, l.end-l.pos
	l.next, l.pos = l.next-l.pos, 0
	for empty := 0; l.end < len(l.buf) && l.err == nil; {
		n, err := l.r.Read(l.buf[l.end:])
		l.end, l.err = l.end+n, err
		if empty++; n > 0 {
			empty = 0
		}
		if empty > 100 {
			l.err = io.ErrNoProgress
		}
	}
}

// failed reports an error of the stream other than its end.
func (l *lines) failed() bool { return l.err != nil && l.err != io.EOF }

// scan goes to the next line. It returns false at the end of the stream, and where
// the stream broke: a line torn by that is not given.
func (l *lines) scan() (text []byte, more bool, bad *Error) {
	l.pos, l.line = l.next, l.line+l.taken
	l.taken = 1
	l.fill()
	if l.pos == l.end {
		return nil, false, l.broken()
	}
	stop := l.nextLF()
	limit := min(stop, l.pos+maxLine+1)
	if i := bytes.IndexByte(l.buf[l.pos:limit], '\r'); i >= 0 {
		stop = l.pos + i
		l.next = stop + 1
		if l.next < l.end && l.buf[l.next] == '\n' {
			l.next++
		}
		return l.buf[l.pos:stop], true, nil
	}
	if limit < stop {
		l.skip()
		return nil, true, &Error{Line: l.line, Problem: "the line is longer than 64 KiB", Remedy: "is it a list? Cut the line, or take it out"}
	}
	if stop == l.end && l.failed() {
		return nil, false, l.broken()
	}
	l.next = min(stop+1, l.end)
	return l.buf[l.pos:stop], true, nil
}

// nextLF is the place of the next LF, end if the window has none.
func (l *lines) nextLF() int {
	if l.lf >= l.pos {
		return l.lf
	}
	// Remembering how far was searched keeps files without LF linear.
	from := max(l.pos, l.searched)
	i := bytes.IndexByte(l.buf[from:l.end], '\n')
	if i < 0 {
		l.searched = l.end
		return l.end
	}
	l.lf = from + i
	l.searched = l.lf + 1
	return l.lf
}

// skip leaves the rest of a line that is too long.
func (l *lines) skip() {
	for {
		if i := bytes.IndexAny(l.buf[l.pos:l.end], "\r\n"); i >= 0 {
			l.next = l.pos + i + 1
			l.pos = l.next - 1
			l.fill()
			if l.buf[l.pos] == '\r' && l.next < l.end && l.buf[l.next] == '\n' {
				l.next++
			}
			return
		}
		l.pos, l.next = l.end, l.end
		l.fill()
		if l.pos == l.end {
			return
		}
	}
}

func (l *lines) broken() *Error {
	if !l.failed() {
		return nil
	}
	return &Error{Line: l.line, Problem: "the file cannot be read on", Err: l.err, Remedy: "fetch it again; nothing behind this line was read", Fatal: true}
}

// window is what a record that starts at the current line may consist of.
func (l *lines) window() []byte { return l.buf[l.pos:min(l.end, l.pos+maxLine+1)] }

// take makes the first n bytes of the window the current record.
func (l *lines) take(n int) {
	l.next = l.pos + n
	l.taken = max(1, countLines(l.buf[l.pos:l.next]))
}

// place is the line and the column of a byte of the current record.
func (l *lines) place(offset int) (line, column int) {
	before := l.buf[l.pos:min(l.end, l.pos+offset)]
	start := bytes.LastIndexAny(before, "\r\n") + 1
	return l.line + countLines(before[:start]), utf8.RuneCount(before[start:]) + 1
}

// countLines counts the ends of lines: LF, CRLF, and CR alone.
func countLines(b []byte) int {
	n := bytes.Count(b, []byte{'\n'})
	for i, c := range b {
		if c == '\r' && (i+1 == len(b) || b[i+1] != '\n') {
			n++
		}
	}
	return n
}
