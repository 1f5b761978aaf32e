package local

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"tidepost/gateway"
	"tidepost/scheduler"
)

// acceptance is one message on its way into the log. The buffers in it are
// used again.
type acceptance struct {
	submission
	record [1]record
	buf    []byte
}

var acceptances = sync.Pool{New: func() any {
	a := new(acceptance)
	a.done = make(chan error, 1)
	return a
}}

// Accept makes a message durable together with its deliveries.
func (s *Store) Accept(ctx context.Context, m *gateway.Message, c gateway.Content) ([]*gateway.Delivery, error) {
	if err := s.admit(ctx, m, c); err != nil {
		return nil, err
	}
	if m.ID.IsZero() {
		m.ID = s.ids.Next(s.now())
	}
	deliveries := newDeliveries(m)
	a := acceptances.Get().(*acceptance)
	defer a.release()
	a.buf = appendMessageRecord(a.buf[:0], m)
	undo, err := s.storeContent(a, m, c)
	if err != nil {
		return nil, err
	}
	a.apply = func() {
		if c.File != nil {
			s.claimOrStop(m.ID)
		}
		s.applyAccept(m, deliveries, a.record[0].at, a.record[0].size())
	}
	s.log.submit(&a.submission)
	s.warm(deliveries)
	if err := <-a.done; err != nil {
		undo(err)
		return nil, err
	}
	s.noteWork()
	return deliveries, nil
}

// claimOrStop names a large file while its record is applied.
func (s *Store) claimOrStop(id gateway.ID) {
	if err := s.claim(id); err != nil {
		s.stopOn(fatal{err})
	}
}

func (a *acceptance) release() {
	a.apply, a.record, a.records, a.dict = nil, [1]record{}, nil, nil
	if cap(a.buf) > 64<<10 {
		a.buf = nil
	}
	acceptances.Put(a)
}

// admit refuses what cannot be stored before anything is written.
func (s *Store) admit(ctx context.Context, m *gateway.Message, c gateway.Content) error {
	switch {
	case len(m.Recipients) == 0:
		return errors.New("accepting a message: it has no recipients")
	case c.File == nil && int64(len(c.Bytes)) != c.Size && c.Size != 0:
		return fmt.Errorf("accepting a message: %d bytes of content, %d announced", len(c.Bytes), c.Size)
	}
	if err := s.err(); err != nil {
		return err
	}
	if err := s.guard.mail(); err != nil {
		return err
	}
	return s.awaitMail(ctx)
}

// newDeliveries makes a message's deliveries as they are accepted.
func newDeliveries(m *gateway.Message) []*gateway.Delivery {
	deliveries := make([]*gateway.Delivery, len(m.Recipients))
	for i := range m.Recipients {
		deliveries[i] = newDelivery(m, i)
	}
	return deliveries
}

func newDelivery(m *gateway.Message, ordinal int) *gateway.Delivery {
	r := &m.Recipients[ordinal]
	aim, _ := scheduler.ParseAim(m.Aim) // whoever made the message has checked both
	sees, _ := scheduler.ParseSees(m.Evidence)
	return &gateway.Delivery{
		ID:      gateway.DeliveryID{Message: m.ID, Ordinal: uint32(ordinal)},
		Mailbox: r.Mailbox, Address: r.Address, Notify: r.Notify,
		Tenant: m.Tenant, Campaign: m.Campaign, List: m.List,
		Class: m.Class, Priority: m.Priority, Value: m.Value,
		Accepted: m.Received, NotBefore: m.NotBefore,
		Deadline: m.Deadline, HardDeadline: m.HardDeadline || m.By == gateway.ByReturn,
		Window: m.Window, HalfLife: m.HalfLife, Supersede: m.Supersede,
		Size: m.Size, Duplicate: !m.Duplicate.IsZero(),
		Aim: aim, Sees: sees,
	}
}

// appendMessageRecord begins a message's record: space for the record's header
// and the message behind its length. Content follows.
func appendMessageRecord(b []byte, m *gateway.Message) []byte {
	b = append(b, make([]byte, recordHeader+4)...)
	b = appendMessage(b, m)
	binary.LittleEndian.PutUint32(b[recordHeader:], uint32(len(b)-recordHeader-4))
	return b
}

// warm loads the mailboxes into memory while the disk is busy, so that the
// writer need not.
func (s *Store) warm(deliveries []*gateway.Delivery) {
	for _, d := range deliveries {
		s.boxes.get(d.Mailbox)
	}
}

// applyAccept puts a stored message's deliveries into their mailboxes.
func (s *Store) applyAccept(m *gateway.Message, deliveries []*gateway.Delivery, at place, size int64) {
	ref := gateway.Ref{Segment: at.segment(), Offset: at.offset(), Length: uint32(size)}
	for _, d := range deliveries {
		d.Ref = ref
	}
	s.sums.accepted(deliveries)
	if len(deliveries) == 1 {
		s.applyDeliveries(m, deliveries, at)
		return
	}
	// A mailbox named twice gets both at once: its state is either from before
	// the record or from after it.
	byMailbox := make(map[gateway.Key][]*gateway.Delivery, len(deliveries))
	for _, d := range deliveries {
		byMailbox[d.Mailbox] = append(byMailbox[d.Mailbox], d)
	}
	for _, d := range deliveries {
		if own := byMailbox[d.Mailbox]; own[0] == d {
			s.applyDeliveries(m, own, at)
		}
	}
}

// applyDeliveries puts deliveries of one message into their common mailbox. A
// mailbox that cannot be read back stops the store: what was just stored is
// safe in the log, but memory no longer follows it.
func (s *Store) applyDeliveries(m *gateway.Message, own []*gateway.Delivery, at place) {
	if err := s.boxes.accept(m, own, at); err != nil {
		s.stop(fmt.Errorf("%w: %w", gateway.ErrStopped, err))
	}
}

// accept puts new deliveries into their mailbox, unless its state already holds
// the record at that place.
func (m *mailboxes) accept(msg *gateway.Message, own []*gateway.Delivery, at place) error {
	k := own[0].Mailbox
	s := m.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := m.boxLocked(s, k)
	if err != nil || at <= b.fromLog {
		return err
	}
	m.pinLocked(s, k, b)
	next := merge(b.state, own...)
	if next.Address == "" {
		next.Address, next.Audience = msg.Recipients[own[0].ID.Ordinal].Canonical, msg.Audience
	}
	b.state, b.fromLog = next, at
	m.soilLocked(b)
	return nil
}
