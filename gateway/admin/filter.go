package admin

import (
	"bytes"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tidepost/gateway"
	"tidepost/suppression/address"
)

// filterDoc is a filter as it is sent; what is left out matches all.
type filterDoc struct {
	Tenant    string   `json:"tenant"`
	Campaign  string   `json:"campaign"`
	Mailbox   string   `json:"mailbox"`
	State     string   `json:"state"`
	DueBefore string   `json:"due_before"`
	Message   string   `json:"message"`
	IDs       []string `json:"ids"`
}

var filterNames = []string{"tenant", "campaign", "mailbox", "state", "due_before", "message", "ids"}

// filterOf reads a filter from a query.
func filterOf(q url.Values) filterDoc {
	d := filterDoc{Tenant: q.Get("tenant"), Campaign: q.Get("campaign"), Mailbox: q.Get("mailbox"),
		State: q.Get("state"), DueBefore: q.Get("due_before"), Message: q.Get("message")}
	if ids := q.Get("ids"); ids != "" {
		d.IDs = strings.Split(ids, ",")
	}
	return d
}

// filter chooses deliveries.
type filter struct {
	tenant, campaign string
	mailbox          *address.Mailbox // in every audience
	state            *gateway.State
	dueBefore        time.Time
	message          gateway.ID
	ids              []gateway.DeliveryID // nil: any
}

// parse reads a filter into a form that cannot be wrong.
func (d *filterDoc) parse() (*filter, error) {
	f := &filter{tenant: d.Tenant, campaign: d.Campaign}
	for _, read := range []func(*filterDoc) error{f.readMailbox, f.readState, f.readDue, f.readIDs} {
		if err := read(d); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *filter) readMailbox(d *filterDoc) error {
	if d.Mailbox == "" {
		return nil
	}
	a, err := address.Parse(d.Mailbox)
	if err != nil {
		return invalid("mailbox", "cannot be read: "+err.Error(), "write an address like ann@example.com")
	}
	m := a.Mailbox()
	f.mailbox = &m
	return nil
}

func (f *filter) readState(d *filterDoc) error {
	if d.State == "" {
		return nil
	}
	s, err := gateway.ParseState(d.State)
	if err != nil {
		return invalid("state", strconv.Quote(shorten(d.State, 40))+" is no state", "write waiting, sending or captured")
	}
	if s.Settled() && d.Message == "" && len(d.IDs) == 0 {
		return invalid("state", d.State+" finds nothing: settled deliveries are kept by message alone", "say which message or ids, or look at the campaign's sums")
	}
	f.state = &s
	return nil
}

func (f *filter) readDue(d *filterDoc) (err error) {
	if d.DueBefore == "" {
		return nil
	}
	if f.dueBefore, err = time.Parse(time.RFC3339, d.DueBefore); err != nil {
		return invalid("due_before", strconv.Quote(shorten(d.DueBefore, 40))+" is no time", "write one like 2026-05-01T08:00:00Z")
	}
	return nil
}

func (f *filter) readIDs(d *filterDoc) (err error) {
	if d.Message != "" {
		if f.message, err = gateway.ParseID(d.Message); err != nil {
			return invalid("message", "is no id: "+shorten(err.Error(), 100), "write a message's id as the listing shows it")
		}
	}
	seen := map[gateway.DeliveryID]bool{}
	for _, text := range d.IDs {
		id, err := gateway.ParseDeliveryID(text)
		if err != nil {
			return invalid("ids", "has one that is none: "+shorten(err.Error(), 100), "write deliveries as the listing shows them")
		}
		if !seen[id] {
			seen[id] = true
			f.ids = append(f.ids, id)
		}
	}
	return nil
}

// named reports whether the filter names what it is about, so that nothing has
// to be searched.
func (f *filter) named() bool { return f.ids != nil || !f.message.IsZero() }

// summed reports whether the sums of tenants and campaigns can tell how many
// match.
func (f *filter) summed() bool { return !f.named() && f.mailbox == nil && f.dueBefore.IsZero() }

// matches reports whether a delivery is chosen.
func (f *filter) matches(r row) bool {
	d := r.delivery
	switch {
	case f.tenant != "" && d.Tenant != f.tenant,
		f.campaign != "" && d.Campaign != f.campaign,
		f.state != nil && d.State != *f.state,
		f.mailbox != nil && r.mailbox != f.mailbox.String(),
		!f.message.IsZero() && d.ID.Message != f.message:
		return false
	}
	return f.dueBefore.IsZero() || due(d, f.dueBefore)
}

// due reports whether a delivery wants to be looked at before an instant.
func due(d *gateway.Delivery, before time.Time) bool {
	return (d.State == gateway.Waiting || d.State == gateway.Sending) && d.Due.Before(before)
}

// begin is the first place of a scan that finds all the filter can match.
func (f *filter) begin() place {
	var p place
	if f.mailbox != nil {
		hash := f.mailbox.Hash()
		copy(p.key[:8], hash[:8])
	}
	return p
}

// beyond reports whether no mailbox from this key on can match.
func (f *filter) beyond(k gateway.Key) bool {
	if f.mailbox == nil {
		return false
	}
	hash := f.mailbox.Hash()
	return !bytes.Equal(k[:8], hash[:8])
}

// count returns how many match, of a filter that is summed.
func (f *filter) count(b gateway.Browser) (n int64) {
	campaigns, tenants := b.Totals()
	if f.campaign != "" {
		for k, t := range campaigns {
			if k.Campaign == f.campaign && (f.tenant == "" || k.Tenant == f.tenant) {
				n += f.ofState(&t)
			}
		}
		return n
	}
	for name, t := range tenants {
		if f.tenant == "" || name == f.tenant {
			n += f.ofState(&t)
		}
	}
	return n
}

func (f *filter) ofState(t *gateway.Totals) int64 {
	if f.state == nil {
		return t.Waiting + t.Sending + t.Captured
	}
	switch *f.state {
	case gateway.Waiting:
		return t.Waiting
	case gateway.Sending:
		return t.Sending
	case gateway.Captured:
		return t.Captured
	}
	return 0
}
