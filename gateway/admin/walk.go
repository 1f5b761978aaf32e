package admin

import (
	"context"
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
	slice    int           // mailboxes looked at between two looks at the clock
	time     time.Duration // for a page that has rows
	patience time.Duration // for one that has none yet
}

var usualBudget = budget{slice: 50_000, time: time.Second, patience: 10 * time.Second}

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
