package admin

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"

	"tidepost/gateway"
	"tidepost/suppression"
)

// memory is a Store with all its powers that keeps everything in maps.
type memory struct {
	mu       sync.Mutex
	ids      gateway.IDSource
	messages map[gateway.ID]*gateway.Message
	refs     []gateway.ID
	bodies   map[gateway.ID][]byte
	boxes    map[gateway.Key]*gateway.Mailbox
	last     map[gateway.DeliveryID]*gateway.Delivery // the newest state, settled ones too
	entries  map[string][]suppression.Entry
	settings map[string][]byte
	events   []gateway.Event
	usage    gateway.Usage
	scans    int // calls of Scan
	searches int // calls of History and Message, which read files
}

func newMemory() *memory {
	return &memory{
		messages: map[gateway.ID]*gateway.Message{}, bodies: map[gateway.ID][]byte{}, boxes: map[gateway.Key]*gateway.Mailbox{},
		last: map[gateway.DeliveryID]*gateway.Delivery{}, entries: map[string][]suppression.Entry{}, settings: map[string][]byte{},
	}
}

func (s *memory) Accept(_ context.Context, m *gateway.Message, c gateway.Content) ([]*gateway.Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.ID.IsZero() {
		m.ID = s.ids.Next(m.Received)
	}
	s.messages[m.ID], s.bodies[m.ID] = m, c.Bytes
	ref := gateway.Ref{Offset: uint32(len(s.refs))}
	s.refs = append(s.refs, m.ID)
	var out []*gateway.Delivery
	for i, r := range m.Recipients {
		d := &gateway.Delivery{
			ID: gateway.DeliveryID{Message: m.ID, Ordinal: uint32(i)}, Ref: ref, Mailbox: r.Mailbox, Address: r.Address,
			Tenant: m.Tenant, Campaign: m.Campaign, List: m.List, Class: m.Class, Accepted: m.Received,
			NotBefore: m.NotBefore, Size: m.Size, Value: 1,
		}
		next := s.box(r.Mailbox).With(d)
		next.Address, next.Audience = r.Canonical, m.Audience
		s.boxes[r.Mailbox], s.last[d.ID] = next, d
		out = append(out, d)
	}
	return out, nil
}

func (s *memory) box(k gateway.Key) *gateway.Mailbox {
	if b := s.boxes[k]; b != nil {
		return b
	}
	return &gateway.Mailbox{Key: k}
}

func (s *memory) Body(_ context.Context, r gateway.Ref) (*gateway.Stored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.refs[r.Offset]
	return &gateway.Stored{Message: s.messages[id], ReaderAt: bytes.NewReader(s.bodies[id]), Size: int64(len(s.bodies[id]))}, nil
}

func (s *memory) Mailbox(_ context.Context, k gateway.Key) (*gateway.Mailbox, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.box(k), nil
}

func (s *memory) Due(context.Context, func(gateway.Due) error) error { return nil }

func (s *memory) Commit(_ context.Context, changes ...*gateway.Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range changes {
		if c.Key != (gateway.Key{}) {
			s.step(c)
		}
		for _, e := range c.Entries {
			same := func(o suppression.Entry) bool { return o.Scope == e.Scope && o.Reason == e.Reason }
			s.entries[e.Address] = append(slices.DeleteFunc(slices.Clone(s.entries[e.Address]), same), e)
		}
		for _, v := range c.Settings {
			s.settings[v.Name] = v.Value
		}
		s.events = append(s.events, c.Events...)
	}
	return nil
}

func (s *memory) step(c *gateway.Change) {
	box := s.box(c.Key)
	next := box.With(c.Deliveries...)
	if c.Head != nil {
		deliveries := next.Deliveries
		*next = *c.Head
		next.Deliveries = deliveries
	}
	next.Rev = box.Rev + 1
	s.boxes[c.Key] = next
	for _, d := range c.Deliveries {
		s.last[d.ID] = d
	}
}

func (s *memory) Entries(_ context.Context, canonical string) ([]suppression.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.entries[canonical]), nil
}

func (s *memory) Settings() map[string][]byte { return nil }

func (s *memory) Scan(_ context.Context, from gateway.Key, yield func(*gateway.Mailbox) bool) error {
	s.mu.Lock()
	s.scans++
	boxes := slices.Collect(maps.Values(s.boxes))
	s.mu.Unlock()
	boxes = slices.DeleteFunc(boxes, func(b *gateway.Mailbox) bool {
		return bytes.Compare(b.Key[:], from[:]) < 0 || len(b.Deliveries) == 0
	})
	slices.SortFunc(boxes, func(a, b *gateway.Mailbox) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	for _, b := range boxes {
		if !yield(b) {
			break
		}
	}
	return nil
}

func (s *memory) History(_ context.Context, id gateway.ID) ([]gateway.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []gateway.Event
	s.searches++
	for _, e := range s.events {
		if e.About(id) {
			out = append(out, e)
		}
	}
	return out, nil // none is no error
}

func (s *memory) Message(_ context.Context, id gateway.ID) (*gateway.Message, gateway.Ref, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.searches++
	if i := slices.Index(s.refs, id); i >= 0 && s.messages[id] != nil {
		return s.messages[id], gateway.Ref{Offset: uint32(i)}, nil
	}
	return nil, gateway.Ref{}, gateway.ErrNotFound
}

// forget drops a message's content, as retention does before it drops history.
func (s *memory) forget(id gateway.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.messages, id)
}

func (s *memory) Usage() gateway.Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.usage
}

func (s *memory) Totals() (map[gateway.CampaignKey]gateway.Totals, map[string]gateway.Totals) {
	s.mu.Lock()
	defer s.mu.Unlock()
	campaigns, tenants := map[gateway.CampaignKey]gateway.Totals{}, map[string]gateway.Totals{}
	for _, d := range s.last {
		tenants[d.Tenant] = added(tenants[d.Tenant], d)
		if k := (gateway.CampaignKey{Tenant: d.Tenant, Campaign: d.Campaign}); d.Campaign != "" {
			campaigns[k] = added(campaigns[k], d)
		}
	}
	return campaigns, tenants
}

func added(t gateway.Totals, d *gateway.Delivery) gateway.Totals {
	t.Accepted++
	if t.First.IsZero() || d.Accepted.Before(t.First) {
		t.First = d.Accepted
	}
	if d.Accepted.After(t.Last) {
		t.Last = d.Accepted
	}
	switch d.State {
	case gateway.Waiting:
		t.Waiting++
	case gateway.Sending:
		t.Sending++
	case gateway.Delivered:
		t.Delivered++
	case gateway.Bounced:
		t.Bounced++
	case gateway.Captured:
		t.Captured++
	case gateway.Dropped:
		if t.Dropped == nil {
			t.Dropped = map[string]int64{}
		}
		t.Dropped[d.Reason]++
	}
	return t
}
