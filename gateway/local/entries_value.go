package local

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"

	"tidepost/suppression"
)

// entryHash is the key of an address: the front of the SHA-256 of its text, as
// address.Mailbox.Hash, so that all scopes of a mailbox are one value. Values
// hold the text too: two addresses of one hash are told apart.
type entryHash [16]byte

func hashText(address string) entryHash {
	sum := sha256.Sum256([]byte(address))
	return entryHash(sum[:16])
}

func (h entryHash) compare(o entryHash) int {
	a, b := binary.BigEndian.Uint64(h[:8]), binary.BigEndian.Uint64(o[:8])
	if a != b {
		return cmp.Compare(a, b)
	}
	return cmp.Compare(binary.BigEndian.Uint64(h[8:]), binary.BigEndian.Uint64(o[8:]))
}

// next is the hash behind h; ok is false behind the last.
func (h entryHash) next() (entryHash, bool) {
	for i := len(h) - 1; i >= 0; i-- {
		if h[i]++; h[i] != 0 {
			return h, true
		}
	}
	return h, false
}

// entryList is what came one by one under a hash. It is never changed.
type entryList struct {
	hides uint64 // entries of lists published as this number or an earlier one are forgotten
	list  []suppression.Entry
}

var noEntries entryList

// entryMark is the hides of a hash, as the journal carries it forward.
type entryMark struct {
	hash  entryHash
	hides uint64
}

// hideMark begins a value with a hides. No entry begins with it.
const hideMark = 0

// appendEntryList encodes a list, as nil where there is nothing to keep.
func appendEntryList(l *entryList) []byte {
	var b []byte
	if l.hides > 0 {
		b = binary.AppendUvarint(append(b, hideMark), l.hides)
	}
	for i := range l.list {
		b = suppression.AppendEntry(b, &l.list[i])
	}
	return b
}

func decodeEntryList(b []byte) (*entryList, error) {
	l := new(entryList)
	if len(b) > 0 && b[0] == hideMark {
		n, size := binary.Uvarint(b[1:])
		if size <= 0 {
			return nil, errCorrupt
		}
		l.hides, b = n, b[1+size:]
	}
	var err error
	l.list, err = decodeEntries(b)
	return l, err
}

func decodeEntries(b []byte) (list []suppression.Entry, err error) {
	for len(b) > 0 {
		var entry suppression.Entry
		if entry, b, err = suppression.DecodeEntry(b); err != nil {
			return nil, err
		}
		list = append(list, entry)
	}
	return list, nil
}

// sameEntry reports whether one of two entries replaces the other.
func sameEntry(a, b *suppression.Entry) bool {
	return a.Scope == b.Scope && a.Reason == b.Reason && a.Address == b.Address
}

// compareEntries orders entries of one hash.
func compareEntries(a, b *suppression.Entry) int {
	return cmp.Or(
		strings.Compare(a.Address, b.Address),
		cmp.Compare(a.Scope.Kind, b.Scope.Kind),
		strings.Compare(a.Scope.Name, b.Scope.Name),
		strings.Compare(string(a.Reason), string(b.Reason)))
}

// overlay returns what is in force of entries that came one by one and of those
// found in live lists: the former win, then the list published last. An empty
// address means all of the hash.
func overlay(base *entryList, address string, found []listed) []suppression.Entry {
	var all []suppression.Entry
	for i := range base.list {
		if address == "" || base.list[i].Address == address {
			all = append(all, base.list[i])
		}
	}
	slices.SortStableFunc(found, func(a, b listed) int { return cmp.Compare(b.seq, a.seq) })
	for i := range found {
		f := &found[i]
		if f.seq <= base.hides {
			break
		}
		if !slices.ContainsFunc(all, func(o suppression.Entry) bool { return sameEntry(&o, &f.Entry) }) {
			all = append(all, f.Entry)
		}
	}
	return all
}
