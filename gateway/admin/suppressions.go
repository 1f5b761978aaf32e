package admin

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"

	"tidepost/gateway"
	"tidepost/suppression"
	"tidepost/suppression/address"
)

// entryDoc is a suppression as it is sent and taken.
type entryDoc struct {
	Address  string    `json:"address"`
	Scope    string    `json:"scope"`
	Reason   string    `json:"reason,omitempty"`
	Source   string    `json:"source,omitempty"`
	Evidence string    `json:"evidence,omitempty"`
	Note     string    `json:"note,omitempty"`
	Created  time.Time `json:"created,omitzero"`
	Expires  time.Time `json:"expires,omitzero"`
	Removed  time.Time `json:"removed,omitzero"`
}

func newEntryDoc(e *suppression.Entry) entryDoc {
	return entryDoc{
		Address: e.Address, Scope: e.Scope.String(), Reason: string(e.Reason), Source: e.Source,
		Evidence: e.Evidence, Note: e.Note, Created: utc(e.Created), Expires: utc(e.Expires), Removed: utc(e.Removed),
	}
}

func entryDocs(entries []suppression.Entry) []entryDoc {
	docs := make([]entryDoc, len(entries))
	for i := range entries {
		docs[i] = newEntryDoc(&entries[i])
	}
	return docs
}

// parse reads the address and the scope, which every request about one has.
func (d *entryDoc) parse() (m address.Mailbox, scope suppression.Scope, err error) {
	if m, err = parseMailbox("address", d.Address); err != nil {
		return m, scope, err
	}
	if scope, err = suppression.ParseScope(d.Scope); err != nil {
		return m, scope, invalid("scope", "cannot be read: "+err.Error(), "write global, or tenant:acme and the like")
	}
	return m, scope, nil
}

func parseMailbox(field, text string) (address.Mailbox, error) {
	a, err := address.Parse(text)
	if err != nil {
		return address.Mailbox{}, invalid(field, "cannot be read: "+err.Error(), "write an address like ann@example.com")
	}
	return a.Mailbox(), nil
}

// entries returns all that the list has of an address.
func (s *Server) entries(ctx context.Context, m address.Mailbox) ([]suppression.Entry, error) {
	if _, ok := s.Store.(gateway.Entries); !ok {
		return nil, cannot("the store keeps no suppressions")
	}
	return s.Gateway.EntriesOf(ctx, m.String())
}

// listSuppressions answers GET /api/v1/suppressions?address=…, those taken back
// too, and without an address all there are.
func (s *Server) listSuppressions(c *call) (any, error) {
	if !c.URL.Query().Has("address") {
		return s.listEntries(c)
	}
	q, err := c.query("address", "limit", "cursor")
	if err != nil {
		return nil, err
	}
	m, err := parseMailbox("address", q.Get("address"))
	if err != nil {
		return nil, err
	}
	limit, err := c.limit(q)
	if err != nil {
		return nil, err
	}
	from, err := parseNumber(q.Get("cursor"))
	if err != nil {
		return nil, err
	}
	list, err := s.entries(c.Context(), m)
	if err != nil {
		return nil, err
	}
	list = list[min(from, len(list)):]
	next := ""
	if len(list) > limit {
		list, next = list[:limit], numberCursor(from+limit)
	}
	return s.page(checkedDocs(list, s.now()), next), nil
}

// addSuppression answers POST /api/v1/suppressions. What waits for the address
// and is stopped by the entry is dropped before the answer.
func (s *Server) addSuppression(c *call) (any, error) {
	var doc entryDoc
	if err := c.decode(&doc); err != nil {
		return nil, err
	}
	m, scope, err := doc.parse()
	if err != nil {
		return nil, err
	}
	e := suppression.Entry{
		Address: m.String(), Scope: scope, Reason: suppression.Reason(doc.Reason), Source: doc.Source,
		Evidence: doc.Evidence, Note: doc.Note, Created: doc.Created, Expires: doc.Expires,
	}
	if !doc.Removed.IsZero() {
		return nil, invalid("removed", "cannot be set when an entry is added", "use DELETE to take one back")
	}
	e.Reason, e.Source = cmp.Or(e.Reason, suppression.Manual), cmp.Or(e.Source, "api:"+c.who.Name)
	if e.Created.IsZero() {
		e.Created = s.now().UTC().Truncate(time.Second)
	}
	if err := e.Validate(); err != nil {
		field, _, _ := strings.Cut(err.Error(), " ") // Validate names it first, and has the remedy
		return nil, &Problem{Status: http.StatusBadRequest, Detail: err.Error(), Field: strings.TrimSuffix(field, ":")}
	}
	if err := s.Gateway.Observe(c.Context(), e, c.who.Name); err != nil {
		return nil, err
	}
	return created{newEntryDoc(&e)}, nil
}

// removal is the body of DELETE /api/v1/suppressions.
type removal struct {
	Address string `json:"address"`
	Scope   string `json:"scope"`
	Reason  string `json:"reason"` // "": whatever it is
}

// removeSuppression answers DELETE /api/v1/suppressions. The entries stay as
// tombstones, with when they were taken back.
func (s *Server) removeSuppression(c *call) (any, error) {
	var doc removal
	if err := c.decode(&doc); err != nil {
		return nil, err
	}
	m, scope, err := (&entryDoc{Address: doc.Address, Scope: doc.Scope}).parse()
	if err != nil {
		return nil, err
	}
	list, err := s.entries(c.Context(), m)
	if err != nil {
		return nil, err
	}
	removed := []entryDoc{}
	now := s.now().UTC().Truncate(time.Second)
	for _, e := range list {
		if e.Scope != scope || !e.Removed.IsZero() || doc.Reason != "" && string(e.Reason) != doc.Reason {
			continue
		}
		e = takenBack(e, now)
		if err := s.Gateway.Observe(c.Context(), e, c.who.Name); err != nil {
			return nil, err
		}
		removed = append(removed, newEntryDoc(&e))
	}
	if len(removed) == 0 {
		return nil, &Problem{Status: http.StatusNotFound, Detail: m.String() + " has no entry in scope " + scope.String(),
			Remedy: "`tidepost suppress check` shows the entries there are"}
	}
	return struct {
		Items []entryDoc `json:"items"`
	}{removed}, nil
}
