package local

import (
	"errors"
	"fmt"
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
		r.store.quarantine(log, n, 0, nil, err) // the segment stays where it is
		return segmentHeader, nil
	}
	if err != nil {
		return 0, err
	}
	defer done()
	sc.damaged = func(off, length int64) {
		r.damaged++
		r.store.quarantineStretch(log, n, sc.f, off, length)
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
		if sc.torn && !r.complete(log, n, &rec) {
			continue
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

// complete reports whether the dictionary of a record behind a tear is there.
// Where it is not, nobody was told that the record was stored.
func (r *replayer) complete(log *segments, n uint32, rec *rawRecord) bool {
	if rec.dict == 0 {
		return true
	}
	dict, err := log.readAt(n, rec.dict)
	return err == nil && dict.typ == recordDictionary
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
		return r.undecodable(r.store.messages, at, payload, err)
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
	if typ == recordCursors {
		return r.cursors(at, payload)
	}
	if typ != recordChange {
		return nil
	}
	c, err := decodeChange(payload, r.words)
	if err != nil {
		return r.undecodable(r.store.history, at, payload, err)
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
		return r.undecodable(r.store.history, at, payload, err)
	}
	return r.store.applyMoves(ms, at)
}

func (r *replayer) cursors(at place, payload []byte) error {
	places, err := decodeCursors(payload)
	if err != nil {
		return r.undecodable(r.store.history, at, payload, err)
	}
	r.store.cursors.set(places)
	return nil
}

// undecodable lets replay go on past a record that was written whole and yet
// makes no sense; one of a newer version stops the start.
func (r *replayer) undecodable(log *segments, at place, payload []byte, err error) error {
	if errors.Is(err, errNewer) {
		return err
	}
	r.damaged++
	r.store.quarantine(log, at.segment(), int64(at.offset()), payload, err)
	return nil
}
