package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"tidepost/gateway"
)

var _ gateway.Browser = (*Store)(nil)

// scanPiece is how many states one read transaction of Scan looks at.
const scanPiece = 2000

// Scan calls yield for mailboxes with unsettled deliveries in key order. A
// mailbox that changes meanwhile is seen as it was at some instant of the scan.
func (s *Store) Scan(ctx context.Context, from gateway.Key, yield func(*gateway.Mailbox) bool) error {
	fresh := s.boxes.pinned()
	slices.SortFunc(fresh, func(a, b *gateway.Mailbox) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	start := bytes.Clone(from[:])
	for start != nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		states, next, err := s.scanPiece(start)
		if err != nil {
			return err
		}
		piece := merged(states, fresh, start, next)
		for _, m := range piece {
			if len(m.Deliveries) > 0 && !yield(m) {
				return nil
			}
		}
		start = next
	}
	return nil
}

// scanPiece reads states of the checkpoint from a key on, and the key to go on
// with.
func (s *Store) scanPiece(from []byte) (states []*gateway.Mailbox, next []byte, err error) {
	err = s.index.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketMailbox).Cursor()
		for k, v := c.Seek(from); k != nil; k, v = c.Next() {
			if len(states) == scanPiece {
				next = bytes.Clone(k)
				return nil
			}
			b, err := decodeBox(gateway.Key(k), v)
			if err != nil {
				return fmt.Errorf("mailbox %x in state.db: %w", k, err)
			}
			states = append(states, b.state)
		}
		return nil
	})
	return states, next, err
}

// merged puts the states in memory with keys from start to next, which is nil
// at the end, among those of the checkpoint and in their place.
func merged(stored, fresh []*gateway.Mailbox, start, next []byte) []*gateway.Mailbox {
	byKey := func(m *gateway.Mailbox, k []byte) int { return bytes.Compare(m.Key[:], k) }
	i, _ := slices.BinarySearchFunc(fresh, start, byKey)
	j := len(fresh)
	if next != nil {
		j, _ = slices.BinarySearchFunc(fresh, next, byKey)
	}
	if fresh = fresh[i:j]; len(fresh) == 0 {
		return stored
	}
	all := slices.DeleteFunc(stored, func(m *gateway.Mailbox) bool {
		_, newer := slices.BinarySearchFunc(fresh, m.Key[:], byKey)
		return newer
	})
	all = append(all, fresh...)
	slices.SortFunc(all, func(a, b *gateway.Mailbox) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	return all
}

// History returns the events of one message, oldest first. There is no index:
// the journal is searched from when the message was accepted on, for the bytes
// of its id, at the speed at which files are read.
func (s *Store) History(ctx context.Context, id gateway.ID) ([]gateway.Event, error) {
	var events []gateway.Event
	began := id.Time().Add(-clockSlack)
	durable := place(s.journal.durable.Load())
	for _, n := range s.history.list() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if s.history.endedBefore(n, began) || n > durable.segment() {
			continue
		}
		found, err := s.searchJournal(n, durable, id)
		if err != nil && !errors.Is(err, gateway.ErrNotFound) && !errors.Is(err, errSegmentHeader) {
			return nil, err
		}
		events = append(events, found...)
	}
	return events, nil
}

// clockSlack is how far the clock may have jumped between a message's id and
// what is stored of it.
const clockSlack = 48 * time.Hour

// searchJournal returns the events of a message in one journal segment.
func (s *Store) searchJournal(n uint32, durable place, id gateway.ID) (events []gateway.Event, err error) {
	limit, text := int64(0), []byte(id.String()) // signals name it in words
	if n == durable.segment() {
		limit = int64(durable.offset())
	}
	sc, done, err := s.history.scan(n, 0, limit)
	if err != nil {
		return nil, err
	}
	defer done()
	for {
		r, err := sc.next()
		if err != nil || r.typ == 0 {
			return events, err
		}
		if r.typ != recordChange || !bytes.Contains(r.payload, id[:]) && !bytes.Contains(r.payload, text) {
			continue
		}
		c, err := decodeChange(r.payload, nil)
		if err != nil {
			continue
		}
		for _, e := range c.events {
			if e.About(id) {
				events = append(events, e)
			}
		}
	}
}

// Message finds a message by its id: in the log segments that were written
// after it was accepted, oldest first.
func (s *Store) Message(ctx context.Context, id gateway.ID) (*gateway.Message, gateway.Ref, error) {
	unknown := fmt.Errorf("message %s: %w", id, gateway.ErrNotFound)
	if id.Time().After(s.now().Add(clockSlack)) {
		return nil, gateway.Ref{}, unknown
	}
	began := id.Time().Add(-clockSlack)
	durable := place(s.log.durable.Load())
	for _, n := range s.messages.list() {
		if n > durable.segment() || s.messages.endedBefore(n, began) {
			continue
		}
		m, ref, err := s.searchLog(ctx, n, durable, id)
		if m != nil || err != nil && !errors.Is(err, gateway.ErrNotFound) && !errors.Is(err, errSegmentHeader) {
			return m, ref, err
		}
	}
	return nil, gateway.Ref{}, unknown
}

// searchLog looks for a message in the parts of a log segment that can hold it.
// Its id stands at a fixed place in its record.
func (s *Store) searchLog(ctx context.Context, n uint32, durable place, id gateway.ID) (*gateway.Message, gateway.Ref, error) {
	parts, err := s.finder.parts(ctx, n, durable, id.Time().UnixMilli())
	for _, p := range parts {
		m, ref, err := s.searchPart(n, p, id)
		if m != nil || err != nil {
			return m, ref, err
		}
	}
	return nil, gateway.Ref{}, err
}

func (s *Store) searchPart(n uint32, p part, id gateway.ID) (*gateway.Message, gateway.Ref, error) {
	sc, done, err := s.messages.scan(n, p.from, p.to)
	if err != nil {
		return nil, gateway.Ref{}, err
	}
	defer done()
	for {
		r, err := sc.next()
		if err != nil || r.typ == 0 {
			return nil, gateway.Ref{}, err
		}
		if got, ok := messageID(&r); !ok || got != id {
			continue
		}
		m, _, err := decodeMessageRecord(r.payload)
		return m, refTo(n, &r), err
	}
}

// refTo names a record of segment n.
func refTo(n uint32, r *rawRecord) gateway.Ref {
	return gateway.Ref{Segment: n, Offset: uint32(r.off), Length: uint32(r.end() - r.off)}
}

// Totals returns the sums of every campaign and of every tenant.
func (s *Store) Totals() (campaigns map[gateway.CampaignKey]gateway.Totals, tenants map[string]gateway.Totals) {
	return s.sums.totals()
}

// Usage tells what the store takes on disk and what is left.
func (s *Store) Usage() gateway.Usage {
	u := gateway.Usage{Quarantined: s.quarantined()}
	for _, n := range s.messages.list() {
		u.Log += fileSize(s.messages.path(n))
		u.Segments++
	}
	for _, n := range s.history.list() {
		u.Journal += fileSize(s.history.path(n))
		u.Segments++
	}
	u.Log += dirSize(s.dir("large"))
	u.Index = fileSize(s.dir("state.db")) + dirSize(s.dir("lists")) + dirSize(s.dir("traces"))
	u.Free, _, _ = s.opt.disk.Space(s.opt.Dir)
	return u
}

func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// dirSize is what the files in a directory take.
func dirSize(path string) (bytes int64) {
	names, _ := os.ReadDir(path)
	for _, n := range names {
		if info, err := n.Info(); err == nil {
			bytes += info.Size()
		}
	}
	return bytes
}
