package admin

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"tidepost/gateway"
)

// maxSignals is how many signals one request may bring.
const maxSignals = 10_000

// takeSignals answers POST /api/v1/signals: what readers did, as the sender's
// own tracking saw it. Each signal is stored before the answer.
func (s *Server) takeSignals(c *call) (any, error) {
	var doc struct {
		Signals []gateway.SignalDoc `json:"signals"`
	}
	if err := c.decode(&doc); err != nil {
		return nil, err
	}
	if len(doc.Signals) > maxSignals {
		return nil, invalid("signals", "are too many", "send at most 10,000 at a time")
	}
	signals := make([]gateway.Signal, len(doc.Signals))
	tenants := s.tenants()
	for i := range doc.Signals {
		sig, err := parseSignal(&doc.Signals[i], c.who.Name)
		if err == nil && !slices.Contains(tenants, sig.Tenant) {
			err = &Problem{Status: 400, Field: "tenant", Detail: "is not known", Remedy: "write one that the configuration names or that has sent mail"}
		}
		if err != nil {
			return nil, at1("signals", i, err)
		}
		signals[i] = sig
	}
	c.unhurried()
	var answer struct {
		Taken int `json:"taken"`
		News  int `json:"news"` // the others were known already, or taught nothing
	}
	for i := range signals {
		news, err := s.Gateway.Learn(c.Context(), signals[i])
		if err != nil {
			return nil, err
		}
		answer.Taken++
		if news {
			answer.News++
		}
	}
	return answer, nil
}

func at1(field string, i int, err error) error {
	if p, ok := err.(*Problem); ok {
		p.Field = field + "[" + strconv.Itoa(i) + "]." + p.Field
		p.Detail = p.Field + " " + p.Detail
	}
	return err
}

// parseSignal reads one signal; who brings it is its source unless it names one.
func parseSignal(d *gateway.SignalDoc, who string) (gateway.Signal, error) {
	d.Source = cmp.Or(d.Source, "api:"+who)
	sig, err := d.Signal()
	var bad *gateway.SignalError
	if errors.As(err, &bad) {
		return sig, &Problem{Status: http.StatusBadRequest, Field: bad.Field, Detail: bad.Problem, Remedy: bad.Remedy}
	}
	return sig, err
}

// resumeSignals answers POST /api/v1/signals/resume: a person accepts that the
// stream of signals has lost messages.
func (s *Server) resumeSignals(c *call) (any, error) {
	if s.Resume == nil {
		return nil, cannot("no signals are read from NATS")
	}
	if err := s.Resume(c.Context()); err != nil {
		return nil, &Problem{Status: http.StatusConflict, Detail: err.Error(), Remedy: "see `tidepost status`"}
	}
	return nil, nil
}
