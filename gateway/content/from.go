package content

import (
	"fmt"
	"net/mail"
	"strings"

	"tidepost/gateway"
)

// maxFrom is how long a From field may be, in bytes, before it is looked into.
const maxFrom = 4 << 10

// checkFrom holds the From field against what the credential may send as, both
// by its address and by what a reader is shown (attacks A15): every address in
// it, also one in a display name, must be of an allowed domain.
func checkFrom(v *values, c *gateway.Credential) error {
	if c == nil || len(c.Senders) == 0 {
		return nil
	}
	domains, err := fromDomains(v.first[hFrom])
	if err != nil {
		return &gateway.Reply{Code: 550, Status: "5.7.1", Text: fmt.Sprintf(
			"%s, and credential %q may send only as the domains in credential.senders", err, c.Name)}
	}
	for _, domain := range append(domains, shownDomains(v.first[hFrom])...) {
		if !c.MaySend(domain) {
			return &gateway.Reply{Code: 550, Status: "5.7.1", Text: fmt.Sprintf(
				"From: credential %q may not send as %s (credential.senders)", c.Name, clean(domain, maxName))}
		}
	}
	return nil
}

// fromDomains returns the domains of the addresses in a From field.
func fromDomains(value []byte) ([]string, error) {
	if len(value) == 0 {
		return nil, fmt.Errorf("there is no From field")
	}
	if len(value) > maxFrom {
		return nil, fmt.Errorf("the From field is longer than %d bytes", maxFrom)
	}
	parser := mail.AddressParser{WordDecoder: &words}
	list, err := parser.ParseList(string(unfold(value)))
	if err != nil || len(list) == 0 {
		return nil, fmt.Errorf("the From field cannot be read")
	}
	domains := make([]string, len(list))
	for i, a := range list {
		domains[i] = domainOf(a.Address)
	}
	return domains, nil
}

func domainOf(address string) string {
	return strings.TrimSuffix(address[strings.LastIndexByte(address, '@')+1:], ".")
}

// shownDomains returns every domain that stands behind an @ in the text a
// reader is shown, encoded words decoded.
func shownDomains(value []byte) []string {
	s := string(unfold(value))
	if d, err := words.DecodeHeader(s); err == nil {
		s = d
	}
	var domains []string
	for {
		_, rest, ok := strings.Cut(s, "@")
		if !ok {
			return domains
		}
		end := strings.IndexFunc(rest, notInDomain)
		if end < 0 {
			end = len(rest)
		}
		if domain := strings.Trim(rest[:end], "."); strings.Contains(domain, ".") {
			domains = append(domains, domain)
		}
		s = rest
	}
}

// notInDomain reports whether a character ends a domain. Letters of other
// scripts do not: an internationalised domain is shown as such.
func notInDomain(r rune) bool {
	return r <= ' ' || strings.ContainsRune(`<>()[]",:;\@'`, r)
}
