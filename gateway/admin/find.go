package admin

import (
	"context"
	"errors"
	"maps"
	"slices"

	"tidepost/gateway"
	"tidepost/suppression/address"
)

// Deliveries are found by id without an index: it would cost every delivery
// space for what few are asked for. Those that were listed lately are
// remembered with their mailbox; of others the history knows it, and before
// there is any, the message. Both are searched for, which takes as long as
// reading the files.
const (
	rememberSize = 20_000 // deliveries
	maxSearches  = 4      // messages searched for in one request; more ids are looked for in one scan
)

// remember notes where deliveries that are shown to somebody stand.
func (s *Server) remember(rows []row) {
	for _, r := range rows {
		s.seen.Add(r.delivery.ID, r.delivery.Mailbox)
	}
}

// current returns an unsettled delivery of a mailbox.
func (s *Server) current(ctx context.Context, k gateway.Key, id gateway.DeliveryID) (row, bool, error) {
	box, err := s.Store.Mailbox(ctx, k)
	if err != nil {
		return row{}, false, err
	}
	d := box.Delivery(id)
	return row{d, box.Address}, d != nil, nil
}

// find returns one delivery, wherever it stands, and its message's events where
// they had to be read for it.
func (s *Server) find(ctx context.Context, b gateway.Browser, id gateway.DeliveryID) (row, []gateway.Event, error) {
	if k, ok := s.seen.Get(id); ok {
		if r, ok, err := s.current(ctx, k, id); ok || err != nil {
			return r, nil, err
		}
	}
	events, err := b.History(ctx, id.Message)
	if ignoreMissing(err) != nil {
		return row{}, nil, err
	}
	if last, ok := lastStates(events)[id]; ok {
		r, ok, err := s.current(ctx, last.delivery.Mailbox, id)
		if !ok {
			r = last
		}
		return r, events, err
	}
	m, _, err := b.Message(ctx, id.Message)
	if err != nil {
		return row{}, nil, err
	}
	if int(id.Ordinal) < len(m.Recipients) {
		if r, ok, err := s.current(ctx, m.Recipients[id.Ordinal].Mailbox, id); ok || err != nil {
			return r, events, err
		}
	}
	return row{}, nil, gateway.ErrNotFound
}

// lastStates returns the newest state of each delivery in a message's events.
func lastStates(events []gateway.Event) map[gateway.DeliveryID]row {
	last := map[gateway.DeliveryID]row{}
	for i := range events {
		d := events[i].Delivery
		if d == nil || last[d.ID].delivery != nil && last[d.ID].delivery.Rev > d.Rev {
			continue
		}
		last[d.ID] = row{d, canonical(d.Address)}
	}
	return last
}

// canonical is the mailbox of an address that was accepted once.
func canonical(text string) string {
	a, err := address.Parse(text)
	if err != nil {
		return text
	}
	return a.Mailbox().String()
}

// named returns the deliveries that a filter names, settled ones too.
func (s *Server) named(ctx context.Context, b gateway.Browser, f *filter) (rows []row, err error) {
	if f.ids == nil {
		rows, err = s.ofMessage(ctx, b, f.message)
		err = missing(err, "message "+f.message.String())
	} else {
		rows, err = s.ofIDs(ctx, b, f.ids)
	}
	return slices.DeleteFunc(rows, func(r row) bool { return !f.matches(r) }), err
}

// ofIDs returns the deliveries of that ids. Those that nobody was shown lately
// are searched for by their message where these are few, else among all that is
// unsettled.
func (s *Server) ofIDs(ctx context.Context, b gateway.Browser, ids []gateway.DeliveryID) ([]row, error) {
	var rows []row
	unknown := map[gateway.DeliveryID]bool{}
	messages := map[gateway.ID]bool{}
	for _, id := range ids {
		if k, ok := s.seen.Get(id); ok {
			r, ok, err := s.current(ctx, k, id)
			if err != nil {
				return nil, err
			}
			if ok {
				rows = append(rows, r)
				continue
			}
		}
		unknown[id], messages[id.Message] = true, true
	}
	found, err := s.search(ctx, b, unknown, messages)
	rows = append(rows, found...)
	slices.SortFunc(rows, byID)
	return rows, err
}

func (s *Server) search(ctx context.Context, b gateway.Browser, ids map[gateway.DeliveryID]bool, messages map[gateway.ID]bool) ([]row, error) {
	var rows []row
	if len(messages) > maxSearches {
		err := b.Scan(ctx, gateway.Key{}, func(box *gateway.Mailbox) bool {
			for _, d := range box.Deliveries {
				if ids[d.ID] {
					rows = append(rows, row{d, box.Address})
				}
			}
			return len(rows) < len(ids)
		})
		return rows, err
	}
	for m := range messages {
		all, err := s.ofMessage(ctx, b, m)
		if ignoreMissing(err) != nil {
			return nil, err
		}
		for _, r := range all {
			if ids[r.delivery.ID] {
				rows = append(rows, r)
			}
		}
	}
	return rows, nil
}

// ofMessage returns all deliveries of a message, in the recipients' order.
func (s *Server) ofMessage(ctx context.Context, b gateway.Browser, id gateway.ID) ([]row, error) {
	m, _, err := b.Message(ctx, id)
	if ignoreMissing(err) != nil {
		return nil, err
	}
	found := map[gateway.DeliveryID]row{}
	complete := err == nil
	if err == nil {
		if found, err = s.unsettled(ctx, m); err != nil {
			return nil, err
		}
		complete = len(found) == len(m.Recipients)
	}
	if !complete {
		events, err := b.History(ctx, id)
		if ignoreMissing(err) != nil {
			return nil, err
		}
		settled := lastStates(events)
		maps.Copy(settled, found) // a mailbox knows better than the history
		found = settled
	}
	if len(found) == 0 {
		return nil, gateway.ErrNotFound
	}
	return slices.SortedFunc(maps.Values(found), byID), nil
}

func byID(x, y row) int { return x.delivery.ID.Compare(y.delivery.ID) }

// unsettled returns those of a message's deliveries that their mailboxes have.
func (s *Server) unsettled(ctx context.Context, m *gateway.Message) (map[gateway.DeliveryID]row, error) {
	found := map[gateway.DeliveryID]row{}
	for i := range m.Recipients {
		id := gateway.DeliveryID{Message: m.ID, Ordinal: uint32(i)}
		r, ok, err := s.current(ctx, m.Recipients[i].Mailbox, id)
		if err != nil {
			return nil, err
		}
		if ok {
			found[id] = r
		}
	}
	return found, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, gateway.ErrNotFound) {
		return nil
	}
	return err
}

// messageOf returns the message of a delivery, or nil where its content is gone:
// a settled delivery's place may hold something else by now.
func (s *Server) messageOf(ctx context.Context, d *gateway.Delivery) *gateway.Message {
	stored, err := s.Store.Body(ctx, d.Ref)
	if err != nil {
		return nil
	}
	defer stored.Close()
	if stored.Message == nil || stored.Message.ID != d.ID.Message {
		return nil
	}
	return stored.Message
}
