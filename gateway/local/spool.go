package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"tidepost/gateway"
)

// spoolFile is the content of a large message on its way in. It begins as
// NUMBER.tmp in large/; Accept makes it durable as ID.new, writes the record
// that names it, and then calls it ID. The last renaming is synced before a
// checkpoint passes the record, so that after a crash an ID.new without a
// record in the replayed tail has none at all and can go.
type spoolFile struct {
	store *Store
	file  file
	temp  string // path; "" once it was kept or discarded
	size  int64
	err   error
}

var spoolCount atomic.Uint64

// Spool makes a file for a message above MemoryLimit.
func (s *Store) Spool() (gateway.SpoolFile, error) {
	if err := s.err(); err != nil {
		return nil, err
	}
	if err := s.guard.mail(); err != nil {
		return nil, err
	}
	temp := filepath.Join(s.dir("large"), fmt.Sprintf("%d-%d.tmp", os.Getpid(), spoolCount.Add(1)))
	f, err := s.opt.disk.Create(temp)
	if err != nil {
		return nil, fmt.Errorf("spooling a message: %w", full(err))
	}
	return &spoolFile{store: s, file: f, temp: temp}, nil
}

func (s *Store) largePath(id gateway.ID) string { return filepath.Join(s.dir("large"), id.String()) }

// newSuffix marks a large file whose record may not have been written.
const newSuffix = ".new"

// claim gives a large file its name, after its record was written.
func (s *Store) claim(id gateway.ID) error {
	err := s.opt.disk.Rename(s.largePath(id)+newSuffix, s.largePath(id))
	s.claimed.Store(true) // behind the rename: a sync between them would not hold it
	return err
}

// reclaim is claim when the record is replayed: it may have been done before.
func (s *Store) reclaim(id gateway.ID) error {
	if err := s.claim(id); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// syncClaims makes the names durable that claim gave.
func (s *Store) syncClaims() error {
	if !s.claimed.Swap(false) {
		return nil
	}
	return s.opt.disk.SyncDir(s.dir("large"))
}

// sweepLarge removes what a crash left in large/, when the logs are replayed.
func (s *Store) sweepLarge() error {
	names, err := os.ReadDir(s.dir("large"))
	if err != nil {
		return err
	}
	for _, n := range names {
		if ext := filepath.Ext(n.Name()); ext == ".tmp" || ext == newSuffix {
			if err := s.opt.disk.Remove(filepath.Join(s.dir("large"), n.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// spoolCheck is how many bytes may be written between two looks at the disk.
const spoolCheck = 4 << 20

func (f *spoolFile) Write(b []byte) (int, error) {
	if f.err == nil && f.temp == "" {
		f.err = errors.New("spooling a message: the file was given away")
	}
	if f.err == nil && f.size/spoolCheck != (f.size+int64(len(b)))/spoolCheck {
		f.err = f.store.guard.mail()
	}
	if f.err == nil {
		f.err = full(f.file.Writev(f.size, [][]byte{b}))
	}
	if f.err != nil {
		return 0, f.err
	}
	f.size += int64(len(b))
	return len(b), nil
}

// Discard throws the file away, unless it was accepted.
func (f *spoolFile) Discard() {
	if f.temp == "" {
		return
	}
	f.file.Close()
	f.store.opt.disk.Remove(f.temp)
	f.temp = ""
}

// keep makes the file durable as ID.new.
func (f *spoolFile) keep(id gateway.ID) error {
	if f.err != nil {
		return f.err
	}
	if f.temp == "" {
		return errors.New("accepting a message: its file was given away before")
	}
	disk, path := f.store.opt.disk, f.store.largePath(id)+newSuffix
	err := f.file.Sync()
	if err != nil {
		return fatal{err}
	}
	if err := f.file.Close(); err != nil {
		return fatal{err}
	}
	if err := disk.Rename(f.temp, path); err != nil {
		return fatal{err}
	}
	f.temp = ""
	if err := disk.SyncDir(filepath.Dir(path)); err != nil {
		return fatal{err}
	}
	return nil
}
