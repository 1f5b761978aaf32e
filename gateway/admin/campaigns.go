package admin

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"tidepost/gateway"
)

// campaignDoc is a campaign as it is sent. Accepted is always the sum of the
// others.
type campaignDoc struct {
	Tenant    string           `json:"tenant"`
	Name      string           `json:"name"`
	Accepted  int64            `json:"accepted"`
	Waiting   int64            `json:"waiting"`
	Sending   int64            `json:"sending"`
	Delivered int64            `json:"delivered"`
	Bounced   int64            `json:"bounced"`
	Captured  int64            `json:"captured"`
	Dropped   map[string]int64 `json:"dropped"` // by reason
	First     time.Time        `json:"first,omitzero"`
	Last      time.Time        `json:"last,omitzero"`
	Paused    *pauseDoc        `json:"paused,omitempty"`
}

func newCampaignDoc(k gateway.CampaignKey, t gateway.Totals) campaignDoc {
	dropped := t.Dropped
	if dropped == nil {
		dropped = map[string]int64{}
	}
	return campaignDoc{
		Tenant: k.Tenant, Name: k.Campaign, Accepted: t.Accepted, Waiting: t.Waiting, Sending: t.Sending,
		Delivered: t.Delivered, Bounced: t.Bounced, Captured: t.Captured, Dropped: dropped,
		First: utc(t.First), Last: utc(t.Last),
	}
}

// campaignPlace is where a campaign stands in the listing: newest first.
type campaignPlace struct {
	First        time.Time
	Tenant, Name string
}

func (p campaignPlace) compare(o campaignPlace) int {
	return cmp.Or(o.First.Compare(p.First), cmp.Compare(p.Tenant, o.Tenant), cmp.Compare(p.Name, o.Name))
}

func (c *campaignDoc) place() campaignPlace { return campaignPlace{c.First, c.Tenant, c.Name} }

// listCampaigns answers GET /api/v1/campaigns.
func (s *Server) listCampaigns(c *call) (any, error) {
	q, err := c.query("tenant", "limit", "cursor")
	if err != nil {
		return nil, err
	}
	limit, err := c.limit(q)
	if err != nil {
		return nil, err
	}
	b, err := s.browser()
	if err != nil {
		return nil, err
	}
	from, begun := campaignPlace{}, false
	if cursor := q.Get("cursor"); cursor != "" {
		if err := parseText(cursor, &from); err != nil {
			return nil, err
		}
		begun = true
	}
	sums, _ := b.Totals()
	list := []campaignDoc{}
	for k, t := range sums {
		doc := newCampaignDoc(k, t)
		if tenant := q.Get("tenant"); (tenant == "" || k.Tenant == tenant) && (!begun || from.compare(doc.place()) < 0) {
			list = append(list, doc)
		}
	}
	slices.SortFunc(list, func(a, b campaignDoc) int { return a.place().compare(b.place()) })
	next := ""
	if len(list) > limit {
		list = list[:limit]
		next = textCursor(list[limit-1].place())
	}
	s.showPauses(list)
	return s.page(list, next), nil
}

// showPauses says which of the campaigns are paused, by themselves or with their
// tenant.
func (s *Server) showPauses(list []campaignDoc) {
	tenants, campaigns := s.Gateway.Pauses()
	for i := range list {
		c := &list[i]
		if p, ok := campaigns[gateway.CampaignKey{Tenant: c.Tenant, Campaign: c.Name}]; ok {
			c.Paused = &pauseDoc{c.Tenant, c.Name, p.By, p.At.UTC()}
		} else if p, ok := pauseOf(tenants, c.Tenant); ok {
			c.Paused = &pauseDoc{c.Tenant, "", p.By, p.At.UTC()}
		}
	}
}

// getCampaign answers GET /api/v1/campaigns/{tenant}/{name}.
func (s *Server) getCampaign(c *call) (any, error) {
	b, err := s.browser()
	if err != nil {
		return nil, err
	}
	k := gateway.CampaignKey{Tenant: c.PathValue("tenant"), Campaign: c.PathValue("name")}
	sums, _ := b.Totals()
	t, ok := sums[k]
	if !ok {
		return nil, &Problem{Status: http.StatusNotFound, Detail: "tenant " + k.Tenant + " has no campaign " + k.Campaign,
			Remedy: "`tidepost campaigns` lists them"}
	}
	list := []campaignDoc{newCampaignDoc(k, t)}
	s.showPauses(list)
	return list[0], nil
}

// pauseOf returns the pause that a tenant's mail is under: its own, or
// everybody's.
func pauseOf(tenants map[string]gateway.Pause, tenant string) (gateway.Pause, bool) {
	if p, ok := tenants[tenant]; ok {
		return p, true
	}
	p, ok := tenants[""]
	return p, ok
}
