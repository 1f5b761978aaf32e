package admin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler"
	"tidepost/suppression/address"
)

// person is one address with all that is kept of it, in every audience.
type person struct {
	mailbox address.Mailbox
	half    []byte // what all its keys begin with
	boxes   []heldBox
}

// heldBox is the mailbox of one audience, with the tenants that share it.
type heldBox struct {
	*gateway.Mailbox
	tenants []string
}

// personDoc is the answer of GET /api/v1/mailboxes/{address}, and the first part of
// an export.
type personDoc struct {
	Address    string        `json:"address"` // canonical
	Made       time.Time     `json:"made"`
	Known      bool          `json:"known"` // something is kept beside the history
	Sentences  []string      `json:"sentences"`
	Audiences  []audienceDoc `json:"audiences"`
	Entries    []entryDoc    `json:"entries"`
	Deliveries []deliveryDoc `json:"deliveries"`
	More       int           `json:"more,omitempty"` // deliveries that are not listed
	Forwards   []forwardDoc  `json:"forwards"`
}

// audienceDoc is what is known of an address in one audience.
type audienceDoc struct {
	Audience string     `json:"audience"`
	Tenants  []string   `json:"tenants"` // that share it; none: the configuration does not name it any more
	Key      string     `json:"key"`     // in events, instead of the address
	Zone     string     `json:"timezone,omitempty"`
	Evidence string     `json:"evidence"`           // what the reader lets us learn from, at most
	PerWeek  int        `json:"per_week,omitempty"` // the most bulk mail that the reader wants; absent: they said nothing
	Gates    gatesDoc   `json:"gates"`
	Sends    []sendDoc  `json:"sends,omitempty"`  // in an export
	Reader   *readerDoc `json:"reader,omitempty"` // the profile
	Heard    int        `json:"heard_bytes"`      // hashes of signals, by which repetitions are known
}

// sendDoc is one of the last mails to a mailbox.
type sendDoc struct {
	At   time.Time `json:"at"`
	Bulk bool      `json:"bulk"`
}

// forwardDoc is a call to a sender's own unsubscribe URL that is still to be made.
type forwardDoc struct {
	Tenant string    `json:"tenant"`
	URL    string    `json:"url"`
	At     time.Time `json:"at"` // of the opt-out
}

// getMailbox answers GET /api/v1/mailboxes/{address}.
func (s *Server) getMailbox(c *call) (any, error) {
	p, err := s.findPerson(c)
	if err != nil {
		return nil, err
	}
	doc, err := s.newPersonDoc(c.Context(), p)
	if err != nil {
		return nil, err
	}
	if n := len(doc.Deliveries); n > maxExplained {
		doc.Deliveries, doc.More = doc.Deliveries[:maxExplained], n-maxExplained
	}
	return doc, nil
}

// findPerson reads the mailboxes of the address in the path: those of the audiences
// that tenants have, and others where something waits.
func (s *Server) findPerson(c *call) (*person, error) {
	m, err := parseMailbox("address", c.PathValue("address"))
	if err != nil {
		return nil, err
	}
	b, err := s.browser()
	if err != nil {
		return nil, err
	}
	first := gateway.MailboxKey("", m)
	clear(first[8:])
	p := &person{mailbox: m, half: first[:8]}
	for _, tenant := range s.tenants() {
		k := gateway.MailboxKey(s.audienceOf(tenant), m)
		if i := slices.IndexFunc(p.boxes, func(o heldBox) bool { return o.Key == k }); i >= 0 {
			p.boxes[i].tenants = append(p.boxes[i].tenants, tenant)
			continue
		}
		box, err := s.Store.Mailbox(c.Context(), k)
		if err != nil {
			return nil, err
		}
		p.boxes = append(p.boxes, heldBox{box, []string{tenant}})
	}
	err = b.Scan(c.Context(), first, func(box *gateway.Mailbox) bool {
		if !bytes.Equal(box.Key[:8], p.half) {
			return false
		}
		if !slices.ContainsFunc(p.boxes, func(o heldBox) bool { return o.Key == box.Key }) {
			p.boxes = append(p.boxes, heldBox{box, []string{}})
		}
		return true
	})
	p.boxes = slices.DeleteFunc(p.boxes, func(k heldBox) bool { return knowsNothing(k.Mailbox) })
	return p, err
}

// audienceOf is the audience whose mailboxes a tenant shares.
func (s *Server) audienceOf(tenant string) string {
	if s.Gateway.Tenant == nil {
		return tenant
	}
	return cmp.Or(s.Gateway.Tenant(tenant).Audience, tenant)
}

// knowsNothing reports whether a mailbox is empty, as it is after it was erased.
func knowsNothing(b *gateway.Mailbox) bool {
	return len(b.Deliveries) == 0 && len(b.Profile) == 0 && len(b.Heard) == 0 && b.Gates.Len() == 0 && b.Zone == "" &&
		b.Wishes == (gateway.Wishes{}) && b.Address == ""
}

// newPersonDoc says what is known now.
func (s *Server) newPersonDoc(ctx context.Context, p *person) (*personDoc, error) {
	x := &explanation{Entries: []entryDoc{}}
	entries, err := s.tellEntries(ctx, x, p.mailbox.String())
	if err != nil {
		return nil, err
	}
	doc := &personDoc{Address: p.mailbox.String(), Made: utc(s.now()), Known: len(p.boxes)+len(entries) > 0,
		Audiences: []audienceDoc{}, Deliveries: []deliveryDoc{}, Forwards: s.forwardsOf(p)}
	for _, k := range p.boxes {
		for _, d := range k.Deliveries {
			one := newDeliveryDoc(row{d, k.Address})
			one.Decision = newDecisionDoc(d, k.Location())
			doc.Deliveries = append(doc.Deliveries, one)
		}
	}
	x.say(waitingFor(doc.Address, slice{rows: make([]row, len(doc.Deliveries)), ended: true}))
	s.tellLive(x, entries)
	for _, k := range p.boxes {
		doc.Audiences = append(doc.Audiences, s.newAudienceDoc(x, k))
	}
	if n := len(doc.Forwards); n > 0 {
		x.say(fmt.Sprintf("Of %s the sender's own system is still to be told.", plural(int64(n), "opt-out", "opt-outs")))
	}
	doc.Sentences, doc.Entries = x.Sentences, x.Entries
	return doc, nil
}

// newAudienceDoc tells of one audience.
func (s *Server) newAudienceDoc(x *explanation, k heldBox) audienceDoc {
	tenant := k.Audience
	if len(k.tenants) > 0 {
		tenant = k.tenants[0]
	}
	doc := audienceDoc{Audience: k.Audience, Tenants: k.tenants, Key: k.Key.String(), Zone: k.Zone, Evidence: k.Wishes.Sees.String(),
		PerWeek: int(k.Wishes.PerWeek), Heard: len(k.Heard), Reader: s.newReaderDoc(k.Mailbox, tenant)}
	s.tellGates(x, k.Mailbox, tenant)
	doc.Gates = x.Gates[len(x.Gates)-1]
	for i := range k.Gates.Len() {
		send := k.Gates.Send(i)
		doc.Sends = append(doc.Sends, sendDoc{send.At, send.Bulk})
	}
	x.tellReader(doc.Reader)
	if text := consents[k.Wishes.Sees]; text != "" {
		x.say(text)
	}
	if n := int64(doc.PerWeek); n > 0 {
		x.say(fmt.Sprintf("They ask for no more than %s in seven days.", plural(n, "bulk mail", "bulk mails")))
	}
	return doc
}

// consents say what a reader lets us learn from.
var consents = map[scheduler.Sees]string{
	scheduler.SeesClick: "They let us learn from clicks, and not from opens.",
	scheduler.SeesDay:   "They let us know the day of their last open, and nothing else.",
	scheduler.SeesNone:  "They let us learn nothing.",
}

// forwardsOf lists the calls to senders' own unsubscribe URLs that are due for an
// address.
func (s *Server) forwardsOf(p *person) []forwardDoc {
	docs := []forwardDoc{}
	kept, ok := s.Store.(gateway.Settings)
	if !ok {
		return docs
	}
	for name, value := range kept.Settings() {
		var f gateway.Forwarding
		if strings.HasPrefix(name, gateway.SettingForward) && json.Unmarshal(value, &f) == nil && p.keyed(f.Mailbox) {
			docs = append(docs, forwardDoc{f.Tenant, f.URL, utc(f.At)})
		}
	}
	slices.SortFunc(docs, func(a, b forwardDoc) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.URL, b.URL)) })
	return docs
}

// keyed reports whether a key, as it is written, is one of the person's.
func (p *person) keyed(key string) bool {
	b, err := hex.DecodeString(key)
	return err == nil && len(b) == len(gateway.Key{}) && bytes.Equal(b[:8], p.half)
}

// erasedDoc is the answer of POST /api/v1/mailboxes/{address}/erase.
type erasedDoc struct {
	Address   string `json:"address"`
	Mailboxes int    `json:"mailboxes"` // audiences that knew it
	Dropped   int    `json:"dropped"`   // deliveries that waited
	Sending   int    `json:"sending"`   // deliveries that were on the wire: they settle as usual
	Entries   int    `json:"entries"`   // suppressions kept under a keyed hash
}

// eraseMailbox answers POST /api/v1/mailboxes/{address}/erase. The address is said
// twice, so that a script's slip forgets nobody.
func (s *Server) eraseMailbox(c *call) (any, error) {
	m, err := parseMailbox("address", c.PathValue("address"))
	if err != nil {
		return nil, err
	}
	var doc struct {
		Confirm string `json:"confirm"`
	}
	if err := c.decode(&doc); err != nil {
		return nil, err
	}
	if doc.Confirm != c.PathValue("address") {
		return nil, invalid("confirm", "is not the address in the path", "write the address once more, letter by letter")
	}
	done, err := s.Gateway.Erase(c.Context(), m, c.who.Name)
	if err != nil {
		return nil, err
	}
	return erasedDoc{m.String(), done.Mailboxes, done.Dropped, done.Sending, done.Entries}, nil
}
