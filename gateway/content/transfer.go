package content

import (
	"bytes"
	"encoding/base64"
	"slices"
)

// encodedLine is the longest line of an encoded part (RFC 2045 §6.7, §6.8).
const encodedLine = 76

// appendDecoded appends a part decoded. It is strict: what readers could read in
// two ways is not ours to write again.
func (e encoding) appendDecoded(dst, raw []byte) ([]byte, bool) {
	switch e {
	case quotedPrintable:
		return appendUnquoted(dst, raw)
	case base64Encoding:
		return appendUnbased(dst, raw)
	}
	return append(dst, raw...), e == identity
}

// appendEncoded appends a part encoded again.
func (e encoding) appendEncoded(dst, text []byte) []byte {
	switch e {
	case quotedPrintable:
		return appendQuoted(dst, text)
	case base64Encoding:
		return appendBased(dst, text)
	}
	return append(dst, text...)
}

// appendUnquoted decodes quoted-printable (RFC 2045 §6.7).
func appendUnquoted(dst, raw []byte) ([]byte, bool) {
	for len(raw) > 0 {
		end := lineEnd(raw, 0)
		line := raw[:end]
		raw = raw[end:]
		eol := line[len(line)-eolOf(line):]
		line = bytes.TrimRight(line[:len(line)-len(eol)], " \t") // added on the way (rule 3)
		if bytes.IndexByte(line, '\r') >= 0 {
			return dst, false
		}
		if n := len(line); n > 0 && line[n-1] == '=' {
			line, eol = line[:n-1], nil // a soft line break (rule 5)
		}
		for {
			i := bytes.IndexByte(line, '=')
			if i < 0 {
				break
			}
			if i+2 >= len(line) {
				return dst, false
			}
			high, low := unhex(line[i+1]), unhex(line[i+2])
			if high < 0 || low < 0 {
				return dst, false
			}
			dst = append(append(dst, line[:i]...), byte(high<<4|low))
			line = line[i+3:]
		}
		dst = append(append(dst, line...), eol...)
	}
	return dst, true
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// appendQuoted encodes quoted-printable. CRLF ends a line; a CR or LF alone is
// encoded, so that it comes out as it went in. A line never begins with a dash:
// folding anew must not make a boundary.
func appendQuoted(dst, text []byte) []byte {
	const hex = "0123456789ABCDEF"
	dst = slices.Grow(dst, len(text)+len(text)/8)
	line := 0 // characters of it so far
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\r' && i+1 < len(text) && text[i+1] == '\n' {
			dst, line = append(dst, '\r', '\n'), 0
			i++
			continue
		}
		last := endsLine(text[i+1:])
		plain := '!' <= c && c <= '~' && c != '=' || (c == ' ' || c == '\t') && !last
		n := 3
		if plain {
			n = 1
		}
		if line+n > encodedLine-1 && !(line+n == encodedLine && last) {
			dst, line = append(dst, '=', '\r', '\n'), 0
		}
		if line == 0 && c == '-' {
			plain, n = false, 3
		}
		if line += n; plain {
			dst = append(dst, c)
		} else {
			dst = append(dst, '=', hex[c>>4], hex[c&15])
		}
	}
	return dst
}

func endsLine(rest []byte) bool {
	return len(rest) == 0 || len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n'
}

// appendUnbased decodes base64 (RFC 2045 §6.8), white space left out.
func appendUnbased(dst, raw []byte) ([]byte, bool) {
	from := len(dst)
	for _, c := range raw {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			dst = append(dst, c)
		}
	}
	n, err := base64.StdEncoding.Strict().Decode(dst[from:], dst[from:])
	return dst[:from+n], err == nil
}

// appendBased encodes base64 in lines.
func appendBased(dst, text []byte) []byte {
	const piece = encodedLine / 4 * 3
	dst = slices.Grow(dst, len(text)*4/3+len(text)/piece*2+8)
	for len(text) > 0 {
		n := min(piece, len(text))
		dst = base64.StdEncoding.AppendEncode(dst, text[:n])
		if text = text[n:]; len(text) > 0 {
			dst = append(dst, '\r', '\n')
		}
	}
	return dst
}
