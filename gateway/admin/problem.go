package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"tidepost/gateway"
)

// Problem is a refusal as RFC 9457 writes it, with the field that caused it and
// what to do about it.
type Problem struct {
	Status int
	Detail string // a sentence for a person
	Field  string // "": it is about none
	Remedy string // "": there is none

	retry time.Duration // when to come back; 0: not said
}

// Error is the detail with the remedy.
func (p *Problem) Error() string {
	if p.Remedy == "" {
		return p.Detail
	}
	return p.Detail + "; " + p.Remedy
}

func notFound(detail string) *Problem {
	return &Problem{Status: http.StatusNotFound, Detail: detail}
}

// invalid refuses the value of a field of the query or of the body.
func invalid(field, detail, remedy string) *Problem {
	return &Problem{Status: http.StatusBadRequest, Detail: field + " " + detail, Field: field, Remedy: remedy}
}

func cannot(detail string) *Problem {
	return &Problem{Status: http.StatusNotImplemented, Detail: detail}
}

// missing says what it was that was not found.
func missing(err error, what string) error {
	if errors.Is(err, gateway.ErrNotFound) {
		return &Problem{Status: http.StatusNotFound, Detail: what + " is not known",
			Remedy: "settled mail is forgotten after retention.settled, its history after retention.history"}
	}
	return err
}

// asProblem finds the problem that an error is.
func asProblem(err error) *Problem {
	var p *Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, gateway.ErrNotFound):
		return notFound(err.Error())
	case errors.Is(err, gateway.ErrDamaged):
		return &Problem{Status: http.StatusInternalServerError, Detail: err.Error(), Remedy: "the record is quarantined, its neighbours are well"}
	case errors.Is(err, gateway.ErrFull):
		return &Problem{Status: http.StatusInsufficientStorage, Detail: err.Error(), Remedy: "see `tidepost help runbook#disk-filling`"}
	case errors.Is(err, gateway.ErrStopped):
		return &Problem{Status: http.StatusServiceUnavailable, Detail: err.Error(), Remedy: "see `tidepost help runbook#store-stopped`"}
	case errors.Is(err, errors.ErrUnsupported):
		return cannot("the store cannot do that while it runs")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &Problem{Status: http.StatusServiceUnavailable, Detail: "the request was interrupted", Remedy: "ask again"}
	}
	return &Problem{Status: http.StatusInternalServerError, Detail: err.Error()}
}

// problemDoc is a problem as it is sent. Its type is about:blank, so that the
// title is the status in words (RFC 9457 §4.2.1).
type problemDoc struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"` // with the remedy, for whoever shows nothing else
	Field  string `json:"field,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

// fail answers with a problem document.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := asProblem(err)
	if p.Status == http.StatusInternalServerError {
		s.log().Error("admin request failed", "method", r.Method, "path", shorten(r.URL.Path, 200), "error", err)
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="tidepost"`)
	}
	if p.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(p.retry.Seconds()+1)))
	}
	writeJSON(w, p.Status, "application/problem+json", problemDoc{
		Type: "about:blank", Title: http.StatusText(p.Status), Status: p.Status,
		Detail: mark(shorten(p.Error(), 2000)), Field: mark(shorten(p.Field, 100)), Remedy: mark(shorten(p.Remedy, 1000)),
	})
}
