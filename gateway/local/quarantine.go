package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"tidepost/gateway"
)

// quarantine copies a damaged stretch of a segment aside and reports it. The
// same damage found again is the same file: their number is what Usage tells,
// and a person who has looked at one removes it.
func (s *Store) quarantine(log *segments, n uint32, off int64, damaged []byte, cause error) {
	name := fmt.Sprintf("%s-%08d-%d", filepath.Base(log.dir), n, off)
	path := filepath.Join(s.dir("quarantine"), name)
	if _, err := os.Stat(path); err == nil {
		return
	}
	err := os.WriteFile(path, damaged, 0o600)
	s.opt.Log.Error("damaged data was put into quarantine",
		"segment", log.path(n), "offset", off, "bytes", len(damaged), "copy", path, "cause", cause, "copy_error", err)
}

// quarantineStretch is quarantine for a stretch that is still to be read.
func (s *Store) quarantineStretch(log *segments, n uint32, f file, off, length int64) {
	b := make([]byte, min(length, maxRecord))
	got, _ := f.ReadAt(b, off)
	s.quarantine(log, n, off, b[:got], errNoRecord)
}

// quarantineRef is quarantine for a message that could not be read back.
func (s *Store) quarantineRef(r gateway.Ref, cause error) {
	if !errors.Is(cause, gateway.ErrDamaged) || r.Length > maxRecord+recordHeader {
		return
	}
	b := make([]byte, r.Length)
	got := 0
	if seg, err := s.messages.get(r.Segment); err == nil {
		got, _ = seg.ReadAt(b, int64(r.Offset))
	}
	s.quarantine(s.messages, r.Segment, int64(r.Offset), b[:got], cause)
}

// quarantined counts what is in quarantine.
func (s *Store) quarantined() int {
	names, _ := os.ReadDir(s.dir("quarantine"))
	return len(names)
}
