package admin

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"tidepost/gateway"
)

// row is a delivery with its mailbox's canonical address.
type row struct {
	delivery *gateway.Delivery
	mailbox  string
}

// budget bounds the work for one page.
type budget struct {
	slice    int           // mailboxes looked at in one scan of the store, whose read transactions are to be short
	time     time.Duration // for a page that has rows
	patience time.Duration // for one that has none yet
}

var usualBudget = budget{slice: 2048, time: time.Second, patience: 10 * time.Second}

func (s *Server) budget() budget {
	if s.pages == (budget{}) {
		return usualBudget
	}
	return s.pages
}

// slice is a part of a scan.
type slice struct {
	rows  []row
	next  place // where the scan goes on
	ended bool  // there is nothing more
}

// scan looks at the next few mailboxes and returns at most limit matches.
func (s *Server) scan(ctx context.Context, b gateway.Browser, f *filter, from place, limit int) (slice, error) {
	out := slice{ended: true}
	looked := 0
	err := b.Scan(ctx, from.key, func(box *gateway.Mailbox) bool {
		if f.beyond(box.Key) {
			return false
		}
		if !out.take(f, from, box, limit) {
			return false
		}
		if looked++; looked < s.budget().slice {
			return true
		}
		out.next, out.ended = after(box.Key)
		return false
	})
	return out, err
}

// take adds a mailbox's matches. It returns false where there are more of them
// than may be added, with the place to go on at.
func (out *slice) take(f *filter, from place, box *gateway.Mailbox, limit int) bool {
	here := place{key: box.Key}
	for _, d := range box.Deliveries {
		seen := from.within && box.Key == from.key && d.ID.Compare(from.after) <= 0
		r := row{d, box.Address}
		if seen || !f.matches(r) {
			continue
		}
		if len(out.rows) == limit {
			out.next, out.ended = here, false
			return false
		}
		out.rows = append(out.rows, r)
		here.within, here.after = true, d.ID
	}
	return true
}

// after is the place behind a mailbox; ended where there is none.
func after(k gateway.Key) (p place, ended bool) {
	for i := len(k) - 1; i >= 0; i-- {
		k[i]++
		if k[i] != 0 {
			return place{key: k}, false
		}
	}
	return place{}, true
}

// fill makes one page: it scans until there are limit rows, or the time is over.
func (s *Server) fill(ctx context.Context, b gateway.Browser, f *filter, from place, limit int) (slice, error) {
	var all slice
	began := time.Now() // not the gateway's clock: this is about effort
	for {
		part, err := s.scan(ctx, b, f, from, limit-len(all.rows))
		if err != nil {
			return all, err
		}
		all.rows = append(all.rows, part.rows...)
		all.next, all.ended = part.next, part.ended
		spent := time.Since(began)
		if all.ended || len(all.rows) >= limit || spent > s.budget().patience || len(all.rows) > 0 && spent > s.budget().time {
			return all, nil
		}
		if err := ctx.Err(); err != nil {
			return all, err
		}
		from = part.next
	}
}

// named returns the deliveries that a filter names, settled ones too, in order.
func (s *Server) named(ctx context.Context, b gateway.Browser, f *filter) ([]row, error) {
	if f.ids == nil {
		rows, err := s.ofMessage(ctx, b, f.message)
		return slices.DeleteFunc(rows, func(r row) bool { return !f.matches(r) }), missing(err, "message "+f.message.String())
	}
	var rows []row
	for _, id := range f.ids {
		r, err := s.find(ctx, b, id)
		if errors.Is(err, gateway.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if f.matches(r) {
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// find returns one delivery, wherever it stands.
func (s *Server) find(ctx context.Context, b gateway.Browser, id gateway.DeliveryID) (row, error) {
	m, _, err := b.Message(ctx, id.Message)
	if err != nil && !errors.Is(err, gateway.ErrNotFound) {
		return row{}, err
	}
	if err == nil && int(id.Ordinal) < len(m.Recipients) {
		r := &m.Recipients[id.Ordinal]
		box, err := s.Store.Mailbox(ctx, r.Mailbox)
		if err != nil {
			return row{}, err
		}
		if d := box.Delivery(id); d != nil {
			return row{d, r.Canonical}, nil
		}
	}
	settled, err := s.settled(ctx, b, id.Message, m)
	if err != nil {
		return row{}, err
	}
	if r, ok := settled[id]; ok {
		return r, nil
	}
	return row{}, gateway.ErrNotFound
}

// ofMessage returns all deliveries of a message, in the recipients' order.
func (s *Server) ofMessage(ctx context.Context, b gateway.Browser, id gateway.ID) ([]row, error) {
	m, _, err := b.Message(ctx, id)
	if err != nil && !errors.Is(err, gateway.ErrNotFound) {
		return nil, err
	}
	found := map[gateway.DeliveryID]row{}
	if err == nil {
		if found, err = s.unsettled(ctx, m); err != nil {
			return nil, err
		}
	}
	if m == nil || len(found) < len(m.Recipients) {
		settled, err := s.settled(ctx, b, id, m)
		if err != nil && !errors.Is(err, gateway.ErrNotFound) {
			return nil, err
		}
		maps.Copy(settled, found) // a mailbox knows better than history, which may lag
		found = settled
	}
	if len(found) == 0 {
		return nil, gateway.ErrNotFound
	}
	byID := func(x, y row) int { return x.delivery.ID.Compare(y.delivery.ID) }
	return slices.SortedFunc(maps.Values(found), byID), nil
}

// unsettled returns those of a message's deliveries that their mailboxes have.
func (s *Server) unsettled(ctx context.Context, m *gateway.Message) (map[gateway.DeliveryID]row, error) {
	found := map[gateway.DeliveryID]row{}
	for i := range m.Recipients {
		box, err := s.Store.Mailbox(ctx, m.Recipients[i].Mailbox)
		if err != nil {
			return nil, err
		}
		id := gateway.DeliveryID{Message: m.ID, Ordinal: uint32(i)}
		if d := box.Delivery(id); d != nil {
			found[id] = row{d, m.Recipients[i].Canonical}
		}
	}
	return found, nil
}

// settled returns the last known state of each of a message's deliveries, from
// its history. m may be nil: the content went before the history.
func (s *Server) settled(ctx context.Context, b gateway.Browser, id gateway.ID, m *gateway.Message) (map[gateway.DeliveryID]row, error) {
	last := map[gateway.DeliveryID]row{}
	events, err := b.History(ctx, id)
	if err != nil {
		return last, err
	}
	for i := range events {
		d := events[i].Delivery
		if d == nil || last[d.ID].delivery != nil && last[d.ID].delivery.Rev > d.Rev {
			continue
		}
		r := row{d, d.Address}
		if m != nil && int(d.ID.Ordinal) < len(m.Recipients) {
			r.mailbox = m.Recipients[d.ID.Ordinal].Canonical
		}
		last[d.ID] = r
	}
	return last, nil
}
