package local

import (
	"encoding/binary"
	"slices"

	"tidepost/gateway"
	"tidepost/suppression"
)

// changeVersion 2 added Heard and Wishes to the mailbox, the addresses to forget, and
// the facts of events; 3 the marks of forgotten addresses and the table of lists.
const changeVersion = 3

// unknownState stands for the earlier state of a delivery that its mailbox did
// not hold.
const unknownState = 0xFF

// change is a gateway.Change as the journal holds it.
type change struct {
	key        gateway.Key
	rev        uint64 // after the change; 0 where it concerns no mailbox
	head       *gateway.Mailbox
	deliveries []*gateway.Delivery
	before     []byte              // earlier state of each delivery, so that sums follow from the record alone
	extra      []*gateway.Delivery // deliveries that events speak of and the change does not touch
	entries    []suppression.Entry
	forget     []string    // addresses of which no entry is kept
	marks      []entryMark // of addresses forgotten earlier
	lists      []byte      // the table of lists, where it changed
	settings   []gateway.Setting
	events     []gateway.Event
}

func appendChange(b []byte, c *change) []byte {
	b = append(b, changeVersion)
	b = append(b, c.key[:]...)
	b = binary.AppendUvarint(b, c.rev)
	if c.head == nil {
		b = append(b, 0)
	} else {
		b = appendHead(append(b, 1), c.head)
	}
	b = binary.AppendUvarint(b, uint64(len(c.deliveries)))
	for i, d := range c.deliveries {
		b = append(b, c.before[i])
		b = appendDelivery(b, d)
	}
	b = binary.AppendUvarint(b, uint64(len(c.entries)))
	for i := range c.entries {
		b = suppression.AppendEntry(b, &c.entries[i])
	}
	b = appendStrings(b, c.forget)
	b = binary.AppendUvarint(b, uint64(len(c.marks)))
	for _, m := range c.marks {
		b = binary.AppendUvarint(append(b, m.hash[:]...), m.hides)
	}
	b = appendBytes(b, c.lists)
	b = binary.AppendUvarint(b, uint64(len(c.settings)))
	for _, s := range c.settings {
		b = appendString(b, s.Name)
		if s.Value == nil {
			b = append(b, 0)
		} else {
			b = appendBytes(append(b, 1), s.Value)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(c.extra)))
	for _, d := range c.extra {
		b = append(b, d.Mailbox[:]...)
		b = appendDelivery(b, d)
	}
	b = binary.AppendUvarint(b, uint64(len(c.events)))
	for i := range c.events {
		b = c.appendEvent(b, &c.events[i])
	}
	return b
}

// eventKinds are stored as their number, others as text behind number 0. Only
// add at the end.
var eventKinds = [...]gateway.EventKind{
	1: gateway.EventAccepted, gateway.EventPlanned, gateway.EventHeld, gateway.EventReleased,
	gateway.EventDelivered, gateway.EventDeferred, gateway.EventBounced, gateway.EventDropped,
	gateway.EventSuppressed, gateway.EventCaptured, gateway.EventInDoubt, gateway.EventTakenBack,
	gateway.EventDuplicate, gateway.EventIgnored, gateway.EventEntry, gateway.EventSetting,
	gateway.EventTooLate, gateway.EventOpened, gateway.EventClicked, gateway.EventViewed, gateway.EventConverted,
	gateway.EventReplied, gateway.EventActive, gateway.EventUnsubscribed, gateway.EventComplained,
	gateway.EventAttributes, gateway.EventBounceTold, gateway.EventConsent, gateway.EventErased, gateway.EventRules,
}

func (c *change) appendEvent(b []byte, e *gateway.Event) []byte {
	kind := max(0, slices.Index(eventKinds[:], e.Kind))
	b = append(b, byte(kind))
	if kind == 0 {
		b = appendString(b, string(e.Kind))
	}
	b = appendTime(b, e.At)
	b = append(b, e.Seq)
	b = appendString(b, e.Reason)
	b = appendString(b, e.Detail)
	b = appendString(b, e.Actor)
	b = appendString(b, e.Name)
	b = appendBytes(b, e.Facts)
	return binary.AppendUvarint(b, uint64(1+c.subject(e.Delivery)))
}

// subject returns the place of an event's delivery among deliveries and extra,
// -1 for none.
func (c *change) subject(d *gateway.Delivery) int {
	if d == nil {
		return -1
	}
	if i := slices.Index(c.deliveries, d); i >= 0 {
		return i
	}
	return len(c.deliveries) + slices.Index(c.extra, d)
}

// findExtra collects the deliveries that only events speak of.
func (c *change) findExtra() {
	for i := range c.events {
		d := c.events[i].Delivery
		if d != nil && !slices.Contains(c.deliveries, d) && !slices.Contains(c.extra, d) {
			c.extra = append(c.extra, d)
		}
	}
}

// decodeChange reads what appendChange wrote; words, which may be nil, shares
// equal strings between calls.
func decodeChange(b []byte, words map[string]string) (*change, error) {
	d := decoder{b: b, words: words}
	c := new(change)
	v := d.version(changeVersion)
	copy(c.key[:], d.fixed(len(c.key)))
	c.rev = d.uvarint()
	if d.byte() != 0 {
		c.head = &gateway.Mailbox{Key: c.key}
		d.head(c.head, v >= 2)
	}
	for range d.count() {
		if d.err != nil {
			break
		}
		c.before = append(c.before, d.byte())
		c.deliveries = append(c.deliveries, d.delivery(c.key))
	}
	d.entries(c)
	if v >= 2 {
		c.forget = d.strings()
	}
	if v >= 3 {
		d.marks(c)
		if b := d.bytes(); len(b) > 0 {
			c.lists = slices.Clone(b)
		}
	}
	d.settings(c)
	for range d.count() {
		if d.err != nil {
			break
		}
		var k gateway.Key
		copy(k[:], d.fixed(len(k)))
		c.extra = append(c.extra, d.delivery(k))
	}
	for range d.count() {
		if d.err != nil {
			break
		}
		c.events = append(c.events, d.event(c, v >= 2))
	}
	return c, d.finish()
}

func (d *decoder) entries(c *change) {
	for range d.count() {
		if d.err != nil {
			break
		}
		c.entries = append(c.entries, d.entry())
	}
}

func (d *decoder) marks(c *change) {
	for range d.count() {
		if d.err != nil {
			break
		}
		var m entryMark
		copy(m.hash[:], d.fixed(len(m.hash)))
		m.hides = d.uvarint()
		c.marks = append(c.marks, m)
	}
}

func (d *decoder) entry() suppression.Entry {
	e, rest, err := suppression.DecodeEntry(d.b)
	if err != nil {
		d.fail()
		return e
	}
	d.b = rest
	return e
}

func (d *decoder) settings(c *change) {
	for range d.count() {
		if d.err != nil {
			break
		}
		s := gateway.Setting{Name: d.string()}
		if d.byte() != 0 {
			s.Value = append([]byte{}, d.bytes()...)
		}
		c.settings = append(c.settings, s)
	}
}

func (d *decoder) event(c *change, facts bool) (e gateway.Event) {
	switch kind := int(d.byte()); {
	case kind == 0:
		e.Kind = gateway.EventKind(d.string())
	case kind < len(eventKinds):
		e.Kind = eventKinds[kind]
	default:
		d.fail()
	}
	e.At, e.Seq = d.time(), d.byte()
	e.Reason, e.Detail, e.Actor, e.Name = d.word(), d.string(), d.word(), d.string()
	if facts {
		if f := d.bytes(); len(f) > 0 {
			e.Facts = append([]byte(nil), f...)
		}
	}
	n := d.uvarint()
	switch {
	case n == 0:
	case n <= uint64(len(c.deliveries)):
		e.Delivery = c.deliveries[n-1]
	case n <= uint64(len(c.deliveries)+len(c.extra)):
		e.Delivery = c.extra[n-1-uint64(len(c.deliveries))]
	default:
		d.fail()
	}
	return e
}
