package local

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"tidepost/gateway"
)

// reasonRetention is why captured mail is dropped by itself.
const reasonRetention = "retention"

// capturedPause is how long a look over all mailboxes for captured mail is good
// for.
const capturedPause = 10 * time.Minute

// expireCaptured drops captured mail that is too old or too much, the oldest
// first.
func (s *Store) expireCaptured(ctx context.Context) error {
	if s.sums.captured() == 0 || s.now().Sub(s.lookedForCaptured) < min(capturedPause, s.opt.CapturedFor) {
		return nil
	}
	s.lookedForCaptured = s.now()
	var captured []*gateway.Delivery
	var bytes int64
	err := s.Scan(ctx, gateway.Key{}, func(m *gateway.Mailbox) bool {
		for _, d := range m.Deliveries {
			if d.State == gateway.Captured {
				captured = append(captured, d)
				bytes += d.Size
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	slices.SortFunc(captured, func(a, b *gateway.Delivery) int { return cmp.Or(a.Accepted.Compare(b.Accepted), a.ID.Compare(b.ID)) })
	old := s.now().Add(-s.opt.CapturedFor)
	for _, d := range captured {
		if !d.Accepted.Before(old) && bytes <= s.opt.CapturedBytes {
			break
		}
		bytes -= d.Size
		if err := s.dropCaptured(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// dropCaptured settles one captured delivery, unless it changed meanwhile.
func (s *Store) dropCaptured(ctx context.Context, seen *gateway.Delivery) error {
	m, err := s.boxes.get(seen.Mailbox)
	if err != nil {
		return err
	}
	d := m.Delivery(seen.ID)
	if d == nil || d.State != gateway.Captured {
		return nil
	}
	next := d.Next()
	next.State, next.Reason = gateway.Dropped, reasonRetention
	err = s.Commit(ctx, &gateway.Change{
		Key: m.Key, Expect: m.Rev, Relaxed: true, Deliveries: []*gateway.Delivery{next},
		Events: []gateway.Event{{Kind: gateway.EventDropped, At: s.now(), Delivery: next, Reason: reasonRetention}},
	})
	if errors.Is(err, gateway.ErrConflict) {
		return nil // its owner was faster; the next look decides
	}
	return err
}
