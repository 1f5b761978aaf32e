package content

import (
	"bytes"
	"net/url"
	"slices"
	"strings"
)

// The limits of what is read of List-Unsubscribe.
const (
	maxListField = 8 << 10 // bytes of one field
	maxListURIs  = 16
	maxListURI   = 2000 // bytes
	maxListLine  = 990  // bytes of one that is written again: a line is 998 (RFC 5322 §2.1.1)
)

// OneClick returns the https address at which the maker of a mail takes an
// unsubscription by POST (RFC 8058), from the header of the mail as it was
// stored; "" where there is none, or where List-Unsubscribe-Post is missing.
func OneClick(header []byte) string {
	l, _ := readListUnsubscribe(header[:min(len(header), MaxHeader)])
	return l.oneClick()
}

// listUnsubscribe is what a header says of unsubscribing (RFC 2369 §3.2, RFC
// 8058 §3.1).
type listUnsubscribe struct {
	uris []string
	post bool
}

// readListUnsubscribe returns that, and where it stands.
func readListUnsubscribe(header []byte) (l listUnsubscribe, at []span) {
	s := scanner{b: header}
	for start := 0; ; start = s.pos {
		f, ok := s.next()
		switch {
		case !ok:
			return l, at
		case len(f.name) == 0 || toLower(f.name[0]) != 'l':
			continue
		case f.is("list-unsubscribe"):
			l.uris = appendListURIs(l.uris, f.value)
		case f.is("list-unsubscribe-post"):
			l.post = l.post || isOneClick(f.value)
		default:
			continue
		}
		at = append(at, span{start, s.pos})
	}
}

// oneClick returns the first https address, where it takes a POST.
func (l *listUnsubscribe) oneClick() string {
	if i := slices.IndexFunc(l.uris, isHTTPS); l.post && i >= 0 {
		return l.uris[i]
	}
	return ""
}

// isOneClick reports whether the field is the one of RFC 8058 §3.1; white space
// and comments do not count.
func isOneClick(value []byte) bool {
	if len(value) > maxListField {
		return false
	}
	var said []byte
	for c := range outsideComments(value) {
		if c > ' ' {
			said = append(said, c)
		}
	}
	return strings.EqualFold(string(said), "List-Unsubscribe=One-Click")
}

// appendListURIs appends the addresses in angle brackets, without the white
// space in them (RFC 2369 §2). A field without any brackets is taken as one
// address, as readers take it. What no address may hold leaves an address out.
func appendListURIs(uris []string, value []byte) []string {
	value = value[:min(len(value), maxListField)]
	bare := bytes.IndexByte(value, '<') < 0
	inside := bare
	var uri []byte
	for c := range outsideComments(value) {
		switch {
		case inside && c == '>':
			uris, uri, inside = appendURI(uris, uri), uri[:0], false
		case inside && c != ' ' && c != '\t' && c != '\r' && c != '\n':
			uri = append(uri, c)
		case c == '<':
			inside = true
		}
	}
	if bare {
		uris = appendURI(uris, uri)
	}
	return uris
}

func appendURI(uris []string, uri []byte) []string {
	if len(uri) == 0 || len(uri) > maxListURI || len(uris) == maxListURIs {
		return uris
	}
	for _, c := range uri {
		if c <= ' ' || c > '~' || c == '<' || c == '"' || c == '\\' {
			return uris
		}
	}
	return append(uris, string(uri))
}

// outsideComments yields the bytes of a structured field that stand in no comment
// (RFC 5322 §3.2.2). Parentheses in angle brackets belong to the address.
func outsideComments(value []byte) func(yield func(byte) bool) {
	return func(yield func(byte) bool) {
		depth, bracket := 0, false
		for i := 0; i < len(value); i++ {
			c := value[i]
			switch {
			case depth > 0 && c == '\\':
				i++
				continue
			case c == '(' && !bracket:
				depth++
				continue
			case depth > 0:
				if c == ')' {
					depth--
				}
				continue
			case c == '<':
				bracket = true
			case c == '>':
				bracket = false
			}
			if !yield(c) {
				return
			}
		}
	}
}

func isHTTPS(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil
}

func isHTTP(uri string) bool {
	return hasPrefixFold(uri, "https:") || hasPrefixFold(uri, "http:")
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// appendUnsubscribe appends our List-Unsubscribe with its Post field (RFC 8058)
// and takes off what stood in their place, so that one of each leaves (attacks
// H6). The addresses that were there follow ours, except web addresses beside a
// one-click one: the RFC wants a single one, and we call the old one ourselves
// (OneClick). An https address without Post stays: it is for people. All of them
// stay in the body too, which is why they are noted.
func (m *marker) appendUnsubscribe(b, header []byte, h *headerSurvey) []byte {
	was, at := readListUnsubscribe(header)
	for _, uri := range was.uris {
		if isHTTP(uri) {
			m.own = append(m.own, uri)
		}
	}
	if !m.Unsubscribe {
		return b
	}
	h.cuts = append(h.cuts, at...)
	h.sortCuts()
	replaced := was.oneClick() != ""
	b = append(append(append(b, "List-Unsubscribe: <"...), m.unsubscribe()...), '>')
	for _, uri := range was.uris {
		if replaced && isHTTP(uri) || m.isOurs(uri) || len(uri) > maxListLine {
			continue
		}
		b = append(append(append(b, ",\r\n\t<"...), uri...), '>')
	}
	return append(b, "\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"...)
}
