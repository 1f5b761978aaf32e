package history

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"time"

	"tidepost/gateway"
)

// A record is a row as it is sorted: the order of its bytes is by mailbox, time and
// kind, and equal rows are equal bytes.
//
//	key 16 | unix milliseconds 8 | kind 1 | flags 1 | class 1 | mail 8 | link 8 | address, list, user agent, IP with their lengths

// kinds by their order at one instant.
var kinds = [...]gateway.SignalKind{gateway.PastSent, gateway.SignalOpened, gateway.SignalClicked, gateway.SignalUnsubscribed, gateway.SignalComplained, gateway.SignalBounced}

const (
	flagDelivered = 1 << iota
	flagRough
	flagMachine
	flagHard
)

const (
	keySize    = 16
	headSize   = keySize + 8 + 3 + 16
	longestUA  = 512 // as much as evidence looks at
	longestTag = 300 // of a list or an address
)

// appendRow appends a row's record.
func appendRow(b []byte, k gateway.Key, r *Row) []byte {
	b = append(b, k[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.At.UnixMilli()))
	b = append(b, kindOf(r.Kind), r.flags(), byte(r.Class))
	b = binary.BigEndian.AppendUint64(b, hashed(r.Message))
	b = binary.BigEndian.AppendUint64(b, hashed(r.Link))
	for _, text := range [...]string{r.Mailbox.String(), r.List[:min(len(r.List), longestTag)], r.UserAgent[:min(len(r.UserAgent), longestUA)], r.IP[:min(len(r.IP), 64)]} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	return b
}

func kindOf(kind gateway.SignalKind) byte {
	for i, k := range kinds {
		if k == kind {
			return byte(i)
		}
	}
	return byte(len(kinds))
}

func (r *Row) flags() (f byte) {
	for _, flag := range [...]struct {
		set bool
		bit byte
	}{{r.Delivered, flagDelivered}, {r.Rough, flagRough}, {r.Machine, flagMachine}, {r.Hard, flagHard}} {
		if flag.set {
			f |= flag.bit
		}
	}
	return f
}

// hashed stands for a text; 0 is none.
func hashed(text string) uint64 {
	if text == "" {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(text))
	v := h.Sum64()
	v ^= v >> 29 // its low bits name the mail in rings and profiles
	return max(v*0x9e3779b97f4a7c15, 1)
}

// record is one that was read back. Its texts are valid as long as its bytes.
type record struct {
	kind              gateway.SignalKind
	at                time.Time
	flags             byte
	class             gateway.Class
	ref, link         uint64
	mark              uint32
	address, list, ua string
	ip                string
}

var errRecord = errors.New("a sorted row cannot be read back: is the disk sound?")

func parseRecord(b []byte) (r record, err error) {
	if len(b) < headSize || int(b[keySize+8]) >= len(kinds) {
		return r, errRecord
	}
	h := fnv.New32a()
	h.Write(b)
	r.mark = h.Sum32()
	b = b[keySize:]
	r.at = time.UnixMilli(int64(binary.BigEndian.Uint64(b))).UTC()
	r.kind, r.flags, r.class = kinds[b[8]], b[9], gateway.Class(b[10])
	r.ref, r.link = binary.BigEndian.Uint64(b[11:]), binary.BigEndian.Uint64(b[19:])
	b = b[headSize-keySize:]
	for _, text := range [...]*string{&r.address, &r.list, &r.ua, &r.ip} {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return r, errRecord
		}
		*text = string(b[used : used+int(n)])
		b = b[used+int(n):]
	}
	if len(b) > 0 {
		return r, errRecord
	}
	return r, nil
}
