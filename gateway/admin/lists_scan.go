package admin

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tidepost/suppression"
	"tidepost/suppression/address"
	"tidepost/suppression/lists"
)

// erasedPrefix begins what stands in place of an address that was erased.
const erasedPrefix = "erased:"

// entryFilter chooses entries; what is left out matches all.
type entryFilter struct {
	reason suppression.Reason
	kind   *suppression.ScopeKind
	scope  *suppression.Scope
	source string // all of it, or what is in front of its colon
	since  time.Time
	domain string              // canonical
	line   func(string) string // which destination takes mail of a domain; nil: its own
	live   time.Time           // set: only what counts at that time
}

// parseEntryFilter reads reason, scope, source and since of a query.
func (s *Server) parseEntryFilter(q url.Values) (f *entryFilter, err error) {
	f = &entryFilter{source: q.Get("source")}
	if err := f.readReason(q.Get("reason")); err != nil {
		return nil, err
	}
	if err := f.readScope(q.Get("scope")); err != nil {
		return nil, err
	}
	return f, f.readSince(q.Get("since"), s.now())
}

func (f *entryFilter) readReason(text string) error {
	if f.reason = suppression.Reason(text); text != "" && !f.reason.Valid() {
		return invalid("reason", strconv.Quote(shorten(text, 40))+" is unknown", "write hard_bounce, complaint, unsubscribe, manual, invalid, soft_bounce, pause, role or rule")
	}
	return nil
}

// readScope reads a scope, or a kind of scope for all of its names.
func (f *entryFilter) readScope(text string) error {
	if text == "" {
		return nil
	}
	for kind := suppression.Global; kind <= suppression.Class; kind++ {
		if text == kind.String() {
			f.kind = &kind
			return nil
		}
	}
	scope, err := suppression.ParseScope(text)
	if err != nil {
		return invalid("scope", "cannot be read: "+err.Error(), "write tenant:acme and the like, or tenant for all tenants")
	}
	f.scope = &scope
	return nil
}

// readSince reads a time, or how long ago.
func (f *entryFilter) readSince(text string, now time.Time) error {
	if text == "" {
		return nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		f.since = now.Add(-ago)
		return nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return invalid("since", strconv.Quote(shorten(text, 40))+" is no time", "write one like 2026-05-01T08:00:00Z, or how long ago, like 2h")
	}
	f.since = t
	return nil
}

// readDomain reads whose addresses are meant.
func (f *entryFilter) readDomain(text string, line func(string) string) error {
	if text == "" {
		return nil
	}
	a, err := address.Parse("postmaster@" + text)
	if err != nil {
		return invalid("domain", "cannot be read: "+err.Error(), "write one like example.com")
	}
	f.domain, f.line = a.Mailbox().Domain(), line
	return nil
}

func (f *entryFilter) matches(e *suppression.Entry) bool {
	switch {
	case f.reason != "" && e.Reason != f.reason,
		f.kind != nil && e.Scope.Kind != *f.kind,
		f.scope != nil && e.Scope != *f.scope,
		f.source != "" && e.Source != f.source && !strings.HasPrefix(e.Source, f.source+":"),
		!f.since.IsZero() && e.Created.Before(f.since),
		!f.live.IsZero() && !e.Live(f.live):
		return false
	}
	return f.domain == "" || f.at(e.Address)
}

// at reports whether an address is of the domain, or of a domain whose mail the
// destination of that name takes.
func (f *entryFilter) at(addr string) bool {
	i := strings.LastIndexByte(addr, '@')
	if i < 0 {
		return false
	}
	domain := addr[i+1:]
	return domain == f.domain || f.line != nil && f.line(domain) == f.domain
}

// maxScanned is how many entries one page is looked for in; the next goes on there.
const maxScanned = 200_000

// listEntries answers GET /api/v1/suppressions without an address. A page may be short,
// or empty, and not the last: a filter is looked through in pieces.
func (s *Server) listEntries(c *call) (any, error) {
	q, err := c.query("cursor", "limit", "reason", "scope", "source", "since")
	if err != nil {
		return nil, err
	}
	f, err := s.parseEntryFilter(q)
	if err != nil {
		return nil, err
	}
	limit, err := c.limit(q)
	if err != nil {
		return nil, err
	}
	all, err := s.lists()
	if err != nil {
		return nil, err
	}
	after, next := "", ""
	if text := q.Get("cursor"); text != "" {
		if err := parseText(text, &after); err != nil {
			return nil, err
		}
	}
	docs, scanned := []entryDoc{}, 0
	err = all.ScanEntries(c.Context(), after, func(cursor string, e suppression.Entry) bool {
		scanned++
		if f.matches(&e) {
			docs = append(docs, newEntryDoc(&e))
		}
		if len(docs) == limit || scanned == maxScanned {
			next = textCursor(cursor)
			return false
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	return s.page(docs, next), nil
}

// exportEntries answers GET /api/v1/suppressions/export: our own format, which import
// reads back to the same entries. What an erasure left is of use to this gateway alone
// and stays out.
func (s *Server) exportEntries(c *call) (any, error) {
	q, err := c.query("format", "reason", "scope", "source", "since", "live")
	if err != nil {
		return nil, err
	}
	f, err := s.parseEntryFilter(q)
	if err != nil {
		return nil, err
	}
	live, err := flag(q, "live")
	if err != nil {
		return nil, err
	}
	if live {
		f.live = s.now()
	}
	format, kind := lists.CSV, "text/csv; charset=utf-8"
	switch q.Get("format") {
	case "", lists.CSV:
	case lists.JSONLines:
		format, kind = lists.JSONLines, "application/x-ndjson"
	default:
		return nil, invalid("format", "is neither csv nor jsonl", "write one of them")
	}
	if _, err := s.lists(); err != nil {
		return nil, err
	}
	c.unhurried()
	return body(func(w http.ResponseWriter) error {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Disposition", `attachment; filename="suppressions.`+format+`"`)
		entries, failed := s.scanned(c.Context(), f)
		err := lists.Write(w, entries, format)
		if err == nil {
			err = *failed
		}
		if err != nil {
			s.log().Error("an export of suppressions broke off", "error", err)
			panic(http.ErrAbortHandler) // what was written must not look like all there is
		}
		return nil
	}), nil
}

// scanned are the entries that a filter chooses, but for those under an erasure's
// hash. The error is set at the end.
func (s *Server) scanned(ctx context.Context, f *entryFilter) (iter.Seq[suppression.Entry], *error) {
	failed := new(error)
	return func(yield func(suppression.Entry) bool) {
		all, err := s.lists()
		if err == nil {
			err = all.ScanEntries(ctx, "", func(_ string, e suppression.Entry) bool {
				return strings.HasPrefix(e.Address, erasedPrefix) || !f.matches(&e) || yield(e)
			})
		}
		if err != nil {
			*failed = fmt.Errorf("reading the suppressions: %w", err)
		}
	}, failed
}
