package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"tidepost/gateway"
)

// Recover rebuilds state.db from both logs, for when it cannot be read. It
// keeps the damaged file beside the new one. What the logs no longer tell
// (profiles and sends older than the journal) is lost; suppression entries and
// settings are carried forward in the journal and are not. A message whose
// settling was in journal segments that are gone waits again. Because of such
// gaps every delivery is paused and the store is held until Confirm.
func Recover(opt Options) error {
	opt.setDefaults()
	s := newStore(opt)
	err := s.recover()
	s.abandon()
	if err != nil {
		return fmt.Errorf("recovering %s: %w", opt.Dir, err)
	}
	return nil
}

func (s *Store) recover() (err error) {
	if err := s.openDir(); err != nil {
		return err
	}
	if err := s.openLogs(); err != nil {
		return err
	}
	temp := s.dir("state.db") + ".recovered"
	os.Remove(temp)
	if s.index, err = openIndex(temp); err != nil {
		return err
	}
	s.useIndex()
	s.recovering, s.entries.rebuilding = true, true
	ends, err := s.replay(positions{})
	if err != nil {
		return err
	}
	if err := s.writeStates(); err != nil {
		return err
	}
	if err := s.recount(); err != nil {
		return err
	}
	if err := s.sweepLarge(); err != nil {
		return err
	}
	if err := s.countRecovered(); err != nil {
		return err
	}
	c := &capture{at: ends, sums: s.sums.capture(), settings: s.settings.capture(), cursors: s.cursors.all()}
	s.entries.capture(c)
	if err := s.writeCapture(c); err != nil {
		return err
	}
	if err := s.index.close(); err != nil {
		return err
	}
	s.index = nil
	if err := hold(temp); err != nil {
		return err
	}
	return s.exchange(temp)
}

// exchange puts the rebuilt database in the place of the damaged one.
func (s *Store) exchange(temp string) error {
	path := s.dir("state.db")
	damaged := fmt.Sprintf("%s.damaged-%d", path, s.now().Unix())
	if err := os.Rename(path, damaged); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return s.opt.disk.SyncDir(filepath.Dir(path))
}

// recount counts what is unsettled from the states, because the journal may
// begin after the log, and pauses it.
func (s *Store) recount() error {
	s.sums.uncount()
	var held []*gateway.Mailbox
	flush := func() error {
		err := s.index.update(func(tx *bbolt.Tx) error { return putPaused(tx, held) })
		held = held[:0]
		return err
	}
	var failed error
	err := s.Scan(context.Background(), gateway.Key{}, func(m *gateway.Mailbox) bool {
		for _, d := range m.Deliveries {
			s.sums.count(d)
		}
		if held = append(held, m); len(held) >= checkpointStates {
			failed = flush()
		}
		return failed == nil
	})
	return errors.Join(err, failed, flush())
}

// putPaused writes states back with all their deliveries paused. Their places
// stay as they are.
func putPaused(tx *bbolt.Tx, states []*gateway.Mailbox) error {
	for _, m := range states {
		b, err := decodeBox(m.Key, tx.Bucket(bucketMailbox).Get(m.Key[:]))
		if err != nil {
			return err
		}
		for _, d := range b.state.Deliveries {
			d.Paused = d.Paused || d.State != gateway.Captured
		}
		if err := tx.Bucket(bucketMailbox).Put(m.Key[:], appendBox(nil, b.state, b.fromLog, b.fromJournal)); err != nil {
			return err
		}
		if due, ok := dueOf(b.state); ok { // in doubt: not to be paused
			err = tx.Bucket(bucketDue).Put(m.Key[:], appendDue(nil, &due))
		} else {
			err = tx.Bucket(bucketDue).Delete(m.Key[:])
		}
		if err != nil {
			return err
		}
	}
	return nil
}
