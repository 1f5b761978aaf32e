package gateway

import (
	"context"
	"errors"
	"slices"
	"time"

	"tidepost/suppression/address"
)

// Clue is what a report from outside tells about the mail that it is about. Zero
// fields tell nothing.
type Clue struct {
	Delivery   DeliveryID // a token of ours said so
	ReturnPath string     // the envelope sender it names: a token of ours may be in it
	Message    ID         // from our own Received field
	QueueIDs   []string   // ids that the next hop gave it in its 250 reply
	MessageIDs []string   // of the Message-ID field, without brackets
	Recipient  string
	Tenant     string    // whose mail it is; "": not known
	At         time.Time // when the mail was sent, as far as that is told
}

// Match is the mail that a report is about.
type Match struct {
	Delivery DeliveryID // the zero one where only the mailbox is known
	Mailbox  address.Mailbox
	Tenant   string
	By       MatchedBy

	// Shared says that several mails, or several readers of one, go by that name, and
	// that the address which the report names told which is meant.
	Shared bool
}

// Sure reports whether only somebody who had that very mail could have known what it
// was found by.
func (m *Match) Sure() bool { return m.By != ByRecipient && !m.Shared }

// MatchedBy is what a report's mail was found by.
type MatchedBy string

// What mail is found by, in the order in which it is asked. ByRecipient is the only
// one that anybody could have guessed.
const (
	ByToken     MatchedBy = "token"
	ByQueueID   MatchedBy = "queue_id"
	ByMessageID MatchedBy = "message_id" // or our own id, in our Received field
	ByRecipient MatchedBy = "recipient"  // and time
)

// ErrNoMatch says that no mail of ours can be told to be meant.
var ErrNoMatch = errors.New("no mail of ours is known by what the report says")

// ReturnPath makes and reads the envelope senders that bring reports back to us.
type ReturnPath interface {
	// Seal returns the address for a delivery; source is the number of its tenant and list.
	Seal(id DeliveryID, source uint32) string
	// Open reads an address that Seal made.
	Open(address string) (id DeliveryID, source uint32, ok bool)
	// Ours reports whether mail to an address comes back to us.
	Ours(address string) bool
}

// Match finds the mail that a report is about: by a token of ours, else by the id
// that the next hop gave it in its 250 reply, else by our Received field or its
// Message-ID, else by its recipient and time, or a token of mail that is forgotten. The
// error is ErrNoMatch, or of the Store.
func (g *Gateway) Match(ctx context.Context, c *Clue) (Match, error) {
	box, err := address.Parse(c.Recipient)
	m := matching{g: g, Clue: c, known: err == nil}
	if m.known {
		m.box = box.Mailbox()
	}
	for _, try := range []func(context.Context) (Match, error){m.byToken, m.byQueueID, m.byMessage, m.byMessageID, m.byForgotten, m.byRecipient} {
		found, err := try(ctx)
		if !errors.Is(err, ErrNoMatch) {
			return found, err
		}
	}
	return Match{}, ErrNoMatch
}

// matching is one search.
type matching struct {
	g *Gateway
	*Clue
	box   address.Mailbox // the recipient's
	known bool            // there is one
	gone  Match           // of a token of mail that is forgotten: delivery and tenant
}

// byToken believes what is sealed in the return path, or was in the address that the
// report came to.
func (m *matching) byToken(ctx context.Context) (Match, error) {
	id, tenant := m.Delivery, m.Tenant
	if id.Message.IsZero() {
		var source uint32
		var ok bool
		if m.g.ReturnPath == nil {
			return Match{}, ErrNoMatch
		}
		if id, source, ok = m.g.ReturnPath.Open(m.ReturnPath); !ok {
			return Match{}, ErrNoMatch
		}
		if name, _, ok := m.g.SourceOf(source); ok && tenant == "" {
			tenant = name
		}
	}
	found, err := m.g.delivered(ctx, id, ByToken)
	switch {
	case errors.Is(err, ErrNoMatch):
		m.gone = Match{Delivery: id, Tenant: tenant, By: ByRecipient}
	case err == nil && m.Tenant != "" && found.Tenant != m.Tenant:
		return Match{}, ErrNoMatch // another tenant's mail
	}
	return found, err
}

// delivered looks a delivery's mailbox and tenant up.
func (g *Gateway) delivered(ctx context.Context, id DeliveryID, by MatchedBy) (Match, error) {
	b, ok := g.Store.(Browser)
	if !ok {
		return Match{}, ErrNoMatch
	}
	m, _, err := b.Message(ctx, id.Message)
	if errors.Is(err, ErrNotFound) || err == nil && int(id.Ordinal) >= len(m.Recipients) {
		return Match{}, ErrNoMatch
	}
	if err != nil {
		return Match{}, err
	}
	a, err := address.Parse(m.Recipients[id.Ordinal].Canonical)
	if err != nil {
		return Match{}, ErrNoMatch
	}
	return Match{Delivery: id, Mailbox: a.Mailbox(), Tenant: m.Tenant, By: by}, nil
}

func (m *matching) byQueueID(ctx context.Context) (Match, error) {
	return m.byName(ctx, ByQueueID, m.QueueIDs, queueName)
}

func (m *matching) byMessageID(ctx context.Context) (Match, error) {
	return m.byName(ctx, ByMessageID, m.MessageIDs, messageName)
}

// matchCandidates bounds how many deliveries of one name are looked at: a message to
// more recipients is told apart by the recipient alone.
const matchCandidates = 1000

// byName looks names up that others gave the mail.
func (m *matching) byName(ctx context.Context, by MatchedBy, names []string, of func(string) string) (Match, error) {
	traces, ok := m.g.Store.(Traces)
	if !ok {
		return Match{}, ErrNoMatch
	}
	for _, name := range names {
		if name == "" {
			continue
		}
		found, err := traces.Traced(ctx, of(name), m.since(), matchCandidates)
		if err != nil {
			return Match{}, err
		}
		found = slices.CompactFunc(found, func(a, b Trace) bool { return a.Delivery == b.Delivery })
		if t, ok := m.pick(found); ok {
			match, err := m.complete(ctx, t, by)
			match.Shared = len(found) > 1
			return match, err
		}
	}
	return Match{}, ErrNoMatch
}

// matchDays is how long after its sending a report about a mail is expected.
const matchDays = 30

func (m *matching) since() time.Time {
	if m.At.IsZero() || m.At.After(m.g.now()) { // a clock that is ahead says nothing
		return m.g.now().AddDate(0, 0, -matchDays)
	}
	return m.At.AddDate(0, 0, -matchDays)
}

// pick chooses among deliveries of one name: the one to the report's recipient, else
// the only one there is. A hook speaks of its own tenant's readers alone, and has
// to name them.
func (m *matching) pick(found []Trace) (Trace, bool) {
	if m.known {
		for _, t := range found {
			if m.Tenant != "" && t.Mailbox == MailboxKey(m.g.audience(m.Tenant), m.box) || m.Tenant == "" && t.Mailbox.sameAddress(MailboxKey("", m.box)) {
				return t, true
			}
		}
	}
	if m.Tenant != "" {
		return Trace{}, false
	}
	if len(found) == 1 {
		return found[0], true
	}
	return Trace{}, false
}

// sameAddress reports whether two keys are of one address, in whichever audiences.
func (k Key) sameAddress(o Key) bool { return [8]byte(k[:8]) == [8]byte(o[:8]) }

// complete adds mailbox and tenant to a delivery that was found. What a hook said of
// them was compared already.
func (m *matching) complete(ctx context.Context, t Trace, by MatchedBy) (Match, error) {
	if m.known && m.Tenant != "" {
		return Match{Delivery: t.Delivery, Mailbox: m.box, Tenant: m.Tenant, By: by}, nil
	}
	return m.g.delivered(ctx, t.Delivery, by)
}

// byMessage believes our own id, as our Received field has it: 80 of its bits are
// drawn by lot, so that only who had the mail knows it. All of its recipients had it.
func (m *matching) byMessage(ctx context.Context) (Match, error) {
	b, ok := m.g.Store.(Browser)
	if !ok || m.Message.IsZero() {
		return Match{}, ErrNoMatch
	}
	msg, _, err := b.Message(ctx, m.Message)
	if errors.Is(err, ErrNotFound) || err == nil && m.Tenant != "" && msg.Tenant != m.Tenant {
		return Match{}, ErrNoMatch
	}
	if err != nil {
		return Match{}, err
	}
	to := 0
	if len(msg.Recipients) > 1 || m.Tenant != "" {
		to = slices.IndexFunc(msg.Recipients, func(r Recipient) bool { return m.known && r.Canonical == m.box.String() })
	}
	if to < 0 {
		return Match{}, ErrNoMatch
	}
	match, err := m.g.delivered(ctx, DeliveryID{m.Message, uint32(to)}, ByMessageID)
	match.Shared = len(msg.Recipients) > 1
	return match, err
}

// byForgotten takes a token of mail that is forgotten, where the mailbox's last sends
// show that mail. Somebody else's old token must not speak of any address: what they
// show are 13 bits of its id, so that it is no surer than an address and a time.
func (m *matching) byForgotten(ctx context.Context) (Match, error) {
	if !m.known || m.gone.Tenant == "" {
		return Match{}, ErrNoMatch
	}
	box, err := m.g.Store.Mailbox(ctx, MailboxKey(m.g.audience(m.gone.Tenant), m.box))
	if err != nil {
		return Match{}, err
	}
	for i := range box.Gates.Len() {
		if box.Gates.Send(i).Ref == slotRefOf(m.gone.Delivery) {
			m.gone.Mailbox = m.box
			return m.gone, nil
		}
	}
	return Match{}, ErrNoMatch
}

// Around which time a mail must have gone to a mailbox, for a report that names no
// more than its address.
const (
	sentAround = 12 * time.Hour
	sentBefore = 5 * 24 * time.Hour // where it does not say when
)

// byRecipient takes the one tenant that has sent to the address at that time. Where
// it could be either of two, it is neither.
func (m *matching) byRecipient(ctx context.Context) (Match, error) {
	if !m.known {
		return Match{}, ErrNoMatch
	}
	from, to := m.At.Add(-sentAround), m.At.Add(sentAround)
	if m.At.IsZero() {
		from, to = m.g.now().Add(-sentBefore), m.g.now()
	}
	tenants := []string{m.Tenant}
	if m.Tenant == "" {
		tenants = m.g.tenants()
	}
	var found []string
	for _, tenant := range tenants {
		box, err := m.g.Store.Mailbox(ctx, MailboxKey(m.g.audience(tenant), m.box))
		if err != nil {
			return Match{}, err
		}
		if sentBetween(box, from, to) {
			found = append(found, tenant)
		}
	}
	if len(found) != 1 {
		return Match{}, ErrNoMatch
	}
	return Match{Mailbox: m.box, Tenant: found[0], By: ByRecipient}, nil
}

func sentBetween(box *Mailbox, from, to time.Time) bool {
	for i := range box.Gates.Len() {
		if at := box.Gates.Send(i).At; !at.Before(from) && !at.After(to) {
			return true
		}
	}
	return false
}
