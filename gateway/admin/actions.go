package admin

import (
	"context"
	"errors"
	"sync"

	"tidepost/gateway"
)

// actionDoc is the body of POST /api/v1/deliveries/actions.
type actionDoc struct {
	Action   string     `json:"action"`
	Filter   *filterDoc `json:"filter"`
	Captured bool       `json:"captured"` // release what capture mode kept
	DryRun   bool       `json:"dry_run"`
	Reason   string     `json:"reason"`
}

// actionAnswer is its answer.
type actionAnswer struct {
	Matched int64 `json:"matched"` // deliveries that the action applies to
	Done    int64 `json:"done"`
}

// action is something to be done to all deliveries of a filter.
type action struct {
	gateway.Action
	filter   *filter
	captured bool
	dryRun   bool
	actor    string
	note     string
}

const maxNote = 1000 // bytes

func (d *actionDoc) parse(who *Token) (*action, error) {
	kind, err := gateway.ParseAction(d.Action)
	switch {
	case err != nil:
		return nil, invalid("action", "is none that can be done", "write release, hold, resume or drop")
	case d.Filter == nil:
		return nil, invalid("filter", "is missing", "say which deliveries; an empty filter {} means every one that waits")
	case d.Captured && kind != gateway.ActRelease:
		return nil, invalid("captured", "goes with release alone", "leave it out")
	case len(d.Reason) > maxNote:
		return nil, invalid("reason", "is too long", "use at most 1000 bytes")
	}
	f, err := d.Filter.parse()
	if err != nil {
		return nil, err
	}
	return &action{kind, f, d.Captured, d.DryRun, who.Name, mark(d.Reason)}, nil
}

// applies reports whether the action would change a delivery now.
func (a *action) applies(d *gateway.Delivery) bool {
	switch {
	case d.Settled() || d.State == gateway.Sending:
		return false
	case a.Action == gateway.ActDrop:
		return true
	case (d.State == gateway.Captured) != a.captured:
		return false
	case a.Action == gateway.ActHold:
		return !d.Paused
	case a.Action == gateway.ActResume:
		return d.Paused
	}
	return true
}

// actOnDeliveries answers POST /api/v1/deliveries/actions. With dry_run it only
// counts. It goes on until all is done, however many there are.
func (s *Server) actOnDeliveries(c *call) (any, error) {
	var doc actionDoc
	if err := c.decode(&doc); err != nil {
		return nil, err
	}
	a, err := doc.parse(c.who)
	if err != nil {
		return nil, err
	}
	b, err := s.browser()
	if err != nil {
		return nil, err
	}
	c.unhurried()
	answer, err := s.act(c.Context(), b, a)
	if err == nil || answer.Done == 0 {
		return answer, err
	}
	p := *asProblem(err)
	p.Detail = "it stopped after " + plural(answer.Done, "delivery", "deliveries") + ": " + err.Error()
	p.Remedy = "ask again to do the rest"
	return nil, &p
}

func (s *Server) act(ctx context.Context, b gateway.Browser, a *action) (actionAnswer, error) {
	var sum actionAnswer
	if a.filter.named() {
		rows, err := s.named(ctx, b, a.filter)
		if err != nil {
			return sum, err
		}
		return sum, s.actOn(ctx, a, rows, &sum)
	}
	for from, ended := a.filter.begin(), false; !ended; {
		part, err := s.scan(ctx, b, a.filter, from, actionRows)
		if err == nil {
			err = s.actOn(ctx, a, part.rows, &sum)
		}
		if err != nil {
			return sum, err
		}
		from, ended = part.next, part.ended
	}
	return sum, nil
}

// actionRows is how many deliveries are found before they are acted on.
const actionRows = 20_000

// actors is how many deliveries are acted on at a time: each waits for the disk,
// and those that wait together share one sync.
const actors = 128

// actOn does the action to the rows that it applies to, and counts.
func (s *Server) actOn(ctx context.Context, a *action, rows []row, sum *actionAnswer) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex // guards sum.Done and errs
		errs  []error
		slots = make(chan struct{}, actors)
	)
	for _, r := range rows {
		if !a.applies(r.delivery) {
			continue
		}
		if ctx.Err() != nil {
			break
		}
		sum.Matched++
		if a.dryRun {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			d := r.delivery
			changed, err := s.Gateway.Act(ctx, d.Mailbox, d.ID, a.Action, a.captured, a.actor, a.note)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
			} else if changed {
				sum.Done++
			}
		})
	}
	wg.Wait()
	if len(errs) > 0 {
		return errs[0]
	}
	return errors.Join(ctx.Err())
}
