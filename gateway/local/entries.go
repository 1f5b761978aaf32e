package local

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"go.etcd.io/bbolt"

	"tidepost/suppression"
)

// entries is the suppression list: all entries of an address under the address,
// in the checkpoint, with those that changed since in memory over it.
type entries struct {
	index *index

	mu      sync.Mutex
	changed map[string]*entryList // guarded by mu: by canonical address
}

// entryList is all entries of one address. It is never changed.
type entryList struct{ list []suppression.Entry }

// Entries returns all entries of a canonical address, tombstones too.
func (s *Store) Entries(_ context.Context, canonical string) ([]suppression.Entry, error) {
	return s.entries.get(canonical)
}

func (e *entries) get(canonical string) ([]suppression.Entry, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.getLocked(canonical)
}

func (e *entries) getLocked(canonical string) ([]suppression.Entry, error) {
	if l, ok := e.changed[canonical]; ok {
		return slices.Clone(l.list), nil
	}
	var list []suppression.Entry
	err := e.index.view(func(tx *bbolt.Tx) (err error) {
		list, err = decodeEntries(tx.Bucket(bucketEntry).Get([]byte(canonical)))
		if err != nil {
			err = fmt.Errorf("suppression entries in state.db: %w", err)
		}
		return err
	})
	return list, err
}

// put adds entries or replaces those of the same address, scope and reason.
func (e *entries) put(added []suppression.Entry) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range added {
		list, err := e.getLocked(a.Address)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, func(o suppression.Entry) bool { return o.Scope == a.Scope && o.Reason == a.Reason })
		if i >= 0 {
			list[i] = a
		} else {
			list = append(list, a)
		}
		e.changed[a.Address] = &entryList{list}
	}
	return nil
}

// forget drops all entries of addresses.
func (e *entries) forget(addresses []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range addresses {
		e.changed[a] = &entryList{}
	}
}

// dirty returns the addresses whose entries changed.
func (e *entries) dirty() map[string]*entryList {
	e.mu.Lock()
	defer e.mu.Unlock()
	changed := make(map[string]*entryList, len(e.changed))
	for k, l := range e.changed {
		changed[k] = l
	}
	return changed
}

// written forgets lists that are in the checkpoint and have not changed again.
func (e *entries) written(lists map[string]*entryList) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for k, l := range lists {
		if e.changed[k] == l {
			delete(e.changed, k)
		}
	}
}

func appendEntries(b []byte, list []suppression.Entry) []byte {
	for i := range list {
		b = suppression.AppendEntry(b, &list[i])
	}
	return b
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
