package local

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"tidepost/suppression"
)

// A layer is a file of entries that never changes, in the order of their hashes:
//
//	header  magic [8] · version u16 · kind u16 · number u64 · crc u32, and zeroes to pageSize
//	blocks  each begins on a page: crc u32 · length u32 · entries, and zeroes to the next page
//	filter  see filter
//	index   for each block: hash of its first entry [16] · page u32
//	meta    see layerMeta
//	trailer magic [8] · filter, index, meta offset u64 · crc u32 of each · crc u32
//
// All entries of a hash are in one block, so that a question costs one read. The
// hash itself is not stored: it follows from the address. An entry is written as
// what differs from the one before it in its block:
//
//	flags u8 · [address] · [list uvarint · kind u8 · scope · reason · source] ·
//	[evidence · note] · [created varint, less the one before] · [expires, removed varint]
//
// A crc covers the place of what it protects too, so that a block in another's
// place is damage.
const (
	pageSize    = 4096
	blockHeader = 8
	maxBlock    = 16 << 20
)

// What an entry has in common with the one before it, or has at all.
const (
	sameAddress = 1 << iota
	sameShape   // list, scope, reason, source
	sameCreated
	hasTexts // evidence, note
	hasEnds  // expires, removed
)

// rawEntry is an entry of a block. Its texts share memory with the block.
type rawEntry struct {
	flags                     byte
	list                      uint64
	kind                      byte
	address                   []byte
	scope, reason, source     []byte
	evidence, note            []byte
	created, expires, removed int64 // see rawTime
}

// listed is an entry of a list.
type listed struct {
	list uint64 // whose it is
	seq  uint64 // number of the list's publication, once it is known
	suppression.Entry
}

// rawTime is a time in milliseconds, 0 for the zero time.
func rawTime(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	ms := t.UnixMilli()
	if ms >= 0 {
		ms++
	}
	return ms
}

func plainTime(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	if ms > 0 {
		ms--
	}
	return time.UnixMilli(ms).UTC()
}

// appendListed writes an entry behind prev, which is zero at the start of a block.
func appendListed(b []byte, prev, e *listed) []byte {
	at := len(b)
	b = append(b, 0)
	var flags byte
	if e.Address == prev.Address {
		flags |= sameAddress
	} else {
		b = appendString(b, e.Address)
	}
	if e.list == prev.list && e.Scope == prev.Scope && e.Reason == prev.Reason && e.Source == prev.Source {
		flags |= sameShape
	} else {
		b = append(binary.AppendUvarint(b, e.list), byte(e.Scope.Kind))
		b = appendString(appendString(appendString(b, e.Scope.Name), string(e.Reason)), e.Source)
	}
	if e.Evidence != "" || e.Note != "" {
		flags |= hasTexts
		b = appendString(appendString(b, e.Evidence), e.Note)
	}
	if d := rawTime(e.Created) - rawTime(prev.Created); d == 0 {
		flags |= sameCreated
	} else {
		b = binary.AppendVarint(b, d)
	}
	if !e.Expires.IsZero() || !e.Removed.IsZero() {
		flags |= hasEnds
		b = binary.AppendVarint(binary.AppendVarint(b, rawTime(e.Expires)), rawTime(e.Removed))
	}
	b[at] = flags
	return b
}

// blockReader reads the entries of a block one after another.
type blockReader struct {
	d decoder
	rawEntry
}

// next reports whether there was another entry; d.err tells why not.
func (r *blockReader) next() bool {
	d := &r.d
	if len(d.b) == 0 || d.err != nil {
		return false
	}
	r.flags = d.byte()
	if r.flags&sameAddress == 0 {
		r.address = d.bytes()
	}
	if r.flags&sameShape == 0 {
		r.list, r.kind = d.uvarint(), d.byte()
		r.scope, r.reason, r.source = d.bytes(), d.bytes(), d.bytes()
	}
	r.evidence, r.note = nil, nil
	if r.flags&hasTexts != 0 {
		r.evidence, r.note = d.bytes(), d.bytes()
	}
	if r.flags&sameCreated == 0 {
		r.created += d.varint()
	}
	r.expires, r.removed = 0, 0
	if r.flags&hasEnds != 0 {
		r.expires, r.removed = d.varint(), d.varint()
	}
	return d.err == nil
}

// listed makes the entry of its own memory. It takes over the texts of the entry
// before where they are the same.
func (r *rawEntry) listed(prev *listed) listed {
	l := listed{list: r.list}
	e := &l.Entry
	if r.flags&sameAddress != 0 {
		e.Address = prev.Address
	} else {
		e.Address = string(r.address)
	}
	if r.flags&sameShape != 0 {
		e.Scope, e.Reason, e.Source = prev.Scope, prev.Reason, prev.Source
	} else {
		e.Scope = suppression.Scope{Kind: suppression.ScopeKind(r.kind), Name: string(r.scope)}
		e.Reason, e.Source = suppression.Reason(r.reason), string(r.source)
	}
	e.Evidence, e.Note = string(r.evidence), string(r.note)
	e.Created, e.Expires, e.Removed = plainTime(r.created), plainTime(r.expires), plainTime(r.removed)
	return l
}

// whole is listed for an entry of which the one before is not at hand.
func (r *rawEntry) whole() listed {
	own := *r
	own.flags = 0
	return own.listed(nil)
}

// sealBlock fills in the header at the front of a block for that page.
func sealBlock(b []byte, page uint32) {
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-blockHeader))
	binary.LittleEndian.PutUint32(b, blockCheck(b, page))
}

func blockCheck(b []byte, page uint32) uint32 {
	return crc32.Update(page, castagnoli, b[4:])
}

// openBlock returns the entries of a block, which may be followed by zeroes.
func openBlock(b []byte, page uint32) ([]byte, bool) {
	if len(b) < blockHeader {
		return nil, false
	}
	n := binary.LittleEndian.Uint32(b[4:])
	if int64(n) > int64(len(b)-blockHeader) {
		return nil, false
	}
	b = b[:blockHeader+int(n)]
	return b[blockHeader:], blockCheck(b, page) == binary.LittleEndian.Uint32(b)
}
