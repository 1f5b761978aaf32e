package local

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"tidepost/gateway"
)

// sparseShare is the share of unsettled deliveries, in percent, below which an
// old segment is compacted.
const sparseShare = 25

// moveBatch is how many messages move at a time. Commits wait meanwhile.
const moveBatch = 64

// move says that a delivery's content lies elsewhere now.
type move struct {
	mailbox  gateway.Key
	delivery gateway.DeliveryID
	from, to gateway.Ref
}

const moveVersion = 1

func appendMoves(b []byte, moves []move) []byte {
	b = append(b, moveVersion)
	b = binary.AppendUvarint(b, uint64(len(moves)))
	for _, m := range moves {
		b = append(b, m.mailbox[:]...)
		b = append(b, m.delivery.Message[:]...)
		b = binary.AppendUvarint(b, uint64(m.delivery.Ordinal))
		for _, r := range [...]gateway.Ref{m.from, m.to} {
			b = binary.AppendUvarint(b, uint64(r.Segment))
			b = binary.AppendUvarint(b, uint64(r.Offset))
			b = binary.AppendUvarint(b, uint64(r.Length))
		}
	}
	return b
}

func decodeMoves(b []byte) (moves []move, err error) {
	d := decoder{b: b}
	d.version(moveVersion)
	for range d.count() {
		if d.err != nil {
			break
		}
		var m move
		copy(m.mailbox[:], d.fixed(16))
		copy(m.delivery.Message[:], d.fixed(16))
		m.delivery.Ordinal = d.uint32()
		for _, r := range [...]*gateway.Ref{&m.from, &m.to} {
			*r = gateway.Ref{Segment: d.uint32(), Offset: d.uint32(), Length: d.uint32()}
		}
		moves = append(moves, m)
	}
	return moves, d.finish()
}

// sparse lists old log segments of which less than that share, in percent, is
// still needed.
func (s *Store) sparse(share int64) (numbers []uint32) {
	old := s.now().Add(-s.opt.SettledFor)
	for _, n := range s.sealedLog() {
		use := s.sums.use(n)
		if use.Live > 0 && use.Last.Before(old) && use.Live*100 < use.Accepted*share {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// Compact makes the store as small as it can be without losing what retention
// keeps: old segments are compacted when anything in them is settled, and
// state.db is rewritten.
func (s *Store) Compact(ctx context.Context) error {
	s.retaining.Lock()
	defer s.retaining.Unlock()
	if err := s.checkpoint(); err != nil {
		return err
	}
	err := s.compactSegments(ctx, s.sparse(100))
	if err == nil {
		err = s.removeSettled()
	}
	if err == nil {
		err = s.removeHistory()
	}
	if err == nil {
		err = s.checkpoint()
	}
	if err != nil {
		return err
	}
	s.checkpointing.Lock()
	defer s.checkpointing.Unlock()
	return s.stopOn(s.index.rewrite())
}

// compactSegments copies what is needed of the segments to the end of the log.
// The segments themselves go when nobody reads from them any more.
func (s *Store) compactSegments(ctx context.Context, numbers []uint32) error {
	for _, n := range numbers {
		if err := s.compactSegment(ctx, n); err != nil {
			return fmt.Errorf("compacting log segment %d: %w", n, err)
		}
	}
	return nil
}

// copied is a message on its way to the end of the log.
type copied struct {
	message *gateway.Message
	sub     submission
	from    gateway.Ref
}

func (s *Store) compactSegment(ctx context.Context, n uint32) error {
	dicts := make(map[uint32]*dictionary)
	var batch []*copied
	flush := func() error {
		err := s.moveMessages(batch)
		batch = batch[:0]
		return err
	}
	err := s.eachMessage(n, func(r rawRecord, m *gateway.Message, _ []byte) error {
		if live, err := s.liveDeliveries(m); err != nil || len(live) == 0 {
			return err
		}
		dict, err := s.dictionaryAt(n, r.dict, dicts)
		if err != nil {
			return err
		}
		c := &copied{message: m, from: refTo(n, &r)}
		head := append(make([]byte, recordHeader, recordHeader+len(r.payload)), r.payload...)
		c.sub = submission{records: []record{{head: head, typ: recordCopy}}, dict: dict, done: make(chan error, 1)}
		if batch = append(batch, c); len(batch) < moveBatch {
			return ctx.Err()
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	s.movedAt[n] = time.Now()
	return err
}

// dictionaryAt loads the dictionary that records of a segment use.
func (s *Store) dictionaryAt(segment, offset uint32, known map[uint32]*dictionary) (*dictionary, error) {
	if offset == 0 {
		return nil, nil
	}
	if d := known[offset]; d != nil {
		return d, nil
	}
	_, content, err := s.loadDictionary(segment, offset)
	if err != nil {
		return nil, err
	}
	d, err := newDictionary(content)
	known[offset] = d
	return d, err
}

// moveMessages copies messages and, when the copies are on disk, lets their
// deliveries point there. No change may be computed meanwhile: it would bring
// the old place back.
func (s *Store) moveMessages(batch []*copied) error {
	for _, c := range batch {
		s.log.submit(&c.sub)
	}
	var failed error
	for _, c := range batch {
		failed = errors.Join(failed, <-c.sub.done)
	}
	if failed != nil || len(batch) == 0 {
		return failed
	}
	s.moving.Lock()
	defer s.moving.Unlock()
	if err := s.journal.flush(); err != nil { // what was handed in is applied
		return err
	}
	var moves []move
	for _, c := range batch {
		at := c.sub.records[0].at
		to := gateway.Ref{Segment: at.segment(), Offset: at.offset(), Length: uint32(c.sub.records[0].size())}
		live, err := s.liveDeliveries(c.message)
		if err != nil {
			return err
		}
		for _, d := range live {
			if d.Ref == c.from {
				moves = append(moves, move{d.Mailbox, d.ID, c.from, to})
			}
		}
	}
	return s.commitMoves(moves)
}

func (s *Store) commitMoves(moves []move) error {
	if len(moves) == 0 {
		return nil
	}
	sub := &submission{done: make(chan error, 1)}
	sub.records = []record{{head: appendMoves(make([]byte, recordHeader), moves), typ: recordMove}}
	sub.apply = func() {
		if err := s.applyMoves(moves, sub.records[0].at); err != nil {
			s.stop(fmt.Errorf("%w: %w", gateway.ErrStopped, err))
		}
	}
	s.journal.submit(sub)
	return <-sub.done
}

// applyMoves lets deliveries point to the new places of their content. All
// moves of a mailbox are applied together, so that its state holds the whole
// record or none of it.
func (s *Store) applyMoves(moves []move, at place) error {
	byMailbox := make(map[gateway.Key][]move)
	for _, m := range moves {
		byMailbox[m.mailbox] = append(byMailbox[m.mailbox], m)
		s.sums.moved(m.from.Segment, m.to.Segment)
	}
	for k, own := range byMailbox {
		if err := s.boxes.move(k, own, at); err != nil {
			return err
		}
	}
	return nil
}

// move changes the places of a mailbox's content. It makes no revision: nothing
// that anybody decides by has changed.
func (m *mailboxes) move(k gateway.Key, moves []move, at place) error {
	s := m.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := m.boxLocked(s, k)
	if err != nil || at <= b.fromJournal {
		return err
	}
	m.pinLocked(s, k, b)
	next := *b.state
	for _, mv := range moves {
		if d := next.Delivery(mv.delivery); d != nil && d.Ref == mv.from {
			moved := *d
			moved.Ref = mv.to
			next = *next.With(&moved)
		}
	}
	b.state, b.fromJournal = &next, at
	m.soilLocked(b)
	return nil
}
