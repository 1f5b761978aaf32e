package public

import (
	"context"
	"errors"

	"tidepost/gateway"
)

// match finds the mail that an event is about, so far as the event tells and does not
// say it itself. Where it cannot be found, the signal goes on with its mailbox alone:
// what a reader wants, and that an address does not exist, holds without its mail.
func (s *Server) match(ctx context.Context, c gateway.Clue, signal *gateway.Signal) error {
	if signal.Message != "" || !tells(&c) {
		return nil
	}
	c.Tenant = signal.Tenant
	m, err := s.Gateway.Match(ctx, &c)
	switch {
	case errors.Is(err, gateway.ErrNoMatch):
		s.Metrics.Unmatched.Add(1)
		return nil
	case err != nil:
		return err
	case m.Delivery.Message.IsZero() || m.Tenant != signal.Tenant || m.Mailbox != signal.Mailbox:
		s.Metrics.Unmatched.Add(1) // known by its recipient alone, or of somebody else
		return nil
	}
	signal.Message = m.Delivery.String()
	if signal.Bounce != nil {
		signal.Bounce.Match = m.By
	}
	return nil
}

// tells reports whether a clue says more than whom it is about.
func tells(c *gateway.Clue) bool {
	return !c.Delivery.Message.IsZero() || !c.Message.IsZero() || c.ReturnPath != "" || len(c.QueueIDs) > 0 || len(c.MessageIDs) > 0
}
