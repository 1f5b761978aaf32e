package lists

import (
	"bytes"
	"fmt"
)

// records cuts lines into fields, RFC 4180 with a forgiving eye: any of three
// separators, blanks around quoted fields, quotes inside unquoted ones.
type records struct {
	*lines
	comma  byte
	fields [][]byte // of the current record, valid until the next
	at     []int    // where each starts in it
	plain  []byte   // room for fields with doubled quotes
	seen   int      // bytes of all records
	wasted int      // bytes looked at behind quotes that were not closed
}

// maxWaste is how far ahead of itself a file with stray quotes may be read. Each
// of them may cost a look at 64 KiB, so lines made for it would cost hours.
func (r *records) maxWaste() int { return 16<<20 + 8*r.seen }

// read goes to the next record that is not blank.
func (r *records) read() (more bool, bad *Error) {
	for {
		text, more, bad := r.scan()
		if !more || bad != nil {
			return more, bad
		}
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		return true, r.split(text)
	}
}

// split cuts the current line, and those that a quote joins to it.
func (r *records) split(text []byte) *Error {
	r.fields, r.at, r.plain = r.fields[:0], r.at[:0], r.plain[:0]
	r.seen += len(text)
	if bytes.IndexByte(text, '"') >= 0 {
		if scanned, bad := r.quoted(r.window()); bad != nil {
			if r.wasted += scanned; r.wasted > r.maxWaste() {
				bad.Problem, bad.Fatal = "quotes are opened and not closed again and again", true
				bad.Remedy = "name the format if it is not CSV, or write the file again"
			}
			return bad
		}
		text = r.buf[r.pos:r.next]
	} else {
		start := 0
		for {
			i := bytes.IndexByte(text[start:], r.comma)
			if i < 0 {
				break
			}
			r.add(text[start:start+i], start)
			start += i + 1
		}
		r.add(text[start:], start)
	}
	if i := bytes.IndexByte(text, 0); i >= 0 {
		return r.wrong(i, "there is a NUL byte", "the line is damaged or no text: write it again")
	}
	return nil
}

func (r *records) add(field []byte, at int) {
	r.fields, r.at = append(r.fields, field), append(r.at, at)
}

func (r *records) wrong(offset int, problem, remedy string) *Error {
	line, column := r.place(offset)
	return &Error{Line: line, Column: column, Problem: problem, Remedy: remedy}
}

// quoted cuts a record with quotes in it. On an error the record is its first line
// alone, so that one stray quote costs one line; scanned is how far it looked.
func (r *records) quoted(w []byte) (scanned int, bad *Error) {
	for i := 0; ; i++ {
		start := i + leadingBlanks(w[i:])
		if start == len(w) || w[start] != '"' {
			start = i
			i += fieldEnd(w[i:], r.comma)
			r.add(w[start:i], start)
		} else {
			value, end := r.cut(w, start)
			if end < 0 {
				return len(w), r.wrong(start, "a quote is opened here and not closed within 64 KiB", "close it, or double it if it is text")
			}
			i = end + leadingBlanks(w[end:])
			if i < len(w) && w[i] != r.comma && w[i] != '\n' && w[i] != '\r' {
				return i, r.wrong(i, "text follows a closing quote", `write quotes inside of quotes twice ("")`)
			}
			r.add(value, start)
		}
		if i < len(w) && w[i] == r.comma {
			continue
		}
		return i, r.endRecord(w, i)
	}
}

// endRecord takes the record that ends at i.
func (r *records) endRecord(w []byte, i int) *Error {
	switch {
	case i < len(w):
		i++
		if w[i-1] == '\r' && i < len(w) && w[i] == '\n' {
			i++
		}
	case len(w) > maxLine:
		return &Error{Line: r.line, Problem: "the record is longer than 64 KiB", Remedy: "cut it, or take it out"}
	case r.failed():
		return r.broken()
	}
	r.take(i)
	return nil
}

// cut reads the quoted field that starts at start; end is behind its closing quote,
// negative if there is none.
func (r *records) cut(w []byte, start int) (value []byte, end int) {
	from, mark := start+1, -1
	for {
		i := bytes.IndexByte(w[from:], '"')
		if i < 0 {
			return nil, -1
		}
		i += from
		if i+1 == len(w) || w[i+1] != '"' {
			if mark < 0 {
				return w[start+1 : i], i + 1
			}
			r.plain = append(r.plain, w[from:i]...)
			return r.plain[mark:], i + 1
		}
		if mark < 0 {
			mark = len(r.plain)
			r.plain = append(r.plain, w[start+1:from]...)
		}
		r.plain = append(r.plain, w[from:i+1]...)
		from = i + 2
	}
}

func leadingBlanks(b []byte) int {
	for i, c := range b {
		if c != ' ' {
			return i
		}
	}
	return len(b)
}

// fieldEnd is where an unquoted field ends.
func fieldEnd(w []byte, comma byte) int {
	for i, c := range w {
		if c == comma || c == '\n' || c == '\r' {
			return i
		}
	}
	return len(w)
}

// separator is the one of comma, semicolon and tab that the line has most of
// outside quotes.
func separator(line []byte) byte {
	var n [3]int
	quoted := false
	for _, c := range line {
		switch {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == ',':
			n[0]++
		case c == ';':
			n[1]++
		case c == '\t':
			n[2]++
		}
	}
	switch {
	case n[1] > n[0] && n[1] >= n[2]:
		return ';'
	case n[2] > n[0]:
		return '\t'
	}
	return ','
}

// width refuses a record with another number of fields than it should have.
// Empty fields too many are forgiven: many exports end lines with a separator.
func (r *records) width(want int) *Error {
	n := len(r.fields)
	for n > want && len(r.fields[n-1]) == 0 {
		n--
	}
	if n == want {
		return nil
	}
	column := 0
	if n > want {
		column = r.at[want]
	} else {
		column = r.at[n-1] + len(r.fields[n-1])
	}
	return r.wrong(column, fmt.Sprintf("the line has %d fields and the header %d", n, want),
		"put fields with a separator in them between quotes, and write empty fields too")
}
