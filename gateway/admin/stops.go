package admin

import (
	"context"
	"fmt"
	"strings"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler"
	"tidepost/suppression"
)

// gatesDoc is what a mailbox got lately, and what that means for bulk mail.
type gatesDoc struct {
	Audience string    `json:"audience"`
	Zone     string    `json:"zone,omitempty"`
	Week     int       `json:"week"` // bulk sends in the last 7 days
	Last     time.Time `json:"last,omitzero"`
	Opens    time.Time `json:"opens,omitzero"` // when quiet hours, gap and cap let bulk mail through; absent: now
	Reason   string    `json:"reason,omitempty"`
}

// tellStops says what else stands in the way of a waiting delivery.
func (s *Server) tellStops(ctx context.Context, x *explanation, r row) error {
	d := r.delivery
	s.tellPauses(x, d.Tenant, d.Campaign)
	s.tellDestination(x, r.mailbox)
	box, err := s.Store.Mailbox(ctx, d.Mailbox)
	if err != nil {
		return err
	}
	if d.Class.Bulk() {
		s.tellGates(x, box, d.Tenant)
	}
	entries, err := s.tellEntries(ctx, x, r.mailbox)
	if err != nil {
		return err
	}
	q := suppression.Query{Now: s.now(), Tenant: d.Tenant, Audience: box.Audience, List: d.List,
		Class: d.Class.String(), Transactional: d.Class == gateway.Transactional}
	if e, stops := suppression.Match(entries, q); stops {
		x.say(fmt.Sprintf("A suppression stops it: %s, scope %s, since %s. It is dropped when its turn comes.", e.Reason, mark(e.Scope.String()), at(e.Created)))
	}
	return nil
}

// tellPauses says whether a person or a restore stopped the mail.
func (s *Server) tellPauses(x *explanation, tenant, campaign string) {
	tenants, campaigns := s.Gateway.Pauses()
	if p, ok := tenants[""]; ok {
		x.Paused = append(x.Paused, pauseDoc{"", "", p.By, p.At.UTC()})
		x.say(fmt.Sprintf("All mail is paused by %s since %s.", mark(p.By), at(p.At)))
	}
	if p, ok := tenants[tenant]; ok && tenant != "" {
		x.Paused = append(x.Paused, pauseDoc{tenant, "", p.By, p.At.UTC()})
		x.say(fmt.Sprintf("Tenant %s is paused by %s since %s.", mark(tenant), mark(p.By), at(p.At)))
	}
	if p, ok := campaigns[gateway.CampaignKey{Tenant: tenant, Campaign: campaign}]; ok {
		x.Paused = append(x.Paused, pauseDoc{tenant, campaign, p.By, p.At.UTC()})
		x.say(fmt.Sprintf("Campaign %s is paused by %s since %s.", mark(campaign), mark(p.By), at(p.At)))
	}
	if s.holding() {
		x.say("Nothing leaves: this gateway was restored and waits for `tidepost restore --confirm`.")
	}
}

// tellDestination says whether the destination is closed.
func (s *Server) tellDestination(x *explanation, mailbox string) {
	if s.Gateway.Line == nil {
		return
	}
	domain := ""
	if i := strings.LastIndexByte(mailbox, '@'); i >= 0 {
		domain = mailbox[i+1:]
	}
	name := s.Gateway.Line(domain)
	for _, d := range s.closed() {
		if d.Dest == name {
			doc := s.newDestinationDoc(&d)
			x.Destination = &doc
			x.say(fmt.Sprintf("Destination %s is closed since %s: %s.", mark(name), at(d.Since), doc.Reason))
		}
	}
}

// tellGates adds what a mailbox got, and when a tenant's policy lets more in.
func (s *Server) tellGates(x *explanation, box *gateway.Mailbox, tenant string) {
	now := s.now()
	doc := newGatesDoc(box, now)
	if s.Gateway.Rules != nil {
		policy := s.Gateway.PolicyOf(tenant, box.Key)
		opens, why := box.Gates.Check(now, &policy, box.Location(), &scheduler.Item{})
		if why != "" {
			doc.Opens, doc.Reason = opens.UTC(), string(why)
		}
	}
	x.Gates = append(x.Gates, doc)
	if doc.Week > 0 {
		x.say(fmt.Sprintf("The mailbox got %s of bulk mail in the last 7 days, the last at %s.", plural(int64(doc.Week), "message", "messages"), at(doc.Last)))
	}
}

func newGatesDoc(box *gateway.Mailbox, now time.Time) gatesDoc {
	doc := gatesDoc{Audience: box.Audience, Zone: box.Zone}
	for i := range box.Gates.Len() {
		if send := box.Gates.Send(i); send.Bulk {
			doc.Last = send.At
			if now.Sub(send.At) < 7*24*time.Hour {
				doc.Week++
			}
		}
	}
	return doc
}

// tellEntries adds what the suppression list has of an address.
func (s *Server) tellEntries(ctx context.Context, x *explanation, canonical string) ([]suppression.Entry, error) {
	if _, ok := s.Store.(gateway.Entries); !ok {
		return nil, nil
	}
	entries, err := s.Gateway.EntriesOf(ctx, canonical)
	x.Entries = entryDocs(entries)
	return entries, err
}
