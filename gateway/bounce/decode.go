package bounce

import (
	"bytes"
	"encoding/base64"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/japanese"
)

// decodeBase64 decodes what it can: anything outside the alphabet is passed over
// (RFC 2045 §6.8), and a missing end is no fault.
func decodeBase64(b []byte, limit int) []byte {
	clean := make([]byte, 0, min(len(b), limit/3*4+4))
	for _, c := range b {
		if c == '=' || len(clean) == cap(clean) {
			break
		}
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/' {
			clean = append(clean, c)
		}
	}
	if len(clean)%4 == 1 {
		clean = clean[:len(clean)-1]
	}
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(clean)))
	n, _ := base64.RawStdEncoding.Decode(out, clean)
	return out[:min(n, limit)]
}

// decodeQuoted decodes quoted-printable; what breaks its rules stays as it is.
func decodeQuoted(b []byte, limit int) []byte {
	out := make([]byte, 0, min(len(b), limit))
	for i := 0; i < len(b) && len(out) < limit; i++ {
		if b[i] != '=' {
			out = append(out, b[i])
			continue
		}
		if i+1 < len(b) && b[i+1] == '\n' {
			i++
			continue
		}
		if i+2 < len(b) {
			if hi, lo := unhex(b[i+1]), unhex(b[i+2]); hi >= 0 && lo >= 0 {
				out = append(out, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		out = append(out, '=')
	}
	return out
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// toUTF8 converts text of a charset; of an unknown one, what is no UTF-8 is left
// out. Some systems write ISO-2022-JP and call it something else.
func toUTF8(b []byte, charset string) string {
	var from encoding.Encoding
	switch {
	case bytes.Contains(b, []byte("\x1b$B")) || bytes.Contains(b, []byte("\x1b$@")):
		from = japanese.ISO2022JP
	case utf8.Valid(b):
		return string(b)
	default:
		from = lookUp(charset)
	}
	if from == nil {
		return strings.ToValidUTF8(string(b), " ")
	}
	out, err := from.NewDecoder().Bytes(b)
	if err != nil {
		return strings.ToValidUTF8(string(b), " ")
	}
	return string(out)
}

// lookUp returns the decoder of a charset, or nil for none and for UTF-8.
func lookUp(charset string) encoding.Encoding {
	e, err := htmlindex.Get(strings.Trim(charset, `"' `))
	if err != nil || e == encoding.Replacement {
		return nil
	}
	if name, _ := htmlindex.Name(e); name == "utf-8" {
		return nil
	}
	return e
}

func charsetReader(charset string, r io.Reader) (io.Reader, error) {
	e := lookUp(charset)
	if e == nil {
		return r, nil
	}
	return e.NewDecoder().Reader(r), nil
}
