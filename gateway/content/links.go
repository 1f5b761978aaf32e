package content

import (
	"strings"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/token"
)

// Links are the addresses that marks lead to.
type Links struct {
	URL  string             // https://…, as it may stand in an attribute, without a slash at its end
	Keys func() *token.Keys // the keys in force; nil or none: marks are ignored
}

// How long the links in a mail work. An open is news for some weeks; a link that
// a reader kept should lead somewhere for years.
const (
	openDays   = 30
	clickYears = 3
)

// Why a mail leaves without the marks that were asked for: the reasons that
// Composer.Untouched is given.
const (
	UntouchedSigned    = "signed"    // it carries somebody else's signature or an ARC set (design rule 7)
	UntouchedHeader    = "header"    // its header begins with a continuation, or says twice what it holds
	UntouchedKeys      = "keys"      // there are no keys for links
	UntouchedProtected = "protected" // S/MIME or PGP
	UntouchedPlain     = "plain"     // no part of it is HTML that a reader is shown
	UntouchedEncoding  = "encoding"  // its HTML is in a charset or transfer encoding that cannot be edited
	UntouchedLarge     = "large"     // more HTML than maxHTML
	UntouchedParts     = "parts"     // more parts or deeper than any mail needs, or boundaries that overlap
	UntouchedLinks     = "links"     // more links than maxLinks
)

// marker puts the marks of one delivery into its mail.
type marker struct {
	gateway.Marks
	url      string
	keys     *token.Keys
	token    token.Token // what all its tokens say
	accepted time.Time   // what they expire by
	own      []string    // the unsubscribe links that the mail came with: they stay

	targets []string       // of the links that are rewritten, each once
	numbers map[string]int // where in targets they are
	anchors int            // links that are rewritten, repeated ones too
}

// isMarked reports whether anything is to be put in.
func isMarked(m gateway.Marks) bool { return m.Pixel || m.Links || m.Hidden || m.Unsubscribe }

// marker returns what puts marks into a mail; nil: nothing is put in.
func (c *Composer) marker(s *gateway.Stored, d *gateway.Delivery, marks gateway.Marks, h *headerSurvey) *marker {
	var keys *token.Keys
	if c.Links.Keys != nil {
		keys = c.Links.Keys()
	}
	switch {
	case h.signed || h.chained:
		c.untouched(UntouchedSigned)
		return nil
	case h.orphan:
		c.untouched(UntouchedHeader) // whatever we add would be continued
		return nil
	case keys == nil:
		c.untouched(UntouchedKeys)
		return nil
	}
	m := &marker{Marks: marks, url: c.Links.URL, keys: keys, accepted: d.Accepted, token: token.Token{
		Message: d.ID.Message, Ordinal: d.ID.Ordinal, Mailbox: d.Mailbox, Source: marks.Source}}
	if m.accepted.IsZero() {
		m.accepted = s.Message.Received
	}
	return m
}

// open returns the address of the pixel.
func (m *marker) open() string {
	t := m.token
	t.Expires = m.accepted.AddDate(0, 0, openDays)
	return m.url + "/o/" + m.keys.Seal(token.Open, &t)
}

// click returns the address that leads to a target. The hidden link has number 0.
func (m *marker) click(number int, target string) string {
	t := m.token
	t.Expires = m.accepted.AddDate(clickYears, 0, 0)
	t.Link, t.Links, t.Target, t.Hidden = uint16(number), uint16(len(m.targets)), target, number == 0
	return m.url + "/c/" + m.keys.Seal(token.Click, &t)
}

// unsubscribe returns the address that ends it all.
func (m *marker) unsubscribe() string {
	t := m.token
	t.Expires = m.accepted.AddDate(clickYears, 0, 0)
	return m.url + "/u/" + m.keys.Seal(token.Unsubscribe, &t)
}

// isOurs reports whether an address is one that we made.
func (m *marker) isOurs(address string) bool {
	n := len(m.url)
	return len(address) > n && strings.EqualFold(address[:n], m.url) && address[n] == '/'
}
