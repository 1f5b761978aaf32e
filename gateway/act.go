package gateway

import (
	"context"
	"fmt"
	"time"
)

// Action is what a person may do to a waiting delivery.
type Action string

// The actions.
const (
	ActRelease Action = "release" // plan says later, a person says now
	ActHold    Action = "hold"    // until a person resumes it
	ActResume  Action = "resume"
	ActDrop    Action = "drop"
)

// ParseAction reads the name of an action.
func ParseAction(s string) (Action, error) {
	switch a := Action(s); a {
	case ActRelease, ActHold, ActResume, ActDrop:
		return a, nil
	}
	return "", fmt.Errorf("action %q: want release, hold, resume or drop", s)
}

// Act does something to one delivery for a person. It reports whether
// anything changed: a delivery that is on the wire or settled, or whose end is
// being told to its sender, stays as it is.
// A captured delivery is released only where captured is set.
func (g *Gateway) Act(ctx context.Context, k Key, id DeliveryID, a Action, captured bool, actor, note string) (bool, error) {
	changed := false
	err := g.perform(ctx, k, func(t *turn) {
		t.planNew(id, nil, false) // where that was not done yet
		d := t.box.Delivery(id)
		if d == nil || d.State == Sending || (d.State == Captured) != captured && a != ActDrop || g.telling.has(id) {
			return
		}
		changed = t.act(d.Next(), a, actor, note)
	})
	return changed, err
}

func (t *turn) act(n *Delivery, a Action, actor, note string) bool {
	t.durable()
	e := Event{Reason: "admin", Actor: actor, Detail: note}
	switch a {
	case ActHold:
		if n.Paused {
			return false
		}
		n.Paused, n.Reason, e.Kind = true, "admin", EventHeld
	case ActResume:
		if !n.Paused {
			return false
		}
		n.Paused = false
		t.plan(n, Event{Kind: EventPlanned, Reason: "admin", Actor: actor, Detail: note})
		return true
	case ActDrop:
		if n.State == Captured {
			t.g.held.add(n.Tenant, 1) // settleDrop takes it off again
		}
		e.Kind = EventDropped
		t.settleDrop(n, e)
		return true
	case ActRelease:
		if n.State == Captured {
			t.g.held.add(n.Tenant, 1)
		}
		n.State, n.Paused, n.Due, n.Reason, e.Kind = Waiting, false, t.now, "admin", EventPlanned
		n.Forced, n.NotBefore = true, time.Time{}
		n.Expires = t.now.Add(t.g.giveUp(n.Class))
		t.put(n, e)
		t.schedule(n)
		return true
	}
	t.put(n, e)
	return true
}
