package address

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// checkDomain accepts a domain of RFC 5321 §4.1.2 or of U-labels (RFC 6531 §3.3).
func checkDomain(domain string) error {
	switch {
	case domain == "":
		return ErrNoDomain
	case domain[0] == '[':
		return ErrLiteral
	case len(domain) > maxDomain:
		return ErrDomainTooLong
	case isASCII(domain):
		return checkHost(domain)
	}
	if err := checkText(domain); err != nil {
		return err
	}
	// IDNA maps these to dots; RFC 6531 knows only the ASCII one.
	if strings.ContainsAny(domain, "。．｡") {
		return ErrDomain
	}
	host, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		return ErrDomain
	}
	return checkHost(host)
}

// checkHost accepts labels of letters, digits and inner hyphens. A last label of
// digits alone is refused: it is a mistyped literal, and resolvers take it for an
// address (RFC 3696 §2).
func checkHost(host string) error {
	if len(host) > maxDomain {
		return ErrDomainTooLong
	}
	start, digits := 0, true
	for i := 0; i < len(host); i++ {
		c := host[i]
		if c == '.' {
			if err := checkLabel(host[start:i]); err != nil {
				return err
			}
			start, digits = i+1, true
			continue
		}
		if !isLetterOrDigit(c) && c != '-' {
			return badByte(c)
		}
		digits = digits && c >= '0' && c <= '9'
	}
	if err := checkLabel(host[start:]); err != nil {
		return err
	}
	if digits {
		return ErrLiteral
	}
	return nil
}

func checkLabel(label string) error {
	switch {
	case label == "":
		return ErrDots
	case len(label) > maxLabel:
		return ErrDomainTooLong
	case label[0] == '-' || label[len(label)-1] == '-':
		return ErrDomain
	}
	return nil
}

// checkText refuses UTF-8 that is broken (overlong forms and surrogates among it)
// or invisible: controls, bidi overrides, spaces a reader takes for nothing. The
// two joiners stay, scripts need them.
func checkText(s string) error {
	if !utf8.ValidString(s) {
		return ErrInvalidUTF8
	}
	const nonJoiner, joiner = '\u200c', '\u200d'
	for _, r := range s {
		if r < utf8.RuneSelf || r == nonJoiner || r == joiner {
			continue
		}
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Z) {
			return ErrControl
		}
	}
	return nil
}

// Host is the domain as DNS knows it: lower-case A-labels. Unlike a Mailbox's
// Domain it folds no provider's second name. Empty for the bare postmaster.
func (a Address) Host() string {
	if isASCII(a.Domain) {
		return strings.ToLower(a.Domain)
	}
	host, err := idna.Lookup.ToASCII(a.Domain)
	if err != nil {
		// Only an Address that Parse did not make comes here.
		return strings.ToLower(a.Domain)
	}
	return host
}
