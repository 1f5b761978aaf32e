package scheduler

import (
	"math"
	"time"
)

// plan is what the model does with Items[i] were it live, and why.
func (t *table) plan(i int) Plan {
	it := &t.r.Items[i]
	if t.p.explores(it) {
		return t.explore(i)
	}
	if t.p.contend(t.r) {
		return t.inLine(i)
	}
	v := &t.spot
	if !t.outlook(it).known && t.p.Explore <= 0 {
		return t.blind(v, i)
	}
	t.rival(v, i)
	return t.settle(v, t.hour(v), -1, queue{gates: gatesOf(t.r)})
}

// blind plans for a reader of whom no hours are known: as the gates say.
func (t *table) blind(v *rival, i int) Plan {
	plan := t.p.gated(t.r, i, queue{gates: gatesOf(t.r)})
	if t.set {
		t.rival(v, i)
		return t.dropped(v, plan)
	}
	now := t.r.Now.Unix()
	t.h.fill(t.zone, t.p.Quiet, now, now)
	t.own.n, t.all.n = 0, 0
	t.rival(v, i)
	t.h.n, t.own.n, t.all.n = 0, 0, 0 // of the others the hours may be known
	return t.dropped(v, plan)
}

// inLine plans an item among its rivals.
func (t *table) inLine(i int) Plan {
	t.line()
	for row := range t.n {
		if v := &t.row[row]; v.i == i {
			k, at, q := t.turn(row)
			return t.settle(v, k, at, q)
		}
	}
	v := &t.spot
	t.rival(v, i)
	if v.unwanted(t.of(v)) {
		return t.settle(v, t.hour(v), -1, queue{gates: gatesOf(t.r)})
	}
	_, _, q := t.turn(-1)
	return t.settle(v, -1, -1, q)
}

// hour is when an item leaves on its own account.
func (t *table) hour(v *rival) int {
	if v.aim == AimNow && v.best >= 0 {
		return v.first
	}
	return t.pick(v)
}

// settle makes the plan of an item that is to leave in the k-th hour, at an instant
// that follows from that if at is negative; with k negative, as the gates say.
func (t *table) settle(v *rival, k int, at int64, q queue) Plan {
	if k >= 0 && at < 0 {
		at = t.instant(v, k)
	}
	if k >= 0 && at > v.b.end {
		k = -1
	}
	if k < 0 {
		return t.dropped(v, t.p.gated(t.r, v.i, q))
	}
	plan := Plan{Action: Now, At: t.r.Now, Reason: NoHold}
	if at > t.r.Now.Unix() {
		plan = Plan{Action: Hold, At: time.Unix(at, 0).In(t.r.Now.Location()), Reason: t.why(v, k, q)}
	}
	plan.Decision.Propensity = t.propensity(v, k)
	return t.dropped(v, plan)
}

// why names what an item waits for.
func (t *table) why(v *rival, k int, q queue) Reason {
	if q.why != "" {
		if q.at.Unix()+int64(t.p.MinGap/time.Second) >= t.h.from[k] {
			return q.why
		}
	} else if k == v.first {
		if g := t.p.gated(t.r, v.i, q); g.Action == Hold {
			return g.Reason
		}
	}
	return ReadingHour
}

// dropped turns the plan into a drop where the model would rather not send the item
// and has said so before, or has no later chance to say it again. It completes the
// decision.
func (t *table) dropped(v *rival, plan Plan) Plan {
	d := plan.Decision
	t.explain(v, &d)
	if d.Propensity == 0 {
		d.Propensity = 1
	}
	d.Would, d.WouldAt = plan.Action, plan.At
	waits := v.best < 0 && plan.Action == Hold // for the gates: what then counts is not known yet
	if plan.Action != Drop && !waits && v.unwanted(t.of(v)) {
		plan = t.doom(v, plan)
		d.Would, d.WouldAt = Drop, plan.At
	}
	plan.Decision = d
	return plan
}

// doom drops the item, or holds it so that another plan may say the same.
func (t *table) doom(v *rival, plan Plan) Plan {
	if v.item.Doomed {
		return Plan{Action: Drop, At: t.r.Now, Reason: Fatigue}
	}
	if plan.Action == Hold {
		plan.Reason = Fatigue
		return plan
	}
	for k := max(v.first, 1); k < v.last; k++ {
		if v.at[k] != 0 {
			return Plan{Action: Hold, At: time.Unix(t.instant(v, k), 0).In(t.r.Now.Location()), Reason: Fatigue}
		}
	}
	if end := v.b.end; end >= t.r.Now.Unix()+3600 { // its hours were not looked at
		return Plan{Action: Hold, At: t.r.Now.Add(time.Hour), Reason: Fatigue}
	}
	return Plan{Action: Drop, At: t.r.Now, Reason: Fatigue}
}

// explain fills in the numbers behind a plan.
func (t *table) explain(v *rival, d *Decision) {
	o := t.of(v)
	d.At, d.Live, d.Arm, d.Model = t.r.Now, t.p.live(), ArmModel, t.r.Model.Version
	d.Now, d.Reads = v.now(o), 1
	d.Best, d.BestAt = d.Now, t.r.Now
	d.Pressure, d.Interest, d.Evidence = o.pressure, v.read, o.evidence
	d.Own = o.own && o.evidence >= thin
	d.Mails = uint16(min(o.mails, math.MaxUint16))
	d.Thrift, d.Floor = v.thrift(o), o.floor
	if v.best < 0 {
		return
	}
	d.Best = v.parts(o, v.best)
	d.BestAt = later(t.r.Now, time.Unix(t.instant(v, v.best), 0).In(t.r.Now.Location()))
	if k := v.second(); k >= 0 {
		d.RunnerUp = v.u[k]
		d.RunnerAt = later(t.r.Now, time.Unix(t.instant(v, k), 0).In(t.r.Now.Location()))
	}
	if o.known {
		d.Reads = o.soon(v.best) / o.soon(0)
	}
}

// propensity of the k-th hour: exact for what is drawn evenly; for the draw from
// the softmax that of this plan, the last.
func (t *table) propensity(v *rival, k int) float32 {
	if t.p.Explore <= 0 {
		return 1
	}
	even, soft := 0, float32(0)
	heat := v.heat()
	for j := v.first; j < v.last; j++ {
		if v.at[j] == 0 {
			continue
		}
		even++
		if t.of(v).known {
			soft += exp((v.u[j] - v.u[k]) / heat)
		}
	}
	drawn := float32(1)
	if t.of(v).known {
		drawn = 1 / soft
	} else if k != v.first {
		drawn = 0
	}
	return t.p.Explore/float32(max(even, 1)) + (1-t.p.Explore)*drawn
}

// explore plans an item that leaves at a random permitted hour.
func (t *table) explore(i int) Plan {
	v := &t.spot
	t.rival(v, i)
	plan, even := t.p.random(t.r, i, Explored)
	if plan.Decision.Propensity = 1; even > 0 {
		plan.Decision.Propensity = t.p.Explore / float32(even)
		if k := t.h.find(plan.At.Unix()); k >= 0 && v.at[k] != 0 {
			plan.Decision.Propensity = t.propensity(v, k)
		}
	}
	t.explain(v, &plan.Decision)
	plan.Decision.Would, plan.Decision.WouldAt = plan.Action, plan.At
	return plan
}

// find is the hour that holds an instant, or -1.
func (h *hours) find(at int64) int {
	for k := range h.n {
		if at < h.until(k) {
			return k
		}
	}
	return -1
}
