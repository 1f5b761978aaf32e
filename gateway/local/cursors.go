package local

import (
	"encoding/binary"
	"maps"
	"sync"

	"tidepost/gateway"
)

// cursors are the places up to which the journal's readers have read.
type cursors struct {
	mu     sync.Mutex
	places map[string]place // guarded by mu
	moved  bool             // guarded by mu: since the last capture
}

// Cursor returns a reader's saved cursor.
func (s *Store) Cursor(reader string) gateway.Cursor {
	s.cursors.mu.Lock()
	defer s.cursors.mu.Unlock()
	return s.cursors.places[reader].cursor()
}

// SaveCursor remembers how far a reader has read. It reaches the disk with the
// next checkpoint: after a crash a reader sees some events again. The zero
// cursor forgets the reader, for whom history is kept no longer.
func (s *Store) SaveCursor(reader string, c gateway.Cursor) error {
	s.cursors.mu.Lock()
	if c == (gateway.Cursor{}) {
		delete(s.cursors.places, reader)
	} else {
		s.cursors.places[reader] = cursorPlace(c)
	}
	s.cursors.moved = true
	s.cursors.mu.Unlock()
	s.noteWork()
	return s.err()
}

// capture returns all cursors, nil when none moved since the last capture.
func (c *cursors) capture() map[string]place {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.moved {
		return nil
	}
	c.moved = false
	return maps.Clone(c.places)
}

// restore puts back a capture that could not be stored.
func (c *cursors) restore(captured map[string]place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved = c.moved || captured != nil
}

// all returns all cursors.
func (c *cursors) all() map[string]place {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.places)
}

// set takes cursors from the journal.
func (c *cursors) set(places map[string]place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.places, c.moved = places, true
}

// oldest returns the first journal segment that some reader still needs.
func (c *cursors) oldest() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	oldest := ^uint32(0)
	for _, p := range c.places {
		oldest = min(oldest, p.segment())
	}
	return oldest
}

const cursorsVersion = 1

// journalCursors writes the cursors to the journal, for Recover: readers that
// began at the oldest event again would tell the world of a month of bounces
// once more.
func (s *Store) journalCursors(places map[string]place) error {
	b := append(make([]byte, recordHeader), cursorsVersion)
	b = binary.AppendUvarint(b, uint64(len(places)))
	for reader, p := range places {
		b = appendPlace(appendString(b, reader), p)
	}
	sub := &submission{relaxed: true, done: make(chan error, 1), records: []record{{head: b, typ: recordCursors}}}
	s.journal.submit(sub)
	return <-sub.done
}

func decodeCursors(b []byte) (map[string]place, error) {
	d := decoder{b: b}
	d.version(cursorsVersion)
	places := make(map[string]place)
	for range d.count() {
		reader := d.string()
		places[reader] = d.place()
	}
	return places, d.finish()
}
