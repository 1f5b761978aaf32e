package admin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"tidepost/gateway"
)

// HistoryAsk is a request to bring in what another service recorded.
type HistoryAsk struct {
	Format  string
	Tenant  string
	Class   gateway.Class // of mail of which the file tells none
	List    string        // List-Id of mail of which the file tells none
	DryRun  bool
	SkipBad bool // leave bad lines out
	By      string
}

// History reads a file of past sends, opens, clicks and opt-outs and, unless it is a
// dry run, brings it in. tell hears now and then how far it is. The report may come
// with a *Problem: then nothing was changed.
type History func(ctx context.Context, in io.Reader, ask HistoryAsk, tell func(progress any)) (report any, err error)

// histories is held while one runs: each sorts in memory and on disk.
type histories struct{ busy sync.Mutex }

// importHistory answers POST /api/v1/signals/import.
func (s *Server) importHistory(c *call) (any, error) {
	if s.History == nil {
		return nil, cannot("this gateway cannot bring history in")
	}
	ask, err := s.parseHistory(c)
	if err != nil {
		return nil, err
	}
	in := http.MaxBytesReader(c.w, c.Body, maxHistory)
	return s.inLines(c, func(tell func(any)) (any, error) {
		if !s.histories.busy.TryLock() {
			return nil, &Problem{Status: http.StatusConflict, Detail: "another history is being brought in", Remedy: "wait until it is done"}
		}
		defer s.histories.busy.Unlock()
		report, err := s.History(c.Context(), in, *ask, tell)
		var p *Problem
		if errors.As(err, &p) && report != nil {
			return nil, &refusal{p, report}
		}
		return report, err
	})
}

// maxHistory is how large a file may be, as it is sent: 100 million lines of 300
// bytes.
const maxHistory = 32 << 30

func (s *Server) parseHistory(c *call) (*HistoryAsk, error) {
	q, err := c.query("format", "tenant", "class", "list", "dry_run", "bad")
	if err != nil {
		return nil, err
	}
	a := &HistoryAsk{Format: q.Get("format"), Tenant: q.Get("tenant"), List: q.Get("list"), Class: gateway.Newsletter, By: c.who.Name}
	if a.Format == "" {
		return nil, invalid("format", "is missing", "write csv, listmonk, mautic, mailgun, sendgrid or ses")
	}
	if a.DryRun, err = flag(q, "dry_run"); err != nil {
		return nil, err
	}
	switch q.Get("bad") {
	case "", "refuse":
	case "skip":
		a.SkipBad = true
	default:
		return nil, invalid("bad", "is neither refuse nor skip", "say what becomes of bad lines")
	}
	if text := q.Get("class"); text != "" {
		if a.Class, err = gateway.ParseClass(text); err != nil {
			return nil, invalid("class", "is unknown", "write newsletter, promotional, triggered or transactional")
		}
	}
	tenants := s.tenants()
	switch {
	case a.Tenant == "" && len(tenants) == 1:
		a.Tenant = tenants[0]
	case a.Tenant == "":
		return nil, invalid("tenant", "is missing", "say whose mail it was (--tenant): "+strings.Join(tenants[:min(len(tenants), 10)], ", "))
	case !slices.Contains(tenants, a.Tenant):
		return nil, invalid("tenant", strconv.Quote(shorten(a.Tenant, 40))+" is not known", "write one that the configuration names or that has sent mail")
	}
	if len(a.List) > 255 {
		return nil, invalid("list", "is too long", "write a List-Id of at most 255 bytes")
	}
	return a, nil
}
