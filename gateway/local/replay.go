package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// replay brings memory from the checkpoint's positions to the ends of both
// logs: first the messages that were accepted, then what became of them. It
// returns the places behind the last records.
func (s *Store) replay(from positions) (ends positions, err error) {
	r := replayer{store: s, words: make(map[string]string)}
	if ends.log, err = r.tail(s.messages, from.log, r.message); err != nil {
		return ends, fmt.Errorf("replaying the message log: %w", err)
	}
	if ends.journal, err = r.tail(s.history, from.journal, r.change); err != nil {
		return ends, fmt.Errorf("replaying the journal: %w", err)
	}
	if r.records > 0 {
		s.opt.Log.Info("replayed", "records", r.records, "skipped", r.damaged)
	}
	return ends, nil
}

// replayer reads the tails of the logs.
type replayer struct {
	store   *Store
	words   map[string]string
	records int
	damaged int
}

// tail calls apply for every record of a log from a place on.
func (r *replayer) tail(log *segments, from place, apply func(at place, typ byte, payload []byte) error) (place, error) {
	end := from
	numbers := log.list()
	for i, n := range numbers {
		if n < from.segment() {
			continue
		}
		offset := int64(0)
		if n == from.segment() {
			offset = int64(from.offset())
		}
		last := i == len(numbers)-1
		stop, err := r.segment(log, n, offset, last, apply)
		if err != nil {
			return end, err
		}
		end = placeOf(n, uint32(stop))
	}
	return end, nil
}

// segment replays one segment. A last one is cut behind its last whole record.
func (r *replayer) segment(log *segments, n uint32, offset int64, last bool, apply func(place, byte, []byte) error) (int64, error) {
	sc, done, err := log.scan(n, offset, 0)
	if errors.Is(err, errSegmentHeader) {
		r.damaged++
		return segmentHeader, r.store.quarantineSegment(log, n, err)
	}
	if err != nil {
		return 0, err
	}
	defer done()
	sc.damaged = func(off, length int64) {
		r.damaged++
		r.store.quarantine(log, n, sc.f, off, length)
	}
	sc.tail, sc.ordered = last, log.kind == kindJournal
	for {
		rec, err := sc.next()
		if err != nil {
			return 0, err
		}
		if rec.typ == 0 {
			break
		}
		r.records++
		if err := apply(placeOf(n, uint32(rec.off)), rec.typ, rec.payload); err != nil {
			return 0, fmt.Errorf("record at %d of %s: %w", rec.off, log.path(n), err)
		}
	}
	if last && sc.off < sc.limit {
		return sc.off, cut(sc.f, sc.off)
	}
	return sc.off, nil
}

// cut ends a segment behind its last whole record.
func cut(f file, off int64) error {
	if err := f.Truncate(off); err != nil {
		return err
	}
	return f.Sync()
}

// message replays a record of the message log.
func (r *replayer) message(at place, typ byte, payload []byte) error {
	if typ != recordMessage && !(typ == recordCopy && r.store.recovering) {
		return nil
	}
	m, content, err := decodeMessageRecord(payload)
	if err != nil {
		return r.undecodable(at, err)
	}
	if len(content) > 0 && content[0] == contentFile {
		if err := r.store.reclaim(m.ID); err != nil {
			return err
		}
	}
	deliveries := newDeliveries(m)
	r.store.applyAccept(m, deliveries, at, int64(len(payload))+recordHeader)
	return r.relieve()
}

// relieve keeps memory within bounds while everything is replayed for recovery.
func (r *replayer) relieve() error {
	if r.store.recovering && r.store.boxes.dirty.Load() > dirtyStart {
		return r.store.writeStates()
	}
	return r.store.err()
}

// change replays a record of the journal.
func (r *replayer) change(at place, typ byte, payload []byte) error {
	if typ == recordMove {
		return r.moves(at, payload)
	}
	if typ != recordChange {
		return nil
	}
	c, err := decodeChange(payload, r.words)
	if err != nil {
		return r.undecodable(at, err)
	}
	if c.rev > 0 {
		if err := r.store.boxes.apply(c, at, false); err != nil {
			return err
		}
	}
	if err := r.store.applyRest(c); err != nil {
		return err
	}
	return r.relieve()
}

func (r *replayer) moves(at place, payload []byte) error {
	ms, err := decodeMoves(payload)
	if err != nil {
		return r.undecodable(at, err)
	}
	return r.store.applyMoves(ms, at)
}

// undecodable lets replay go on past a record that was written whole and yet
// makes no sense; one of a newer version stops the start.
func (r *replayer) undecodable(at place, err error) error {
	if errors.Is(err, errNewer) {
		return err
	}
	r.damaged++
	r.store.opt.Log.Error("a record cannot be decoded; skipped", "segment", at.segment(), "offset", at.offset(), "error", err)
	r.store.quarantined.Add(1)
	return nil
}

// quarantine copies a damaged stretch aside and reports it.
func (s *Store) quarantine(log *segments, n uint32, f file, off, length int64) {
	s.quarantined.Add(1)
	b := make([]byte, min(length, maxRecord))
	f.ReadAt(b, off)
	name := fmt.Sprintf("%s-%08d-%d", filepath.Base(log.dir), n, off)
	err := os.WriteFile(filepath.Join(s.dir("quarantine"), name), b, 0o600)
	s.opt.Log.Error("damaged records were put into quarantine", "segment", log.path(n), "offset", off, "bytes", length, "copy", name, "copy_error", err)
}

// quarantineSegment sets a segment aside whose header and first record are both
// damaged; one that was never begun is forgotten.
func (s *Store) quarantineSegment(log *segments, n uint32, cause error) error {
	s.quarantined.Add(1)
	s.opt.Log.Error("a segment cannot be read; it stays where it is", "segment", log.path(n), "error", cause)
	return nil
}
