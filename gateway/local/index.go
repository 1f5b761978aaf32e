package local

import (
	"fmt"
	"os"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// index is state.db, which can be replaced by a smaller copy of itself while it
// is read.
type index struct {
	path string

	mu sync.RWMutex // held for writing while db is replaced
	db *bbolt.DB
}

func openIndex(path string) (*index, error) {
	db, err := openBolt(path)
	if err == nil {
		err = db.Update(createBuckets)
		if err != nil {
			db.Close()
		}
	}
	if err != nil {
		return nil, err
	}
	return &index{path: path, db: db}, nil
}

// openBolt opens a database. A file that bbolt cannot make sense of may make it
// panic, which is an error like any other here.
func openBolt(path string) (db *bbolt.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	return bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:         time.Second,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: 1 << 30, // readers never wait for the map to grow
	})
}

func (x *index) view(fn func(*bbolt.Tx) error) error {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.db.View(fn)
}

func (x *index) update(fn func(*bbolt.Tx) error) error {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.db.Update(fn)
}

func (x *index) close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.db.Close()
}

// rewrite replaces the database by a copy without free pages. Nothing may write
// to it meanwhile; reading goes on but for the moment of the exchange.
func (x *index) rewrite() error {
	temp := x.path + ".new"
	os.Remove(temp)
	smaller, err := openBolt(temp)
	if err != nil {
		return err
	}
	err = bbolt.Compact(smaller, x.db, 1<<20)
	if closeErr := smaller.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(temp)
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.db.Close(); err != nil {
		return fatal{err}
	}
	if err := os.Rename(temp, x.path); err != nil {
		return fatal{err}
	}
	if x.db, err = openBolt(x.path); err != nil {
		return fatal{err}
	}
	return nil
}
