package history

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// runBytes is how much is sorted in memory at a time; as much again is being read
// meanwhile.
const runBytes = 32 << 20

// maxRecord bounds a record, in bytes.
const maxRecord = 4096

// sorter sorts records by their bytes, on disk where they are many.
type sorter struct {
	dir  string                 // of its own; it is made with the first run
	most int                    // bytes of a run; 0: runBytes
	room func(size int64) error // nil: there always is

	now, spare *run
	runs       int
	writing    chan error // of the run that is being written; nil: none is
}

// run is what is sorted in memory.
type run struct {
	bytes []byte
	items []item
}

// item is the place of a record in a run. Most are told apart by their first bytes.
type item struct {
	prefix  uint64
	at, end uint32
}

func (r *run) add(record []byte) {
	at := len(r.bytes)
	r.bytes = append(r.bytes, record...)
	r.items = append(r.items, item{binary.BigEndian.Uint64(record), uint32(at), uint32(len(r.bytes))})
}

func (r *run) sort() {
	slices.SortFunc(r.items, func(a, b item) int {
		switch {
		case a.prefix < b.prefix:
			return -1
		case a.prefix > b.prefix:
			return 1
		}
		return bytes.Compare(r.bytes[a.at+8:a.end], r.bytes[b.at+8:b.end])
	})
}

func (r *run) all(yield func([]byte, error) bool) {
	for _, i := range r.items {
		if !yield(r.bytes[i.at:i.end], nil) {
			return
		}
	}
}

// add takes a record over, of at least 8 bytes; its bytes are copied.
func (s *sorter) add(record []byte) error {
	if s.now == nil {
		s.now = new(run)
	}
	most := s.most
	if most == 0 {
		most = runBytes
	}
	if len(s.now.bytes)+len(record) > most && len(s.now.items) > 0 {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.now.add(record)
	return nil
}

// spill sorts what is in memory and writes it, beside what comes next.
func (s *sorter) spill() error {
	if err := s.wait(); err != nil {
		return err
	}
	if s.runs == 0 {
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return err
		}
	}
	if s.room != nil {
		if err := s.room(int64(len(s.now.bytes))); err != nil {
			return err
		}
	}
	full, path := s.now, s.path(s.runs)
	s.runs++
	if s.now, s.spare = s.spare, full; s.now == nil {
		s.now = new(run)
	}
	s.writing = make(chan error, 1)
	go func(done chan<- error) { // ends with the run; wait hears of it
		full.sort()
		err := writeRun(path, full)
		full.bytes, full.items = full.bytes[:0], full.items[:0]
		done <- err
	}(s.writing)
	return nil
}

func (s *sorter) wait() error {
	if s.writing == nil {
		return nil
	}
	err := <-s.writing
	s.writing = nil
	if err != nil {
		err = fmt.Errorf("sorting: %w", err)
	}
	return err
}

func (s *sorter) path(i int) string { return filepath.Join(s.dir, strconv.Itoa(i)+".run") }

func writeRun(path string, r *run) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 256<<10)
	var size [binary.MaxVarintLen32]byte
	for record := range r.all {
		w.Write(size[:binary.PutUvarint(size[:], uint64(len(record)))])
		w.Write(record)
	}
	return errors.Join(w.Flush(), f.Close())
}

// sorted yields all records in order; each is valid until the next. Those that are
// equal come one after another.
func (s *sorter) sorted() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if s.runs == 0 {
			if s.now != nil {
				s.now.sort()
				s.now.all(yield)
			}
			return
		}
		if err := errors.Join(s.spill(), s.wait()); err != nil {
			yield(nil, err)
			return
		}
		s.now, s.spare = nil, nil
		s.merge(yield)
	}
}

func (s *sorter) merge(yield func([]byte, error) bool) {
	var m merge
	defer func() {
		for _, c := range m {
			c.file.Close()
		}
	}()
	for i := range s.runs {
		f, err := os.Open(s.path(i))
		if err != nil {
			yield(nil, err)
			return
		}
		c := &cursor{file: f, r: bufio.NewReaderSize(f, 64<<10)}
		m = append(m, c)
		if err := c.next(); err != nil {
			yield(nil, err)
			return
		}
	}
	heap.Init(&m)
	for len(m) > 0 {
		c := m[0]
		if !yield(c.record, nil) {
			return
		}
		switch err := c.next(); {
		case err == io.EOF:
			c.file.Close()
			heap.Pop(&m)
		case err != nil:
			yield(nil, err)
			return
		default:
			heap.Fix(&m, 0)
		}
	}
}

// end removes what was written.
func (s *sorter) end() {
	s.wait()
	if s.runs > 0 {
		os.RemoveAll(s.dir)
	}
}

// cursor is a place in a run; no run is empty.
type cursor struct {
	file   *os.File
	r      *bufio.Reader
	record []byte
}

// next reads the next record. The error is io.EOF behind the last.
func (c *cursor) next() error {
	n, err := binary.ReadUvarint(c.r)
	if err == io.EOF {
		return err
	}
	if err != nil || n > maxRecord {
		return errors.Join(errRecord, err)
	}
	c.record = slices.Grow(c.record[:0], int(n))[:n]
	if _, err := io.ReadFull(c.r, c.record); err != nil {
		return errors.Join(errRecord, err)
	}
	return nil
}

// merge is a heap of cursors, that of the least record first.
type merge []*cursor

func (m merge) Len() int           { return len(m) }
func (m merge) Less(i, j int) bool { return bytes.Compare(m[i].record, m[j].record) < 0 }
func (m merge) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }

// Push is not used: cursors only leave.
func (m *merge) Push(x any) { *m = append(*m, x.(*cursor)) }

// Pop takes the last cursor out.
func (m *merge) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}
