package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"time"
)

const (
	layerMagic   = "TIDELIST"
	layerEnd     = "TSILEDIT"
	layerVersion = 1
	layerHead    = 24
	trailerSize  = 8 + 3*8 + 3*4 + 4

	// layerWrite is written by one call, layerSync is how much may be unsynced:
	// one sync of a large file would keep the logs on the same disk waiting.
	layerWrite = 512 << 10
	layerSync  = 1 << 20
)

// What a layer is. Only a run may be thrown away where nothing names it.
const (
	layerRun    = 1 // a sorted piece of a list that is being staged
	layerList   = 2 // a list
	layerMerged = 3 // several lists
)

// layerMeta says what is in a layer.
type layerMeta struct {
	kind    uint16
	number  uint64 // of the list; of the file, where it is merged
	name    string // of the list
	lines   int    // of the source, up to the end of this
	entries int64
	made    time.Time
}

func (m *layerMeta) append(b []byte) []byte {
	b = append(b, layerVersion)
	b = binary.AppendUvarint(b, uint64(m.kind))
	b = binary.AppendUvarint(b, m.number)
	b = appendString(b, m.name)
	b = binary.AppendUvarint(b, uint64(m.lines))
	b = binary.AppendUvarint(b, uint64(m.entries))
	return appendTime(b, m.made)
}

func decodeLayerMeta(b []byte) (m layerMeta, err error) {
	d := decoder{b: b}
	d.version(layerVersion)
	m.kind, m.number, m.name = uint16(d.uvarint()), d.uvarint(), d.string()
	m.lines, m.entries, m.made = int(d.uvarint()), int64(d.uvarint()), d.time()
	return m, d.finish()
}

// layerWriter writes a layer under a temporary name. finish gives it its own.
type layerWriter struct {
	disk       disk
	temp, path string
	f          file
	meta       layerMeta

	off      int64 // of buf in the file
	unsynced int64
	buf      []byte // blocks to be written
	block    []byte // the one that grows, with its header
	first    entryHash
	prev     listed // the last entry in block
	index    []byte
	filter   *filter
}

// newLayerWriter begins a layer of at most so many hashes.
func newLayerWriter(d disk, path string, meta layerMeta, hashes int64) (*layerWriter, error) {
	w := &layerWriter{disk: d, temp: path + ".tmp", path: path, meta: meta, filter: newFilter(hashes)}
	os.Remove(w.temp)
	var err error
	if w.f, err = d.Create(w.temp); err != nil {
		return nil, err
	}
	head := append(make([]byte, 0, pageSize), layerMagic...)
	head = binary.LittleEndian.AppendUint16(head, layerVersion)
	head = binary.LittleEndian.AppendUint16(head, meta.kind)
	head = binary.LittleEndian.AppendUint64(head, meta.number)
	head = binary.LittleEndian.AppendUint32(head, crc32.Checksum(head, castagnoli))
	w.buf = append(make([]byte, 0, layerWrite+pageSize), head[:pageSize]...)
	w.block = make([]byte, blockHeader, 2*pageSize)
	return w, nil
}

// add writes all entries of a hash, in the order of compareEntries. Hashes come
// in order.
func (w *layerWriter) add(h entryHash, group []listed) error {
	whole := len(w.block)
	w.group(h, group)
	if len(w.block) > pageSize && whole > blockHeader {
		w.block = w.block[:whole]
		if err := w.endBlock(); err != nil {
			return err
		}
		w.group(h, group)
	}
	if len(w.block) > maxBlock {
		return fmt.Errorf("the entries of %q take more than %d MiB", group[0].Address, maxBlock>>20)
	}
	w.filter.add(h)
	w.meta.entries += int64(len(group))
	return nil
}

func (w *layerWriter) group(h entryHash, group []listed) {
	if len(w.block) == blockHeader {
		w.first, w.prev = h, listed{}
	}
	for i := range group {
		w.block = appendListed(w.block, &w.prev, &group[i])
		w.prev = group[i]
	}
}

// endBlock seals the block and begins the next one.
func (w *layerWriter) endBlock() error {
	if len(w.block) == blockHeader {
		return nil
	}
	page := uint32((w.off + int64(len(w.buf))) / pageSize)
	sealBlock(w.block, page)
	w.index = append(w.index, w.first[:]...)
	w.index = binary.LittleEndian.AppendUint32(w.index, page)
	w.buf = append(w.buf, w.block...)
	if over := len(w.block) % pageSize; over > 0 {
		w.buf = append(w.buf, zeroPage[over:]...)
	}
	w.block = w.block[:blockHeader]
	clear(w.block)
	if len(w.buf) < layerWrite {
		return nil
	}
	return w.flush()
}

var zeroPage [pageSize]byte

// flush writes what was put together.
func (w *layerWriter) flush() error {
	n := int64(len(w.buf))
	if n == 0 {
		return nil
	}
	if err := w.f.Writev(w.off, [][]byte{w.buf}); err != nil {
		return err
	}
	w.off, w.unsynced, w.buf = w.off+n, w.unsynced+n, w.buf[:0]
	if w.unsynced < layerSync {
		return nil
	}
	w.unsynced = 0
	return w.f.Sync()
}

// finish completes the file durably under its own name.
func (w *layerWriter) finish() error {
	if err := w.endBlock(); err != nil {
		return err
	}
	trailer := append(make([]byte, 0, trailerSize), layerEnd...)
	var crcs []byte
	for _, section := range [][]byte{w.filter.append(nil), w.index, w.meta.append(nil)} {
		trailer = binary.LittleEndian.AppendUint64(trailer, uint64(w.off+int64(len(w.buf))))
		crcs = binary.LittleEndian.AppendUint32(crcs, crc32.Checksum(section, castagnoli))
		w.buf = append(w.buf, section...)
		if err := w.flush(); err != nil {
			return err
		}
	}
	trailer = append(trailer, crcs...)
	w.buf = append(w.buf, binary.LittleEndian.AppendUint32(trailer, crc32.Checksum(trailer, castagnoli))...)
	if err := w.flush(); err != nil {
		return err
	}
	if err := errors.Join(w.f.Sync(), w.f.Close()); err != nil {
		return err
	}
	w.f = nil
	if err := w.disk.Rename(w.temp, w.path); err != nil {
		return err
	}
	return w.disk.SyncDir(filepath.Dir(w.path))
}

// discard removes what is not finished.
func (w *layerWriter) discard() {
	if w.f != nil {
		w.f.Close()
		w.f = nil
	}
	w.disk.Remove(w.temp)
}
