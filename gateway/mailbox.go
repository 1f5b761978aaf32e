package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"tidepost/scheduler"
	"tidepost/suppression/address"
)

// Key names a mailbox, that is an address in one audience. The first half is
// a hash of the address alone, so that every audience's mailbox of an address
// lies in the same shard; the second half is a hash of audience and address.
type Key [16]byte

// MailboxKey returns the key of an address in an audience.
func MailboxKey(audience string, m address.Mailbox) Key {
	var k Key
	a := m.Hash()
	copy(k[:8], a[:8])
	h := sha256.Sum256([]byte(audience + "\x00" + m.String()))
	copy(k[8:], h[:8])
	return k
}

func (k Key) String() string { return hex.EncodeToString(k[:]) }

// Mailbox is all that is known of an address in one audience: the unit of
// consistency. A value handed out by a Store is never changed; a Change makes
// the next one.
type Mailbox struct {
	Key      Key
	Rev      uint64 // grows by one with each Change
	Address  string // canonical
	Audience string
	Zone     string // IANA name; "" where unknown
	Profile  []byte // the scheduler's own encoding, ≤ 256 bytes
	Heard    []byte // signals applied and what rules count; ≤ 925 bytes, usually ≤ 200
	Wishes   Wishes // of the reader
	Gates    scheduler.Gates

	Deliveries []*Delivery // the unsettled ones, ordered by ID
}

// Location is the mailbox's time zone, nil where it is unknown.
func (m *Mailbox) Location() *time.Location { return zone(m.Zone) }

// Delivery returns the unsettled delivery of that id, or nil.
func (m *Mailbox) Delivery(id DeliveryID) *Delivery {
	if i, ok := m.find(id); ok {
		return m.Deliveries[i]
	}
	return nil
}

func (m *Mailbox) find(id DeliveryID) (int, bool) {
	return slices.BinarySearchFunc(m.Deliveries, id, func(d *Delivery, id DeliveryID) int { return d.ID.Compare(id) })
}

// With returns the mailbox with the deliveries put in place of their earlier
// states and the settled ones taken out.
func (m *Mailbox) With(deliveries ...*Delivery) *Mailbox {
	n := *m
	n.Deliveries = slices.Clone(m.Deliveries)
	for _, d := range deliveries {
		i, ok := n.find(d.ID)
		switch {
		case ok && d.Settled():
			n.Deliveries = slices.Delete(n.Deliveries, i, i+1)
		case ok:
			n.Deliveries[i] = d
		case !d.Settled():
			n.Deliveries = slices.Insert(n.Deliveries, i, d)
		}
	}
	return &n
}
