package local

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"time"

	"tidepost/gateway"
	"tidepost/suppression"
)

// Addresses that other systems give out as a digest only are entries of their
// own, under a text that no address has.
const (
	sha256Prefix = "sha256:"
	md5Prefix    = "md5:"
)

// tally counts the entries in force, each (address, scope, reason) once. It
// does not count tombstones, and does count what has expired: time passes
// without a change.
type tally struct {
	kinds       map[gateway.SuppressedKind]int64
	sha256, md5 int64
	forgot      time.Time // when an address was last forgotten over a live list
}

func newTally() tally { return tally{kinds: make(map[gateway.SuppressedKind]int64)} }

// add counts entries in, or with sign -1 out.
func (t *tally) add(list []suppression.Entry, sign int64) {
	for i := range list {
		e := &list[i]
		if !e.Removed.IsZero() {
			continue
		}
		k := gateway.SuppressedKind{Reason: e.Reason, Scope: e.Scope.Kind}
		if t.kinds[k] += sign; t.kinds[k] == 0 {
			delete(t.kinds, k)
		}
		switch {
		case strings.HasPrefix(e.Address, sha256Prefix):
			t.sha256 += sign
		case strings.HasPrefix(e.Address, md5Prefix):
			t.md5 += sign
		}
	}
}

// plus adds another tally.
func (t *tally) plus(o tally) {
	for k, n := range o.kinds {
		if t.kinds[k] += n; t.kinds[k] == 0 {
			delete(t.kinds, k)
		}
	}
	t.sha256 += o.sha256
	t.md5 += o.md5
}

// Suppressed counts the entries in force by reason and kind of scope.
func (s *Store) Suppressed() map[gateway.SuppressedKind]int64 {
	s.entries.mu.Lock()
	defer s.entries.mu.Unlock()
	return maps.Clone(s.entries.counts.kinds)
}

// HasHashed reports whether there are entries under a digest of an address
// ("sha256:HEX", "md5:HEX"): only then need they be looked up.
func (s *Store) HasHashed() (sha256, md5 bool) {
	s.entries.mu.Lock()
	defer s.entries.mu.Unlock()
	return s.entries.counts.sha256 > 0, s.entries.counts.md5 > 0
}

const tallyVersion = 1

func appendTally(b []byte, t tally) []byte {
	b = append(b, tallyVersion)
	b = binary.AppendVarint(b, t.sha256)
	b = binary.AppendVarint(b, t.md5)
	b = appendTime(b, t.forgot)
	kinds := slices.Collect(maps.Keys(t.kinds))
	b = binary.AppendUvarint(b, uint64(len(kinds)))
	for _, k := range kinds {
		b = append(appendString(b, string(k.Reason)), byte(k.Scope))
		b = binary.AppendVarint(b, t.kinds[k])
	}
	return b
}

func decodeTally(b []byte) (tally, error) {
	d := decoder{b: b}
	d.version(tallyVersion)
	t := newTally()
	t.sha256, t.md5, t.forgot = d.varint(), d.varint(), d.time()
	for range d.count() {
		if d.err != nil {
			break
		}
		k := gateway.SuppressedKind{Reason: suppression.Reason(d.string()), Scope: suppression.ScopeKind(d.byte())}
		t.kinds[k] = d.varint()
	}
	return t, d.finish()
}
