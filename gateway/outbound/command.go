package outbound

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"tidepost/gateway"
)

// appendMail appends the MAIL command with the parameters that the host
// offered and the envelope needs.
func (t *transaction) appendMail(b []byte) []byte {
	e, f := t.e, &t.features
	b = append(append(append(b, "MAIL FROM:<"...), t.path(e.From)...), '>')
	if f.size && e.Size > 0 { // RFC 1870
		b = strconv.AppendInt(append(b, " SIZE="...), e.Size, 10)
	}
	if f.eightBit && e.EightBit { // RFC 6152 §2
		b = append(b, " BODY=8BITMIME"...)
	}
	if t.utf8 { // RFC 6531 §3.4
		b = append(b, " SMTPUTF8"...)
	}
	if f.dsn { // RFC 3461 §4.3, §4.4
		if e.Return == "FULL" || e.Return == "HDRS" {
			b = append(append(b, " RET="...), e.Return...)
		}
		if n := len(e.EnvID); n > 0 && n <= 100 {
			b = appendXtext(append(b, " ENVID="...), e.EnvID)
		}
	}
	if f.deliverBy && e.By != gateway.ByNone && !e.Deadline.IsZero() { // RFC 2852: seconds that are left
		b = strconv.AppendInt(append(b, " BY="...), seconds(time.Until(e.Deadline)), 10)
		b = append(b, ';', e.By)
		if e.ByTrace {
			b = append(b, 'T')
		}
	}
	if f.priority && e.Priority != 0 { // RFC 6710 §4.1
		b = strconv.AppendInt(append(b, " MT-PRIORITY="...), int64(e.Priority), 10)
	}
	return append(b, "\r\n"...)
}

// seconds limits a by-time to the nine digits of RFC 2852.
func seconds(d time.Duration) int64 {
	const most = 999_999_999
	return max(-most, min(most, int64(d/time.Second)))
}

// appendRcpt appends the RCPT command of a recipient.
func (t *transaction) appendRcpt(b []byte, r *gateway.EnvelopeRecipient) []byte {
	b = append(append(append(b, "RCPT TO:<"...), t.path(r.Address)...), '>')
	if t.features.dsn {
		if r.Notify != 0 { // RFC 3461 §4.1
			b = append(append(b, " NOTIFY="...), notifyWords(r.Notify)...)
		}
		if r.Original != "" { // §4.2
			b = appendOriginal(b, r.Original)
		}
	}
	return append(b, "\r\n"...)
}

func notifyWords(n gateway.Notify) string {
	if n&gateway.NotifyNever != 0 {
		return "NEVER" // stands alone
	}
	var words []string
	for _, w := range []struct {
		bit  gateway.Notify
		word string
	}{{gateway.NotifySuccess, "SUCCESS"}, {gateway.NotifyFailure, "FAILURE"}, {gateway.NotifyDelay, "DELAY"}} {
		if n&w.bit != 0 {
			words = append(words, w.word)
		}
	}
	return strings.Join(words, ",")
}

// appendOriginal appends ORCPT. What does not fit its 500 characters, or has
// no type, is left out.
func appendOriginal(b []byte, original string) []byte {
	kind, address, ok := strings.Cut(original, ";")
	if !ok || !atom(kind) {
		return b
	}
	if strings.EqualFold(kind, "utf-8") { // RFC 6533 §3: its ASCII form, which every host takes
		address = embed(address)
	}
	start := len(b)
	b = append(append(append(b, " ORCPT="...), kind...), ';')
	b = appendXtext(b, address)
	if len(b)-start > 500 {
		return b[:start]
	}
	return b
}

// embed writes characters outside ASCII as \x{HEX} (RFC 6533 §3).
func embed(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\x{%X}`, r)
		}
	}
	return b.String()
}

// appendXtext appends s in xtext (RFC 3461 §4): what could end the parameter,
// or the line, is written as +HH.
func appendXtext(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || c == '+' || c == '=' {
			b = append(b, '+', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

func atom(s string) bool {
	for _, c := range []byte(s) {
		if c != '-' && !(c >= '0' && c <= '9') && !(c|0x20 >= 'a' && c|0x20 <= 'z') {
			return false
		}
	}
	return s != ""
}
