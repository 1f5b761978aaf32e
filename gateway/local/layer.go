package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sort"
	"sync"
	"sync/atomic"

	"tidepost/gateway"
)

// layer is one open for reading. It is read with calls, not mapped: reading a
// mapped file that was cut short kills the process, and the call is a fifth of
// what a question costs.
type layer struct {
	file
	path   string
	number uint64 // of the file
	size   int64
	meta   layerMeta
	filter *filter // nil where it is damaged: then every question reads a block
	index  []layerIndex
	blocks int64 // where they end
	broken error // why nothing can be read; all else is zero then

	met atomic.Pointer[error] // the first damage that was met in it
}

type layerIndex struct {
	first entryHash
	page  uint32
}

const indexSize = 16 + 4

// damage is an error of what a layer holds.
func damage(path, what string) error {
	return fmt.Errorf("%w: suppression list %s: %s", gateway.ErrDamaged, path, what)
}

// openLayer opens a layer and reads all of it that is kept in memory.
func openLayer(d disk, path string, number uint64) (*layer, error) {
	f, err := d.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: suppression list: %w", gateway.ErrDamaged, err)
	}
	l := &layer{file: f, path: path, number: number}
	if err := l.load(); err != nil {
		f.Close()
		return nil, err
	}
	return l, nil
}

func (l *layer) load() (err error) {
	if l.size, err = l.Size(); err != nil {
		return err
	}
	if err := l.checkHead(); err != nil {
		return err
	}
	var b [trailerSize]byte
	if _, err := l.ReadAt(b[:], l.size-trailerSize); err != nil || string(b[:8]) != layerEnd ||
		crc32.Checksum(b[:trailerSize-4], castagnoli) != binary.LittleEndian.Uint32(b[trailerSize-4:]) {
		return damage(l.path, "its end is missing or damaged")
	}
	var sections [3][]byte
	var at [4]int64
	for i := range 3 {
		at[i] = int64(binary.LittleEndian.Uint64(b[8+8*i:]))
	}
	at[3] = l.size - trailerSize
	for i := range sections {
		if at[i] < pageSize || at[i+1] < at[i] || at[i+1] > at[3] {
			return damage(l.path, "its parts are in impossible places")
		}
		part := make([]byte, at[i+1]-at[i])
		_, err := l.ReadAt(part, at[i])
		if err == nil && crc32.Checksum(part, castagnoli) == binary.LittleEndian.Uint32(b[32+4*i:]) {
			sections[i] = part
		}
	}
	l.blocks, l.filter = at[0], decodeFilter(sections[0])
	if err := l.loadIndex(sections[1]); err != nil {
		return err
	}
	if l.meta, err = decodeLayerMeta(sections[2]); err != nil {
		return damage(l.path, "its description cannot be read: "+err.Error())
	}
	return nil
}

// checkHead tells a file of a newer version from a damaged one.
func (l *layer) checkHead() error {
	var b [layerHead]byte
	if _, err := l.ReadAt(b[:], 0); err != nil || l.size < pageSize+trailerSize || string(b[:8]) != layerMagic ||
		crc32.Checksum(b[:layerHead-4], castagnoli) != binary.LittleEndian.Uint32(b[layerHead-4:]) {
		return damage(l.path, "its header is damaged")
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v > layerVersion {
		return fmt.Errorf("suppression list %s: %w (format %d, this one reads up to %d)", l.path, errNewer, v, layerVersion)
	}
	return nil
}

func (l *layer) loadIndex(b []byte) error {
	if b == nil || len(b)%indexSize != 0 {
		return damage(l.path, "its index is damaged")
	}
	l.index = make([]layerIndex, 0, len(b)/indexSize)
	last := layerIndex{}
	for ; len(b) > 0; b = b[indexSize:] {
		x := layerIndex{first: entryHash(b), page: binary.LittleEndian.Uint32(b[16:])}
		if x.page <= last.page || int64(x.page)*pageSize >= l.blocks || x.first.compare(last.first) < 0 {
			return damage(l.path, "its index is out of order")
		}
		l.index = append(l.index, x)
		last = x
	}
	return nil
}

// blockOf returns the block in which a hash is if it is anywhere; -1 for none.
func (l *layer) blockOf(h entryHash) int {
	return sort.Search(len(l.index), func(i int) bool { return l.index[i].first.compare(h) > 0 }) - 1
}

// readBlock reads the entries of a block into buf, which may have to grow.
func (l *layer) readBlock(i int, buf *[]byte) ([]byte, error) {
	page := l.index[i].page
	from, to := int64(page)*pageSize, l.blocks
	if i+1 < len(l.index) {
		to = int64(l.index[i+1].page) * pageSize
	}
	if to-from > maxBlock+pageSize {
		return nil, damage(l.path, fmt.Sprintf("the block at page %d is impossibly long", page))
	}
	if int64(cap(*buf)) < to-from {
		*buf = make([]byte, to-from)
	}
	b := (*buf)[:to-from]
	if _, err := l.ReadAt(b, from); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: suppression list %s: %w", gateway.ErrDamaged, l.path, err)
	} else if err != nil {
		return nil, l.damaged("it is cut short")
	}
	entries, ok := openBlock(b, page)
	if !ok {
		return nil, l.damaged(fmt.Sprintf("the block at page %d is damaged", page))
	}
	return entries, nil
}

// damaged notes what was met.
func (l *layer) damaged(what string) error {
	err := damage(l.path, what)
	l.met.CompareAndSwap(nil, &err)
	return err
}

var blockBuffers = sync.Pool{New: func() any { b := make([]byte, pageSize); return &b }}

// find appends the entries of an address to dst.
func (l *layer) find(h entryHash, address string, dst []listed) ([]listed, error) {
	if l.broken != nil {
		return dst, l.broken
	}
	if l.filter != nil && !l.filter.has(h) {
		return dst, nil
	}
	i := l.blockOf(h)
	if i < 0 {
		return dst, nil
	}
	buf := blockBuffers.Get().(*[]byte)
	defer blockBuffers.Put(buf)
	b, err := l.readBlock(i, buf)
	if err != nil {
		return dst, err
	}
	r := blockReader{d: decoder{b: b}}
	for found := false; r.next(); {
		if string(r.address) == address {
			dst, found = append(dst, r.whole()), true
		} else if found {
			break // those of an address stand together
		}
	}
	if r.d.err != nil {
		return dst, l.damaged(fmt.Sprintf("the block at page %d makes no sense", l.index[i].page))
	}
	return dst, nil
}
