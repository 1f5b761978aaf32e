package replay

import (
	"slices"

	"tidepost/scheduler"
)

// Whose mail a stop is about, besides one tenant's.
const (
	everything Tenant = -1 // nobody may write, not even what is transactional: no such mailbox
	anybody    Tenant = 0  // the tenant is unknown: all bulk stops
)

// stop suppresses: from now on what the tenant sends to the mailbox is dropped.
func (e *Engine) stop(x Box, b *box, t Tenant) {
	if e.stops == nil {
		e.stops = map[Box][]Tenant{}
	}
	if !slices.Contains(e.stops[x], t) {
		e.stops[x] = append(e.stops[x], t)
	}
	b.stopped = true
	if b.waits != nil {
		for i := range b.waits.mails {
			b.waits.mails[i].look = b.waits.mails[i].look || e.mayNot(x, &b.waits.mails[i])
		}
	}
}

// mayNot reports whether somebody has stopped a mail.
func (e *Engine) mayNot(x Box, m *mail) bool {
	for _, t := range e.stops[x] {
		if t == everything || !m.vital && (t == anybody || t == m.tenant) {
			return true
		}
	}
	return false
}

// known notes that a tenant writes to the mailbox.
func (b *box) known(t Tenant) {
	switch {
	case b.tenant == 0 && !b.mixed:
		b.tenant = t
	case b.tenant != t:
		b.tenant, b.mixed = 0, true
	}
}

// senders remembers whose the last sends to a mailbox of several tenants were.
type senders struct {
	ids     [maxItems]uint64
	tenants [maxItems]Tenant
	next    int
}

func (e *Engine) wrote(x Box, id uint64, t Tenant) {
	if e.senders == nil {
		e.senders = map[Box]*senders{}
	}
	s := e.senders[x]
	if s == nil {
		s = new(senders)
		e.senders[x] = s
	}
	s.ids[s.next], s.tenants[s.next] = id, t
	s.next = (s.next + 1) % maxItems
}

// sender is the tenant whose mail a signal is about; 0 where that is unknown.
func (e *Engine) sender(x Box, b *box, id uint64) Tenant {
	if !b.mixed || id == 0 {
		return b.tenant
	}
	if q := b.waits; q != nil {
		for i := range q.items {
			if q.items[i].ID == id {
				return q.mails[i].tenant
			}
		}
	}
	if s := e.senders[x]; s != nil {
		if i := slices.Index(s.ids[:], id); i >= 0 {
			return s.tenants[i]
		}
	}
	return 0
}

// Knows reports whether a mail waits for the mailbox, or was among the last sent
// to it.
func (e *Engine) Knows(x Box, id uint64) bool {
	b := e.box(x)
	if q := b.waits; q != nil && slices.ContainsFunc(q.items, func(it scheduler.Item) bool { return it.ID == id }) {
		return true
	}
	for i := range b.gates.Len() {
		if b.gates.Send(i).Ref == uint16(id)&(1<<13-1) {
			return true
		}
	}
	return false
}
