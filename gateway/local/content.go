package local

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"tidepost/gateway"
)

// How a message's content is stored behind its metadata.
const (
	contentPlain = 0 // as it is
	contentFile  = 1 // its size as varint; the bytes are in large/ID
	contentS2    = 2 // an s2 block
	contentZstd  = 3 // id of the dictionary u64, size as varint, a zstd frame
)

// storeContent completes the record in a.buf with the content. undo takes back
// what it did outside of the log.
func (s *Store) storeContent(a *acceptance, m *gateway.Message, c gateway.Content) (undo func(error), err error) {
	undo = func(error) {}
	r := record{typ: recordMessage}
	if c.File == nil {
		a.buf, r.body, a.dict = s.compressor.compress(a.buf, m, c.Bytes)
	} else {
		f, ok := c.File.(*spoolFile)
		if !ok {
			return nil, fmt.Errorf("accepting a message: its file (%T) is not from Spool", c.File)
		}
		if err := f.keep(m.ID); err != nil {
			return nil, s.stopOn(err)
		}
		undo = func(cause error) {
			if errors.Is(cause, gateway.ErrFull) {
				s.opt.disk.Remove(s.largePath(m.ID) + newSuffix)
			}
		}
		a.buf = binary.AppendUvarint(append(a.buf, contentFile), uint64(f.size))
	}
	r.head = a.buf
	a.record[0] = r
	a.records = a.record[:]
	return undo, nil
}

// Body reads a message back.
func (s *Store) Body(_ context.Context, r gateway.Ref) (*gateway.Stored, error) {
	rec, err := s.messages.read(r)
	if err == nil && !isMessage(rec.typ) {
		err = fmt.Errorf("it is a record of type %d: %w", rec.typ, gateway.ErrDamaged)
	}
	var m *gateway.Message
	var content []byte
	if err == nil {
		m, content, err = decodeMessageRecord(rec.payload)
	}
	s.quarantineRef(r, err)
	if err != nil {
		return nil, fmt.Errorf("message at %d of log segment %d: %w", r.Offset, r.Segment, err)
	}
	stored, err := s.openContent(m, content, r.Segment, rec.dict)
	s.quarantineRef(r, err)
	if err != nil {
		return nil, fmt.Errorf("message %s: %w", m.ID, err)
	}
	return stored, nil
}

func isMessage(typ byte) bool { return typ == recordMessage || typ == recordCopy }

// decodeMessageRecord takes a message's record apart; content shares memory
// with payload.
func decodeMessageRecord(payload []byte) (m *gateway.Message, content []byte, err error) {
	d := decoder{b: payload}
	length := d.fixed(4)
	if d.err != nil {
		return nil, nil, fmt.Errorf("%w: %w", gateway.ErrDamaged, d.err)
	}
	meta := d.fixed(int(binary.LittleEndian.Uint32(length)))
	if d.err != nil {
		return nil, nil, fmt.Errorf("%w: %w", gateway.ErrDamaged, d.err)
	}
	if m, err = decodeMessage(meta); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", gateway.ErrDamaged, err)
	}
	return m, d.b, nil
}

// openContent makes content readable, with its dictionary at dict of the same
// segment.
func (s *Store) openContent(m *gateway.Message, content []byte, segment, dict uint32) (*gateway.Stored, error) {
	d := decoder{b: content}
	encoding := d.byte()
	if d.err != nil {
		return nil, gateway.ErrDamaged
	}
	var err error
	switch encoding {
	case contentFile:
		return s.openLarge(m, &d)
	case contentPlain:
		content = d.b
	case contentS2:
		content, err = expandS2(d.b)
	case contentZstd:
		content, err = s.compressor.expandZstd(&d, func() (uint64, []byte, error) { return s.loadDictionary(segment, dict) })
	default:
		err = fmt.Errorf("content is stored in a way that this version does not know (%d)", encoding)
	}
	if err != nil {
		return nil, err
	}
	return &gateway.Stored{Message: m, ReaderAt: bytes.NewReader(content), Size: int64(len(content))}, nil
}

// loadDictionary reads a dictionary back.
func (s *Store) loadDictionary(segment, offset uint32) (id uint64, content []byte, err error) {
	rec, err := s.messages.readAt(segment, offset)
	if err != nil {
		return 0, nil, err
	}
	if rec.typ != recordDictionary {
		return 0, nil, gateway.ErrDamaged
	}
	return decodeDictionary(rec.payload)
}

func (s *Store) openLarge(m *gateway.Message, d *decoder) (*gateway.Stored, error) {
	size := int64(d.uvarint())
	if d.err != nil {
		return nil, gateway.ErrDamaged
	}
	f, err := s.opt.disk.Open(s.largePath(m.ID))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("its file is gone: %w", gateway.ErrDamaged)
	}
	if err != nil {
		return nil, err
	}
	if have, err := f.Size(); err != nil || have != size {
		f.Close()
		return nil, fmt.Errorf("its file has %d bytes instead of %d: %w", have, size, gateway.ErrDamaged)
	}
	return &gateway.Stored{Message: m, ReaderAt: f, Size: size, Closer: f}, nil
}
