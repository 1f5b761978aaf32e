package local

import (
	"encoding/binary"
	"time"

	"tidepost/gateway"
)

const messageVersion = 1

// Bits of a message's flags.
const (
	messageEightBit = 1 << iota
	messageUTF8
	messageByTrace
	messageDuplicate
	messageHardDeadline
	messageReading // Aim or Zone are set
	messageReturned
)

// appendMessage appends all of a message but its content.
func appendMessage(b []byte, m *gateway.Message) []byte {
	b = append(b, messageVersion)
	b = append(b, m.ID[:]...)
	b = appendTime(b, m.Received)
	b = binary.AppendUvarint(b, messageFlags(m))
	b = append(b, m.By, byte(m.Priority), byte(m.Class))
	for _, s := range messageStrings(m) {
		b = appendString(b, *s)
	}
	b = appendStrings(b, m.Tags)
	b = appendStrings(b, m.Notes)
	b = appendTime(b, m.NotBefore)
	b = appendTime(b, m.Deadline)
	b = binary.AppendVarint(b, int64(m.Window))
	b = binary.AppendVarint(b, int64(m.HalfLife))
	b = appendFloat(b, m.Value)
	b = binary.AppendVarint(b, m.Size)
	b = binary.AppendVarint(b, m.Header)
	if !m.Duplicate.IsZero() {
		b = append(b, m.Duplicate[:]...)
	}
	if m.Aim != "" || m.Zone != "" {
		b = appendString(appendString(b, m.Aim), m.Zone)
	}
	b = binary.AppendUvarint(b, uint64(len(m.Recipients)))
	for i := range m.Recipients {
		b = appendRecipient(b, &m.Recipients[i])
	}
	return b
}

func messageFlags(m *gateway.Message) uint64 {
	var flags uint64
	if m.EightBit {
		flags |= messageEightBit
	}
	if m.UTF8 {
		flags |= messageUTF8
	}
	if m.ByTrace {
		flags |= messageByTrace
	}
	if !m.Duplicate.IsZero() {
		flags |= messageDuplicate
	}
	if m.HardDeadline {
		flags |= messageHardDeadline
	}
	if m.Aim != "" || m.Zone != "" {
		flags |= messageReading
	}
	if m.Returned {
		flags |= messageReturned
	}
	return flags
}

// messageStrings lists the texts of a message in the order of version 1.
func messageStrings(m *gateway.Message) [20]*string {
	return [...]*string{
		&m.Tenant, &m.Audience, &m.Credential, &m.From, &m.EnvID, &m.Return,
		&m.Client, &m.Helo, &m.Protocol, &m.TLSVersion, &m.TLSCipher,
		&m.ClassReason, &m.Campaign, &m.List, &m.MessageID, &m.Subject,
		&m.Supersede, &m.Variant, &m.Evidence, &m.Attributes,
	}
}

func appendRecipient(b []byte, r *gateway.Recipient) []byte {
	b = append(b, r.Mailbox[:]...)
	b = append(b, byte(r.Notify))
	b = appendString(b, r.Address)
	canonical := r.Canonical
	if canonical == r.Address {
		canonical = "" // as the client wrote it
	}
	b = appendString(b, canonical)
	return appendString(b, r.Original)
}

// decodeMessage reads what appendMessage wrote.
func decodeMessage(b []byte) (*gateway.Message, error) {
	d := decoder{b: b}
	m := d.message()
	return m, d.finish()
}

func (d *decoder) message() *gateway.Message {
	m := new(gateway.Message)
	d.version(messageVersion)
	copy(m.ID[:], d.fixed(len(m.ID)))
	m.Received = d.time()
	flags := d.uvarint()
	m.EightBit = flags&messageEightBit != 0
	m.UTF8 = flags&messageUTF8 != 0
	m.ByTrace = flags&messageByTrace != 0
	m.HardDeadline = flags&messageHardDeadline != 0
	m.Returned = flags&messageReturned != 0
	m.By, m.Priority, m.Class = d.byte(), int8(d.byte()), gateway.Class(d.byte())
	for _, s := range messageStrings(m) {
		*s = d.string()
	}
	m.Tags, m.Notes = d.strings(), d.strings()
	m.NotBefore, m.Deadline = d.time(), d.time()
	m.Window, m.HalfLife = time.Duration(d.varint()), time.Duration(d.varint())
	m.Value = d.float()
	m.Size, m.Header = d.varint(), d.varint()
	if flags&messageDuplicate != 0 {
		copy(m.Duplicate[:], d.fixed(len(m.Duplicate)))
	}
	if flags&messageReading != 0 {
		m.Aim, m.Zone = d.string(), d.string()
	}
	if n := d.count(); n > 0 {
		m.Recipients = make([]gateway.Recipient, 0, min(n, 1000))
		for range n {
			if d.err != nil {
				break
			}
			m.Recipients = append(m.Recipients, d.recipient())
		}
	}
	return m
}

func (d *decoder) recipient() (r gateway.Recipient) {
	copy(r.Mailbox[:], d.fixed(len(r.Mailbox)))
	r.Notify = gateway.Notify(d.byte())
	r.Address, r.Canonical, r.Original = d.string(), d.string(), d.string()
	if r.Canonical == "" {
		r.Canonical = r.Address
	}
	return r
}
