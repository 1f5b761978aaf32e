package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"tidepost/gateway"
)

// openFiles is how many segments of a log are kept open for reading.
const openFiles = 128

// segments is the set of a log's segments on disk, for reading. Writing goes
// through a writer, which shares nothing with it but the files.
type segments struct {
	disk disk
	dir  string
	kind uint16

	mu      sync.Mutex
	numbers []uint32 // guarded by mu: in order, the one that grows last

	open *lru.Cache[uint32, *segment]
}

// segment is one open for reading.
type segment struct {
	file
	number uint32
	size   int64
	header
}

// openSegments lists the segments of a directory and clears away what a crash
// left half made.
func openSegments(d disk, dir string, kind uint16) (*segments, error) {
	s := &segments{disk: d, dir: dir, kind: kind}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		stem, isSegment := strings.CutSuffix(n.Name(), ".seg")
		number, err := strconv.ParseUint(stem, 10, 32)
		switch {
		case isSegment && err == nil && number > 0:
			s.numbers = append(s.numbers, uint32(number))
		case strings.HasSuffix(n.Name(), ".next"):
			d.Remove(filepath.Join(dir, n.Name()))
		}
	}
	slices.Sort(s.numbers)
	s.open, err = lru.NewWithEvict(openFiles, func(_ uint32, f *segment) { f.Close() })
	return s, err
}

func (s *segments) close() { s.open.Purge() }

func (s *segments) path(n uint32) string { return filepath.Join(s.dir, segmentName(n)) }

// list returns the numbers of all segments in order.
func (s *segments) list() []uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.numbers)
}

// last returns the greatest number, 0 if there is none.
func (s *segments) last() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.numbers) == 0 {
		return 0
	}
	return s.numbers[len(s.numbers)-1]
}

func (s *segments) has(n uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := slices.BinarySearch(s.numbers, n)
	return ok
}

// endedBefore reports whether a segment's last record is older than t. A
// segment is made when the one before it begins to be used, so it is the
// second one behind that was made after the last record.
func (s *segments) endedBefore(n uint32, t time.Time) bool {
	next, ok := s.after(n)
	if ok {
		next, ok = s.after(next)
	}
	if !ok {
		return false
	}
	seg, err := s.get(next)
	return err == nil && seg.created.Before(t)
}

// after returns the first segment behind n.
func (s *segments) after(n uint32) (uint32, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := slices.BinarySearch(s.numbers, n)
	if found {
		i++
	}
	if i == len(s.numbers) {
		return 0, false
	}
	return s.numbers[i], true
}

// add makes a new segment known.
func (s *segments) add(n uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.numbers = append(s.numbers, n)
}

// remove unlinks a segment. Readers that hold it open finish.
func (s *segments) remove(n uint32) error {
	s.mu.Lock()
	if i, ok := slices.BinarySearch(s.numbers, n); ok {
		s.numbers = slices.Delete(s.numbers, i, i+1)
	}
	s.mu.Unlock()
	s.open.Remove(n)
	if err := s.disk.Remove(s.path(n)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return s.disk.SyncDir(s.dir)
}

// get opens a segment for reading or returns it open.
func (s *segments) get(n uint32) (*segment, error) {
	if f, ok := s.open.Get(n); ok {
		return f, nil
	}
	seg, err := s.openNumber(n)
	if err != nil {
		return nil, err
	}
	s.open.Add(n, seg)
	return seg, nil
}

func (s *segments) openNumber(n uint32) (*segment, error) {
	f, err := s.disk.Open(s.path(n))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("segment %d: %w", n, gateway.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	seg := &segment{file: f, number: n}
	if seg.size, err = f.Size(); err == nil {
		seg.header, err = readHeader(f, seg.size, s.kind)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("segment %s: %w", s.path(n), err)
	}
	return seg, nil
}

// read returns the record that r names.
func (s *segments) read(r gateway.Ref) (rec rawRecord, err error) {
	if r.Length < recordHeader || r.Length > maxRecord+recordHeader {
		return rec, fmt.Errorf("record of %d bytes: %w", r.Length, gateway.ErrDamaged)
	}
	b := make([]byte, r.Length)
	seg, err := s.get(r.Segment)
	if err == nil {
		_, err = seg.ReadAt(b, int64(r.Offset))
	}
	if errors.Is(err, os.ErrClosed) { // it was closed to make room for others
		if seg, err = s.get(r.Segment); err == nil {
			_, err = seg.ReadAt(b, int64(r.Offset))
		}
	}
	if errors.Is(err, errSegmentHeader) || errors.Is(err, io.EOF) {
		return rec, fmt.Errorf("%w: %w", gateway.ErrDamaged, err)
	}
	if err != nil {
		return rec, err
	}
	if rec, err = parseRecord(b, seg.salt); err != nil {
		return rec, fmt.Errorf("record at %d of %s: %w", r.Offset, s.path(r.Segment), gateway.ErrDamaged)
	}
	return rec, nil
}

// readAt returns the record at an offset, whose length is not known.
func (s *segments) readAt(segment, offset uint32) (rec rawRecord, err error) {
	seg, err := s.get(segment)
	if err != nil {
		return rec, err
	}
	var h [recordHeader]byte
	if _, err := seg.ReadAt(h[:], int64(offset)); err != nil {
		return rec, err
	}
	length := binary.LittleEndian.Uint32(h[4:])
	return s.read(gateway.Ref{Segment: segment, Offset: offset, Length: recordHeader + min(length, maxRecord+1)})
}

// scan returns a scanner over segment n from offset on, up to limit (0: its
// end), and a func that closes it.
func (s *segments) scan(n uint32, from, limit int64) (*scanner, func(), error) {
	seg, err := s.openNumber(n)
	if err != nil {
		return nil, nil, err
	}
	if limit == 0 || limit > seg.size {
		limit = seg.size
	}
	sc := &scanner{f: seg, salt: seg.salt, off: max(from, segmentHeader), limit: limit}
	return sc, func() { seg.Close() }, nil
}
