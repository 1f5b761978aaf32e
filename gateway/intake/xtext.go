package intake

import (
	"bytes"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// decodeXtext undoes xtext (RFC 3461 §4): +HH is a byte.
func decodeXtext(v []byte) (string, bool) {
	if bytes.IndexByte(v, '+') < 0 {
		return string(v), isASCII(v)
	}
	out := make([]byte, 0, len(v))
	for i := 0; i < len(v); i++ {
		ch := v[i]
		if ch == '+' {
			if i+2 >= len(v) {
				return "", false
			}
			hi, lo := unhex(v[i+1]), unhex(v[i+2])
			if hi < 0 || lo < 0 {
				return "", false
			}
			ch = byte(hi<<4 | lo)
			i += 2
		}
		out = append(out, ch)
	}
	return string(out), isASCII(out)
}

// unhex returns the value of an upper-case hexadecimal digit, or -1.
func unhex(ch byte) int {
	switch {
	case '0' <= ch && ch <= '9':
		return int(ch - '0')
	case 'A' <= ch && ch <= 'F':
		return int(ch-'A') + 10
	}
	return -1
}

// decodeUTF8 undoes utf-8-addr-xtext and utf-8-addr-unitext (RFC 6533 §3):
// \x{HHHH} is a code point.
func decodeUTF8(v []byte) (string, bool) {
	out := make([]byte, 0, len(v))
	for len(v) > 0 {
		if v[0] != '\\' {
			r, n := utf8.DecodeRune(v)
			if r == utf8.RuneError || v[0] == '+' {
				return "", false
			}
			out, v = append(out, v[:n]...), v[n:]
			continue
		}
		end := bytes.IndexByte(v, '}')
		if end < 5 || end > 9 || string(v[:3]) != `\x{` {
			return "", false
		}
		n, err := strconv.ParseUint(string(v[3:end]), 16, 32)
		if err != nil || !utf8.ValidRune(rune(n)) {
			return "", false
		}
		out, v = utf8.AppendRune(out, rune(n)), v[end+1:]
	}
	return string(out), true
}

// printable reports whether s can stand in a header: valid, and without control
// or invisible characters.
func printable(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

func isASCII[T string | []byte](s T) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
