package local

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"sort"

	"tidepost/gateway"
)

// A sorted file of traces is pages of 4 KiB, each with the CRC-32C of the rest at
// its end:
//
//	first   magic [8] · version u32 · count u32 · first and last time of an id i64, ms
//	others  93 records, by hash, then the latest id first
const (
	tracePage    = 4096
	tracePerPage = (tracePage - 4) / traceSize
	traceMagic   = "TIDETRX\x00"
	traceVersion = 1
)

// traceFile is one of them. It never changes.
type traceFile struct {
	number uint32
	count  int
	idSpan
}

func (f *traceFile) pages() int { return (f.count + tracePerPage - 1) / tracePerPage }

// inPage is how many records a page has.
func (f *traceFile) inPage(p int) int { return min(tracePerPage, f.count-p*tracePerPage) }

func traceName(number uint32, ext string) string { return fmt.Sprintf("%08d.%s", number, ext) }

func (t *traces) path(number uint32, ext string) string {
	return filepath.Join(t.dir, traceName(number, ext))
}

// sortRun writes a run as a sorted file, durably: its log goes then.
func (t *traces) sortRun(r *traceRun) (*traceFile, error) {
	order := make([]uint32, r.n)
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(i, j uint32) int {
		a, b := r.at(int(i)), r.at(int(j))
		return cmp.Or(cmp.Compare(a.hash, b.hash), b.Delivery.Compare(a.Delivery))
	})
	order = slices.CompactFunc(order, func(i, j uint32) bool {
		a, b := r.at(int(i)), r.at(int(j))
		return a.hash == b.hash && a.Trace == b.Trace
	})
	f := &traceFile{number: r.number, count: len(order), idSpan: r.idSpan}
	temp := t.path(r.number, "tmp")
	t.disk.Remove(temp)
	err := f.write(t.disk, temp, r, order)
	if err == nil {
		err = t.disk.Rename(temp, t.path(r.number, "idx"))
	}
	if err != nil {
		t.disk.Remove(temp)
		return nil, err
	}
	return f, t.disk.SyncDir(t.dir)
}

func (f *traceFile) write(d disk, path string, r *traceRun, order []uint32) error {
	out, err := d.Create(path)
	if err != nil {
		return err
	}
	b := make([]byte, 0, 64*tracePage)
	b = append(b, traceMagic...)
	b = binary.BigEndian.AppendUint32(b, traceVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(f.count))
	b = binary.BigEndian.AppendUint64(b, uint64(f.min))
	b = binary.BigEndian.AppendUint64(b, uint64(f.max))
	b = endPage(b)
	off := int64(0)
	for page := range slices.Chunk(order, tracePerPage) {
		if len(b) == cap(b) && err == nil {
			err = out.Writev(off, [][]byte{b})
			off, b = off+int64(len(b)), b[:0]
		}
		for _, i := range page {
			rec := r.at(int(i))
			b = appendTrace(b, rec.hash, &rec.Trace)
		}
		b = endPage(b)
	}
	if err == nil {
		err = out.Writev(off, [][]byte{b})
	}
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// endPage fills the last page of b and appends its CRC.
func endPage(b []byte) []byte {
	start := (len(b) - 1) / tracePage * tracePage
	b = append(b, make([]byte, start+tracePage-4-len(b))...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// openFile reads the first page of a sorted file.
func (t *traces) openFile(number uint32) (*traceFile, error) {
	f := &traceFile{number: number}
	page := make([]byte, tracePage)
	if err := t.read(number, -1, page); err != nil {
		return nil, err
	}
	if string(page[:8]) != traceMagic || binary.BigEndian.Uint32(page[8:]) != traceVersion {
		return nil, fmt.Errorf("its header: %w", gateway.ErrDamaged)
	}
	f.count = int(binary.BigEndian.Uint32(page[12:]))
	f.min, f.max = int64(binary.BigEndian.Uint64(page[16:])), int64(binary.BigEndian.Uint64(page[24:]))
	if size := fileSize(t.path(number, "idx")); f.count == 0 || size != int64(1+f.pages())*tracePage {
		return nil, fmt.Errorf("%d records in %d bytes: %w", f.count, size, gateway.ErrDamaged)
	}
	return f, nil
}

// read reads a page of records of a sorted file, or its first page for -1, and
// checks it.
func (t *traces) read(number uint32, p int, page []byte) error {
	off := int64(1+p) * tracePage
	f, err := t.handle(number)
	if err == nil {
		_, err = f.ReadAt(page, off)
	}
	if errors.Is(err, os.ErrClosed) { // it was closed to make room for others
		if f, err = t.handle(number); err == nil {
			_, err = f.ReadAt(page, off)
		}
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("page %d is cut off: %w", p+1, gateway.ErrDamaged)
	}
	if err != nil {
		return err
	}
	if crc32.Checksum(page[:tracePage-4], castagnoli) != binary.BigEndian.Uint32(page[tracePage-4:]) {
		return fmt.Errorf("page %d: %w", p+1, gateway.ErrDamaged)
	}
	return nil
}

func (t *traces) handle(number uint32) (file, error) {
	if f, ok := t.open.Get(number); ok {
		return f, nil
	}
	f, err := t.disk.Open(t.path(number, "idx"))
	if err != nil {
		return nil, err
	}
	if was, ok, _ := t.open.PeekOrAdd(number, f); ok { // another was quicker
		f.Close()
		return was, nil
	}
	return f, nil
}

// find returns up to limit traces under a hash of deliveries accepted at since or
// later, the latest first.
func (f *traceFile) find(t *traces, page []byte, hash uint64, since int64, limit int) (found []gateway.Trace, err error) {
	p, err := f.first(t, page, hash)
	for ; err == nil && p < f.pages(); p++ {
		n := f.inPage(p)
		i := sort.Search(n, func(i int) bool { return pageHash(page, i) >= hash })
		for ; i < n; i++ {
			h, tr := decodeTrace(page[i*traceSize:])
			if h != hash || accepted(tr) < since || len(found) == limit {
				return found, nil
			}
			found = append(found, tr)
		}
		if p+1 < f.pages() {
			err = t.read(f.number, p+1, page)
		}
	}
	return found, err
}

func pageHash(page []byte, i int) uint64 { return binary.BigEndian.Uint64(page[i*traceSize:]) }

// first reads the first page whose last hash is not less than hash; at the end of
// the file there is none. Hashes are spread evenly, so that the first guess is a
// few pages off and the second hits; files made to be uneven are halved after four.
func (f *traceFile) first(t *traces, page []byte, hash uint64) (int, error) {
	pages := f.pages()
	lo, hi := 0, pages // it is in lo..hi; hi is not read again but by being it
	p := share(hash, pages)
	for guesses := 1; lo < hi; guesses++ {
		if err := t.read(f.number, p, page); err != nil {
			return 0, err
		}
		head, last := pageHash(page, 0), pageHash(page, f.inPage(p)-1)
		switch {
		case last < hash:
			lo = p + 1
			p = lo + share(hash-last, pages)
		case head < hash || p == lo:
			return p, nil
		default:
			hi = p
			p -= 1 + share(head-hash, pages)
		}
		if guesses >= 4 {
			p = (lo + hi) / 2
		}
		p = max(lo, min(p, hi-1))
	}
	if lo < pages { // it was passed on the way
		return lo, t.read(f.number, lo, page)
	}
	return lo, nil
}

// share is that share of n that hash has of all hashes.
func share(hash uint64, n int) int {
	part, _ := bits.Mul64(hash, uint64(n))
	return int(part)
}
