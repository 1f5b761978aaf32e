package local

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// A segment is a file of records behind a header:
//
//	header  magic [8] · version u16 · kind u16 · number u32 · salt u32 · created i64 · crc u32
//	record  salt u32 · length u32 · check u32 · synced u32 · dict u32 · type u8 · payload
//
// The salt is random for each segment and stands before every record, so that
// the next record can be found behind a damaged one, and so that nobody can
// plant a record inside a mail's text. check is the CRC-32C of length, synced,
// dict, type and the CRC-32C of the payload, begun with the salt: the long part is
// computed by who makes the record, the short one by who places it. Zeroes end
// a segment.
//
// synced is the offset up to which the segment was on disk when the record was
// written. It tells rot from a torn end: damage before the synced of a later
// record was whole once; damage behind all of them was never finished, and
// nobody was told that it was. dict is the offset of the dictionary that the
// record needs, in the same segment; 0 for none.
const (
	segmentMagic   = "TIDESEG\x00"
	segmentVersion = 1
	segmentHeader  = 32
	recordHeader   = 21

	// maxRecord is more than any record needs: a message of MemoryLimit bytes
	// with a thousand recipients, a mailbox with ten thousand deliveries.
	maxRecord = 32 << 20
)

// Record types.
const (
	recordMessage    = 1 // log
	recordDictionary = 2 // log
	recordChange     = 3 // journal
	recordMove       = 4 // journal
	recordEnd        = 5 // both: the last one of a clean end
	recordCopy       = 6 // log: a message that compaction copied
	recordCursors    = 7 // journal: how far its readers have read
)

// What a segment is part of.
const (
	kindLog     = 1
	kindJournal = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errSegmentHeader  = errors.New("the segment's header is damaged")
	errSegmentVersion = errors.New("the segment was written by a newer version of tidepost")
)

// newSalt returns a random salt. Its first byte is never zero, so that zeroes
// are no record.
func newSalt() uint32 {
	var b [4]byte
	rand.Read(b[:])
	return binary.LittleEndian.Uint32(b[:]) | 1
}

// header is what the front of a segment says of it.
type header struct {
	salt    uint32
	created time.Time // to the millisecond; zero when the header is damaged
}

func appendSegmentHeader(b []byte, kind uint16, number uint32, h header) []byte {
	start := len(b)
	b = append(b, segmentMagic...)
	b = binary.LittleEndian.AppendUint16(b, segmentVersion)
	b = binary.LittleEndian.AppendUint16(b, kind)
	b = binary.LittleEndian.AppendUint32(b, number)
	b = binary.LittleEndian.AppendUint32(b, h.salt)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.created.UnixMilli()))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// readHeader reads the header of a segment. When it is damaged the first record
// vouches for its own salt.
func readHeader(f file, size int64, kind uint16) (h header, err error) {
	var b [segmentHeader]byte
	if _, err := f.ReadAt(b[:], 0); err != nil {
		return h, fmt.Errorf("%w: %w", errSegmentHeader, err)
	}
	if crc := binary.LittleEndian.Uint32(b[28:]); string(b[:8]) == segmentMagic && crc32.Checksum(b[:28], castagnoli) == crc {
		return decodeHeader(b[:], kind)
	}
	var first [4]byte
	if _, err := f.ReadAt(first[:], segmentHeader); err != nil {
		return h, errSegmentHeader
	}
	h.salt = binary.LittleEndian.Uint32(first[:])
	s := scanner{f: f, salt: h.salt, off: segmentHeader, limit: size}
	if _, err := s.recordAt(segmentHeader); err != nil || h.salt == 0 {
		return h, errSegmentHeader
	}
	return h, nil
}

func decodeHeader(b []byte, kind uint16) (h header, err error) {
	if v := binary.LittleEndian.Uint16(b[8:]); v > segmentVersion {
		return h, fmt.Errorf("%w (format %d, this one reads up to %d)", errSegmentVersion, v, segmentVersion)
	}
	if k := binary.LittleEndian.Uint16(b[10:]); k != kind {
		return h, fmt.Errorf("%w: it is of kind %d, not %d", errSegmentHeader, k, kind)
	}
	h.salt = binary.LittleEndian.Uint32(b[16:])
	h.created = time.UnixMilli(int64(binary.LittleEndian.Uint64(b[20:])))
	return h, nil
}

// sealRecord fills in the header at the front of head for a record whose
// payload (the rest of head and what follows it) has the given length and CRC.
func sealRecord(head []byte, salt uint32, length int, crc, synced, dict uint32, typ byte) {
	binary.LittleEndian.PutUint32(head, salt)
	binary.LittleEndian.PutUint32(head[4:], uint32(length))
	binary.LittleEndian.PutUint32(head[12:], synced)
	binary.LittleEndian.PutUint32(head[16:], dict)
	head[20] = typ
	binary.LittleEndian.PutUint32(head[8:], recordCheck(head, crc))
}

// recordCheck computes the check of a record from its header and the CRC of its
// payload.
func recordCheck(head []byte, crc uint32) uint32 {
	var b [17]byte
	copy(b[:], head[4:8])
	copy(b[4:], head[12:recordHeader])
	binary.LittleEndian.PutUint32(b[13:], crc)
	return crc32.Update(binary.LittleEndian.Uint32(head), castagnoli, b[:])
}

var errNoRecord = errors.New("no record here")

// rawRecord is a record as it was read. Its payload is valid until the next one
// is read.
type rawRecord struct {
	off     int64
	typ     byte // 0: there is none
	synced  int64
	dict    uint32
	payload []byte
}

func (r *rawRecord) end() int64 { return r.off + recordHeader + int64(len(r.payload)) }

// parseRecord reads the record at the front of b.
func parseRecord(b []byte, salt uint32) (r rawRecord, err error) {
	if len(b) < recordHeader || binary.LittleEndian.Uint32(b) != salt {
		return r, errNoRecord
	}
	length := binary.LittleEndian.Uint32(b[4:])
	if length > maxRecord || int64(length) > int64(len(b)-recordHeader) || b[20] == 0 {
		return r, errNoRecord
	}
	payload := b[recordHeader : recordHeader+int(length)]
	if recordCheck(b, crc32.Checksum(payload, castagnoli)) != binary.LittleEndian.Uint32(b[8:]) {
		return r, errNoRecord
	}
	return rawRecord{
		typ:    b[20],
		synced: int64(binary.LittleEndian.Uint32(b[12:])),
		dict:   binary.LittleEndian.Uint32(b[16:]), payload: payload,
	}, nil
}

// scanner reads the records of a segment one after another.
type scanner struct {
	f     file
	salt  uint32
	off   int64 // of the next record
	limit int64 // nothing is read at or behind it

	// tail is set where the end of the segment may be torn, ordered where
	// nothing may be used behind a tear. torn tells that there was a tear.
	tail, ordered, torn bool

	// damaged, where set, is told of every stretch that was whole once.
	damaged func(off, length int64)

	buf  []byte // of the bytes from base on
	base int64
}

// window returns the n bytes at off, fewer where the segment ends before.
func (s *scanner) window(off int64, n int) ([]byte, error) {
	n = int(min(int64(n), s.limit-off))
	if n <= 0 {
		return nil, nil
	}
	if off >= s.base && off+int64(n) <= s.base+int64(len(s.buf)) {
		return s.buf[off-s.base:][:n], nil
	}
	ahead := int(min(int64(max(n, 256<<10)), s.limit-off))
	if cap(s.buf) < ahead {
		s.buf = make([]byte, ahead)
	}
	s.buf, s.base = s.buf[:ahead], off
	if got, err := s.f.ReadAt(s.buf, off); got < n {
		s.buf = s.buf[:0]
		return nil, fmt.Errorf("reading a segment at %d: %w", off, err)
	}
	return s.buf[:n], nil
}

// recordAt reads the record at off. errNoRecord says that there is none.
func (s *scanner) recordAt(off int64) (rawRecord, error) {
	h, err := s.window(off, recordHeader)
	if err != nil {
		return rawRecord{}, err
	}
	if len(h) < recordHeader || binary.LittleEndian.Uint32(h) != s.salt {
		return rawRecord{}, errNoRecord
	}
	length := binary.LittleEndian.Uint32(h[4:])
	if length > maxRecord || int64(length) > s.limit-off-recordHeader {
		return rawRecord{}, errNoRecord
	}
	b, err := s.window(off, recordHeader+int(length))
	if err != nil {
		return rawRecord{}, err
	}
	r, err := parseRecord(b, s.salt)
	r.off = off
	return r, err
}

// next returns the next whole record. At the end of the segment its type is 0
// and s.off is behind the last record.
func (s *scanner) next() (rawRecord, error) {
	r, err := s.recordAt(s.off)
	if err == nil {
		s.off = r.end()
		return r, nil
	}
	if !errors.Is(err, errNoRecord) {
		return r, err
	}
	if r, err = s.resync(s.off); err != nil || r.typ == 0 {
		return r, err
	}
	rot := true
	if s.tail {
		if rot, err = s.wasWhole(r); err != nil {
			return rawRecord{}, err
		}
		s.torn = s.torn || !rot
		if !rot && s.ordered {
			return rawRecord{}, nil
		}
	}
	if rot && s.damaged != nil {
		s.damaged(s.off, r.off-s.off)
	}
	s.off = r.off
	return s.next()
}

// wasWhole reports whether what is damaged at s.off was on disk once: whether r
// or a record behind it says so.
func (s *scanner) wasWhole(r rawRecord) (bool, error) {
	ahead := scanner{f: s.f, salt: s.salt, off: r.off, limit: s.limit}
	for {
		r, err := ahead.next()
		if err != nil || r.typ == 0 || r.synced > s.off {
			return r.typ != 0, err
		}
	}
}

// resync looks for the next whole record behind from; its type is 0 if there is
// none.
func (s *scanner) resync(from int64) (rawRecord, error) {
	var salt [4]byte
	binary.LittleEndian.PutUint32(salt[:], s.salt)
	for off := from + 1; off < s.limit; {
		b, err := s.window(off, 256<<10)
		if err != nil {
			return rawRecord{}, err
		}
		i := bytes.Index(b, salt[:])
		if i < 0 {
			off += int64(max(1, len(b)-3))
			continue
		}
		off += int64(i)
		if r, err := s.recordAt(off); err == nil || !errors.Is(err, errNoRecord) {
			return r, err
		}
		off++
	}
	return rawRecord{}, nil
}
