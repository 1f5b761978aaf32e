package lists

import (
	"bufio"
	"io"
	"slices"
)

const (
	maxDepth  = 32
	placeBits = 20 // of a column in a packed place
)

// containers are the keys behind which services put their rows. Objects behind
// other keys are part of a row or about the answer, and skipped: a subscriber's
// attributes may well have an "email" in them.
var containers = []string{"items", "suppressions", "suppresseddestinationsummaries", "suppresseddestination",
	"results", "data", "recipients", "entries", "emails"}

// jsonReader walks over JSON of any outer shape (lines of objects, an array, an
// API's answer, several answers in a row) and keeps one object at a time.
// encoding/json would hold the whole answer, and does not say where in it a value
// stood.
type jsonReader struct {
	*decoder
	b            *bufio.Reader
	line, column int
	started      int // line on which the outermost value started
	err          error
	c            cells
	arena        []byte // values of the current object
	key          []byte
	names        []string // keys of the first object
	tooLong      bool
}

func newJSON(r io.Reader, d *decoder) *jsonReader {
	j := &jsonReader{decoder: d, b: bufio.NewReaderSize(r, maxLine), line: 1, column: 1}
	j.c.place = func(at int) (int, int) { return at >> placeBits, at & (1<<placeBits - 1) }
	return j
}

// run reads outermost values until the end. After a bad line of JSON lines it goes
// on with the next; inside of a longer document there is nowhere to go on.
func (j *jsonReader) run() *Error {
	for {
		c, ok := j.token()
		if !ok {
			return j.end()
		}
		j.started = j.line
		lines := c == '{'
		bad := j.outer(c)
		if j.stopped {
			return nil
		}
		if bad == nil {
			continue
		}
		if j.broken() || !lines || j.line != j.started {
			if j.broken() {
				return j.end()
			}
			return bad
		}
		if !j.hand(Row{}, bad) {
			return nil
		}
		for c, ok := j.next(); ok && c != '\n'; c, ok = j.next() {
		}
	}
}

func (j *jsonReader) outer(c byte) *Error {
	switch c {
	case '{':
		return j.object(1)
	case '[':
		return j.array(1)
	}
	return j.syntax("an object or an array should start here")
}

func (j *jsonReader) broken() bool { return j.err != nil && j.err != io.EOF }

func (j *jsonReader) end() *Error {
	if !j.broken() {
		return nil
	}
	return &Error{Line: j.line, Problem: "the file cannot be read on", Err: j.err, Remedy: "fetch it again; nothing behind this line was read", Fatal: true}
}

func (j *jsonReader) syntax(problem string) *Error {
	if j.err == io.EOF {
		problem = "the JSON ends too early"
	}
	return &Error{Line: j.line, Column: max(1, j.column-1), Problem: problem, Remedy: "is the file whole, and JSON? Fetch it again"}
}

// next takes one byte.
func (j *jsonReader) next() (byte, bool) {
	c, err := j.b.ReadByte()
	if err != nil {
		j.err = err
		return 0, false
	}
	if c == '\n' {
		j.line, j.column = j.line+1, 1
	} else if c < 0x80 || c >= 0xc0 {
		j.column++
	}
	return c, true
}

// token takes the next byte that is not blank.
func (j *jsonReader) token() (byte, bool) {
	for {
		c, ok := j.next()
		if !ok || c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c, ok
		}
	}
}

// object reads an object whose brace was taken: a row, or a wrapping of rows.
func (j *jsonReader) object(depth int) *Error {
	line, wrapping := j.line, false
	j.reset()
	for first := true; ; first = false {
		c, ok := j.token()
		if ok && c == '}' && first {
			break
		}
		if !ok || c != '"' {
			return j.syntax("the name of a field should be here")
		}
		var bad *Error
		if j.key, bad = j.text(j.key[:0]); bad != nil {
			return bad
		}
		if c, ok = j.token(); !ok || c != ':' {
			return j.syntax("a colon should be here")
		}
		inner, bad := j.member(depth)
		if bad != nil || j.stopped {
			return bad
		}
		wrapping = wrapping || inner
		if c, ok = j.token(); !ok || c != ',' && c != '}' {
			return j.syntax("a comma or a closing brace should be here")
		}
		if c == '}' {
			break
		}
	}
	if !wrapping {
		return j.emit(line)
	}
	return nil
}

func (j *jsonReader) reset() {
	clear(j.c.value[:])
	clear(j.c.at[:])
	j.arena, j.names, j.tooLong = j.arena[:0], j.names[:0], false
}

// member reads the value behind the key; wrapping says that it held rows.
func (j *jsonReader) member(depth int) (wrapping bool, bad *Error) {
	j.word = fold(j.word[:0], j.key)
	c, ok := j.token()
	if !ok {
		return false, j.syntax("a value should be here")
	}
	if (c == '{' || c == '[') && slices.ContainsFunc(containers, func(s string) bool { return s == string(j.word) }) {
		if depth >= maxDepth {
			return false, j.syntax("the JSON is nested too deeply")
		}
		if c == '{' {
			return true, j.object(depth + 1)
		}
		return true, j.array(depth + 1)
	}
	if j.shape == nil && len(j.names) < 64 {
		j.names = append(j.names, string(j.word))
	}
	r := columnOf[string(j.word)]
	if r.column == colNone || j.c.value[r.column] != nil && j.c.rank[r.column] <= r.rank {
		return false, j.value(c, depth, false)
	}
	j.c.at[r.column] = j.line<<placeBits | min(j.column-1, 1<<placeBits-1)
	if j.c.rank[r.column] = r.rank; j.c.name[r.column] != string(j.key) {
		j.c.name[r.column] = clip(string(j.key))
	}
	start := len(j.arena)
	if bad := j.value(c, depth, true); bad != nil {
		return false, bad
	}
	if j.tooLong {
		return false, nil
	}
	if v := j.trim(r.column, j.arena[start:]); len(v) > 0 {
		j.c.value[r.column] = v
	}
	return false, nil
}

// array reads an array of rows whose bracket was taken; a string in it is an
// address.
func (j *jsonReader) array(depth int) *Error {
	for first := true; ; first = false {
		c, ok := j.token()
		if ok && c == ']' && first {
			return nil
		}
		var bad *Error
		switch {
		case ok && c == '{' && depth < maxDepth:
			bad = j.object(depth + 1)
		case ok && c == '"':
			j.reset()
			j.c.at[colAddress] = j.line<<placeBits | min(j.column-1, 1<<placeBits-1)
			j.arena, bad = j.text(j.arena)
			if bad == nil {
				j.c.value[colAddress], j.c.value[colHash] = j.arena, j.arena
				if j.names = append(j.names, "email"); isHash(j.arena) {
					j.names[0] = "hash"
				}
				bad = j.emit(j.line)
			}
		default:
			bad = j.syntax("an object or a string should be here")
		}
		if bad != nil || j.stopped {
			return bad
		}
		if c, ok = j.token(); !ok || c != ',' && c != ']' {
			return j.syntax("a comma or a closing bracket should be here")
		}
		if c == ']' {
			return nil
		}
	}
}

// emit hands the current object on as a row.
func (j *jsonReader) emit(line int) *Error {
	if j.tooLong {
		j.hand(Row{}, &Error{Line: line, Problem: "the object is longer than 64 KiB", Remedy: "is it a list? Cut it, or take it out"})
		return nil
	}
	if j.shape == nil {
		s, bad := recognise(j.names)
		if bad == nil {
			bad = j.use(s)
		}
		if bad != nil {
			bad.Line = line
			j.hand(Row{}, bad)
			return nil
		}
	}
	row, bad := j.row(&j.c, line)
	if bad != nil && bad.Line == 0 {
		bad.Line, bad.Column = line, 0 // about a field that is not there
	}
	j.hand(row, bad)
	return nil
}
