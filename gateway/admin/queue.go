package admin

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"tidepost/gateway"
)

// scopeDoc is what a pause stops: a campaign of a tenant, a tenant, or with
// neither everything.
type scopeDoc struct {
	Tenant   string `json:"tenant"`
	Campaign string `json:"campaign"`
}

// pauseDoc is a pause as it is sent.
type pauseDoc struct {
	Tenant   string    `json:"tenant,omitempty"`
	Campaign string    `json:"campaign,omitempty"`
	By       string    `json:"by"`
	At       time.Time `json:"at"`
}

// pause answers POST /api/v1/queue/pause.
func (s *Server) pause(c *call) (any, error) { return s.setPaused(c, true) }

// resume answers POST /api/v1/queue/resume. Resuming everything undoes every
// pause. The answer says what is still paused.
func (s *Server) resume(c *call) (any, error) { return s.setPaused(c, false) }

func (s *Server) setPaused(c *call, paused bool) (any, error) {
	var scope scopeDoc
	if err := c.decode(&scope); err != nil {
		return nil, err
	}
	if scope.Campaign != "" && scope.Tenant == "" {
		return nil, invalid("tenant", "is missing", "say whose campaign: two tenants may use one name")
	}
	var err error
	if scope.Tenant == "" {
		err = s.pauseAll(c.Context(), paused, c.who.Name)
	} else {
		err = s.Gateway.SetPaused(c.Context(), scope.Tenant, scope.Campaign, paused, c.who.Name)
	}
	if err != nil {
		return nil, err
	}
	return struct {
		Paused []pauseDoc `json:"paused"`
	}{s.pauses()}, nil
}

// pauseAll pauses everybody's mail, or resumes whatever is paused.
func (s *Server) pauseAll(ctx context.Context, paused bool, actor string) error {
	if !paused {
		for _, p := range s.pauses() {
			if err := s.Gateway.SetPaused(ctx, p.Tenant, p.Campaign, false, actor); err != nil {
				return err
			}
		}
		return nil
	}
	return s.Gateway.SetPaused(ctx, "", "", true, actor)
}

// tenants returns the tenants of the configuration and those that ever sent.
func (s *Server) tenants() []string {
	all := map[string]bool{}
	if s.Tenants != nil {
		for _, name := range s.Tenants() {
			all[name] = true
		}
	}
	if b, ok := s.Store.(gateway.Browser); ok {
		_, sums := b.Totals()
		for name := range sums {
			all[name] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// pauses returns what is paused, tenants first.
func (s *Server) pauses() []pauseDoc {
	tenants, campaigns := s.Gateway.Pauses()
	list := []pauseDoc{}
	for name, p := range tenants {
		list = append(list, pauseDoc{name, "", p.By, p.At.UTC()})
	}
	for k, p := range campaigns {
		list = append(list, pauseDoc{k.Tenant, k.Campaign, p.By, p.At.UTC()})
	}
	slices.SortFunc(list, func(a, b pauseDoc) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Campaign, b.Campaign))
	})
	return list
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(n, 10) + " " + many
}
