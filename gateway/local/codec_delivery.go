package local

import (
	"encoding/binary"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler"
)

const deliveryVersion = 1

// Bits of a delivery's flags. Fields that are mostly zero are stored only where
// their bit is set: a held delivery is on disk once in a checkpoint and some
// times in the journal.
const (
	deliveryHard = 1 << iota
	deliveryPaused
	deliveryLate
	deliveryDuplicate
	deliveryValue  // is not 1
	deliveryWindow // Window, HalfLife or Supersede are set
	deliveryTimes  // NotBefore or Deadline are set
	deliveryTried  // Attempts, Started, Slot, Expires or Reply are set
	deliveryForced
	deliveryPlanned // Aim, Sees or Decision are set
	deliverySpared
)

// appendDelivery appends a delivery without its mailbox, which the bytes around
// it name.
func appendDelivery(b []byte, d *gateway.Delivery) []byte {
	flags := deliveryFlags(d)
	b = append(b, deliveryVersion)
	b = binary.AppendUvarint(b, flags)
	b = append(b, d.ID.Message[:]...)
	b = binary.AppendUvarint(b, uint64(d.ID.Ordinal))
	b = binary.AppendUvarint(b, uint64(d.Rev))
	b = append(b, byte(d.State), byte(d.Class), byte(d.Notify), byte(d.Priority))
	b = binary.AppendUvarint(b, uint64(d.Ref.Segment))
	b = binary.AppendUvarint(b, uint64(d.Ref.Offset))
	b = binary.AppendUvarint(b, uint64(d.Ref.Length))
	b = appendString(b, d.Address)
	b = appendString(b, d.Tenant)
	b = appendString(b, d.Campaign)
	b = appendString(b, d.List)
	b = appendTime(b, d.Accepted)
	b = binary.AppendVarint(b, d.Size)
	b = appendTime(b, d.Due)
	b = appendString(b, d.Reason)
	if flags&deliveryValue != 0 {
		b = appendFloat(b, d.Value)
	}
	if flags&deliveryWindow != 0 {
		b = binary.AppendVarint(b, int64(d.Window))
		b = binary.AppendVarint(b, int64(d.HalfLife))
		b = appendString(b, d.Supersede)
	}
	if flags&deliveryTimes != 0 {
		b = appendTime(b, d.NotBefore)
		b = appendTime(b, d.Deadline)
	}
	if flags&deliveryTried != 0 {
		b = binary.AppendUvarint(b, uint64(d.Attempts))
		b = appendTime(b, d.Started)
		b = appendTime(b, d.Slot)
		b = appendTime(b, d.Expires)
		b = appendString(b, d.Reply)
	}
	if flags&deliveryPlanned != 0 {
		b = append(b, byte(d.Aim), byte(d.Sees))
		b = appendBytes(b, d.Decision)
	}
	return b
}

func deliveryFlags(d *gateway.Delivery) uint64 {
	var flags uint64
	set := func(bit uint64, on bool) {
		if on {
			flags |= bit
		}
	}
	set(deliveryHard, d.HardDeadline)
	set(deliveryPaused, d.Paused)
	set(deliveryForced, d.Forced)
	set(deliveryLate, d.Late)
	set(deliverySpared, d.Spared)
	set(deliveryDuplicate, d.Duplicate)
	set(deliveryValue, d.Value != 1)
	set(deliveryWindow, d.Window != 0 || d.HalfLife != 0 || d.Supersede != "")
	set(deliveryTimes, !d.NotBefore.IsZero() || !d.Deadline.IsZero())
	set(deliveryTried, d.Attempts != 0 || !d.Started.IsZero() || !d.Slot.IsZero() || !d.Expires.IsZero() || d.Reply != "")
	set(deliveryPlanned, d.Aim != 0 || d.Sees != 0 || len(d.Decision) > 0)
	return flags
}

// delivery reads what appendDelivery wrote, for the mailbox named around it.
func (d *decoder) delivery(mailbox gateway.Key) *gateway.Delivery {
	x := &gateway.Delivery{Mailbox: mailbox, Value: 1}
	d.version(deliveryVersion)
	flags := d.uvarint()
	x.HardDeadline = flags&deliveryHard != 0
	x.Paused = flags&deliveryPaused != 0
	x.Forced = flags&deliveryForced != 0
	x.Late = flags&deliveryLate != 0
	x.Spared = flags&deliverySpared != 0
	x.Duplicate = flags&deliveryDuplicate != 0
	copy(x.ID.Message[:], d.fixed(len(x.ID.Message)))
	x.ID.Ordinal, x.Rev = d.uint32(), d.uint32()
	x.State, x.Class = gateway.State(d.byte()), gateway.Class(d.byte())
	x.Notify, x.Priority = gateway.Notify(d.byte()), int8(d.byte())
	x.Ref = gateway.Ref{Segment: d.uint32(), Offset: d.uint32(), Length: d.uint32()}
	x.Address, x.Tenant, x.Campaign, x.List = d.string(), d.word(), d.word(), d.word()
	x.Accepted, x.Size, x.Due, x.Reason = d.time(), d.varint(), d.time(), d.word()
	if flags&deliveryValue != 0 {
		x.Value = d.float()
	}
	if flags&deliveryWindow != 0 {
		x.Window, x.HalfLife = time.Duration(d.varint()), time.Duration(d.varint())
		x.Supersede = d.string()
	}
	if flags&deliveryTimes != 0 {
		x.NotBefore, x.Deadline = d.time(), d.time()
	}
	if flags&deliveryTried != 0 {
		x.Attempts = uint16(d.uint32())
		x.Started, x.Slot, x.Expires, x.Reply = d.time(), d.time(), d.time(), d.string()
	}
	if flags&deliveryPlanned != 0 {
		x.Aim, x.Sees = scheduler.Aim(d.byte()), scheduler.Sees(d.byte())
		if p := d.bytes(); len(p) > 0 {
			x.Decision = append([]byte(nil), p...)
		}
	}
	return x
}
