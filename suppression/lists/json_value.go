package lists

import (
	"bytes"
	"unicode/utf8"
)

// value reads a value whose first byte was taken; with keep its text goes to the
// arena: of a list the texts of its scalars with commas between them.
func (j *jsonReader) value(c byte, depth int, keep bool) (bad *Error) {
	switch {
	case c == '"':
		from := len(j.arena)
		j.arena, bad = j.text(j.arena)
		if !keep {
			j.arena = j.arena[:from]
		}
		return bad
	case c == '{' || c == '[':
		if depth >= maxDepth {
			return j.syntax("the JSON is nested too deeply")
		}
		return j.nested(c, depth, keep && c == '[')
	}
	return j.literal(c, keep)
}

// nested passes over an object or array.
func (j *jsonReader) nested(open byte, depth int, keep bool) *Error {
	closing := open + 2 // in ASCII, of both
	for n := 0; ; n++ {
		c, ok := j.token()
		if ok && c == closing && n == 0 {
			return nil
		}
		if !ok {
			return j.syntax("")
		}
		if open == '{' {
			if c != '"' {
				return j.syntax("the name of a field should be here")
			}
			if bad := j.value(c, depth, false); bad != nil {
				return bad
			}
			if c, ok = j.token(); !ok || c != ':' {
				return j.syntax("a colon should be here")
			}
			if c, ok = j.token(); !ok {
				return j.syntax("")
			}
		}
		if keep && n > 0 {
			j.arena = append(j.arena, ',')
		}
		if bad := j.value(c, depth+1, keep && c != '{' && c != '['); bad != nil {
			return bad
		}
		if c, ok = j.token(); !ok || c != ',' && c != closing {
			return j.syntax("a comma or the end should be here")
		}
		if c == closing {
			return nil
		}
	}
}

// literal reads a number, true, false or null; null is as good as nothing.
func (j *jsonReader) literal(c byte, keep bool) *Error {
	var room [40]byte
	word := append(room[:0], c)
	for {
		head, err := j.b.Peek(1)
		if err != nil {
			j.err = err
			break
		}
		if bytes.IndexByte([]byte(",]} \t\r\n"), head[0]) >= 0 {
			break
		}
		c, _ := j.next()
		if word = append(word, c); len(word) == len(room) {
			break
		}
	}
	switch {
	case string(word) == "null":
		return nil
	case string(word) == "true" || string(word) == "false" || number(word):
		if keep {
			j.arena = append(j.arena, word...)
		}
		return nil
	}
	return j.syntax(show(string(word)) + " is no value")
}

func number(word []byte) bool {
	for _, c := range word {
		if (c < '0' || c > '9') && c != '-' && c != '+' && c != '.' && c != 'e' && c != 'E' {
			return false
		}
	}
	return len(word) > 0
}

// text reads a string whose quote was taken and appends it to b.
func (j *jsonReader) text(b []byte) ([]byte, *Error) {
	for {
		c, ok := j.next()
		if !ok || c == '\n' {
			return b, j.syntax("a string is not closed")
		}
		if c == '"' {
			return b, nil
		}
		if len(b) > maxLine {
			// Read on to the end of the string, but do not keep it.
			b, j.tooLong = b[:maxLine], true
		}
		if c != '\\' {
			b = append(b, c)
			continue
		}
		var bad *Error
		if b, bad = j.escape(b); bad != nil {
			return b, bad
		}
	}
}

func (j *jsonReader) escape(b []byte) ([]byte, *Error) {
	c, ok := j.next()
	if !ok {
		return b, j.syntax("")
	}
	if c == 'u' {
		return j.unicode(b)
	}
	const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	i := bytes.IndexByte([]byte(from), c)
	if i < 0 {
		return b, j.syntax("a backslash is followed by nothing it goes with")
	}
	return append(b, to[i]), nil
}

// unicode reads \uXXXX, and a second one if it is half of a pair. A half alone
// becomes U+FFFD.
func (j *jsonReader) unicode(b []byte) ([]byte, *Error) {
	r, bad := j.hex4()
	if bad != nil {
		return b, bad
	}
	for r >= 0xd800 && r < 0xdc00 {
		if head, _ := j.b.Peek(2); string(head) != `\u` {
			break
		}
		j.next()
		j.next()
		low, bad := j.hex4()
		if bad != nil {
			return b, bad
		}
		if low >= 0xdc00 && low < 0xe000 {
			r = 0x10000 + (r-0xd800)<<10 + low - 0xdc00
			break
		}
		b, r = utf8.AppendRune(b, utf8.RuneError), low
	}
	return utf8.AppendRune(b, r), nil
}

func (j *jsonReader) hex4() (r rune, bad *Error) {
	for range 4 {
		c, ok := j.next()
		switch {
		case ok && c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case ok && (c|0x20) >= 'a' && (c|0x20) <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, j.syntax(`\u is followed by four hex digits`)
		}
	}
	return r, nil
}
