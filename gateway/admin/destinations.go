package admin

import (
	"slices"
	"sort"
	"time"

	"tidepost/scheduler/throttle"
)

// destinationDoc is a destination as it is sent.
type destinationDoc struct {
	Name        string    `json:"name"`
	Connections int       `json:"connections"` // at a time; 0: no limit
	Rate        float64   `json:"rate"`        // messages a second now; 0: no limit
	RateMax     float64   `json:"rate_max"`
	Closed      bool      `json:"closed"`
	Since       time.Time `json:"since,omitzero"`
	Next        time.Time `json:"next,omitzero"` // when it is tried again
	Reason      string    `json:"reason,omitempty"`
	Last        time.Time `json:"last,omitzero"` // when it was heard of
}

func (s *Server) newDestinationDoc(d *throttle.Status) destinationDoc {
	doc := destinationDoc{Name: d.Dest, Rate: d.Rate, Closed: !d.ClosedUntil.IsZero(),
		Since: utc(d.Since), Next: utc(d.ClosedUntil), Last: utc(d.LastAt)}
	if limits := s.Gateway.Throttle.Limits; limits != nil {
		l := limits(d.Dest)
		doc.Connections, doc.RateMax = l.Connections, max(l.Rate, l.RateMax)
	}
	if doc.Closed {
		doc.Reason = whyClosed(d.Last)
	}
	return doc
}

func whyClosed(last throttle.Result) string {
	switch last {
	case throttle.Unreachable:
		return "connections fail; it is probed every minute"
	case throttle.Busy, throttle.Deferred:
		return "it asked for less mail"
	}
	return "it asked for less mail; replies are clean again"
}

// listDestinations answers GET /api/v1/destinations, by name.
func (s *Server) listDestinations(c *call) (any, error) {
	q, err := c.query("limit", "cursor")
	if err != nil {
		return nil, err
	}
	limit, err := c.limit(q)
	if err != nil {
		return nil, err
	}
	list := s.destinations()
	if cursor := q.Get("cursor"); cursor != "" {
		var from string
		if err := parseText(cursor, &from); err != nil {
			return nil, err
		}
		list = list[sort.Search(len(list), func(i int) bool { return list[i].Dest > from }):]
	}
	next := ""
	if len(list) > limit {
		list = list[:limit]
		next = textCursor(list[limit-1].Dest)
	}
	docs := make([]destinationDoc, len(list))
	for i := range list {
		docs[i] = s.newDestinationDoc(&list[i])
	}
	return s.page(docs, next), nil
}

func (s *Server) destinations() []throttle.Status {
	if s.Gateway.Throttle == nil {
		return nil
	}
	return s.Gateway.Throttle.Status(s.now())
}

// closed returns the destinations that are closed, the longest closed first.
func (s *Server) closed() []throttle.Status {
	list := slices.DeleteFunc(s.destinations(), func(d throttle.Status) bool { return d.ClosedUntil.IsZero() })
	slices.SortStableFunc(list, func(a, b throttle.Status) int { return a.Since.Compare(b.Since) })
	return list
}
