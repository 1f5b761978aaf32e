package local

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"tidepost/gateway"
)

// runRetention looks now and then at what need not be kept any longer.
func (s *Store) runRetention() {
	tick := time.NewTicker(s.opt.retainEvery)
	defer tick.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.running.Go(func() { <-s.quit; cancel() })
	for {
		select {
		case <-tick.C:
		case <-s.quit:
			return
		}
		if err := s.retain(ctx); err != nil && s.err() == nil && ctx.Err() == nil {
			s.opt.Log.Error("old data could not be removed", "error", err)
		}
	}
}

// retain removes what is settled, moves what keeps nearly empty segments, and
// forgets what captured mail and history are too old or too much.
func (s *Store) retain(ctx context.Context) error {
	s.retaining.Lock()
	defer s.retaining.Unlock()
	if err := s.expireCaptured(ctx); err != nil {
		return err
	}
	if err := s.compactSegments(ctx, s.sparse(sparseShare)); err != nil {
		return err
	}
	if err := s.removeSettled(); err != nil {
		return err
	}
	s.noteMerge()
	if err := s.removeLists(); err != nil {
		return err
	}
	s.traces.retain(s.now().Add(-s.opt.SettledFor - traceGrace))
	return s.removeHistory()
}

// sealedLog returns the log segments whose records are all in the checkpoint,
// oldest first.
func (s *Store) sealedLog() []uint32 {
	limit := place(s.captured.Load()).segment()
	return slices.DeleteFunc(s.messages.list(), func(n uint32) bool { return n >= limit })
}

// removeSettled removes log segments that no unsettled delivery needs and that
// are too old or, from the oldest on, too much. A segment's count may rest on
// commits that are not on disk yet, so a checkpoint comes first; a count of zero
// stays zero.
func (s *Store) removeSettled() error {
	var idle []uint32
	var bytes int64
	for _, n := range s.sealedLog() {
		if s.sums.use(n).Live <= 0 && s.grown(n) {
			idle = append(idle, n)
			bytes += fileSize(s.messages.path(n))
		}
	}
	old := s.now().Add(-s.opt.SettledFor)
	idle = slices.DeleteFunc(idle, func(n uint32) bool {
		if use := s.sums.use(n); use.Last.Before(old) || s.opt.SettledBytes > 0 && bytes > s.opt.SettledBytes {
			bytes -= fileSize(s.messages.path(n))
			return false
		}
		return true
	})
	if len(idle) == 0 {
		return nil
	}
	if err := s.checkpoint(); err != nil {
		return err
	}
	for _, n := range idle {
		if err := s.removeSegment(n); err != nil {
			return fmt.Errorf("removing log segment %d: %w", n, err)
		}
	}
	s.noteWork()
	return nil
}

// grown reports whether nobody can hold a Ref into the segment that compaction
// has replaced.
func (s *Store) grown(n uint32) bool {
	moved, ok := s.movedAt[n]
	return !ok || time.Since(moved) >= s.opt.moveGrace
}

// removeSegment removes a log segment and the large files that only it names.
func (s *Store) removeSegment(n uint32) error {
	large, err := s.largeOf(n)
	if err != nil {
		return err
	}
	if err := s.messages.remove(n); err != nil {
		return err
	}
	s.sums.forget(n)
	s.finder.forget(n)
	delete(s.movedAt, n)
	for _, id := range large {
		if err := s.opt.disk.Remove(s.largePath(id)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	s.opt.Log.Debug("log segment removed", "segment", n, "large", len(large))
	return nil
}

// largeOf lists the large files named in a segment that no unsettled delivery
// needs.
func (s *Store) largeOf(n uint32) (ids []gateway.ID, err error) {
	err = s.eachMessage(n, func(r rawRecord, m *gateway.Message, content []byte) error {
		if len(content) == 0 || content[0] != contentFile {
			return nil
		}
		live, err := s.liveDeliveries(m)
		if len(live) == 0 {
			ids = append(ids, m.ID)
		}
		return err
	})
	return ids, err
}

// eachMessage calls visit for the messages in a log segment.
func (s *Store) eachMessage(n uint32, visit func(r rawRecord, m *gateway.Message, content []byte) error) error {
	sc, done, err := s.messages.scan(n, 0, 0)
	if err != nil {
		return err
	}
	defer done()
	for {
		r, err := sc.next()
		if err != nil || r.typ == 0 {
			return err
		}
		if !isMessage(r.typ) {
			continue
		}
		m, content, err := decodeMessageRecord(r.payload)
		if err != nil {
			continue // nobody can ask for it
		}
		if err := visit(r, m, content); err != nil {
			return err
		}
	}
}

// liveDeliveries returns a message's unsettled deliveries.
func (s *Store) liveDeliveries(m *gateway.Message) (live []*gateway.Delivery, err error) {
	for i := range m.Recipients {
		box, err := s.boxes.get(m.Recipients[i].Mailbox)
		if err != nil {
			return nil, err
		}
		if d := box.Delivery(gateway.DeliveryID{Message: m.ID, Ordinal: uint32(i)}); d != nil {
			live = append(live, d)
		}
	}
	return live, nil
}

// removeHistory removes journal segments that the checkpoint holds, that all
// readers have read, and that are too old; and more of them, read or not, when
// there are too many bytes.
func (s *Store) removeHistory() error {
	s.checkpointing.Lock()
	limit := s.stored.journal.segment()
	s.checkpointing.Unlock()
	read := s.cursors.oldest()
	old := s.now().Add(-s.opt.HistoryFor)
	numbers := s.history.list()
	var bytes int64
	for _, n := range numbers {
		bytes += fileSize(s.history.path(n))
	}
	for _, n := range numbers {
		tooMuch := s.opt.HistoryBytes > 0 && bytes > s.opt.HistoryBytes
		if n >= limit || !tooMuch && (n >= read || !s.history.endedBefore(n, old)) {
			break
		}
		if tooMuch && n >= read {
			s.opt.Log.Warn("history is over its size limit: a reader misses events", "segment", n)
		}
		bytes -= fileSize(s.history.path(n))
		if err := s.carryForward(n); err != nil {
			return fmt.Errorf("carrying forward from journal segment %d: %w", n, err)
		}
		if err := s.history.remove(n); err != nil {
			return fmt.Errorf("removing journal segment %d: %w", n, err)
		}
	}
	return nil
}

// carryForward writes the suppression entries and settings that a journal
// segment speaks of once more, as they are now: the journal must hold all of
// them, so that Recover brings every opt-out back however old it is. No change
// may be computed meanwhile.
func (s *Store) carryForward(n uint32) error {
	hashes, names, lists := make(map[entryHash]bool), make(map[string]bool), false
	_, _, err := s.readChanges(n, 0, 0, nil, func(_ place, c *change) bool {
		c.eachHash(func(h entryHash) { hashes[h] = true })
		lists = lists || c.lists != nil
		for _, set := range c.settings {
			names[set.Name] = true
		}
		return true
	})
	if err == nil {
		err = s.journalCursors(s.cursors.all())
	}
	if err != nil || len(hashes)+len(names) == 0 && !lists {
		return err
	}
	if lists {
		if err := s.carryLists(); err != nil {
			return err
		}
	}
	s.moving.Lock()
	defer s.moving.Unlock()
	if err := s.journal.flush(); err != nil {
		return err
	}
	var c change
	values := s.Settings()
	for name := range names {
		c.settings = append(c.settings, gateway.Setting{Name: name, Value: values[name]})
	}
	for h := range hashes {
		l, err := s.entries.base(h)
		if err != nil {
			return err
		}
		if l.hides > 0 {
			c.marks = append(c.marks, entryMark{h, l.hides})
		}
		if c.entries = append(c.entries, l.list...); len(c.entries)+len(c.marks) >= carriedEntries {
			if err := s.commitInternal(&c); err != nil {
				return err
			}
			c = change{}
		}
	}
	return s.commitInternal(&c)
}

// eachHash calls visit for every hash under which the change put or removed
// something.
func (c *change) eachHash(visit func(entryHash)) {
	for _, e := range c.entries {
		visit(hashText(e.Address))
	}
	for _, a := range c.forget {
		visit(hashText(a))
	}
	for _, m := range c.marks {
		visit(m.hash)
	}
}

// carryLists writes the table of lists once more. None may be published between
// its reading and its commit.
func (s *Store) carryLists() error {
	s.lists.changing.Lock()
	defer s.lists.changing.Unlock()
	return s.commitInternal(&change{lists: s.entries.set.Load().table.append(nil)})
}

// carriedEntries is how many entries are carried forward in one record.
const carriedEntries = 1000

// commitInternal stores a change of no mailbox, made by the store itself.
func (s *Store) commitInternal(c *change) error {
	sub := &submission{done: make(chan error, 1)}
	sub.records = []record{{head: appendChange(make([]byte, recordHeader), c), typ: recordChange}}
	sub.apply = func() { s.applyChange(c, sub.records[0].at) }
	s.journal.submit(sub)
	return <-sub.done
}
