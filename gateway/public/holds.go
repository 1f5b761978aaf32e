package public

import (
	"context"
	"net/http"

	"tidepost/gateway"
	"tidepost/scheduler"
	"tidepost/suppression/address"
	"tidepost/templates"
)

// Chooser is a Learner that knows what readers chose before. *gateway.Gateway is one;
// without it the preference page offers the choices alone.
type Chooser interface {
	Chosen(ctx context.Context, tenant, list string, m address.Mailbox) (gateway.Chosen, error)
}

// holds is what the preference page says of now; nil: it is not known.
func (s *Server) holds(r *http.Request, a *asked) *templates.Holds {
	known, ok := s.Gateway.(Chooser)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), actTimeout)
	defer cancel()
	c, err := known.Chosen(ctx, a.tenant, a.list, a.mailbox)
	if err != nil {
		s.log().Error("what a reader chose could not be read; the page does not say it", "delivery", a.delivery.String(), "error", err)
		return nil
	}
	return &templates.Holds{List: c.List, All: c.All, Until: c.Until, PerWeek: c.PerWeek,
		Unseen: c.Sees == scheduler.SeesNone, Partly: c.Sees == scheduler.SeesClick || c.Sees == scheduler.SeesDay}
}
