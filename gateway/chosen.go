package gateway

import (
	"context"
	"slices"
	"time"

	"tidepost/scheduler"
	"tidepost/suppression"
	"tidepost/suppression/address"
)

// Chosen is what holds of a tenant's bulk mail to a reader, as far as they can choose.
type Chosen struct {
	List    bool           // mail of the list is stopped for good
	All     bool           // and of all others
	Until   time.Time      // it pauses until then; zero: it does not
	PerWeek int            // at most so many mails in seven days; 0: no wish
	Sees    scheduler.Sees // what may be learned from, at most
}

// Chosen returns what holds now. Somebody never heard of has chosen nothing.
func (g *Gateway) Chosen(ctx context.Context, tenant, list string, m address.Mailbox) (Chosen, error) {
	audience := g.audience(tenant)
	box, err := g.Store.Mailbox(ctx, MailboxKey(audience, m))
	if err != nil {
		return Chosen{}, err
	}
	entries, err := g.EntriesOf(ctx, m.String())
	if err != nil {
		return Chosen{}, err
	}
	c := Chosen{PerWeek: int(box.Wishes.PerWeek), Sees: box.Wishes.Sees}
	q := suppression.Query{Now: g.now(), Tenant: tenant, Audience: audience}
	pauses := slices.DeleteFunc(slices.Clone(entries), func(e suppression.Entry) bool { return e.Reason != suppression.Pause })
	if e, ok := suppression.Match(pauses, q); ok {
		c.Until = e.Expires
	}
	stops := slices.DeleteFunc(slices.Clone(entries), func(e suppression.Entry) bool { return !e.Expires.IsZero() })
	_, c.All = suppression.Match(stops, q)
	if q.List = list; list != "" {
		_, c.List = suppression.Match(stops, q)
	}
	return c, nil
}
