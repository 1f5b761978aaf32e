// Package address says which mailbox an address denotes.
//
// Addresses are written in many ways, and several of them reach one person. An
// [Address] keeps what was written, because that is what goes back on the wire;
// a [Mailbox] is the one canonical form, by which everything else in Tidepost
// (profiles, send rings, suppression entries, shards) is keyed.
//
// The canonical form of an address is made like this, in this order:
//
//  1. The domain becomes lower-case A-labels (IDNA2008 lookup, RFC 5891 §5), so
//     "Bücher.example" and "xn--bcher-kva.example" are one domain;
//     googlemail.com becomes gmail.com.
//  2. The local part loses its quotes and is lower-cased. RFC 5321 §2.4 calls it
//     case-sensitive; no mailbox provider of note treats it so, and an opt-out
//     that misses because of a capital letter is worse than one that hits twice.
//     A letter whose lower case has another length in UTF-8 stays: the Kelvin
//     sign does not become a k, and no limit is passed.
//  3. A plus tag goes: "ann+shop" is "ann" (RFC 5233). A plus in front is no tag.
//  4. For gmail.com dots go: "a.n.n" is "ann".
//  5. It is written as local@domain, the local part quoted only where RFC 5321
//     §4.1.2 asks for it. The bare "postmaster" of RFC 5321 §4.1.1.3 stays bare.
//
// Nothing else is folded: no NFC, no other provider's habits. The canonical form
// is itself an address, and its canonical form is itself.
//
// What can go wrong: [Parse] refuses what RFC 5321 and RFC 6531 refuse, and also
// what would lie to a reader of a log or reach a host by number: control and
// invisible characters, source routes, address literals, domains that end in a
// number. Every refusal is an [Error].
package address

import (
	"strings"
	"unicode/utf8"
)

const (
	maxLocal  = 64  // bytes as written, quotes included: RFC 5321 §4.5.3.1.1
	maxDomain = 255 // bytes: RFC 5321 §4.5.3.1.2
	maxLabel  = 63  // bytes: RFC 1035 §2.3.4
)

// Address is an address as somebody wrote it. The zero value is the null
// reverse-path and is written as an empty string.
type Address struct {
	Local  string // without quotes and backslashes
	Domain string // case and U-labels as written; empty for the bare postmaster
	UTF8   bool   // not all ASCII: may only travel with SMTPUTF8 (RFC 6531 §3.4)
}

// Parse reads one mailbox without angle brackets, in the strict grammar of RFC
// 5321 §4.1.2 extended by RFC 6531 §3.3. It does not read the null reverse-path;
// the caller knows where that is allowed. The error is always an [Error].
func Parse(s string) (Address, error) {
	if s == "" {
		return Address{}, ErrEmpty
	}
	if s[0] == '@' {
		return Address{}, ErrSourceRoute
	}
	local, rest, err := cutLocal(s)
	if err != nil {
		return Address{}, err
	}
	if rest == "" {
		return bare(local)
	}
	domain := rest[1:]
	if err := checkDomain(domain); err != nil {
		return Address{}, err
	}
	return Address{Local: local, Domain: domain, UTF8: !isASCII(local) || !isASCII(domain)}, nil
}

// bare accepts the one address that needs no domain, RFC 5321 §4.1.1.3.
func bare(local string) (Address, error) {
	if !strings.EqualFold(local, "postmaster") || !isASCII(local) {
		return Address{}, ErrNoDomain
	}
	return Address{Local: local}, nil
}

// cutLocal splits s before the @ that ends its local part, and returns the local
// part without its quoting.
func cutLocal(s string) (local, rest string, err error) {
	if s[0] == '"' {
		local, rest, err = cutQuoted(s)
	} else {
		local, rest, err = cutDotString(s)
	}
	switch {
	case err != nil:
		return "", "", err
	case len(s)-len(rest) > maxLocal:
		return "", "", ErrLocalTooLong
	case !isASCII(local):
		return local, rest, checkText(local)
	}
	return local, rest, nil
}

// cutDotString reads atoms with single dots between them.
func cutDotString(s string) (local, rest string, err error) {
	end := len(s)
	dot := true // an atom must follow
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '@' {
			end = i
			break
		}
		if c == '.' && dot {
			return "", "", ErrDots
		}
		if c != '.' && !isAtext(c) {
			return "", "", badByte(c)
		}
		dot = c == '.'
	}
	if end == 0 {
		return "", "", ErrEmpty
	}
	if dot {
		return "", "", ErrDots
	}
	return s[:end], s[end:], nil
}

// cutQuoted reads a quoted string; s starts with its quote.
func cutQuoted(s string) (local, rest string, err error) {
	var text []byte
	for i := 1; i < len(s); i++ {
		c := s[i]
		switch {
		case c < ' ' || c == 0x7f:
			return "", "", ErrControl
		case c == '"':
			rest = s[i+1:]
			if rest != "" && rest[0] != '@' {
				return "", "", ErrQuote
			}
			return string(text), rest, nil
		case c == '\\':
			i++
			// quoted-pairSMTP is a backslash and one printable ASCII character.
			if i == len(s) || s[i] < ' ' || s[i] > '~' {
				return "", "", ErrQuote
			}
			c = s[i]
		}
		text = append(text, c)
	}
	return "", "", ErrQuote
}

// String is the address for the wire, quoted only where it must be. Parse gives
// the same Address back.
func (a Address) String() string {
	if a.Domain == "" {
		return a.Local
	}
	return quote(a.Local) + "@" + a.Domain
}

// quote writes a local part as dot-string if it is one, else as quoted string.
func quote(local string) string {
	if isDotString(local) {
		return local
	}
	b := make([]byte, 0, len(local)+4)
	b = append(b, '"')
	for i := 0; i < len(local); i++ {
		if local[i] == '"' || local[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, local[i])
	}
	return string(append(b, '"'))
}

func isDotString(local string) bool {
	dot := true
	for i := 0; i < len(local); i++ {
		c := local[i]
		if c == '.' && dot || c != '.' && !isAtext(c) {
			return false
		}
		dot = c == '.'
	}
	return !dot
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// isAtext reports RFC 5322 §3.2.3 atext, and any byte of UTF-8 (RFC 6531 §3.3),
// which checkText looks at later.
func isAtext(c byte) bool { return atext[c] }

var atext = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= utf8.RuneSelf || isLetterOrDigit(byte(c)) || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", byte(c)) >= 0
	}
	return t
}()

func isLetterOrDigit(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
