package admin

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tidepost/gateway"
	"tidepost/suppression"
)

// auditDoc says who changed what, when, and what it was before.
type auditDoc struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"` // of event: suppression, setting, rule_changed, erased
	What    string    `json:"what"` // added, removed, changed, live, …
	By      string    `json:"by,omitempty"`
	Subject string    `json:"subject,omitempty"` // address, setting, or version of the rules
	Before  string    `json:"before,omitempty"`
	After   string    `json:"after,omitempty"`
	Note    string    `json:"note,omitempty"`
}

// auditTime bounds how long one page is looked for; the next goes on where it ended.
const auditTime = 5 * time.Second

// auditQuery says which changes are asked for.
type auditQuery struct {
	since, until time.Time
	by, kind     string
}

// listAudit answers GET /api/v1/audit, oldest first: as JSON in pages, or all of it as
// CSV where that is asked for.
func (s *Server) listAudit(c *call) (any, error) {
	q, err := c.query("since", "until", "by", "kind", "limit", "cursor")
	if err != nil {
		return nil, err
	}
	ask, err := parseAudit(q)
	if err != nil {
		return nil, err
	}
	limit, err := c.limit(q)
	if err != nil {
		return nil, err
	}
	from, err := parseJournalPlace(q.Get("cursor"))
	if err != nil {
		return nil, err
	}
	j, err := s.journal()
	if err != nil {
		return nil, err
	}
	c.unhurried()
	if strings.Contains(c.Header.Get("Accept"), "text/csv") {
		return auditCSV(c.Context(), j, from.Cursor, ask), nil
	}
	return s.auditPage(c.Context(), j, from, ask, limit)
}

func parseAudit(q url.Values) (ask auditQuery, err error) {
	for name, into := range map[string]*time.Time{"since": &ask.since, "until": &ask.until} {
		if text := q.Get(name); text != "" {
			if *into, err = time.Parse(time.RFC3339, text); err != nil {
				return ask, invalid(name, strconv.Quote(shorten(text, 40))+" is no time", "write one like 2026-05-01T08:00:00Z")
			}
		}
	}
	ask.by, ask.kind = q.Get("by"), q.Get("kind")
	if ask.kind != "" && !audited(gateway.EventKind(ask.kind)) {
		return ask, invalid("kind", strconv.Quote(shorten(ask.kind, 40))+" is none that is kept here", "write suppression, setting, rule_changed or erased")
	}
	return ask, nil
}

// audited reports whether an event tells of what somebody changed.
func audited(kind gateway.EventKind) bool {
	switch kind {
	case gateway.EventEntry, gateway.EventSetting, gateway.EventRules, gateway.EventErased:
		return true
	}
	return false
}

// auditPage reads until a page is full, history ends, or it took too long: then the
// page may be short, or empty, and not the last.
func (s *Server) auditPage(ctx context.Context, j gateway.Journal, from journalPlace, ask auditQuery, limit int) (any, error) {
	docs, began := []auditDoc{}, time.Now()
	for {
		events, next, err := j.ReadEvents(ctx, from.Cursor, journalBatch)
		if err != nil {
			return nil, err
		}
		if len(events) == 0 {
			return s.page(docs, ""), nil
		}
		told := uint32(0)
		for i := range events {
			if !ask.wants(&events[i]) {
				continue
			}
			if len(docs) == limit {
				return s.page(docs, journalPlace{from.Cursor, told}.cursor()), nil
			}
			if told++; told > from.told {
				docs = append(docs, newAuditDoc(&events[i]))
			}
		}
		if from = (journalPlace{next, 0}); time.Since(began) > auditTime {
			return s.page(docs, from.cursor()), nil
		}
	}
}

func (q *auditQuery) wants(e *gateway.Event) bool {
	return audited(e.Kind) && !e.At.Before(q.since) && (q.until.IsZero() || !e.At.After(q.until)) &&
		(q.by == "" || e.Actor == q.by) && (q.kind == "" || string(e.Kind) == q.kind)
}

// journalPlace is where a listing of the journal goes on: behind a cursor, and behind
// so many of what it lists from there.
type journalPlace struct {
	gateway.Cursor
	told uint32
}

const cursorJournal = 'j'

func (p journalPlace) cursor() string {
	b := binary.BigEndian.AppendUint32([]byte{cursorJournal}, p.Segment)
	return sealed(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, p.Offset), p.told))
}

func parseJournalPlace(cursor string) (p journalPlace, err error) {
	if cursor == "" {
		return p, nil
	}
	b, err := opened(cursor, cursorJournal)
	if err != nil || len(b) != 12 {
		return p, errCursor
	}
	p.Segment, p.Offset, p.told = binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	return p, nil
}

// newAuditDoc reads what an event tells of a change.
func newAuditDoc(e *gateway.Event) auditDoc {
	doc := auditDoc{ID: e.ID(), At: utc(e.At), Kind: string(e.Kind), What: e.Reason, By: e.Actor}
	switch e.Kind {
	case gateway.EventEntry:
		doc.entry(e.Detail)
	case gateway.EventRules:
		doc.rules(e.Detail)
	case gateway.EventErased:
		var detail struct{ Mailbox string }
		json.Unmarshal([]byte(e.Detail), &detail) // what cannot be read is not said
		doc.What, doc.Subject = "erased", detail.Mailbox
	default:
		doc.setting(e.Detail)
	}
	return doc
}

// entry says what a suppression was or is.
func (d *auditDoc) entry(detail string) {
	var e suppression.Entry
	if json.Unmarshal([]byte(detail), &e) != nil || e.Address == "" {
		d.Subject = shorten(detail, maxDetail)
		return
	}
	text := e.Scope.String() + " " + string(e.Reason)
	if !e.Expires.IsZero() {
		text += " until " + at(e.Expires)
	}
	d.Subject, d.Note = e.Address, e.Note
	if e.Removed.IsZero() {
		d.After = text
	} else {
		d.Before = text
	}
}

// rules says what the rules were and are.
func (d *auditDoc) rules(detail string) {
	var change struct {
		Version            int
		Note, Text, Before string
		Tripped            []string
	}
	if json.Unmarshal([]byte(detail), &change) != nil {
		d.Subject = shorten(detail, maxDetail)
		return
	}
	d.Subject, d.Note, d.Before, d.After = "rules version "+strconv.Itoa(change.Version), change.Note, change.Before, change.Text
	if d.What == "tripped" { // the text is as it was
		d.Before, d.After, d.Note = "", "in shadow since: "+strings.Join(change.Tripped, ", "), "failed again and again"
	}
}

// setting says what a setting was and is, as far as its event does.
func (d *auditDoc) setting(detail string) {
	subject, note, _ := strings.Cut(detail, ": ")
	d.Subject = strings.TrimSuffix(subject, "/")
	if before, after, ok := strings.Cut(note, " → "); ok {
		d.Before, d.After = before, after
		return
	}
	d.Note = note
	switch d.What {
	case "paused":
		d.Before, d.After = "going", "paused"
	case "resumed":
		d.Before, d.After = "paused", "going"
	default:
		d.After = d.What
	}
}

// auditCSV is all of it as comma-separated values.
func auditCSV(ctx context.Context, j gateway.Journal, from gateway.Cursor, ask auditQuery) body {
	return func(w http.ResponseWriter) error {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8")
		w.Header().Set("Content-Disposition", `attachment; filename="audit.csv"`)
		out := newPlainCSV(w)
		out.row("at", "kind", "what", "by", "subject", "before", "after", "note", "id")
		visit := func(e *gateway.Event) {
			if ask.wants(e) {
				d := newAuditDoc(e)
				out.row(d.At.Format(time.RFC3339), d.Kind, d.What, d.By, d.Subject, d.Before, d.After, d.Note, d.ID)
			}
		}
		if _, err := readJournal(ctx, j, from, visit, func(time.Time) {}); err != nil {
			return err
		}
		return out.flush()
	}
}
