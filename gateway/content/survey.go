package content

import (
	"bytes"
	"slices"
	"strings"
)

// headerSurvey is what one pass over a stored header finds before it is edited.
type headerSurvey struct {
	size      int  // of the header with the empty line
	ended     bool // the empty line is there
	cuts      []span
	from      []byte // value of the From field
	date      bool
	messageID bool
	signed    bool // somebody else's signature is on it
	chained   bool // it carries an ARC set (RFC 8617)
	orphan    bool // the first line continues a field that is not there

	controls   []span
	signatures []signature
	covers     [][]byte // values of fields whose h= lists what must stay
}

// span is a run of bytes in the header.
type span struct{ start, end int }

// signature is a DKIM-Signature field that came with the message.
type signature struct {
	span
	value []byte
}

// survey looks at every field once.
func survey(header []byte, hostname string) headerSurvey {
	s := scanner{b: header}
	h := headerSurvey{orphan: len(header) > 0 && isSpace(header[0])}
	for {
		start := s.pos
		f, ok := s.next()
		if !ok {
			break
		}
		if len(f.name) > 0 {
			h.add(f, span{start, s.pos}, hostname)
		}
	}
	h.size, h.ended = s.pos, s.ended
	return h
}

// add sorts one field by its first letter, because most are none of these.
func (h *headerSurvey) add(f field, at span, hostname string) {
	switch toLower(f.name[0]) {
	case 'x':
		if isControl(f) {
			h.controls = append(h.controls, at)
		}
	case 'a':
		switch {
		case f.is("authentication-results") && claims(f.value, hostname):
			h.cuts = append(h.cuts, at)
		case f.is("arc-message-signature"):
			h.covers = append(h.covers, f.value)
			h.chained = true
		case f.is("arc-seal"):
			h.chained = true
		}
	case 'd':
		if f.is("dkim-signature") {
			h.signatures = append(h.signatures, signature{at, f.value})
		}
		h.date = h.date || f.is("date")
	case 'f':
		if h.from == nil && f.is("from") {
			h.from = f.value
		}
	case 'm':
		h.messageID = h.messageID || f.is("message-id")
	}
}

// decide settles what goes, once it is known who signs. The fields that claim
// to be ours go (attacks A14): results of an authentication that we did not do
// (RFC 8601 §5), and a signature in the place of one that we make now. Control
// fields go, except those that another signature covers.
func (h *headerSurvey) decide(header []byte, signers []*Signer) {
	for _, sig := range h.signatures {
		if replaced(sig.value, signers) {
			h.cuts = append(h.cuts, sig.span)
			continue
		}
		h.signed = true
		h.covers = append(h.covers, sig.value)
	}
	covered := h.covered()
	for _, at := range h.controls {
		name := parseField(header[at.start:at.end]).name
		if covered == nil || !covered[strings.ToLower(string(name))] {
			h.cuts = append(h.cuts, at)
		}
	}
	h.sortCuts()
}

func (h *headerSurvey) sortCuts() {
	slices.SortFunc(h.cuts, func(a, b span) int { return a.start - b.start })
}

// appendKept appends the header without what goes.
func (h *headerSurvey) appendKept(dst, header []byte) []byte {
	from := 0
	for _, cut := range h.cuts {
		dst = append(dst, header[from:cut.start]...)
		from = cut.end
	}
	return append(dst, header[from:h.size]...)
}

// covered returns the names that signatures list in h=, in lower case, as far
// as control fields may have them. nil: there is nothing to keep.
func (h *headerSurvey) covered() map[string]bool {
	if len(h.controls) == 0 || len(h.covers) == 0 {
		return nil
	}
	names := make(map[string]bool)
	for _, value := range h.covers {
		for name := range bytes.SplitSeq(tag(value, 'h'), []byte{':'}) {
			name = bytes.TrimSpace(name)
			if len(name) > 1 && toLower(name[0]) == 'x' {
				names[strings.ToLower(string(name))] = true
			}
		}
	}
	return names
}

// tag returns the value of a one-letter tag of a signature (RFC 6376 §3.2).
func tag(value []byte, letter byte) []byte {
	for part := range bytes.SplitSeq(value, []byte{';'}) {
		key, v, ok := bytes.Cut(part, []byte{'='})
		if key = bytes.TrimSpace(key); ok && len(key) == 1 && key[0] == letter {
			return bytes.TrimSpace(v)
		}
	}
	return nil
}

// claims reports whether an Authentication-Results field claims to be a host's.
// The name stands before the first semicolon, maybe quoted, maybe beside a
// comment and a version number.
func claims(value []byte, hostname string) bool {
	id, _, _ := bytes.Cut(value, []byte{';'})
	for word := range bytes.FieldsSeq(id) {
		if strings.EqualFold(string(bytes.Trim(word, `"`)), hostname) {
			return true
		}
	}
	return false
}

// replaced reports whether a signature stands in the place of one of ours: same
// domain, same selector.
func replaced(value []byte, signers []*Signer) bool {
	if len(signers) == 0 {
		return false
	}
	domain, selector := string(tag(value, 'd')), string(tag(value, 's'))
	return slices.ContainsFunc(signers, func(s *Signer) bool {
		return strings.EqualFold(s.Domain, domain) && strings.EqualFold(s.Selector, selector)
	})
}
