package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/bbolt"
)

// Backup writes a copy of the store to a new directory while mail flows. The
// index comes first, then the journal, then the messages: what the copy of one
// speaks of is in the copies after it.
func (s *Store) Backup(ctx context.Context, dest string) error {
	if err := newDir(dest); err != nil {
		return fmt.Errorf("backup to %s: %w", dest, err)
	}
	s.retaining.Lock() // nothing is removed meanwhile
	defer s.retaining.Unlock()
	if err := s.checkpoint(); err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return copyFile(s.dir("format"), filepath.Join(dest, "format"), -1) },
		func() error { return s.backupIndex(filepath.Join(dest, "state.db")) },
		func() error { return backupLog(ctx, s.history, s.journal, filepath.Join(dest, "journal")) },
		func() error { return backupLog(ctx, s.messages, s.log, filepath.Join(dest, "log")) },
		func() error { return s.backupLarge(ctx, filepath.Join(dest, "large")) },
		func() error { return s.backupLists(ctx, filepath.Join(dest, "lists")) },
		func() error { return s.opt.disk.SyncDir(dest) },
	} {
		if err := errors.Join(ctx.Err(), step()); err != nil {
			return fmt.Errorf("backup to %s: %w", dest, err)
		}
	}
	return nil
}

// newDir makes a directory that must not hold anything yet.
func newDir(path string) error {
	names, err := os.ReadDir(path)
	if err == nil && len(names) > 0 {
		return errors.New("the directory is not empty")
	}
	return os.MkdirAll(path, 0o700)
}

func (s *Store) backupIndex(dest string) error {
	return s.index.view(func(tx *bbolt.Tx) error { return tx.CopyFile(dest, 0o600) })
}

// backupLog copies a log as far as it is on disk. Full segments never change
// and are linked where the file system allows.
func backupLog(ctx context.Context, log *segments, w *writer, dest string) error {
	if err := os.MkdirAll(dest, 0o700); err != nil {
		return err
	}
	durable := place(w.durable.Load())
	for _, n := range log.list() {
		to := filepath.Join(dest, segmentName(n))
		var err error
		switch {
		case n > durable.segment():
			continue
		case n == durable.segment():
			err = copyFile(log.path(n), to, int64(durable.offset()))
		default:
			err = linkFile(log.path(n), to)
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
	}
	return osDisk{}.SyncDir(dest)
}

func (s *Store) backupLarge(ctx context.Context, dest string) error {
	if err := os.MkdirAll(dest, 0o700); err != nil {
		return err
	}
	names, err := os.ReadDir(s.dir("large"))
	if err != nil {
		return err
	}
	for _, n := range names {
		if filepath.Ext(n.Name()) == ".tmp" {
			continue
		}
		if err := errors.Join(ctx.Err(), s.backupLargeFile(n.Name(), dest)); err != nil {
			return err
		}
	}
	return osDisk{}.SyncDir(dest)
}

// backupLargeFile copies one large file, which may get its final name, or be
// given up because its message was refused, at any moment.
func (s *Store) backupLargeFile(name, dest string) error {
	final := strings.TrimSuffix(name, newSuffix)
	for _, as := range []string{name, final} {
		err := linkFile(filepath.Join(s.dir("large"), as), filepath.Join(dest, as))
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func linkFile(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	return copyFile(from, to, -1)
}

// copyFile copies the first n bytes of a file, all of it for -1, durably.
func copyFile(from, to string, n int64) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if n < 0 {
		_, err = io.Copy(out, in)
	} else {
		_, err = io.CopyN(out, in, n)
	}
	return errors.Join(err, out.Sync(), out.Close())
}

// Restore makes a data directory from a backup. The store in it is held: until
// Confirm it may not send, because what was sent since the backup is not known
// to it.
func Restore(backup, dir string) error {
	err := restore(backup, dir)
	if err != nil {
		return fmt.Errorf("restoring %s to %s: %w", backup, dir, err)
	}
	return nil
}

func restore(backup, dir string) error {
	text, err := os.ReadFile(filepath.Join(backup, "format"))
	if err != nil {
		return err
	}
	if err := checkFormat(text); err != nil {
		return err
	}
	if err := newDir(dir); err != nil {
		return err
	}
	for _, name := range []string{"state.db", "journal", "log", "large"} {
		if err := copyTree(filepath.Join(backup, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	lists := filepath.Join(backup, "lists") // an earlier version had none
	if _, err := os.Stat(lists); err == nil {
		if err := copyTree(lists, filepath.Join(dir, "lists")); err != nil {
			return err
		}
	}
	if err := hold(filepath.Join(dir, "state.db")); err != nil {
		return err
	}
	// Last, so that a restore that was interrupted does not pass for one.
	if err := copyFile(filepath.Join(backup, "format"), filepath.Join(dir, "format"), -1); err != nil {
		return err
	}
	return osDisk{}.SyncDir(dir)
}

// copyTree copies a file, or a directory of files.
func copyTree(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return copyFile(from, to, -1)
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	names, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := copyFile(filepath.Join(from, n.Name()), filepath.Join(to, n.Name()), -1); err != nil {
			return err
		}
	}
	return osDisk{}.SyncDir(to)
}

// hold marks a database that is not in use.
func hold(path string) error {
	x, err := openIndex(path)
	if err != nil {
		return err
	}
	err = x.update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(metaHeld, []byte{1}) })
	return errors.Join(err, x.close())
}

// Held reports whether the store was restored or rebuilt and nobody has
// confirmed it yet: nothing may be sent from it.
func (s *Store) Held() bool { return s.held.Load() }

// Confirm ends Held.
func (s *Store) Confirm() error {
	s.checkpointing.Lock()
	defer s.checkpointing.Unlock()
	if err := s.err(); err != nil {
		return err
	}
	err := s.index.update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Delete(metaHeld) })
	if err == nil {
		s.held.Store(false)
	}
	return err
}
