package content

import (
	"bytes"
	"fmt"

	"tidepost/gateway"
)

// The limits of a header, checked before anything is parsed (attacks A16, A17).
const (
	MaxHeader = 256 << 10 // bytes, with the empty line
	MaxFields = 1000
	MaxField  = 64 << 10 // bytes of one field with its continuation lines
)

// field is one header field as it stands in the message. A line that is no
// field at all has no name.
type field struct {
	raw   []byte // with continuation lines and line ends
	name  []byte // without the white space that RFC 5322 §4.5 allows before the colon
	value []byte // all after the colon, folded as it came
}

// scanner walks over the fields of a header without copying anything.
type scanner struct {
	b     []byte
	pos   int  // of the next field; after the last one: of the body
	ended bool // the empty line was seen
}

// next returns the next field, until the empty line or the end of the bytes.
func (s *scanner) next() (field, bool) {
	if s.ended || s.pos >= len(s.b) {
		return field{}, false
	}
	start := s.pos
	end := lineEnd(s.b, start)
	if isEmptyLine(s.b[start:end]) {
		s.pos, s.ended = end, true
		return field{}, false
	}
	for end < len(s.b) && isSpace(s.b[end]) {
		end = lineEnd(s.b, end)
	}
	s.pos = end
	return parseField(s.b[start:end]), true
}

func lineEnd(b []byte, from int) int {
	if i := bytes.IndexByte(b[from:], '\n'); i >= 0 {
		return from + i + 1
	}
	return len(b)
}

func isEmptyLine(line []byte) bool {
	return string(line) == "\r\n" || string(line) == "\n"
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// parseField splits a field at its colon. A name is printable ASCII (RFC 5322
// §3.6.8); what does not look like one is kept as a nameless line.
func parseField(raw []byte) field {
	for i, c := range raw {
		if c == ':' {
			return field{raw: raw, name: raw[:i], value: raw[i+1:]}
		}
		if c <= ' ' || c > '~' {
			return parseSpaced(raw, i)
		}
	}
	return field{raw: raw}
}

// parseSpaced reads "Name :", which is obsolete but understood by readers.
func parseSpaced(raw []byte, nameEnd int) field {
	i := nameEnd
	for i < len(raw) && isSpace(raw[i]) {
		i++
	}
	if nameEnd == 0 || i == len(raw) || raw[i] != ':' {
		return field{raw: raw}
	}
	return field{raw: raw, name: raw[:nameEnd], value: raw[i+1:]}
}

// is reports whether the field has that name, given in lower case.
func (f field) is(name string) bool {
	return len(f.name) == len(name) && equalFold(f.name, name)
}

// hasPrefix reports whether the name begins so, given in lower case.
func (f field) hasPrefix(prefix string) bool {
	return len(f.name) >= len(prefix) && equalFold(f.name[:len(prefix)], prefix)
}

// equalFold compares ASCII only: a Kelvin sign is no K in a field name.
func equalFold(b []byte, lower string) bool {
	for i, c := range b {
		if toLower(c) != lower[i] {
			return false
		}
	}
	return true
}

func toLower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// unfold returns a value in one line without white space around it. It copies
// only what is folded (RFC 5322 §2.2.3).
func unfold(value []byte) []byte {
	value = bytes.TrimSpace(value)
	if bytes.IndexByte(value, '\n') < 0 {
		return value
	}
	out := make([]byte, 0, len(value))
	for _, c := range value {
		if c != '\r' && c != '\n' {
			out = append(out, c)
		}
	}
	return out
}

var (
	errHeaderSize = &gateway.Reply{Code: 552, Status: "5.3.4", Text: fmt.Sprintf("the header is larger than %d KiB", MaxHeader>>10)}
	errFieldCount = &gateway.Reply{Code: 554, Status: "5.6.0", Text: fmt.Sprintf("the header has more than %d fields", MaxFields)}
	errFieldSize  = &gateway.Reply{Code: 554, Status: "5.6.0", Text: fmt.Sprintf("a header field is larger than %d KiB", MaxField>>10)}
)
