package local

import (
	"io"
	"os"
	"path/filepath"
)

// disk is what the store needs of a file system. Tests put a failing or
// forgetful one in its place.
type disk interface {
	Create(path string) (file, error) // must not exist; for reading and writing
	Open(path string) (file, error)   // for reading and cutting
	Rename(from, to string) error
	Remove(path string) error
	SyncDir(path string) error
	Space(path string) (free, total int64, err error)
}

// file is one open file of a disk.
type file interface {
	io.ReaderAt
	io.Closer
	Writev(off int64, bufs [][]byte) error // all of bufs, one after another; bufs is used up
	Sync() error                           // data and size, as fdatasync(2)
	Truncate(size int64) error
	Allocate(size int64) error // reserves space, reads as zeroes
	Size() (int64, error)
}

// osDisk is the real one.
type osDisk struct{}

type osFile struct{ *os.File }

func (osDisk) Create(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osDisk) Open(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osDisk) Rename(from, to string) error { return os.Rename(from, to) }

func (osDisk) Remove(path string) error { return os.Remove(path) }

func (osDisk) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// writeFile stores a small file durably: a new one beside it, synced, renamed
// over it, directory synced.
func writeFile(d disk, path string, data []byte) error {
	temp := path + ".tmp"
	os.Remove(temp)
	f, err := d.Create(temp)
	if err != nil {
		return err
	}
	err = f.Writev(0, [][]byte{data})
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = d.Rename(temp, path)
	}
	if err != nil {
		return err
	}
	return d.SyncDir(filepath.Dir(path))
}
