package admin

import (
	"context"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler"
)

// modeDoc is the body of POST /api/v1/mode: whose bulk mail the model decides
// about from now on (live), or only watches (observe).
type modeDoc struct {
	Mode   string `json:"mode"`
	Tenant string `json:"tenant"` // "": every tenant
	Class  string `json:"class"`
	List   string `json:"list"`
	DryRun bool   `json:"dry_run"`
}

// modeAnswer says what the switch changes, or has changed.
type modeAnswer struct {
	Mode      string `json:"mode"`
	Waiting   int64  `json:"waiting"`    // bulk deliveries that it is about
	WouldHold int64  `json:"would_hold"` // of them the model would hold, or does
	WouldDrop int64  `json:"would_drop"`
	Held      int64  `json:"held"` // of them the model holds now: observe lets them go, paced, past gates only
	Changed   bool   `json:"changed"`
}

// switchDoc is a switch in force, in the answer of GET /api/v1/mode.
type switchDoc struct {
	Mode   string    `json:"mode"`
	Tenant string    `json:"tenant,omitempty"`
	Class  string    `json:"class,omitempty"`
	List   string    `json:"list,omitempty"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
}

// setMode answers POST /api/v1/mode. With dry_run it only counts.
func (s *Server) setMode(c *call) (any, error) {
	var doc modeDoc
	if err := c.decode(&doc); err != nil {
		return nil, err
	}
	if doc.Mode != "live" && doc.Mode != "observe" {
		return nil, invalid("mode", "is neither", "write live or observe")
	}
	scope := gateway.ModeScope{Tenant: doc.Tenant, Class: doc.Class, List: doc.List}
	if doc.Class != "" {
		if class, err := gateway.ParseClass(doc.Class); err != nil || !class.Bulk() {
			return nil, invalid("class", "is never held", "write newsletter or promotional")
		}
	}
	b, err := s.browser()
	if err != nil {
		return nil, err
	}
	c.unhurried()
	answer, err := s.foresee(c.Context(), b, scope)
	if err != nil {
		return nil, err
	}
	answer.Mode = doc.Mode
	if doc.DryRun {
		return answer, nil
	}
	if err := s.Gateway.SetMode(c.Context(), scope, doc.Mode == "live", c.who.Name); err != nil {
		return nil, err
	}
	answer.Changed = true
	return answer, nil
}

// foresee counts what waits in a scope, by what the model decides about it.
func (s *Server) foresee(ctx context.Context, b gateway.Browser, scope gateway.ModeScope) (*modeAnswer, error) {
	var a modeAnswer
	var from gateway.Key
	for {
		looked, last := 0, from
		err := b.Scan(ctx, from, func(box *gateway.Mailbox) bool {
			for _, d := range box.Deliveries {
				a.count(scope, d)
			}
			looked, last = looked+1, box.Key
			return looked < s.budget().slice
		})
		if err != nil {
			return nil, err
		}
		next, ended := after(last)
		if looked < s.budget().slice || ended {
			return &a, nil
		}
		from = next.key
	}
}

func (a *modeAnswer) count(scope gateway.ModeScope, d *gateway.Delivery) {
	if d.State != gateway.Waiting || !d.Class.Bulk() || !scope.Covers(d) {
		return
	}
	a.Waiting++
	why, err := d.Why()
	switch {
	case err != nil || len(d.Decision) == 0:
	case why.Would == scheduler.Hold:
		a.WouldHold++
	case why.Would == scheduler.Drop:
		a.WouldDrop++
	}
	if scheduler.Reason(d.Reason).OfModel() {
		a.Held++
	}
}

// getMode answers GET /api/v1/mode: what the configuration says, and the
// switches in force.
func (s *Server) getMode(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	return struct {
		Configured string      `json:"configured"`
		Switches   []switchDoc `json:"switches"`
		Replanning int64       `json:"replanning"` // mailboxes planned anew so far; -1: none under way
	}{s.info().PolicyMode, s.switches(), s.Gateway.Replanning()}, nil
}

func (s *Server) switches() []switchDoc {
	docs := []switchDoc{}
	for _, m := range s.Gateway.Modes() {
		docs = append(docs, switchDoc{Mode: m.Word(), Tenant: m.Tenant, Class: m.Class, List: m.List, By: m.By, At: utc(m.At)})
	}
	return docs
}

// modeDifferences are the switches that say something else than the file.
func (s *Server) modeDifferences() []Difference {
	var out []Difference
	for _, m := range s.Gateway.Modes() {
		if m.Live != m.File {
			out = append(out, Difference{Name: "policy.mode" + m.Scope().Suffix(), File: gateway.ModeWord(m.File), Now: m.Word(), By: m.By, At: utc(m.At)})
		}
	}
	return out
}
