package gateway

import (
	"bytes"
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"tidepost/scheduler"
	"tidepost/suppression"
)

// memory is a Store that keeps everything in maps: what the flow's tests run
// on. Copies taken of it at any moment are what a crash would leave.
type memory struct {
	mu       sync.Mutex
	ids      IDSource
	messages []*Message
	bodies   [][]byte
	boxes    map[Key]*Mailbox
	entries  map[string][]suppression.Entry
	settings map[string][]byte
	events   []Event
	fail     error // returned by Commit and Accept when set
	commits  []int // how many changes each commit had
	traces   map[string][]Trace
	forgets  bool // Message finds nothing any more
	relaxed  bool // whether the last change need not have waited for the disk
}

func newMemory() *memory {
	return &memory{boxes: map[Key]*Mailbox{}, entries: map[string][]suppression.Entry{}, settings: map[string][]byte{}, traces: map[string][]Trace{}}
}

func (s *memory) Accept(_ context.Context, m *Message, c Content) ([]*Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return nil, s.fail
	}
	if m.ID.IsZero() {
		m.ID = s.ids.Next(m.Received)
	}
	ref := Ref{Segment: 1, Offset: uint32(len(s.messages))}
	s.messages = append(s.messages, m)
	s.bodies = append(s.bodies, c.Bytes)
	var out []*Delivery
	for i, r := range m.Recipients {
		d := &Delivery{
			ID: DeliveryID{m.ID, uint32(i)}, Ref: ref, Mailbox: r.Mailbox, Address: r.Address, Tenant: m.Tenant,
			Campaign: m.Campaign, List: m.List, Class: m.Class, Notify: r.Notify, Priority: m.Priority, Value: m.Value,
			Accepted: m.Received, NotBefore: m.NotBefore, Deadline: m.Deadline, HardDeadline: m.HardDeadline || m.By == ByReturn,
			Window: m.Window, HalfLife: m.HalfLife, Supersede: m.Supersede, Size: m.Size,
		}
		d.Aim, _ = scheduler.ParseAim(m.Aim)
		d.Sees, _ = scheduler.ParseSees(m.Evidence)
		box := s.box(r.Mailbox)
		next := box.With(d)
		next.Address, next.Audience = r.Canonical, m.Audience
		s.boxes[r.Mailbox] = next // the revision counts what the owner commits
		out = append(out, d)
	}
	return out, nil
}

func (s *memory) box(k Key) *Mailbox {
	if b := s.boxes[k]; b != nil {
		return b
	}
	return &Mailbox{Key: k}
}

func (s *memory) Body(_ context.Context, r Ref) (*Stored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bodies[r.Offset]
	return &Stored{Message: s.messages[r.Offset], ReaderAt: bytes.NewReader(b), Size: int64(len(b))}, nil
}

func (s *memory) Mailbox(_ context.Context, k Key) (*Mailbox, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.box(k), nil
}

func (s *memory) Due(_ context.Context, yield func(Due) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, b := range s.boxes {
		due := Due{Mailbox: k, Domain: domain(b.Address), Bulk: true}
		found := false
		for _, d := range b.Deliveries {
			if d.Paused || d.State != Waiting && d.State != Sending {
				continue
			}
			if !found || d.Due.Before(due.At) {
				found, due.At, due.Tenant, due.Bulk = true, d.Due, d.Tenant, d.Class.Bulk()
			}
		}
		if found {
			if err := yield(due); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *memory) Commit(_ context.Context, changes ...*Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	s.commits = append(s.commits, len(changes))
	for _, c := range changes {
		s.relaxed = c.Relaxed
		if c.Key != (Key{}) {
			box := s.box(c.Key)
			if box.Rev != c.Expect {
				c.Failed = true
				return ErrConflict
			}
			next := box.With(c.Deliveries...)
			if c.Head != nil {
				deliveries := next.Deliveries
				*next = *c.Head
				next.Deliveries = deliveries
			}
			next.Rev = box.Rev + 1
			if slices.Contains(c.Forget, next.Address) {
				next.Address = ""
			}
			s.boxes[c.Key] = next
		}
		for _, a := range c.Forget {
			delete(s.entries, a)
		}
		for _, e := range c.Entries {
			s.entries[e.Address] = append(slices.DeleteFunc(slices.Clone(s.entries[e.Address]), func(o suppression.Entry) bool { return o.Scope == e.Scope && o.Reason == e.Reason }), e)
		}
		for _, v := range c.Settings {
			s.settings[v.Name] = v.Value
			if v.Value == nil {
				delete(s.settings, v.Name)
			}
		}
		s.events = append(s.events, c.Events...)
	}
	return nil
}

func (s *memory) changes() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commits
}

func (s *memory) Entries(_ context.Context, canonical string) ([]suppression.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries[canonical], nil
}

func (s *memory) Settings() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string][]byte{}
	for k, v := range s.settings {
		out[k] = v
	}
	return out
}

func (s *memory) Scan(_ context.Context, from Key, yield func(*Mailbox) bool) error {
	s.mu.Lock()
	var boxes []*Mailbox
	for k, b := range s.boxes {
		if bytes.Compare(k[:], from[:]) >= 0 && len(b.Deliveries) > 0 {
			boxes = append(boxes, b)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(boxes, func(a, b *Mailbox) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	for _, b := range boxes {
		if !yield(b) {
			break
		}
	}
	return nil
}

func (s *memory) History(context.Context, ID) ([]Event, error) { return nil, ErrNotFound }
func (s *memory) Message(_ context.Context, id ID) (*Message, Ref, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.messages, func(m *Message) bool { return m.ID == id })
	if i < 0 || s.forgets {
		return nil, Ref{}, ErrNotFound
	}
	return s.messages[i], Ref{Segment: 1, Offset: uint32(i)}, nil
}

func (s *memory) Trace(t Trace, names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		s.traces[name] = append([]Trace{t}, s.traces[name]...)
	}
}

func (s *memory) Traced(_ context.Context, name string, since time.Time, max int) ([]Trace, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Trace
	for _, t := range s.traces[name] {
		if !t.Delivery.Message.Time().Before(since) && len(found) < max {
			found = append(found, t)
		}
	}
	return found, nil
}
func (s *memory) Usage() Usage { return Usage{} }
func (s *memory) Totals() (map[CampaignKey]Totals, map[string]Totals) {
	return nil, map[string]Totals{}
}

// kinds returns the kinds of a delivery's events, in order.
func (s *memory) kinds(id DeliveryID) []EventKind {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []EventKind
	for _, e := range s.events {
		if e.Delivery != nil && e.Delivery.ID == id {
			out = append(out, e.Kind)
		}
	}
	return out
}

// last is a delivery's state after its last event.
func (s *memory) last(id DeliveryID) *Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.events) - 1; i >= 0; i-- {
		if d := s.events[i].Delivery; d != nil && d.ID == id {
			return d
		}
	}
	return nil
}

// crash returns what a new process would find, with no history.
func (s *memory) crash() *memory {
	n := s.survive()
	n.events = nil
	return n
}

// survive returns what a new process would find.
func (s *memory) survive() *memory {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := newMemory()
	n.messages, n.bodies = slices.Clone(s.messages), slices.Clone(s.bodies)
	for k, b := range s.boxes {
		n.boxes[k] = b
	}
	for k, e := range s.entries {
		n.entries[k] = e
	}
	for k, v := range s.settings {
		n.settings[k] = v
	}
	n.events = slices.Clone(s.events)
	return n
}

// plainReader takes a class from the test instead of a header.
type plainReader struct{}

func (plainReader) Read([]byte, *Message, *Credential) error { return nil }

// plainComposer sends what was stored.
type plainComposer struct{}

func (plainComposer) Compose(_ context.Context, s *Stored, _ *Delivery, _ Marks) (io.ReadCloser, int64, error) {
	return io.NopCloser(io.NewSectionReader(s.ReaderAt, 0, s.Size)), s.Size, nil
}

// of is what a tenant holds now.
func (h *heldCounts) of(tenant string) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n[tenant]
}
