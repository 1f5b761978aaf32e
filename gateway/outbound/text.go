package outbound

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText is the length in bytes to which a reply is cut before it is stored.
const maxText = 512

// words returns the reply's enhanced status code (RFC 2034), "" where it has
// none that fits its code, and its text in one line, escaped and cut.
func (r *reply) words() (status, text string) {
	var joined [maxText]byte
	b := joined[:0]
	for line := range r.lines {
		s, rest := splitStatus(line, r.code)
		if status == "" {
			status = s
		}
		if len(b) > 0 {
			b = append(b, ' ')
		}
		b = append(b, rest...)
		if len(b) > maxText {
			break
		}
	}
	return status, escape(b)
}

// splitStatus takes an enhanced status code off a line. One whose class is
// not the code's is left where it is: the code counts.
func splitStatus(line []byte, code int) (status string, rest []byte) {
	if len(line) < 5 || line[0] != byte('0'+code/100) || line[1] != '.' {
		return "", line
	}
	i := digits(line, 2)
	if i == 2 || i >= len(line) || line[i] != '.' {
		return "", line
	}
	j := digits(line, i+1)
	if j == i+1 || j < len(line) && line[j] != ' ' {
		return "", line
	}
	return string(line[:j]), line[min(j+1, len(line)):]
}

// digits returns the index after at most three digits that start at i.
func digits(b []byte, i int) int {
	end := min(i+3, len(b))
	for i < end && digit(b[i]) {
		i++
	}
	return i
}

// escape makes text of unknown origin fit for logs, listings and DSNs: control
// characters, bidi and other invisible ones and what is not UTF-8 are written
// as \x1b or \u202e, and the whole is cut to maxText bytes. HTML is left as it
// is, to be escaped by whoever writes HTML.
func escape(b []byte) string {
	if len(b) <= maxText && printable(b) {
		return string(b)
	}
	out := make([]byte, 0, maxText)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		var part []byte
		switch {
		case r == utf8.RuneError && n == 1, r < 0x80 && !unicode.IsPrint(r):
			part = fmt.Appendf(nil, `\x%02x`, b[0])
		case !unicode.IsPrint(r):
			part = fmt.Appendf(nil, `\u%04x`, r)
		default:
			part = b[:n]
		}
		if len(out)+len(part) > maxText {
			break
		}
		out = append(out, part...)
		b = b[n:]
	}
	return string(out)
}

func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

var (
	busyStatus = []string{"4.3.2", "4.4.5", "4.7.28", "4.7.500", "4.7.650"}
	busyWords  = []string{
		"too many connections", "too many concurrent", "too many sessions", "connection limit", "connection rate",
		"rate limit", "rate-limit", "ratelimit", "rate exceeded", "throttl", "too many messages", "too many emails",
		"too much mail", "server busy", "system busy", "temporarily deferred", "resources temporarily unavailable",
	}
	// These are about the message or its mailbox: slowing the destination down
	// would not help it.
	notBusyWords = []string{"greylist", "graylist", "receiving mail", "mailbox", "recipient"}
)

// busy reports whether a 4xx is about how much we send rather than about this
// message: the destination should get less for a while.
func busy(status, text string) bool {
	text = strings.ToLower(text)
	has := func(words []string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
	}
	if has(notBusyWords) {
		return false
	}
	return slices.Contains(busyStatus, status) || has(busyWords)
}
