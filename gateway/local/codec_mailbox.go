package local

import (
	"encoding/binary"

	"tidepost/gateway"
	"tidepost/scheduler"
)

// mailboxVersion 2 added Heard and Wishes.
const mailboxVersion = 2

// appendHead appends all of a mailbox but key, revision and deliveries.
func appendHead(b []byte, m *gateway.Mailbox) []byte {
	b = appendString(b, m.Address)
	b = appendString(b, m.Audience)
	b = appendString(b, m.Zone)
	b = appendBytes(b, m.Profile)
	b = m.Gates.AppendBinary(b)
	b = appendBytes(b, m.Heard)
	return append(b, byte(m.Wishes.Sees), m.Wishes.PerWeek)
}

// head reads what appendHead wrote; heard is false for states from before signals
// were remembered.
func (d *decoder) head(m *gateway.Mailbox, heard bool) {
	m.Address, m.Audience, m.Zone = d.string(), d.word(), d.word()
	if p := d.bytes(); len(p) > 0 {
		m.Profile = append([]byte(nil), p...)
	}
	if d.err != nil {
		return
	}
	rest, err := m.Gates.UnmarshalBinary(d.b)
	if err != nil {
		d.fail()
		return
	}
	d.b = rest
	if !heard {
		return
	}
	if h := d.bytes(); len(h) > 0 {
		m.Heard = append([]byte(nil), h...)
	}
	m.Wishes = gateway.Wishes{Sees: scheduler.Sees(d.byte()), PerWeek: d.byte()}
}

// appendBox appends a mailbox's state with the places of the last records in
// it, as the checkpoint keeps it under the mailbox's key.
func appendBox(b []byte, m *gateway.Mailbox, fromLog, fromJournal place) []byte {
	b = append(b, mailboxVersion)
	b = binary.AppendUvarint(b, m.Rev)
	b = appendPlace(b, fromLog)
	b = appendPlace(b, fromJournal)
	b = appendHead(b, m)
	b = binary.AppendUvarint(b, uint64(len(m.Deliveries)))
	for _, d := range m.Deliveries {
		b = appendDelivery(b, d)
	}
	return b
}

func appendPlace(b []byte, p place) []byte {
	b = binary.AppendUvarint(b, uint64(p.segment()))
	return binary.AppendUvarint(b, uint64(p.offset()))
}

func (d *decoder) place() place {
	segment, offset := d.uint32(), d.uint32()
	return placeOf(segment, offset)
}

// decodeBox reads what appendBox wrote under that key.
func decodeBox(k gateway.Key, b []byte) (*box, error) {
	d := decoder{b: b}
	m := &gateway.Mailbox{Key: k}
	x := &box{state: m, stored: true}
	v := d.version(mailboxVersion)
	m.Rev = d.uvarint()
	x.fromLog, x.fromJournal = d.place(), d.place()
	d.head(m, v >= 2)
	if n := d.count(); n > 0 {
		m.Deliveries = make([]*gateway.Delivery, 0, min(n, 1000))
		for range n {
			if d.err != nil {
				break
			}
			m.Deliveries = append(m.Deliveries, d.delivery(k))
		}
	}
	x.next = m.Rev
	return x, d.finish()
}
