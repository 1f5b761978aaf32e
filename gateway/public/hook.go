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
	Secrets [][]byte // as the format's CheckSecret made them; several while one is changed for another
	Tenant  string   // whose readers it may speak of
}

// maxBodies bounds the reports that are being read, in bytes: two thousand
// connections that each bring the longest would take 2 GiB.
const maxBodies = 64 << 20

// hook answers POST /hooks/{source}. A report is verified before it is parsed, all of
// it is checked before any of it is taken in, and it is answered 200 when all of it is
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
	report := &feedback.Request{Header: r.Header, Body: body, Secrets: hook.Secrets, Now: s.now(), Fetch: s.fetch}
	id, err := format.Verify(r.Context(), report)
	if err != nil {
		s.bad.take(s.now(), from)
		s.unverified(w, source, &format, err)
		return
	}
	taken, busy := s.reports.claim(source, id)
	switch {
	case taken:
		s.Metrics.Repeated.Add(1)
		w.WriteHeader(http.StatusOK)
	case busy:
		again(w, 4*time.Second)
		plain(w, http.StatusServiceUnavailable, "The same report is being taken in.\n")
	default:
		ok := false
		defer func() { s.reports.settle(source, id, ok) }()
		ok = s.accept(w, r, &hook, format, source, id, body)
	}
}

// accept takes in a report that was verified, and answers it.
func (s *Server) accept(w http.ResponseWriter, r *http.Request, h *Hook, f feedback.Format, source, id string, body []byte) (ok bool) {
	n, err := newsOf(h, f, source, id, body)
	if err != nil {
		s.Metrics.Malformed.Add(1)
		s.log().Warn("a report cannot be used", "hook", quoted(source), "id", id, "error", quoted(err.Error()))
		plain(w, statusOf(err), sentence(err))
		return false
	}
	ctx, cancel := context.WithTimeout(r.Context(), hookTimeout)
	defer cancel()
	if err := s.takeIn(ctx, source, n); err != nil {
		s.log().Error("a report could not be stored", "hook", quoted(source), "id", id, "error", err)
		again(w, 29*time.Second)
		plain(w, http.StatusServiceUnavailable, "It could not be stored. Please send it again.\n")
		return false
	}
	s.Metrics.Reports.Add(1)
	s.Metrics.Signals.Add(int64(len(n.signals)))
	s.Metrics.Ignored.Add(int64(n.ignored))
	w.WriteHeader(http.StatusOK) // Mailgun, Postmark and SparkPost send again after any other
	return true
}

// unverified answers a report of which it is not known whose it is.
func (s *Server) unverified(w http.ResponseWriter, source string, f *feedback.Format, err error) {
	s.Metrics.Unsigned.Add(1)
	if !errors.Is(err, feedback.ErrSignature) && !errors.Is(err, feedback.ErrStale) {
		s.log().Error("a report could not be checked", "hook", quoted(source), "error", quoted(err.Error()))
		again(w, 29*time.Second)
		plain(w, http.StatusServiceUnavailable, "It could not be checked. Please send it again.\n")
		return
	}
	s.log().Warn("a report was refused", "hook", quoted(source), "error", err)
	if f.Challenge != "" {
		w.Header().Set("WWW-Authenticate", f.Challenge)
	}
	plain(w, http.StatusUnauthorized, sentence(err))
}

// takeIn returns when all that a report says is durable, and its sender has the answer
// that it asks for.
func (s *Server) takeIn(ctx context.Context, source string, n *news) error {
	if n.confirm != "" {
		if _, err := s.fetchNow(ctx, n.confirm); err != nil {
			return fmt.Errorf("the subscription could not be confirmed: %w", err)
		}
		s.log().Info("a subscription was confirmed", "hook", quoted(source))
	}
	return s.learnAll(ctx, n)
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

// news is what a report says, checked.
type news struct {
	signals []gateway.Signal
	clues   []gateway.Clue // of each signal
	confirm string         // feedback.Payload
	ignored int
}

// newsOf reads and checks a report that was verified.
func newsOf(h *Hook, f feedback.Format, source, id string, body []byte) (*news, error) {
	p, err := f.Read(body)
	if err != nil {
		return nil, err
	}
	n := &news{signals: make([]gateway.Signal, len(p.Events)), clues: make([]gateway.Clue, len(p.Events)), confirm: p.Confirm, ignored: p.Ignored}
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
		if n.signals[i], err = d.Signal(); err != nil {
			return nil, &feedback.PayloadError{At: at, Problem: err.Error()}
		}
		n.signals[i].Own = true
		n.clues[i] = p.Events[i].Clue
	}
	return n, nil
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
func (s *Server) learnAll(ctx context.Context, n *news) error {
	of, signals := map[string][]int{}, n.signals
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
				err := s.match(ctx, n.clues[i], &signals[i])
				if err == nil {
					_, err = s.Gateway.Learn(ctx, signals[i])
				}
				if err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// remembered is how many reports are known again without asking the gateway: those of
// five minutes at 300 a second, in which nothing else tells a repeated token. It
// knows each of their signals for 72 h.
const remembered = 100_000

// reports are the ids of those that were taken in, or are being: false.
type reports struct{ of *lru.Cache[string, bool] }

func newReports() *reports {
	of, _ := lru.New[string, bool](remembered) // fails only for a size below 1
	return &reports{of}
}

// claim begins with a report, unless it is known or somebody else is at it: a signature
// that does not cover the body must not be good for two at a time.
func (r *reports) claim(source, id string) (taken, busy bool) {
	done, known, _ := r.of.PeekOrAdd(source+" "+id, false)
	return known && done, known && !done
}

// settle ends what claim began; a report that failed may come again.
func (r *reports) settle(source, id string, ok bool) {
	if ok {
		r.of.Add(source+" "+id, true)
		return
	}
	r.of.Remove(source + " " + id)
}
