package local

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"tidepost/gateway"
)

// A write transaction of the checkpoint takes at most so many states or so
// long, so that readers of the database and the disk get their turn.
const (
	checkpointStates = 1000
	checkpointTime   = 20 * time.Millisecond
)

// capture is what the checkpoint must store exactly as it was at one instant.
type capture struct {
	at       positions
	sums     *sumsCopy
	settings map[string][]byte
	cursors  map[string]place
	entries  map[entryHash]*entryList
	lists    []byte // the table of live lists
	tally    []byte
}

// checkpoint writes what changed since the last one to bbolt. It is a fuzzy
// one: states are written as they are when their turn comes, which may be newer
// than the positions. Replay from the positions is right all the same, because
// each state names the last record of either log in it. What has no such name,
// the sums, is copied at the positions.
//
// A state must not reach bbolt before the journal records in it are synced:
// otherwise a power cut leaves a state whose events never were.
func (s *Store) checkpoint() error {
	s.checkpointing.Lock()
	defer s.checkpointing.Unlock()
	started := s.now()
	c := s.capture()
	if c == nil {
		return nil
	}
	err := s.writeStates()
	if err == nil && c.cursors != nil {
		err = s.journalCursors(c.cursors)
	}
	if err == nil {
		err = s.writeCapture(c)
	}
	if err != nil {
		s.sums.restore(c.sums)
		s.settings.restore(c.settings)
		s.cursors.restore(c.cursors)
		return s.checkpointFailed(err)
	}
	s.waits.Store(false)
	s.entries.written(c.entries)
	s.captured.Store(uint64(c.at.log))
	s.opt.Log.Debug("checkpoint", "took", s.now().Sub(started), "log", c.at.log.cursor(), "journal", c.at.journal.cursor())
	s.rested()
	return nil
}

// capture takes the instant: no group of either log is being applied. It
// returns nil when nothing happened since the last checkpoint.
func (s *Store) capture() *capture {
	s.applying.Lock()
	defer s.applying.Unlock()
	at := positions{log: place(s.log.applied.Load()), journal: place(s.journal.applied.Load())}
	cursors := s.cursors.capture()
	if at == s.stored && cursors == nil && s.boxes.dirty.Load() == 0 {
		return nil
	}
	s.stored = at
	c := &capture{at: at, sums: s.sums.capture(), settings: s.settings.capture(), cursors: cursors}
	s.entries.capture(c)
	return c
}

// checkpointFailed decides whether a failure is one to wait out. A full disk
// is: the logs hold everything. After any other nobody knows what is in the
// file.
func (s *Store) checkpointFailed(err error) error {
	s.stored = positions{}
	if errors.Is(err, gateway.ErrStopped) {
		return err
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		s.opt.Log.Warn("the checkpoint waits for room on the disk", "error", err)
		s.waits.Store(true)
		s.rested()
		return err
	}
	err = fmt.Errorf("%w: writing state.db: %w", gateway.ErrStopped, err)
	s.opt.Log.Error("the store stops: the checkpoint failed; restart to recover", "error", err)
	s.stop(err)
	return err
}

// dirtyBox is a state to be written.
type dirtyBox struct {
	key gateway.Key
	box *box

	state                *gateway.Mailbox // as written
	fromLog, fromJournal place
	stored               bool
}

// writeStates writes every state that was dirty when it began, in key order.
func (s *Store) writeStates() error {
	dirty := s.boxes.dirtyBoxes()
	slices.SortFunc(dirty, func(a, b dirtyBox) int { return bytes.Compare(a.key[:], b.key[:]) })
	for len(dirty) > 0 {
		n, err := s.writeSome(dirty)
		if err != nil {
			return err
		}
		s.boxes.written(dirty[:n])
		dirty = dirty[n:]
		s.rested()
	}
	return nil
}

func (m *mailboxes) dirtyBoxes() []dirtyBox {
	var dirty []dirtyBox
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		for k, b := range s.pinned {
			if b.dirty {
				dirty = append(dirty, dirtyBox{key: k, box: b})
			}
		}
		s.mu.Unlock()
	}
	return dirty
}

// writeSome writes the first of the dirty states in one transaction and returns
// how many.
func (s *Store) writeSome(dirty []dirtyBox) (n int, err error) {
	if err := s.err(); err != nil {
		return 0, err
	}
	until := time.Now().Add(checkpointTime)
	err = s.index.update(func(tx *bbolt.Tx) error {
		mailboxes, due := tx.Bucket(bucketMailbox), tx.Bucket(bucketDue)
		for n < len(dirty) && n < checkpointStates && (n%64 != 0 || n == 0 || time.Now().Before(until)) {
			s.boxes.read(&dirty[n])
			if err := s.writeState(mailboxes, due, &dirty[n]); err != nil {
				return err
			}
			n++
		}
		return s.flushJournal()
	})
	return n, err
}

// flushJournal returns when all that was applied is on disk. There is no writer
// while the store is being recovered.
func (s *Store) flushJournal() error {
	if s.journal == nil {
		return nil
	}
	return s.journal.flush()
}

// read notes the state to be written.
func (m *mailboxes) read(d *dirtyBox) {
	s := m.shard(d.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := d.box
	d.state, d.fromLog, d.fromJournal, d.stored = b.state, b.fromLog, b.fromJournal, b.stored
}

func (s *Store) writeState(mailboxes, due *bbolt.Bucket, d *dirtyBox) error {
	if keepsNothing(d.state) {
		if !d.stored {
			return nil
		}
		return errors.Join(mailboxes.Delete(d.key[:]), due.Delete(d.key[:]))
	}
	// bbolt keeps both slices until the transaction ends.
	if err := mailboxes.Put(d.key[:], appendBox(nil, d.state, d.fromLog, d.fromJournal)); err != nil {
		return err
	}
	if at, ok := dueOf(d.state); ok {
		return due.Put(d.key[:], appendDue(nil, &at))
	}
	if d.stored {
		return due.Delete(d.key[:])
	}
	return nil
}

// written marks states clean that have not changed since they were read.
func (m *mailboxes) written(done []dirtyBox) {
	for i := range done {
		d := &done[i]
		s := m.shard(d.key)
		s.mu.Lock()
		b := d.box
		b.stored = !keepsNothing(d.state)
		if b.state == d.state {
			b.dirty = false
			m.dirty.Add(-1)
			m.unpinLocked(s, d.key, b)
		}
		s.mu.Unlock()
	}
}

// writeCapture stores the captured sums and last of all the positions.
func (s *Store) writeCapture(c *capture) error {
	if err := errors.Join(s.flushJournal(), s.syncClaims()); err != nil {
		return err
	}
	return s.index.update(func(tx *bbolt.Tx) error {
		var errs []error
		put := func(bucket, key, value []byte) {
			if value == nil {
				errs = append(errs, tx.Bucket(bucket).Delete(key))
			} else {
				errs = append(errs, tx.Bucket(bucket).Put(key, value))
			}
		}
		for k, v := range c.sums.totals {
			put(bucketTotals, []byte(k), v)
		}
		for n, v := range c.sums.segments {
			put(bucketSegment, segmentKey(n), v)
		}
		for k, v := range c.settings {
			put(bucketSetting, []byte(k), v)
		}
		for k, l := range c.entries {
			put(bucketEntries, k[:], appendEntryList(l))
		}
		if c.cursors != nil {
			errs = append(errs, putCursors(tx, c.cursors))
		}
		put(bucketMeta, metaLists, c.lists)
		put(bucketMeta, metaTally, c.tally)
		put(bucketMeta, metaPositions, appendPositions(nil, c.at))
		return errors.Join(errs...)
	})
}

// putCursors replaces all cursors.
func putCursors(tx *bbolt.Tx, places map[string]place) error {
	if err := tx.DeleteBucket(bucketCursor); err != nil {
		return err
	}
	b, err := tx.CreateBucket(bucketCursor)
	for reader, p := range places {
		if err == nil {
			err = b.Put([]byte(reader), appendPlace(nil, p))
		}
	}
	return err
}
