package local

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"tidepost/gateway"
)

const dueVersion = 1

// dueOf tells when a mailbox is to be looked at next, and whether it is at all:
// one whose deliveries are all paused or captured is not.
func dueOf(m *gateway.Mailbox) (gateway.Due, bool) {
	var first *gateway.Delivery
	var at time.Time
	for _, d := range m.Deliveries {
		if d.Paused && d.State == gateway.Waiting || d.State != gateway.Waiting && d.State != gateway.Sending {
			continue
		}
		t := d.Due
		if d.State == gateway.Sending || d.Rev == 0 {
			t = time.Time{} // in doubt, or not planned yet: now
		}
		if first == nil || t.Before(at) {
			first, at = d, t
		}
	}
	if first == nil {
		return gateway.Due{}, false
	}
	domain := m.Address[strings.LastIndexByte(m.Address, '@')+1:]
	return gateway.Due{Mailbox: m.Key, Domain: domain, Tenant: first.Tenant, Bulk: first.Class.Bulk(), At: at}, true
}

// appendDue appends what the due index keeps under the mailbox's key.
func appendDue(b []byte, d *gateway.Due) []byte {
	bulk := byte(0)
	if d.Bulk {
		bulk = 1
	}
	b = append(b, dueVersion, bulk)
	b = appendTime(b, d.At)
	b = appendString(b, d.Domain)
	return appendString(b, d.Tenant)
}

// due reads what appendDue wrote.
func (d *decoder) due(key []byte) (due gateway.Due) {
	copy(due.Mailbox[:], key)
	d.version(dueVersion)
	due.Bulk = d.byte() != 0
	due.At, due.Domain, due.Tenant = d.time(), d.word(), d.word()
	d.finish()
	return due
}

// Due calls yield for every mailbox with something to release. What is in
// memory comes first and wins; the rest is read from the index in pieces, so
// that no read keeps pages of the checkpoint from being used again.
func (s *Store) Due(ctx context.Context, yield func(gateway.Due) error) error {
	seen, err := s.dueInMemory(yield)
	if err != nil {
		return err
	}
	words := make(map[string]string)
	for from := []byte{}; from != nil; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if from, err = s.duePiece(from, seen, words, yield); err != nil {
			return err
		}
	}
	return nil
}

// dueInMemory yields the mailboxes whose state the checkpoint does not have.
func (s *Store) dueInMemory(yield func(gateway.Due) error) (map[gateway.Key]bool, error) {
	seen := make(map[gateway.Key]bool)
	for _, state := range s.boxes.pinned() {
		seen[state.Key] = true
		if due, ok := dueOf(state); ok {
			if err := yield(due); err != nil {
				return nil, err
			}
		}
	}
	return seen, nil
}

// pinned returns the states that are kept in memory because the checkpoint
// lacks them or a change is under way.
func (m *mailboxes) pinned() []*gateway.Mailbox {
	var states []*gateway.Mailbox
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		for _, b := range s.pinned {
			states = append(states, b.state)
		}
		s.mu.Unlock()
	}
	return states
}

// duePieceSize is how many entries are read in one transaction: about 50 ms.
const duePieceSize = 100_000

// duePiece yields entries of the index from a key on and returns the key to go
// on with, nil at the end.
func (s *Store) duePiece(from []byte, seen map[gateway.Key]bool, words map[string]string, yield func(gateway.Due) error) (next []byte, err error) {
	err = s.index.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketDue).Cursor()
		n := 0
		for k, v := c.Seek(from); k != nil; k, v = c.Next() {
			if n++; n > duePieceSize {
				next = bytes.Clone(k)
				return nil
			}
			if seen[gateway.Key(k)] {
				continue
			}
			d := decoder{b: v, words: words}
			due := d.due(k)
			if d.err != nil {
				return fmt.Errorf("due index in state.db: %w", d.err)
			}
			if err := yield(due); err != nil {
				return err
			}
		}
		return nil
	})
	return next, err
}
