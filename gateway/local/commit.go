package local

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tidepost/gateway"
)

// Commit applies changes, each whole or not at all. Once they are handed to
// the journal ctx cannot take them back.
func (s *Store) Commit(ctx context.Context, changes ...*gateway.Change) error {
	if err := s.err(); err != nil {
		return err
	}
	if err := s.awaitCheckpoint(ctx, 2*dirtyLimit); err != nil {
		return err
	}
	var failed error
	for len(changes) > 0 {
		n := distinct(changes)
		if err := s.commit(changes[:n]); err != nil {
			failed = errors.Join(failed, err)
		}
		changes = changes[n:]
	}
	return failed
}

// distinct returns how many changes from the front on concern different
// mailboxes; one that builds on another must wait for it.
func distinct(changes []*gateway.Change) int {
	if len(changes) == 1 {
		return 1
	}
	seen := make(map[gateway.Key]bool, len(changes))
	for i, c := range changes {
		if c.Key != (gateway.Key{}) && seen[c.Key] {
			return i
		}
		seen[c.Key] = true
	}
	return len(changes)
}

// commit stores changes of different mailboxes as one submission.
func (s *Store) commit(changes []*gateway.Change) error {
	var failed error
	sub := &submission{relaxed: true, done: make(chan error, 1)}
	steps := make([]*change, 0, len(changes))
	s.moving.RLock()
	for _, c := range changes {
		step, err := s.prepare(c)
		c.Failed = err != nil
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		sub.relaxed = sub.relaxed && c.Relaxed
		steps = append(steps, step)
		head := appendChange(make([]byte, recordHeader, 512), step)
		sub.records = append(sub.records, record{head: head, typ: recordChange})
	}
	if len(steps) == 0 {
		s.moving.RUnlock()
		return failed
	}
	sub.apply = func() {
		for i, step := range steps {
			s.applyChange(step, sub.records[i].at)
		}
	}
	s.journal.submit(sub)
	s.moving.RUnlock()
	if err := <-sub.done; err != nil {
		for _, step := range steps {
			s.boxes.release(step)
		}
		return errors.Join(failed, err)
	}
	s.noteWork()
	return failed
}

// prepare checks a change against the mailbox's revision and reserves the next
// one for it, so that of two changes computed from the same revision only the
// first is written.
func (s *Store) prepare(c *gateway.Change) (*change, error) {
	step := &change{key: c.Key, deliveries: c.Deliveries, entries: c.Entries, forget: c.Forget, settings: c.Settings, events: c.Events}
	if c.Key == (gateway.Key{}) {
		if len(c.Deliveries) > 0 || c.Head != nil {
			return nil, errors.New("committing: a change of deliveries or a head names no mailbox")
		}
	} else if err := s.boxes.reserve(c, step); err != nil {
		return nil, err
	}
	// The marks say what forgetting hides to a Recover that finds the journal
	// without the beginning, and so without the table of lists.
	for _, a := range c.Forget {
		if last := s.entries.set.Load().last(); last > 0 {
			step.marks = append(step.marks, entryMark{hashText(a), last})
		}
	}
	step.findExtra()
	return step, nil
}

// reserve fills in what the change's record says of the mailbox before it.
func (m *mailboxes) reserve(c *gateway.Change, step *change) error {
	for _, d := range c.Deliveries {
		if d.Mailbox != c.Key {
			return fmt.Errorf("committing: delivery %s is of mailbox %s, not %s", d.ID, d.Mailbox, c.Key)
		}
	}
	s := m.shard(c.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := m.boxLocked(s, c.Key)
	if err != nil {
		return err
	}
	if b.next != c.Expect {
		return fmt.Errorf("mailbox %s is at revision %d, not %d: %w", c.Key, b.next, c.Expect, gateway.ErrConflict)
	}
	m.pinLocked(s, c.Key, b)
	b.next++
	b.pins++
	step.rev = b.next
	step.head = wholeHead(c.Head, b.state)
	step.before = make([]byte, len(c.Deliveries))
	for i, d := range c.Deliveries {
		step.before[i] = unknownState
		old := b.state.Delivery(d.ID)
		if old == nil {
			continue
		}
		step.before[i] = byte(old.State)
		if old.Ref != d.Ref {
			step.relocate(i, old.Ref)
		}
	}
	return nil
}

// wholeHead returns a change's head with the address that the mailbox has.
func wholeHead(head, state *gateway.Mailbox) *gateway.Mailbox {
	if head == nil || head.Address != "" && head.Audience != "" {
		return head
	}
	whole := *head
	if whole.Address == "" {
		whole.Address = state.Address
	}
	if whole.Audience == "" {
		whole.Audience = state.Audience
	}
	return &whole
}

// relocate puts a copy with another Ref in the place of a delivery: compaction
// moved its content since the change was computed.
func (c *change) relocate(i int, ref gateway.Ref) {
	old := c.deliveries[i]
	moved := *old
	moved.Ref = ref
	c.deliveries = slices.Clone(c.deliveries)
	c.deliveries[i] = &moved
	c.events = slices.Clone(c.events)
	for j := range c.events {
		if c.events[j].Delivery == old {
			c.events[j].Delivery = &moved
		}
	}
}

// release takes back what reserve did, for a change that was not stored.
func (m *mailboxes) release(step *change) {
	if step.rev == 0 {
		return
	}
	s := m.shard(step.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.pinned[step.key]
	b.next--
	b.pins--
	m.unpinLocked(s, step.key, b)
}

// applyChange applies a stored change to memory.
func (s *Store) applyChange(c *change, at place) {
	if c.rev > 0 {
		s.boxes.apply(c, at, true)
	}
	err := s.applyRest(c)
	if err != nil {
		s.stop(fmt.Errorf("%w: %w", gateway.ErrStopped, err))
	}
}

// applyRest applies all of a change that is not in a mailbox.
func (s *Store) applyRest(c *change) error {
	for i, d := range c.deliveries {
		s.sums.changed(d, c.before[i], s.now())
	}
	if len(c.settings) > 0 {
		s.settings.put(c.settings)
	}
	if len(c.events) > 0 {
		s.news.Store(true)
	}
	if len(c.forget)+len(c.marks)+len(c.entries) == 0 && c.lists == nil {
		return nil
	}
	if err := errors.Join(s.entries.forget(c.forget), s.entries.hide(c.marks), s.entries.put(c.entries)); err != nil {
		return err
	}
	if c.lists == nil {
		return nil
	}
	return s.adopt(c.lists)
}

// apply makes a mailbox's next state from a change, unless its state already
// holds the record at that place.
func (m *mailboxes) apply(c *change, at place, reserved bool) error {
	s := m.shard(c.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := m.boxLocked(s, c.key)
	if err != nil || at <= b.fromJournal {
		return err
	}
	m.pinLocked(s, c.key, b)
	next := merge(b.state, c.deliveries...)
	if c.head != nil {
		takeHead(next, c.head)
	}
	if slices.Contains(c.forget, next.Address) {
		next.Address = ""
	}
	next.Rev = c.rev
	b.state, b.fromJournal = next, at
	if reserved {
		b.pins--
	} else {
		b.next = c.rev
	}
	m.soilLocked(b)
	return nil
}

func takeHead(m, head *gateway.Mailbox) {
	m.Zone, m.Profile, m.Gates = head.Zone, head.Profile, head.Gates
	m.Heard, m.Wishes = head.Heard, head.Wishes
	if head.Address != "" {
		m.Address = head.Address
	}
	if head.Audience != "" {
		m.Audience = head.Audience
	}
}
