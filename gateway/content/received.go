package content

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"tidepost/gateway"
)

// appendReceived appends our trace field (RFC 5321 §4.4). It is made from the
// stored message alone, so that every attempt leaves with the same bytes.
func appendReceived(b []byte, m *gateway.Message, hostname string) []byte {
	b = append(b, "Received: "...)
	if m.Helo != "" || m.Client != "" {
		b = appendFrom(b, m)
	}
	b = append(b, "by "...)
	b = appendAtom(b, hostname)
	if m.Protocol != "" {
		b = append(b, " with "...)
		b = appendProtocol(b, m)
	}
	b = append(b, " id "...)
	b = append(b, m.ID.String()...)
	if m.TLSVersion != "" {
		b = append(b, "\r\n\t(using "...)
		b = appendAtom(b, m.TLSVersion)
		b = append(b, " with cipher "...)
		b = appendAtom(b, m.TLSCipher)
		b = append(b, ')')
	}
	b = appendFor(b, m)
	if m.Priority != 0 { // RFC 6710
		b = append(b, "\r\n\tPRIORITY "...)
		b = strconv.AppendInt(b, int64(m.Priority), 10)
	}
	b = append(b, ";\r\n\t"...)
	b = appendDate(b, m.Received)
	return append(b, '\r', '\n')
}

// appendFrom tells who gave it to us: the name they said and the address seen.
func appendFrom(b []byte, m *gateway.Message) []byte {
	b = append(b, "from "...)
	helo := m.Helo
	if helo == "" {
		helo = "unknown"
	}
	b = appendAtom(b, helo)
	if m.Client != "" {
		b = append(b, " (["...)
		if strings.Contains(m.Client, ":") {
			b = append(b, "IPv6:"...) // RFC 5321 §4.1.3
		}
		b = appendAtom(b, m.Client)
		b = append(b, "])"...)
	}
	return append(b, "\r\n\t"...)
}

// appendFor names the recipient where there is only one: a message to several
// must not tell each of the others.
func appendFor(b []byte, m *gateway.Message) []byte {
	if len(m.Recipients) != 1 {
		return b
	}
	to := m.Recipients[0].Address
	if len(to) > 320 || !isFit(to, m.UTF8) {
		return b
	}
	b = append(b, "\r\n\tfor <"...)
	b = append(b, to...)
	return append(b, '>')
}

// isFit reports whether an address may stand in a trace field as it is.
func isFit(s string, utf8 bool) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c <= ' ' || c == 0x7F || c == '<' || c == '>' || c == ';' || c > 0x7F && !utf8 {
			return false
		}
	}
	return s != ""
}

// appendProtocol appends the with-clause: the names of RFC 3848, and those of
// RFC 6531 §4.3 for internationalised mail.
func appendProtocol(b []byte, m *gateway.Message) []byte {
	if kind, ok := strings.CutPrefix(m.Protocol, "ESMTP"); ok && m.UTF8 {
		return append(append(b, "UTF8SMTP"...), kind...)
	}
	return append(b, m.Protocol...)
}

// appendAtom appends what a client said of itself with everything replaced that
// means something in a trace field.
func appendAtom(b []byte, s string) []byte {
	if s == "" {
		return append(b, '-')
	}
	for i := 0; i < len(s) && i < 255; i++ {
		c := s[i]
		if !isAtom(c) {
			c = '?'
		}
		b = append(b, c)
	}
	return b
}

func isAtom(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return c == '.' || c == '-' || c == '_' || c == ':' || c == '[' || c == ']'
}

// appendDate appends an RFC 5322 date, in UTC.
func appendDate(b []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(b, "Mon, 02 Jan 2006 15:04:05 -0700")
}

// writtenBy reports whether the by-clause of a Received field names the host.
// Comments are skipped, so that nobody's claim inside one counts.
func writtenBy(value []byte, hostname string) bool {
	depth, by := 0, false
	for len(value) > 0 {
		i := bytes.IndexAny(value, " \t\r\n();")
		if i < 0 {
			i = len(value)
		}
		if word := value[:i]; depth == 0 && len(word) > 0 {
			if by {
				return bytes.EqualFold(word, []byte(hostname))
			}
			by = len(word) == 2 && equalFold(word, "by")
		}
		if i == len(value) {
			return false
		}
		switch value[i] {
		case '(':
			depth++
		case ')':
			depth = max(depth-1, 0)
		case ';':
			if depth == 0 {
				return false
			}
		}
		value = value[i+1:]
	}
	return false
}
