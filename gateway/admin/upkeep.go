package admin

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
)

// exclusive does one piece of upkeep at a time.
func (s *Server) exclusive(c *call, do func() (any, error)) (any, error) {
	if !s.upkeep.TryLock() {
		return nil, &Problem{Status: http.StatusConflict, Detail: "a backup or a compaction is running", Remedy: "wait until it is done"}
	}
	defer s.upkeep.Unlock()
	c.unhurried()
	return do()
}

// backup answers POST /api/v1/backup: a copy into a new folder on this machine.
func (s *Server) backup(c *call) (any, error) {
	var doc struct {
		Directory string `json:"directory"`
	}
	if err := c.decode(&doc); err != nil {
		return nil, err
	}
	if s.Backup == nil {
		return nil, cannot("the store cannot be backed up while it runs")
	}
	if !filepath.IsAbs(doc.Directory) {
		return nil, invalid("directory", "is not absolute", "write the whole path of a new folder on the gateway's machine")
	}
	dir := filepath.Clean(doc.Directory)
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return nil, &Problem{Status: http.StatusConflict, Detail: "directory " + dir + " is there already", Field: "directory", Remedy: "name a new folder"}
	}
	return s.exclusive(c, func() (any, error) {
		if err := s.Backup(c.Context(), dir); err != nil {
			return nil, err
		}
		bytes, err := sizeOf(dir)
		return struct {
			Directory string `json:"directory"`
			Bytes     int64  `json:"bytes"`
		}{dir, bytes}, err
	})
}

// sizeOf adds up the files under a folder.
func sizeOf(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}

// compact answers POST /api/v1/compact.
func (s *Server) compact(c *call) (any, error) {
	if err := c.decodeNothing(); err != nil {
		return nil, err
	}
	b, err := s.browser()
	if err != nil {
		return nil, err
	}
	if s.Compact == nil {
		return nil, cannot("the store cannot be compacted while it runs")
	}
	return s.exclusive(c, func() (any, error) {
		before := used(b.Usage())
		if err := s.Compact(c.Context()); err != nil {
			return nil, err
		}
		return struct {
			Before int64 `json:"before_bytes"`
			After  int64 `json:"after_bytes"`
		}{before, used(b.Usage())}, nil
	})
}

// confirm answers POST /api/v1/confirm: mail of a restored gateway leaves.
func (s *Server) confirm(c *call) (any, error) {
	if err := c.decodeNothing(); err != nil {
		return nil, err
	}
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	if !s.holding() {
		return nil, &Problem{Status: http.StatusConflict, Detail: "nothing waits to be confirmed"}
	}
	if s.Confirm != nil {
		if err := s.Confirm(c.Context()); err != nil {
			return nil, err
		}
	}
	s.confirmed.Store(true)
	s.Gateway.Confirm()
	return struct {
		Confirmed bool  `json:"confirmed"`
		Waiting   int64 `json:"waiting"`
	}{true, s.sum().Waiting}, nil
}
