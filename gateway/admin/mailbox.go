package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tidepost/gateway"
	"tidepost/suppression"
	"tidepost/suppression/address"
)

// explainAddress says what waits for an address in every audience, and what
// stops mail to it.
func (s *Server) explainAddress(ctx context.Context, b gateway.Browser, x *explanation, subject string) error {
	a, err := address.Parse(subject)
	if err != nil {
		return invalid("subject", "is neither an address nor a delivery: "+err.Error(), "write an address like ann@example.com, or a delivery as `tidepost queue list` prints it")
	}
	m := a.Mailbox()
	f := &filter{mailbox: &m}
	got, err := s.fill(ctx, b, f, f.begin(), maxExplained)
	if err != nil {
		return err
	}
	s.remember(got.rows)
	x.Deliveries = deliveryDocs(got.rows)
	x.say(waitingFor(m.String(), got))
	entries, err := s.tellEntries(ctx, x, m.String())
	if err != nil {
		return err
	}
	s.tellLive(x, entries)
	if err := s.tellMailboxes(ctx, x, m); err != nil {
		return err
	}
	s.tellDestination(x, m.String())
	return s.tellHistories(ctx, b, x, got.rows)
}

func waitingFor(address string, got slice) string {
	n := int64(len(got.rows))
	switch {
	case n == 0:
		return "Nothing waits for " + mark(address) + "."
	case !got.ended:
		return "More than " + plural(n, "delivery", "deliveries") + " are kept for " + mark(address) + "."
	case n == 1:
		return "1 delivery is kept for " + mark(address) + "."
	}
	return plural(n, "delivery", "deliveries") + " are kept for " + mark(address) + "."
}

func (s *Server) tellLive(x *explanation, entries []suppression.Entry) {
	now := s.now()
	live := 0
	for i := range entries {
		e := &entries[i]
		if !e.Live(now) {
			continue
		}
		live++
		until := "for ever"
		if !e.Expires.IsZero() {
			until = "until " + at(e.Expires)
		}
		x.say(fmt.Sprintf("It is suppressed since %s, %s: %s, scope %s.", at(e.Created), until, e.Reason, mark(e.Scope.String())))
	}
	if live == 0 {
		x.say("No suppression stops mail to it.")
	}
}

// tellMailboxes adds the gates of the address in each audience that knows it.
func (s *Server) tellMailboxes(ctx context.Context, x *explanation, m address.Mailbox) error {
	seen := map[gateway.Key]bool{}
	for _, tenant := range s.tenants() {
		audience := tenant
		if s.Gateway.Tenant != nil {
			if t := s.Gateway.Tenant(tenant); t.Audience != "" {
				audience = t.Audience
			}
		}
		k := gateway.MailboxKey(audience, m)
		if seen[k] {
			continue
		}
		seen[k] = true
		box, err := s.Store.Mailbox(ctx, k)
		if err != nil {
			return err
		}
		if box.Rev > 0 {
			s.tellGates(x, box, tenant)
			x.tellReader(s.newReaderDoc(box, tenant))
		}
	}
	return nil
}

// tellHistories adds a sentence and the events of the newest of an address's
// deliveries, as many as are found in a short time.
func (s *Server) tellHistories(ctx context.Context, b gateway.Browser, x *explanation, rows []row) error {
	ctx, cancel := context.WithTimeout(ctx, historyTime)
	defer cancel()
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(p, q row) int { return byID(q, p) })
	rows = rows[:min(len(rows), maxHistories)]
	for _, r := range rows {
		x.say(r.delivery.ID.String() + ": " + standing(r.delivery, s.now(), time.Time{}))
	}
	for _, r := range rows {
		events, err := b.History(ctx, r.delivery.ID.Message)
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if ignoreMissing(err) != nil {
			return err
		}
		x.addEvents(events, r.delivery.ID)
	}
	slices.SortStableFunc(x.Events, func(p, q eventDoc) int { return p.At.Compare(q.At) })
	return nil
}
