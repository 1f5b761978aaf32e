package admin

import (
	"context"
	"strings"
	"sync"
	"time"

	"tidepost/gateway"
	"tidepost/suppression"
)

// removeRequest is the body of POST /api/v1/suppressions/remove.
type removeRequest struct {
	Source string `json:"source"` // "bounce" is also "bounce:example.com"
	Domain string `json:"domain"`
	Since  string `json:"since"` // a time, or how long ago: 2h
	Reason string `json:"reason"`
	Scope  string `json:"scope"`
	DryRun bool   `json:"dry_run"`
}

// removeDoc tells what was taken back.
type removeDoc struct {
	DryRun  bool           `json:"dry_run,omitempty"`
	Scanned int            `json:"scanned"`
	Matched int            `json:"matched"` // that counted
	Removed int            `json:"removed"`
	Reasons map[string]int `json:"reasons"` // of the matched
	Sources map[string]int `json:"sources"`
}

// parse reads what is to be taken back. One of three is needed: a slip must not empty
// the list.
func (r *removeRequest) parse(s *Server) (*entryFilter, error) {
	now := s.now()
	f := &entryFilter{source: r.Source, live: now}
	if r.Source == "" && r.Domain == "" && r.Reason == "" {
		return nil, invalid("source", "is missing, and so are domain and reason", "say which entries: one of the three is needed")
	}
	if err := f.readReason(r.Reason); err != nil {
		return nil, err
	}
	if err := f.readScope(r.Scope); err != nil {
		return nil, err
	}
	if err := f.readSince(r.Since, now); err != nil {
		return nil, err
	}
	return f, f.readDomain(r.Domain, s.Gateway.Line)
}

// removeEntries answers POST /api/v1/suppressions/remove.
func (s *Server) removeEntries(c *call) (any, error) {
	var doc removeRequest
	if err := c.decode(&doc); err != nil {
		return nil, err
	}
	f, err := doc.parse(s)
	if err != nil {
		return nil, err
	}
	all, err := s.lists()
	if err != nil {
		return nil, err
	}
	r := &bulkRemoval{s: s, all: all, filter: f, actor: c.who.Name,
		doc: removeDoc{DryRun: doc.DryRun, Reasons: map[string]int{}, Sources: map[string]int{}}}
	return s.inLines(c, func(tell func(any)) (any, error) {
		err := r.run(c.Context(), tell)
		return r.doc, err
	})
}

// bulkRemoval takes back what a filter chooses, a batch at a time: nothing is scanned
// while entries change.
type bulkRemoval struct {
	s      *Server
	all    gateway.Lists
	filter *entryFilter
	actor  string
	doc    removeDoc
}

const (
	removeBatch   = 512
	removeAtOnce  = 64 // one sync of the disk takes them all
	maxSourceKeys = 100
)

func (r *bulkRemoval) run(ctx context.Context, tell func(any)) error {
	for cursor, more := "", true; more; {
		var batch []suppression.Entry
		more = false
		n := 0
		err := r.all.ScanEntries(ctx, cursor, func(at string, e suppression.Entry) bool {
			cursor, n = at, n+1
			if r.chosen(&e) {
				batch = append(batch, e)
			}
			more = len(batch) == removeBatch || n == maxScanned
			return !more
		})
		r.doc.Scanned += n
		if err == nil && !r.doc.DryRun {
			err = r.takeBack(ctx, batch)
		}
		if err != nil {
			return err
		}
		tell(r.doc)
	}
	return nil
}

// chosen counts an entry that matches and reports whether it can be taken back.
func (r *bulkRemoval) chosen(e *suppression.Entry) bool {
	if !r.filter.matches(e) {
		return false
	}
	r.doc.Matched++
	r.doc.Reasons[string(e.Reason)]++
	source, _, _ := strings.Cut(e.Source, ":")
	if _, known := r.doc.Sources[source]; !known && len(r.doc.Sources) >= maxSourceKeys {
		source = "other"
	}
	r.doc.Sources[source]++
	return true
}

// takeBack puts tombstones in the place of entries.
func (r *bulkRemoval) takeBack(ctx context.Context, batch []suppression.Entry) error {
	now := r.s.now().UTC().Truncate(time.Second)
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		failed error // guarded by mu
		done   int   // guarded by mu
	)
	slots := make(chan struct{}, removeAtOnce)
	for _, e := range batch {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			err := r.s.Gateway.Observe(ctx, takenBack(e, now), r.actor)
			mu.Lock()
			defer mu.Unlock()
			if err != nil && failed == nil {
				failed = err
			}
			if err == nil {
				done++
			}
		})
	}
	wg.Wait()
	r.doc.Removed += done
	return failed
}

// takenBack is the tombstone of an entry.
func takenBack(e suppression.Entry, now time.Time) suppression.Entry {
	e.Removed = now
	if now.Before(e.Created) { // the clock went back
		e.Removed = e.Created
	}
	return e
}
