package public

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"tidepost/gateway"
	"tidepost/gateway/feedback"
)

// Hook is a provider that may report, or an ESP's own tracking.
type Hook struct {
	Format  string   // of feedback.Lookup; "": standard
	Secrets [][]byte // feedback.ParseSecret; several while one is changed for another
	Tenant  string   // whose readers it may speak of
}

// maxBodies bounds the reports that are being read, in bytes: two thousand
// connections that each bring the longest would take 2 GiB.
const maxBodies = 64 << 20

// hook answers POST /hooks/{source}. A report is verified before it is parsed, all of
// it is checked before any of it is taken in, and it is answered 2xx when all of it is
// durable; sent again after a failure, or recorded and played again, it is known by
// its id.
func (s *Server) hook(w http.ResponseWriter, r *http.Request) {
	source := r.PathValue("source")
	hook, format, ok := s.format(source)
	if !ok {
		s.notFound(w, r)
		return
	}
	from := s.peer(r)
	if wait := s.bad.wait(s.now(), from); wait > 0 {
		s.tooMany(w, wait)
		return
	}
	body, status := s.readReport(w, r)
	if status != 0 {
		plain(w, status, http.StatusText(status)+"\n")
		return
	}
	defer s.bodies.Add(-reserved(r))
	id, err := format.Verify(r.Context(), &feedback.Request{Header: r.Header, Body: body, Secrets: hook.Secrets, Now: s.now()})
	if err != nil {
		s.bad.take(s.now(), from)
		s.Metrics.Unsigned.Add(1)
		s.log().Warn("a report was refused", "hook", quoted(source), "error", err)
		plain(w, http.StatusUnauthorized, sentence(err))
		return
	}
	if s.reports.known(source, id) {
		s.Metrics.Repeated.Add(1)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	signals, err := signalsOf(&hook, format, source, id, body)
	if err != nil {
		s.Metrics.Malformed.Add(1)
		s.log().Warn("a report cannot be used", "hook", quoted(source), "id", id, "error", quoted(err.Error()))
		plain(w, statusOf(err), sentence(err))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), hookTimeout)
	defer cancel()
	if err := s.learnAll(ctx, signals); err != nil {
		s.log().Error("a report could not be stored", "hook", quoted(source), "id", id, "error", err)
		again(w, 29*time.Second)
		plain(w, http.StatusServiceUnavailable, "It could not be stored. Please send it again.\n")
		return
	}
	s.reports.add(source, id)
	s.Metrics.Reports.Add(1)
	s.Metrics.Signals.Add(int64(len(signals)))
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) format(source string) (h Hook, f feedback.Format, ok bool) {
	if s.Hooks == nil {
		return h, f, false
	}
	if h, ok = s.Hooks(source); !ok {
		return h, f, false
	}
	if f, ok = feedback.Lookup(h.Format); !ok {
		s.log().Error("a hook has a format that does not exist", "hook", quoted(source), "format", quoted(h.Format))
	}
	return h, f, ok
}

// reserved is what a report takes of maxBodies.
func reserved(r *http.Request) int64 {
	if r.ContentLength >= 0 {
		return r.ContentLength
	}
	return feedback.MaxBody
}

// readReport reads a body; status is what to answer where it cannot be had, and then
// nothing stays reserved.
func (s *Server) readReport(w http.ResponseWriter, r *http.Request) (body []byte, status int) {
	if r.ContentLength > feedback.MaxBody {
		w.Header().Set("Connection", "close") // the rest is not read
		return nil, http.StatusRequestEntityTooLarge
	}
	n := reserved(r)
	if s.bodies.Add(n) > maxBodies {
		s.bodies.Add(-n)
		again(w, 4*time.Second)
		return nil, http.StatusServiceUnavailable
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, feedback.MaxBody))
	if err == nil {
		return body, 0
	}
	s.bodies.Add(-n)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, http.StatusRequestEntityTooLarge
	}
	return nil, http.StatusBadRequest
}

// signalsOf reads and checks a report that was verified.
func signalsOf(h *Hook, f feedback.Format, source, id string, body []byte) ([]gateway.Signal, error) {
	p, err := f.Read(body)
	if err != nil {
		return nil, err
	}
	signals := make([]gateway.Signal, len(p.Events))
	for i := range p.Events {
		d, at := &p.Events[i].SignalDoc, ""
		if len(p.Events) > 1 {
			at = fmt.Sprintf("signals[%d]", i)
		}
		if d.Tenant != "" && d.Tenant != h.Tenant {
			return nil, &feedback.PayloadError{At: at, Problem: "names another tenant than this hook's", Remedy: "leave it out"}
		}
		d.Tenant, d.Source = h.Tenant, "hook:"+source
		if d.ID == "" { // with its own it is known also where the sender packs it anew
			d.ID = id
			if len(p.Events) > 1 {
				d.ID += "/" + strconv.Itoa(i)
			}
		}
		if signals[i], err = d.Signal(); err != nil {
			return nil, &feedback.PayloadError{At: at, Problem: err.Error()}
		}
	}
	return signals, nil
}

func statusOf(err error) int {
	var p *feedback.PayloadError
	if errors.As(err, &p) && p.TooMany {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

// sentence tells whoever reports what is wrong with it.
func sentence(err error) string {
	text := err.Error()
	if len(text) > 500 {
		text = text[:500] + "…"
	}
	q := strconv.QuoteToGraphic(text)
	return q[1:len(q)-1] + "\n"
}

// learners is how many signals of a report are stored at a time: they share the
// store's writes.
const learners = 32

// learnAll returns when all signals are durable, or one is not. Those of one mailbox
// are told in the order of the report.
func (s *Server) learnAll(ctx context.Context, signals []gateway.Signal) error {
	of := map[string][]int{}
	for i := range signals {
		k := signals[i].Mailbox.String()
		of[k] = append(of[k], i)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	room := make(chan struct{}, learners)
	for _, mine := range of {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			for _, i := range mine {
				if ctx.Err() != nil {
					return
				}
				if _, err := s.Gateway.Learn(ctx, signals[i]); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// remembered is how many reports are known again without asking the gateway, which
// knows each of their signals for 72 h.
const remembered = 10_000

// reports are the ids of those that were taken in.
type reports struct{ of *lru.Cache[string, struct{}] }

func newReports() *reports {
	of, _ := lru.New[string, struct{}](remembered) // fails only for a size below 1
	return &reports{of}
}

func (r *reports) known(source, id string) bool { return r.of.Contains(source + " " + id) }
func (r *reports) add(source, id string)        { r.of.Add(source+" "+id, struct{}{}) }
