package local

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"tidepost/gateway"
)

// loadEntries reads the table of lists and the counts from the checkpoint, and
// opens the files. Without counts, in a checkpoint of an earlier version, it counts.
func (s *Store) loadEntries() error {
	var table, counts []byte
	err := s.index.view(func(tx *bbolt.Tx) error {
		table = append(table, tx.Bucket(bucketMeta).Get(metaLists)...)
		counts = append(counts, tx.Bucket(bucketMeta).Get(metaTally)...)
		return nil
	})
	if err == nil && len(table) > 0 {
		var t listTable
		if t, err = decodeTable(table); err == nil {
			err = s.openTable(t)
		}
	}
	if err != nil {
		return err
	}
	if len(counts) == 0 {
		return s.recountEntries()
	}
	s.entries.counts, err = decodeTally(counts)
	return err
}

func (s *Store) openTable(t listTable) error {
	set, err := s.openSet(t, s.entries.set.Load())
	if err == nil {
		s.entries.use(set)
	}
	return err
}

// countRecovered opens the lists that the journal named last and counts all
// entries, for Recover.
func (s *Store) countRecovered() error {
	if err := s.openTable(s.entries.set.Load().table); err != nil {
		return err
	}
	s.entries.rebuilding = false
	return s.recountEntries()
}

// listAlarm reports damage that a question met, now and then.
func (s *Store) listAlarm(cause error) {
	now := time.Now().Unix()
	if last := s.alarmed.Load(); errors.Is(cause, gateway.ErrDamaged) && now-last >= 60 && s.alarmed.CompareAndSwap(last, now) {
		s.opt.Log.Error("a suppression list is damaged: bulk mail to the addresses in that part of it waits", "error", cause)
	}
}

// backupLists links the files of lists, which never change once they have their
// name. Runs are left out: what is staged in part is staged anew.
func (s *Store) backupLists(ctx context.Context, dest string) error {
	if err := os.MkdirAll(dest, 0o700); err != nil {
		return err
	}
	names, err := os.ReadDir(s.dir("lists"))
	if err != nil {
		return err
	}
	for _, n := range names {
		if filepath.Ext(n.Name()) != ".list" {
			continue
		}
		err := linkFile(filepath.Join(s.dir("lists"), n.Name()), filepath.Join(dest, n.Name()))
		if errors.Is(err, os.ErrNotExist) {
			err = nil // staged and discarded meanwhile
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
	}
	return osDisk{}.SyncDir(dest)
}
