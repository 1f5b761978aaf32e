package local

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// A segment is a file of records behind a header:
//
//	header  magic [8] · version u16 · kind u16 · number u32 · salt u32 · crc u32 · zeroes to 32
//	record  salt u32 · length u32 · check u32 · type u8 · payload
//
// The salt is random for each segment and stands before every record, so that
// the next record can be found behind a damaged one, and so that nobody can
// plant a record inside a mail's text. check is the CRC-32C of length, type and
// the CRC-32C of the payload, begun with the salt: the long part is computed by
// who makes the record, the short one by who places it. Zeroes end a segment.
const (
	segmentMagic   = "TIDESEG\x00"
	segmentVersion = 1
	segmentHeader  = 32
	recordHeader   = 13

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

func appendSegmentHeader(b []byte, kind uint16, number, salt uint32) []byte {
	start := len(b)
	b = append(b, segmentMagic...)
	b = binary.LittleEndian.AppendUint16(b, segmentVersion)
	b = binary.LittleEndian.AppendUint16(b, kind)
	b = binary.LittleEndian.AppendUint32(b, number)
	b = binary.LittleEndian.AppendUint32(b, salt)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
	return append(b, make([]byte, segmentHeader-(len(b)-start))...)
}

// readSalt returns the salt of a segment. When the header is damaged the first
// record vouches for its own.
func readSalt(f file, size int64, kind uint16) (uint32, error) {
	var h [segmentHeader]byte
	if _, err := f.ReadAt(h[:], 0); err != nil {
		return 0, fmt.Errorf("%w: %w", errSegmentHeader, err)
	}
	crc := binary.LittleEndian.Uint32(h[20:])
	if string(h[:8]) == segmentMagic && crc32.Checksum(h[:20], castagnoli) == crc {
		if v := binary.LittleEndian.Uint16(h[8:]); v > segmentVersion {
			return 0, fmt.Errorf("%w (format %d, this one reads up to %d)", errSegmentVersion, v, segmentVersion)
		}
		if k := binary.LittleEndian.Uint16(h[10:]); k != kind {
			return 0, fmt.Errorf("%w: it is of kind %d, not %d", errSegmentHeader, k, kind)
		}
		return binary.LittleEndian.Uint32(h[16:]), nil
	}
	var first [4]byte
	if _, err := f.ReadAt(first[:], segmentHeader); err != nil {
		return 0, errSegmentHeader
	}
	s := scanner{f: f, salt: binary.LittleEndian.Uint32(first[:]), off: segmentHeader, limit: size}
	if _, _, err := s.recordAt(segmentHeader); err != nil || s.salt == 0 {
		return 0, errSegmentHeader
	}
	return s.salt, nil
}

// sealRecord fills in the header at the front of head for a record whose
// payload (the rest of head and what follows it) has the given length and CRC.
func sealRecord(head []byte, salt uint32, length int, crc uint32, typ byte) {
	binary.LittleEndian.PutUint32(head, salt)
	binary.LittleEndian.PutUint32(head[4:], uint32(length))
	binary.LittleEndian.PutUint32(head[8:], recordCheck(salt, uint32(length), crc, typ))
	head[12] = typ
}

func recordCheck(salt, length, crc uint32, typ byte) uint32 {
	var b [9]byte
	binary.LittleEndian.PutUint32(b[:], length)
	binary.LittleEndian.PutUint32(b[4:], crc)
	b[8] = typ
	return crc32.Update(salt, castagnoli, b[:])
}

var errNoRecord = errors.New("no record here")

// parseRecord reads the record at the front of b.
func parseRecord(b []byte, salt uint32) (typ byte, payload []byte, err error) {
	if len(b) < recordHeader || binary.LittleEndian.Uint32(b) != salt {
		return 0, nil, errNoRecord
	}
	length := binary.LittleEndian.Uint32(b[4:])
	if length > maxRecord || int64(length) > int64(len(b)-recordHeader) {
		return 0, nil, errNoRecord
	}
	payload = b[recordHeader : recordHeader+int(length)]
	crc := crc32.Checksum(payload, castagnoli)
	if recordCheck(salt, length, crc, b[12]) != binary.LittleEndian.Uint32(b[8:]) {
		return 0, nil, errNoRecord
	}
	return b[12], payload, nil
}

// scanner reads the records of a segment one after another.
type scanner struct {
	f     file
	salt  uint32
	off   int64 // of the next record
	limit int64 // nothing is read at or behind it

	// damaged is told of every stretch that holds bytes but no record, with a
	// whole record behind it.
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
func (s *scanner) recordAt(off int64) (typ byte, payload []byte, err error) {
	h, err := s.window(off, recordHeader)
	if err != nil {
		return 0, nil, err
	}
	if len(h) < recordHeader || binary.LittleEndian.Uint32(h) != s.salt {
		return 0, nil, errNoRecord
	}
	length := binary.LittleEndian.Uint32(h[4:])
	if length > maxRecord || int64(length) > s.limit-off-recordHeader {
		return 0, nil, errNoRecord
	}
	b, err := s.window(off, recordHeader+int(length))
	if err != nil {
		return 0, nil, err
	}
	return parseRecord(b, s.salt)
}

// next returns the next whole record and its offset; payload is valid until
// the next call. At the end of the segment typ is 0 and off is behind the last
// record.
func (s *scanner) next() (off int64, typ byte, payload []byte, err error) {
	typ, payload, err = s.recordAt(s.off)
	if err == nil {
		off = s.off
		s.off += recordHeader + int64(len(payload))
		return off, typ, payload, nil
	}
	if !errors.Is(err, errNoRecord) {
		return s.off, 0, nil, err
	}
	off, typ, payload, err = s.resync(s.off)
	if err != nil || typ == 0 {
		return s.off, 0, nil, err
	}
	if s.damaged != nil {
		s.damaged(s.off, off-s.off)
	}
	s.off = off + recordHeader + int64(len(payload))
	return off, typ, payload, nil
}

// resync looks for the next whole record behind from; typ is 0 if there is none.
func (s *scanner) resync(from int64) (off int64, typ byte, payload []byte, err error) {
	var salt [4]byte
	binary.LittleEndian.PutUint32(salt[:], s.salt)
	for off = from + 1; off < s.limit; {
		b, err := s.window(off, 256<<10)
		if err != nil {
			return 0, 0, nil, err
		}
		i := bytes.Index(b, salt[:])
		if i < 0 {
			off += int64(max(1, len(b)-3))
			continue
		}
		off += int64(i)
		typ, payload, err = s.recordAt(off)
		if err == nil {
			return off, typ, payload, nil
		}
		if !errors.Is(err, errNoRecord) {
			return 0, 0, nil, err
		}
		off++
	}
	return 0, 0, nil, nil
}
