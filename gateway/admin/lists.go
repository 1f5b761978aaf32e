package admin

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"tidepost/gateway"
	"tidepost/suppression"
)

// lists is the store's power to take whole lists of suppressions.
func (s *Server) lists() (gateway.Lists, error) {
	if l, ok := s.Store.(gateway.Lists); ok {
		return l, nil
	}
	return nil, cannot("the store takes no lists of suppressions")
}

// listDoc is a list of suppressions as it is shown.
type listDoc struct {
	Name    string    `json:"name"`
	State   string    `json:"state"` // live, staged, or partial: an import that was interrupted
	Entries int64     `json:"entries,omitempty"`
	Lines   int       `json:"lines,omitempty"` // entries of the source that are durable
	Bytes   int64     `json:"bytes"`
	At      time.Time `json:"at,omitzero"`
	Damaged string    `json:"damaged,omitempty"` // what is wrong with its file; bulk mail waits meanwhile
	Digest  string    `json:"digest,omitempty"`  // of the file, of an import that can be resumed
	By      string    `json:"by,omitempty"`      // who began that import
}

func listState(l *gateway.StagedList) string {
	switch {
	case l.Live:
		return "live"
	case l.Ready:
		return "staged"
	}
	return "partial"
}

func (s *Server) listDocs(lists gateway.Lists) []listDoc {
	docs := []listDoc{}
	for _, l := range lists.AllLists() {
		doc := listDoc{Name: l.Name, State: listState(&l), Entries: l.Entries, Lines: l.Lines, Bytes: l.Bytes, At: utc(l.At), Damaged: l.Damaged}
		if record, ok := s.importRecord(l.Name); ok && !l.Live {
			doc.Digest, doc.By = record.Digest, record.By
		}
		docs = append(docs, doc)
	}
	return docs
}

// listLists answers GET /api/v1/suppressions/lists.
func (s *Server) listLists(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	lists, err := s.lists()
	if err != nil {
		return nil, err
	}
	return s.page(s.listDocs(lists), ""), nil
}

// discardList answers POST /api/v1/suppressions/lists/{name}/discard: what is staged
// under the name goes, else the live list.
func (s *Server) discardList(c *call) (any, error) {
	if err := c.decodeNothing(); err != nil {
		return nil, err
	}
	lists, err := s.lists()
	if err != nil {
		return nil, err
	}
	name := c.PathValue("name")
	if err := checkListName(name); err != nil {
		return nil, err
	}
	c.unhurried() // the entries of a live list are counted out
	state := "live"
	if stagedUnder(lists, name) {
		state = "staged"
	}
	if err := lists.Discard(c.Context(), name, c.who.Name); err != nil {
		return nil, unknownList(err, name)
	}
	if err := s.forgetImport(c.Context(), name); err != nil {
		return nil, err
	}
	return map[string]string{"name": name, "discarded": state}, nil
}

func unknownList(err error, name string) error {
	if p := asProblem(err); p.Status == http.StatusNotFound {
		return &Problem{Status: p.Status, Detail: "there is no list " + strconv.Quote(name), Remedy: "`tidepost suppress lists` shows those there are"}
	}
	return err
}

// stagedUnder reports whether something that is not live has that name: only then
// does Discard leave a live list of the name alone.
func stagedUnder(lists gateway.Lists, name string) bool {
	return slices.ContainsFunc(lists.AllLists(), func(l gateway.StagedList) bool { return l.Name == name && !l.Live })
}

const maxListName = 200

func checkListName(name string) error {
	if name == "" || len(name) > maxListName || strings.ContainsFunc(name, unicode.IsControl) || strings.ToValidUTF8(name, "") != name {
		return invalid("name", strconv.Quote(shorten(name, 40))+" is no name for a list", "use 1 to "+strconv.Itoa(maxListName)+" printable characters")
	}
	return nil
}

// statsDoc is the answer of GET /api/v1/suppressions/stats.
type statsDoc struct {
	Entries    int64     `json:"entries"` // in force: the sum of kinds
	Kinds      []kindDoc `json:"kinds"`
	Lists      []listDoc `json:"lists"`
	SHA256     bool      `json:"sha256"`     // there are entries under SHA-256 hashes
	MD5        bool      `json:"md5"`        // and under MD5 ones
	Suppressed int64     `json:"suppressed"` // deliveries that they stopped, since the start
	Since      time.Time `json:"since,omitzero"`
}

// kindDoc counts the entries of a reason in one kind of scope.
type kindDoc struct {
	Reason  string `json:"reason"`
	Scope   string `json:"scope"`
	Entries int64  `json:"entries"`
}

// suppressionStats answers GET /api/v1/suppressions/stats. Entries that have run out
// are counted until they are replaced: time passes without a change.
func (s *Server) suppressionStats(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	lists, err := s.lists()
	if err != nil {
		return nil, err
	}
	doc := statsDoc{Kinds: []kindDoc{}, Lists: s.listDocs(lists), Suppressed: s.Gateway.Metrics.Suppressed.Load(), Since: utc(s.info().Started)}
	doc.SHA256, doc.MD5 = lists.HasHashed()
	for kind, n := range lists.Suppressed() {
		doc.Entries += n
		doc.Kinds = append(doc.Kinds, kindDoc{string(kind.Reason), kind.Scope.String(), n})
	}
	slices.SortFunc(doc.Kinds, func(a, b kindDoc) int {
		return cmp.Or(cmp.Compare(b.Entries, a.Entries), strings.Compare(a.Reason, b.Reason), strings.Compare(a.Scope, b.Scope))
	})
	return doc, nil
}

// checkedDoc is an entry of one address with the classes of mail that it stops now.
type checkedDoc struct {
	entryDoc
	Stops []string `json:"stops"`
}

// checkedDocs tells of each entry which classes it stops, of the mail that its scope
// is about.
func checkedDocs(entries []suppression.Entry, now time.Time) []checkedDoc {
	docs := make([]checkedDoc, len(entries))
	for i, e := range entries {
		docs[i] = checkedDoc{newEntryDoc(&e), []string{}}
		for _, class := range []gateway.Class{gateway.Transactional, gateway.Triggered, gateway.Newsletter, gateway.Promotional} {
			n := e.Scope.Name
			q := suppression.Query{Now: now, Tenant: n, Audience: n, List: n, Category: n,
				Class: class.String(), Transactional: class == gateway.Transactional}
			if _, stops := suppression.Match(entries[i:i+1], q); stops {
				docs[i].Stops = append(docs[i].Stops, q.Class)
			}
		}
	}
	return docs
}
