package gateway

import (
	"tidepost/scheduler"
	"tidepost/suppression"
)

// causes are what the scheduler makes of answers.
var causes = map[Why]scheduler.Cause{WhyOften: scheduler.CauseTooOften, WhyIrrelevant: scheduler.CauseIrrelevant, WhyDone: scheduler.CauseLost}

// Fatigue reports whether a departure may come of too much mail: of those who say
// nothing it may.
func (w Why) Fatigue() bool { return w == "" || w == WhyOften }

// left reports whether the opt-out that the signal tells of is known.
func (t *turn) left(s *Signal) bool {
	scope := suppression.Scope{Kind: suppression.Tenant, Name: s.Tenant}
	if s.List != "" {
		scope = suppression.TenantList(s.Tenant, s.List)
	}
	return t.entry(&suppression.Entry{Scope: scope, Reason: suppression.Unsubscribe}) != nil
}

// explained takes in why a reader left and reports whether they said it. It closes
// nothing and counts no departure. It is always told; where nothing may be learned it
// teaches nothing. Of two answers about the same mail the later one holds, for those
// who count; what the profile took from the first stays.
func (t *turn) explained(s *Signal, about DeliveryID, sees scheduler.Sees) bool {
	if s.Why == "" {
		return false
	}
	var others []uint32
	for w := range causes {
		if other := *s; w != s.Why {
			other.Why = w
			others = append(others, other.mark(about))
		}
	}
	t.heard().drop(others) // so that the first one, given once more, is news
	topics := uint32(0)    // all of the sender's bulk
	if s.List != "" {
		topics = topic(&Delivery{List: s.List})
	}
	sees = max(sees, t.g.Rules(s.Tenant).SeesOf(s.List))
	if sees < scheduler.SeesNone && t.now.Sub(s.At) <= tooOld && t.profile().Said(t.g.model(s.Tenant), causes[s.Why], topics) {
		t.keepProfile()
	}
	return true
}
