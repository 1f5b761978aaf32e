package replay

import (
	"time"

	"tidepost/scheduler"
	"tidepost/scheduler/interest"
)

// tenant is a tenant's rules, and what they have come to.
type tenant struct {
	Rules
	model   *scheduler.Model // what plans rest on now
	learner *scheduler.Learner
	fresh   int // outcomes since the last publication
	drops   guard
}

// publishEvery is how many outcomes make a new model, as in the gateway. What the
// gateway also does at night, fitting the shared curves anew, is not done here: it
// takes seconds, in which everything would wait, and in closed loop it won nothing.
const publishEvery = 256

func newTenant(r Rules) *tenant {
	t := &tenant{Rules: r, model: r.Model}
	if r.Learn {
		t.learner = scheduler.NewLearner(r.Model)
		t.publish()
	}
	return t
}

// asksModel reports whether the model may have a say.
func (t *tenant) asksModel() bool { return t.Only == nil || *t.Only == scheduler.ArmModel }

// observed notes that opens or clicks come back: from now on silence means something.
func (t *tenant) observed() {
	if t.model.Observed {
		return
	}
	if t.learner != nil {
		t.learner.SetObserved()
		t.publish()
		return
	}
	m := *t.model
	m.Observed = true
	t.model = &m
}

// planned notes a bulk mail that was planned for the first time.
func (t *tenant) planned(d *scheduler.Decision, it *scheduler.Item) {
	if t.learner != nil {
		t.learner.Planned(d, it.Worth(), it.Droppable)
	}
}

// learn takes in the outcome of one mail.
func (t *tenant) learn(before *interest.State, m interest.Mail, read, clicked bool) {
	t.learner.Observe(before, m, read, clicked)
	if t.fresh++; t.fresh >= publishEvery {
		t.publish()
	}
}

func (t *tenant) publish() {
	m := t.learner.Model()
	m.Resolved = t.learn
	t.model, t.fresh = m, 0
}

// guard keeps a policy that is wrong from dropping more than a share of an hour's
// bulk, as the gateway's does.
type guard struct {
	start         time.Time
	bulk, dropped int
}

// dropFew is how many drops an hour may have whatever their share.
const dropFew = 100

// planned counts a bulk delivery that was planned for the first time.
func (g *guard) planned(now time.Time) {
	g.hour(now)
	g.bulk++
}

// allow counts a drop, or reports that it must not be. A share of 0 allows all.
func (g *guard) allow(share float64, now time.Time) bool {
	g.hour(now)
	if share > 0 && g.dropped >= dropFew && float64(g.dropped) >= share*float64(g.bulk) {
		return false
	}
	g.dropped++
	return true
}

func (g *guard) hour(now time.Time) {
	if g.start.IsZero() || now.Sub(g.start) >= time.Hour {
		*g = guard{start: now}
	}
}
