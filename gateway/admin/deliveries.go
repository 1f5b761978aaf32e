package admin

import (
	"context"
	"math"
	"net/http"
	"slices"
	"time"

	"tidepost/gateway"
)

// deliveryDoc is a delivery as it is sent.
type deliveryDoc struct {
	ID        string    `json:"id"`
	Message   string    `json:"message"`
	Mailbox   string    `json:"mailbox"` // canonical
	Address   string    `json:"address"` // as the client wrote it
	Tenant    string    `json:"tenant"`
	Campaign  string    `json:"campaign,omitempty"`
	List      string    `json:"list,omitempty"`
	Class     string    `json:"class"`
	State     string    `json:"state"`
	Due       time.Time `json:"due,omitzero"` // absent: now, or never again
	Reason    string    `json:"reason,omitempty"`
	Sentence  string    `json:"sentence,omitempty"`
	Attempts  int       `json:"attempts"`
	Accepted  time.Time `json:"accepted"`
	NotBefore time.Time `json:"not_before,omitzero"`
	Deadline  time.Time `json:"deadline,omitzero"`
	Started   time.Time `json:"started,omitzero"`
	Expires   time.Time `json:"expires,omitzero"`
	Priority  int       `json:"priority,omitempty"`
	Paused    bool      `json:"paused,omitempty"`
	Forced    bool      `json:"forced,omitempty"`
	Duplicate bool      `json:"duplicate,omitempty"`
	Reply     string    `json:"reply,omitempty"`
	Size      int64     `json:"size"`
	Revision  uint32    `json:"revision"`

	Decision *decisionDoc `json:"decision,omitempty"` // in an explanation
}

func newDeliveryDoc(r row) deliveryDoc {
	d := r.delivery
	return deliveryDoc{
		ID: d.ID.String(), Message: d.ID.Message.String(), Mailbox: r.mailbox, Address: d.Address,
		Tenant: d.Tenant, Campaign: d.Campaign, List: d.List, Class: d.Class.String(), State: d.State.String(),
		Due: utc(d.Due), Reason: d.Reason, Sentence: sentence(d.Reason), Attempts: int(d.Attempts),
		Accepted: utc(d.Accepted), NotBefore: utc(d.NotBefore), Deadline: utc(d.Deadline), Started: utc(d.Started), Expires: utc(d.Expires),
		Priority: int(d.Priority), Paused: d.Paused, Forced: d.Forced, Duplicate: d.Duplicate,
		Reply: d.Reply, Size: d.Size, Revision: d.Rev,
	}
}

func deliveryDocs(rows []row) []deliveryDoc {
	docs := make([]deliveryDoc, len(rows))
	for i, r := range rows {
		docs[i] = newDeliveryDoc(r)
	}
	return docs
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

// listDeliveries answers GET /api/v1/deliveries: the unsettled ones that match
// in the order of their mailboxes, or all of those that a filter names.
func (s *Server) listDeliveries(c *call) (any, error) {
	q, err := c.query(append(slices.Clone(filterNames), "limit", "cursor", "count")...)
	if err != nil {
		return nil, err
	}
	doc := filterOf(q)
	f, err := doc.parse()
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
	var p page
	if f.named() {
		c.unhurried()
		p, err = s.namedPage(c.Context(), b, f, q.Get("cursor"), limit)
	} else {
		p, err = s.scanPage(c.Context(), b, f, q.Get("cursor"), limit)
	}
	if err == nil && q.Get("count") == "true" && p.Total == nil {
		p.Total, err = s.count(c.Context(), b, f)
	}
	return p, err
}

func (s *Server) namedPage(ctx context.Context, b gateway.Browser, f *filter, cursor string, limit int) (page, error) {
	from, err := parseNumber(cursor)
	if err != nil {
		return page{}, err
	}
	rows, err := s.named(ctx, b, f)
	if err != nil {
		return page{}, err
	}
	total := int64(len(rows))
	rows = rows[min(from, len(rows)):]
	next := ""
	if len(rows) > limit {
		rows, next = rows[:limit], numberCursor(from+limit)
	}
	p := s.page(deliveryDocs(rows), next)
	p.Total = &total
	return p, nil
}

func (s *Server) scanPage(ctx context.Context, b gateway.Browser, f *filter, cursor string, limit int) (page, error) {
	from := f.begin()
	if cursor != "" {
		var err error
		if from, err = parsePlace(cursor); err != nil {
			return page{}, err
		}
	}
	if f.summed() && f.count(b) == 0 { // a campaign that is over is not looked for in ten million mailboxes
		return s.page([]deliveryDoc{}, ""), nil
	}
	got, err := s.fill(ctx, b, f, from, limit)
	if err != nil {
		return page{}, err
	}
	s.remember(got.rows)
	next := ""
	if !got.ended {
		next = got.next.cursor()
	}
	return s.page(deliveryDocs(got.rows), next), nil
}

// countTime bounds how long matches are counted that no sum tells.
const countTime = 25 * time.Second

// count returns how many deliveries match.
func (s *Server) count(ctx context.Context, b gateway.Browser, f *filter) (*int64, error) {
	var n int64
	if f.summed() {
		n = f.count(b)
		return &n, nil
	}
	began := time.Now()
	for from, ended := f.begin(), false; !ended; {
		part, err := s.scan(ctx, b, f, from, math.MaxInt)
		if err != nil {
			return nil, err
		}
		if time.Since(began) > countTime {
			return nil, &Problem{Status: http.StatusServiceUnavailable, Detail: "there are too many deliveries to count with this filter", Remedy: "leave out due_before: tenant, campaign and state have sums"}
		}
		n += int64(len(part.rows))
		from, ended = part.next, part.ended
	}
	return &n, nil
}

// getDelivery answers GET /api/v1/deliveries/{id}, settled or not.
func (s *Server) getDelivery(c *call) (any, error) {
	b, err := s.browser()
	if err != nil {
		return nil, err
	}
	id, err := gateway.ParseDeliveryID(c.PathValue("id"))
	if err != nil {
		return nil, notFound(err.Error())
	}
	c.unhurried()
	r, _, err := s.find(c.Context(), b, id)
	if err != nil {
		return nil, missing(err, "delivery "+id.String())
	}
	mode := s.info().Mode
	return struct {
		deliveryDoc
		Mode    string `json:"mode,omitempty"`
		Warning string `json:"warning,omitempty"`
	}{newDeliveryDoc(r), mode, warning(mode)}, nil
}
