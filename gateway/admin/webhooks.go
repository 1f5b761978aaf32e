package admin

import (
	"context"
	"net/http"
	"time"
)

// Webhooks tell tenants' own receivers of events. What List, Test and Redeliver
// return is written as JSON. A name that is not known is gateway.ErrNotFound, other
// refusals are a *Problem.
type Webhooks interface {
	List() any
	Problems() []string // sentences about what needs a person
	Test(ctx context.Context, name string) (any, error)
	Enable(ctx context.Context, name, actor string) error
	Redeliver(ctx context.Context, name string, r Redelivery) (any, error)
}

// Redelivery says which events a webhook is told of once more.
type Redelivery struct {
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"` // zero: now
	Kind  string    `json:"kind,omitempty"` // "": all that the webhook wants
	Event string    `json:"event,omitempty"`
}

var errNoWebhooks = cannot("this gateway has no webhooks")

// listWebhooks answers GET /api/v1/webhooks.
func (s *Server) listWebhooks(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	if s.Webhooks == nil {
		return nil, errNoWebhooks
	}
	return struct {
		Items any `json:"items"`
	}{s.Webhooks.List()}, nil
}

// testWebhook answers POST /api/v1/webhooks/{name}/test: what the receiver says to an
// event of no mail.
func (s *Server) testWebhook(c *call) (any, error) {
	if err := c.decodeNothing(); err != nil {
		return nil, err
	}
	if s.Webhooks == nil {
		return nil, errNoWebhooks
	}
	return s.Webhooks.Test(c.Context(), c.PathValue("name"))
}

// enableWebhook answers POST /api/v1/webhooks/{name}/enable.
func (s *Server) enableWebhook(c *call) (any, error) {
	if err := c.decodeNothing(); err != nil {
		return nil, err
	}
	if s.Webhooks == nil {
		return nil, errNoWebhooks
	}
	return nil, s.Webhooks.Enable(c.Context(), c.PathValue("name"), c.who.Name)
}

// redeliverWebhook answers POST /api/v1/webhooks/{name}/redeliver once everything was
// told again; the list shows how far it is.
func (s *Server) redeliverWebhook(c *call) (any, error) {
	var r Redelivery
	if err := c.decode(&r); err != nil {
		return nil, err
	}
	switch {
	case s.Webhooks == nil:
		return nil, errNoWebhooks
	case r.Since.IsZero() && r.Event == "":
		return nil, invalid("since", "is missing", "say from when on, as 2026-11-20T10:00:00Z, or which event")
	case !r.Until.IsZero() && r.Until.Before(r.Since):
		return nil, &Problem{Status: http.StatusBadRequest, Detail: "until is before since", Field: "until", Remedy: "write a later time, or leave it out"}
	}
	c.unhurried()
	return s.Webhooks.Redeliver(c.Context(), c.PathValue("name"), r)
}

// webhookProblems are those of webhooks.
func (s *Server) webhookProblems() []attention {
	if s.Webhooks == nil {
		return nil
	}
	var list []attention
	for _, text := range s.Webhooks.Problems() {
		list = append(list, attention{mark(shorten(text, 500)), "runbook#webhook-down"})
	}
	return list
}
