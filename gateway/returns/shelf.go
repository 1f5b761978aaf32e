package returns

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"tidepost/gateway"
)

// How much is kept: the newest.
const (
	mostKept     = 1000
	maxKeptBytes = 64 << 20
)

// Shelf is a folder with the mails that could not be matched, one file each.
type Shelf struct {
	Dir  string // made when it is needed
	Most int    // mails that are kept; 0: 1,000

	mu sync.Mutex // held while files are added or removed
}

// Kept is a mail on the shelf.
type Kept struct {
	ID    string    `json:"id"`
	At    time.Time `json:"at"`
	Bytes int64     `json:"bytes"`
}

// ErrNotKept says that there is no such mail.
var ErrNotKept = fmt.Errorf("no mail of that id is kept: %w", gateway.ErrNotFound)

const keptTime = "20060102T150405Z"

var keptName = regexp.MustCompile(`^\d{8}T\d{6}Z-[0-9a-f]{16}$`)

// Keep puts a mail on the shelf and returns its id. The same mail has one place.
func (s *Shelf) Keep(at time.Time, mail []byte) (id string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return "", err
	}
	sum := sha256.Sum256(mail)
	tail := "-" + hex.EncodeToString(sum[:8])
	all, err := s.listLocked()
	if err != nil {
		return "", err
	}
	for _, k := range all {
		if strings.HasSuffix(k.ID, tail) && k.Bytes == int64(len(mail)) { // else it is what a crash has left of it
			return k.ID, nil
		}
	}
	id = at.UTC().Format(keptTime) + tail
	if err := os.WriteFile(s.path(id), mail, 0o600); err != nil {
		os.Remove(s.path(id)) // a part of it would be taken for all
		return "", err
	}
	s.trimLocked(append([]Kept{{id, at, int64(len(mail))}}, all...))
	return id, nil
}

// trimLocked removes the oldest while there are too many.
func (s *Shelf) trimLocked(all []Kept) {
	var bytes int64
	for i, k := range all {
		if bytes += k.Bytes; i >= cmp.Or(s.Most, mostKept) || bytes > maxKeptBytes && i > 0 {
			os.Remove(s.path(k.ID)) // what stays is removed by the next one
		}
	}
}

// List returns what is kept, newest first.
func (s *Shelf) List() ([]Kept, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listLocked()
}

func (s *Shelf) listLocked() ([]Kept, error) {
	files, err := os.ReadDir(s.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []Kept
	for _, f := range files {
		id, found := strings.CutSuffix(f.Name(), ".eml")
		if !found || !keptName.MatchString(id) {
			continue
		}
		at, err := time.Parse(keptTime, id[:len(keptTime)])
		info, infoErr := f.Info()
		if err == nil && infoErr == nil {
			all = append(all, Kept{id, at, info.Size()})
		}
	}
	slices.SortFunc(all, func(a, b Kept) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID, b.ID)) })
	return all, nil
}

// Mail returns a mail that is kept. The error is ErrNotKept, or of the disk.
func (s *Shelf) Mail(id string) ([]byte, error) {
	if !keptName.MatchString(id) {
		return nil, ErrNotKept
	}
	b, err := os.ReadFile(s.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotKept
	}
	return b, err
}

// Remove takes a mail off the shelf. The error is ErrNotKept, or of the disk.
func (s *Shelf) Remove(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !keptName.MatchString(id) {
		return ErrNotKept
	}
	err := os.Remove(s.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotKept
	}
	return err
}

func (s *Shelf) path(id string) string { return filepath.Join(s.Dir, fmt.Sprintf("%s.eml", id)) }
