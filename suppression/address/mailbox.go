package address

import (
	"crypto/sha256"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Mailbox is the canonical form of an address. It is comparable: two addresses
// are one mailbox if and only if their Mailbox values are equal. The zero value
// is no mailbox.
type Mailbox struct {
	text string
	at   int // where the domain starts in text
}

// Mailbox is the mailbox that the address denotes, see the package comment.
func (a Address) Mailbox() Mailbox {
	local := lower(a.Local)
	if a.Domain == "" {
		return Mailbox{text: local, at: len(local)}
	}
	host := a.Host()
	if host == "googlemail.com" {
		host = "gmail.com"
	}
	local = cutTag(local)
	if host == "gmail.com" {
		local = cutDots(local)
	}
	local = quote(local)
	return Mailbox{text: local + "@" + host, at: len(local) + 1}
}

// String is the canonical text, for keys and for people.
func (m Mailbox) String() string { return m.text }

// Domain is the canonical domain, empty for the bare postmaster.
func (m Mailbox) Domain() string { return m.text[m.at:] }

// Hash is the first half of the SHA-256 of the canonical text.
func (m Mailbox) Hash() [16]byte {
	sum := sha256.Sum256([]byte(m.text))
	return [16]byte(sum[:16])
}

// lower lower-cases every letter whose lower case is as long, so that no
// non-ASCII letter turns into an ASCII one and the text cannot outgrow a limit.
func lower(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	return strings.Map(func(r rune) rune {
		l := unicode.ToLower(r)
		if utf8.RuneLen(l) != utf8.RuneLen(r) {
			return r
		}
		return l
	}, s)
}

// cutTag removes a plus tag. The dot in front of a tag goes with it ("a.+b" is a
// legal local part, "a." is not), unless nothing else would be left.
func cutTag(local string) string {
	plus := strings.IndexByte(local, '+')
	if plus == 0 {
		plus = 1 + strings.IndexByte(local[1:], '+')
	}
	if plus <= 0 {
		return local
	}
	if s := strings.TrimRight(local[:plus], "."); s != "" {
		return s
	}
	return local[:plus]
}

// cutDots removes dots, unless nothing else would be left.
func cutDots(local string) string {
	if s := strings.ReplaceAll(local, ".", ""); s != "" {
		return s
	}
	return local
}
