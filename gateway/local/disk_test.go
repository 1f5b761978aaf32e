package local

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

var errDead = errors.New("the power is off")

// fakeDisk is a disk that can fail and that can lose power: then what was not
// synced is partly gone.
type fakeDisk struct {
	osDisk

	fault atomic.Pointer[func(op, path string) error] // asked before every operation that changes something
	space atomic.Int64                                // what Space reports as free; 0: the truth
	dead  atomic.Bool

	mu      sync.Mutex
	pending []pendingOp // guarded by mu: in order
	rng     *rand.Rand
}

// pendingOp undoes an operation that is not durable yet.
type pendingOp struct {
	path string // synced by it, or its directory
	undo func()
}

func newFakeDisk() *fakeDisk { return &fakeDisk{rng: rand.New(rand.NewPCG(rand.Uint64(), 0))} }

func (d *fakeDisk) before(op, path string) error {
	if d.dead.Load() {
		return errDead
	}
	if fault := d.fault.Load(); fault != nil {
		return (*fault)(op, path)
	}
	return nil
}

func (d *fakeDisk) setFault(fault func(op, path string) error) {
	if fault == nil {
		d.fault.Store(nil)
	} else {
		d.fault.Store(&fault)
	}
}

func (d *fakeDisk) later(path string, undo func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pending = append(d.pending, pendingOp{path, undo})
}

// settled forgets how to undo what a sync made durable.
func (d *fakeDisk) settled(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := d.pending[:0]
	for _, p := range d.pending {
		if p.path != path {
			kept = append(kept, p)
		}
	}
	d.pending = kept
}

// crash undoes part of what was never synced, the newest first.
func (d *fakeDisk) crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	luck := d.rng.IntN(4)
	for i := len(d.pending) - 1; i >= 0; i-- {
		if luck == 0 || d.rng.IntN(4) >= luck {
			d.pending[i].undo()
		}
	}
	d.pending = nil
}

func (d *fakeDisk) Space(path string) (free, total int64, err error) {
	free, total, err = d.osDisk.Space(path)
	if s := d.space.Load(); s != 0 {
		free = s
	}
	return free, total, err
}

func (d *fakeDisk) Create(path string) (file, error) {
	if err := d.before("create", path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &fakeFile{osFile{f}, d, &path}, nil
}

func (d *fakeDisk) Open(path string) (file, error) {
	if d.dead.Load() {
		return nil, errDead
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &fakeFile{osFile{f}, d, &path}, nil
}

// Rename is durable when the directory is synced. Operations of the file that
// are not durable follow it.
func (d *fakeDisk) Rename(from, to string) error {
	if err := d.before("rename", to); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	d.later(filepath.Dir(to), func() { os.Rename(to, from) })
	return nil
}

func (d *fakeDisk) Remove(path string) error {
	if err := d.before("remove", path); err != nil {
		return err
	}
	content, _ := os.ReadFile(path)
	if err := os.Remove(path); err != nil {
		return err
	}
	d.later(filepath.Dir(path), func() { os.WriteFile(path, content, 0o600) })
	return nil
}

func (d *fakeDisk) SyncDir(path string) error {
	if err := d.before("syncdir", path); err != nil {
		return err
	}
	d.settled(path)
	return nil
}

// fakeFile is a file of a fakeDisk.
type fakeFile struct {
	osFile
	d    *fakeDisk
	path *string
}

const sector = 512

// Writev remembers what was there before, a sector at a time.
func (f *fakeFile) Writev(off int64, bufs [][]byte) error {
	if err := f.d.before("write", *f.path); err != nil {
		return err
	}
	var b []byte
	for _, part := range bufs {
		b = append(b, part...)
	}
	if f.d.isZero(b) {
		_, err := f.WriteAt(b, off)
		return err
	}
	for from := off; from < off+int64(len(b)); {
		to := min(off+int64(len(b)), from/sector*sector+sector)
		old := make([]byte, to-from)
		n, _ := f.ReadAt(old, from)
		at := from
		f.d.later(f.Name(), func() { f.restore(at, old[:n]) })
		from = to
	}
	_, err := f.WriteAt(b, off)
	return err
}

// isZero spares the bookkeeping for segments being laid out.
func (d *fakeDisk) isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// restore writes to the file under any name it may have by now.
func (f *fakeFile) restore(off int64, old []byte) {
	for _, path := range []string{f.Name(), segmentPath(f.Name())} {
		if w, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
			w.WriteAt(old, off)
			w.Close()
		}
	}
}

func segmentPath(next string) string {
	return next[:len(next)-len(filepath.Ext(next))] + ".seg"
}

func (f *fakeFile) Sync() error {
	if err := f.d.before("sync", *f.path); err != nil {
		return err
	}
	f.d.settled(f.Name())
	return nil
}

func (f *fakeFile) Truncate(size int64) error {
	if err := f.d.before("truncate", *f.path); err != nil {
		return err
	}
	return f.osFile.Truncate(size)
}

func (f *fakeFile) Allocate(size int64) error {
	if err := f.d.before("allocate", *f.path); err != nil {
		return err
	}
	return f.osFile.Truncate(size)
}

var _ io.ReaderAt = (*fakeFile)(nil)
