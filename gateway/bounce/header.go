package bounce

import (
	"bytes"
	"mime"
	"strings"
)

// Bounds of a header: fields, and bytes of one value.
const (
	maxFields = 1000
	maxValue  = 8 << 10
)

// field is one field of a header; the value is unfolded, and raw otherwise.
type field struct {
	name  string // lower case
	value string
}

type header []field

// get returns the first value of a field, or "".
func (h header) get(name string) string {
	for _, f := range h {
		if f.name == name {
			return f.value
		}
	}
	return ""
}

// text is get with encoded words decoded (RFC 2047).
func (h header) text(name string) string { return decodeWords(h.get(name)) }

// all returns every value of a field.
func (h header) all(name string) (values []string) {
	for _, f := range h {
		if f.name == name {
			values = append(values, f.value)
		}
	}
	return values
}

// readHeader takes the header off a mail or part. A line that is no field is passed
// over; text that does not begin with a field has no header.
func readHeader(b []byte) (h header, body []byte) {
	whole := b
	for len(b) > 0 {
		line, rest := cutLine(b)
		if blank(line) {
			return h, rest
		}
		name := fieldName(line)
		if name == "" && len(h) == 0 && !isEnvelopeLine(line) {
			return nil, whole
		}
		value, after := foldedValue(line, rest, len(name))
		switch {
		case name != "" && len(h) < maxFields:
			h = append(h, field{strings.ToLower(name), value})
		case name == "" && len(h) > 0 && h[len(h)-1].name == "diagnostic-code" && len(h[len(h)-1].value) < 1<<10:
			h[len(h)-1].value += " " + value // a reply of several lines, not folded
		}
		b = after
	}
	return h, nil
}

// isEnvelopeLine reports whether a line begins a mail in an mbox.
func isEnvelopeLine(line []byte) bool {
	return bytes.HasPrefix(line, []byte("From ")) || bytes.HasPrefix(line, []byte(">From "))
}

// foldedValue joins the lines of a field, of which name bytes are its name.
func foldedValue(line, rest []byte, name int) (value string, after []byte) {
	if name > 0 {
		line = line[name:]
		line = line[bytes.IndexByte(line, ':')+1:]
	}
	if len(rest) == 0 || (rest[0] != ' ' && rest[0] != '\t') {
		return clip(line), rest
	}
	var out bytes.Buffer
	out.Write(bytes.TrimSpace(line[:min(len(line), maxValue)]))
	for len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\t') {
		next, after := cutLine(rest)
		if blank(next) {
			break
		}
		if out.Len() < maxValue {
			out.WriteByte(' ')
			out.Write(bytes.TrimSpace(next[:min(len(next), maxValue)]))
		}
		rest = after
	}
	return clip(out.Bytes()), rest
}

func clip(b []byte) string { return string(bytes.TrimSpace(b[:min(len(b), maxValue)])) }

// cutLine cuts the first line off, without its end.
func cutLine(b []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(b, []byte{'\n'})
	return line, rest
}

func blank(line []byte) bool {
	for _, c := range line {
		if c != ' ' && c != '\t' && c != '\r' {
			return false
		}
	}
	return true
}

// fieldName returns the name that begins a line (RFC 5322 §2.2), or "".
func fieldName[T string | []byte](line T) string {
	for i := 0; i < len(line) && i < 80; i++ {
		switch c := line[i]; {
		case c == ':':
			return string(line[:i])
		case (c == ' ' || c == '\t') && i > 0: // obsolete: "Subject : …" (RFC 5322 §4.5)
			for j := i; j < len(line) && j < 80; j++ {
				if line[j] == ':' {
					return string(line[:i])
				}
				if line[j] != ' ' && line[j] != '\t' {
					return ""
				}
			}
			return ""
		case c <= ' ' || c > '~':
			return ""
		}
	}
	return ""
}

var words = mime.WordDecoder{CharsetReader: charsetReader}

// decodeWords decodes the encoded words of a value; what cannot be decoded stays.
func decodeWords(s string) string {
	if !strings.Contains(s, "=?") {
		return strings.ToValidUTF8(s, "")
	}
	out, err := words.DecodeHeader(s[:min(len(s), 2048)])
	if err != nil {
		out = s
	}
	return strings.ToValidUTF8(out, "")
}
