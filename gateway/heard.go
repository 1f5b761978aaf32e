package gateway

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"
)

// Lane is one of the consumers of the stream of signals.
type Lane uint8

// The lanes. Permission is drained before evidence (design rule 10).
const (
	LanePermission Lane = iota // unsubscribed, complained, bounced, consent
	LaneEvidence               // all others
	lanes
)

// Place is where in the stream a signal stood. Each mailbox remembers the last one
// of each lane that it has applied, so that what is delivered again after a crash
// is applied once. The zero value stands for signals that came another way.
type Place struct {
	Lane  Lane
	Epoch uint32 // which stream: it grows when one is put in another's place
	Seq   uint64 // from 1
}

// heard is what a mailbox remembers of the signals that it has applied, and what
// rules count of it.
type heard struct {
	last  [lanes]position
	marks []mark // oldest first
	did   activity
	past  pastMark
}

// position is the last place applied of a lane.
type position struct {
	epoch uint32
	seq   uint64
}

// mark stands for one signal, so that a repetition is told from something new.
type mark struct {
	hash uint32
	hour uint32 // since 1970, when it was applied
}

const (
	heardVersion     = 1
	heardVersionPast = 2 // with pastMark

	// A repetition is recognised for at least repeats, up to burstMarks signals of
	// one mailbox, and among its keptMarks last ones however late it comes.
	repeatsFor = 72 // hours
	keptMarks  = 16
	burstMarks = 64
)

// passed reports whether the mailbox has applied that place, or a later one.
func (h *heard) passed(p Place) bool {
	last := h.last[p.Lane]
	return p.Seq > 0 && last.epoch == p.Epoch && p.Seq <= last.seq
}

// drop forgets marks.
func (h *heard) drop(hashes []uint32) {
	h.marks = slices.DeleteFunc(h.marks, func(m mark) bool { return slices.Contains(hashes, m.hash) })
}

// coarsen leaves no more than the day of when signals came.
func (h *heard) coarsen() {
	for i := range h.marks {
		h.marks[i].hour = (h.marks[i].hour + 23) / 24 * 24
	}
	h.past.coarsen()
}

func (h *heard) has(hash uint32) bool {
	return slices.ContainsFunc(h.marks, func(m mark) bool { return m.hash == hash })
}

// note remembers an applied signal.
func (h *heard) note(p Place, hash uint32, now time.Time) {
	if p.Seq > 0 {
		h.last[p.Lane] = position{p.Epoch, p.Seq}
	}
	hour := uint32(max(now.Unix(), 0) / 3600)
	h.marks = append(h.marks, mark{hash, hour})
	for n := len(h.marks); n > keptMarks && (n > burstMarks || h.marks[0].hour+repeatsFor < hour); n-- {
		h.marks = h.marks[1:]
	}
}

func (h *heard) append(b []byte) []byte {
	version := byte(heardVersion)
	if h.past.until != 0 {
		version = heardVersionPast
	}
	b = append(b, version)
	for _, p := range h.last {
		b = binary.AppendUvarint(b, uint64(p.epoch))
		b = binary.AppendUvarint(b, p.seq)
	}
	b = h.did.append(b)
	if version == heardVersionPast {
		b = h.past.append(b)
	}
	for _, m := range h.marks {
		b = binary.BigEndian.AppendUint32(b, m.hash)
		b = append(b, byte(m.hour>>16), byte(m.hour>>8), byte(m.hour))
	}
	return b
}

// heard returns what the mailbox remembers, decoded once a turn.
func (t *turn) heard() *heard {
	if t.ears != nil {
		return t.ears
	}
	h, err := parseHeard(t.box.Heard)
	if err != nil {
		t.g.log().Error("a mailbox forgets which signals it has applied", "mailbox", t.box.Key.String(), "error", err)
	}
	t.ears = &h
	return t.ears
}

// keepHeard stores it.
func (t *turn) keepHeard() { t.head().Heard = t.ears.append(nil) }

var errHeard = errors.New("what was heard of a mailbox cannot be read: unknown version or damaged")

func parseHeard(b []byte) (heard, error) {
	var h heard
	if len(b) == 0 {
		return h, nil
	}
	version := b[0]
	if version != heardVersion && version != heardVersionPast {
		return h, errHeard
	}
	b = b[1:]
	for i := range h.last {
		epoch, n := binary.Uvarint(b)
		if n <= 0 || epoch>>32 > 0 {
			return heard{}, errHeard
		}
		seq, k := binary.Uvarint(b[n:])
		if k <= 0 {
			return heard{}, errHeard
		}
		b = b[n+k:]
		h.last[i] = position{uint32(epoch), seq}
	}
	var err error
	if h.did, b, err = parseActivity(b); err != nil {
		return heard{}, err
	}
	if version == heardVersionPast {
		if h.past, b, err = parsePastMark(b); err != nil {
			return heard{}, err
		}
	}
	if len(b)%7 != 0 || len(b) > 7*burstMarks {
		return heard{}, errHeard
	}
	for ; len(b) > 0; b = b[7:] {
		h.marks = append(h.marks, mark{binary.BigEndian.Uint32(b), uint32(b[4])<<16 | uint32(b[5])<<8 | uint32(b[6])})
	}
	return h, nil
}
