package simulate

import (
	"context"
	"math"
)

// oracle knows every true curve, interest, tolerance and burden, and the laws of
// the world; not the visits, lots, holidays and campaigns to come. It sends each
// mail in the hour in which most reads of it are to be expected, and drops those
// which bring least: fewer reads, less what they cost later, than a price that is
// the same for all mail. The price makes up how much is dropped.
type oracle struct {
	*play
	price   float64
	present [][2]*[168]float64 // attention a mail gets in all, by local hour of release and habit
}

// oracleAt returns an oracle with a price. attention must be the stage's.
func oracleAt(price float64, present [][2]*[168]float64) starter {
	return func(p *play) (sender, error) {
		o := &oracle{play: p, price: price, present: present}
		return &timer{choose: o.choose}, nil
	}
}

func (o *oracle) choose(t when, m *mail) (when, bool) {
	p := m.person
	mood := &o.audience.state[p.index]
	most, at := 0.0, t
	end := m.at + when(m.campaign.window.Seconds())
	for s := t; s < end; s = s - s%hour + hour {
		due := o.present[p.index][p.habit(s)][p.zone(s).hourOfWeek(s)] * o.audience.crowding(mood, s)
		if due > most*1.001 {
			most, at = due, s
		}
	}
	return at, o.worth(m, at, o.reads(m, at)) > o.price
}

// reads is the probability that a mail delivered at t is read. Attention comes in
// visits, of which any may be the one; that is a Poisson process thinned.
func (o *oracle) reads(m *mail, t when) float64 {
	p := m.person
	return 1 - math.Exp(-o.audience.eagerness(m, t)*o.present[p.index][p.habit(t)][p.zone(t).hourOfWeek(t)])
}

// worth is the reads a mail brings, less those it costs: the burden it leaves, and
// the chance that its reader goes.
func (o *oracle) worth(m *mail, t when, reads float64) float64 {
	p, s := m.person, &o.audience.state[m.person.index]
	leave, complain := o.audience.annoyance(m, t)
	burden := o.world.Fatigue * s.burden(p, t)
	slope := (vigour(burden) - vigour(burden+.01)) / .01 / vigour(burden) * o.world.Fatigue
	weekly := 0.0 // reads expected a week, of mail like this person's
	for i := range topics {
		if p.tenants[topics[i].tenant] && !o.audience.hasLeft(p, i, t) {
			weekly += topics[i].weekly * o.typical(p, i, t)
		}
	}
	theirs := 0.0
	for i := range topics {
		if topics[i].tenant == topics[m.campaign.topic].tenant {
			theirs += topics[i].weekly * o.typical(p, i, t)
		}
	}
	left := math.Max(0, float64(when(o.weeks)*weekLong-t)/weekLong)
	tired := topics[m.campaign.topic].weight / p.tolerance * slope * weekly * math.Min(1, left/2)
	return reads - tired - (leave+complain)*theirs*left*.6
}

// typical is the reads expected of a mail on a topic, at the person's best.
func (o *oracle) typical(p *person, topic int, t when) float64 {
	return p.interest(topic, t) * vigour(o.world.Fatigue*o.audience.state[p.index].burden(p, t))
}

// foresight works out what an oracle knows of a stage's people: for each hour of
// the week, how much of the attention due to a mail it gets if delivered then.
func foresight(ctx context.Context, s *stage) ([][2]*[168]float64, error) {
	all := make([][2]*[168]float64, len(s.people))
	for i, p := range s.people {
		if i%256 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		pull := s.pull(p)
		for habit, c := range p.curves {
			all[i][habit] = attentionOf(c, pull)
		}
	}
	return all, nil
}

// pull is how much a mail's attention grows in each hour of its age, in which a
// person is there on average, thinned for what their visits overshoot.
func (s *stage) pull(p *person) []float64 {
	burst := float64(s.world.Cluster)
	typical := 0.0
	n := 0
	for t := range topics {
		if p.tenants[topics[t].tenant] {
			typical -= math.Log(1 - p.interest(t, 0))
			n++
		}
	}
	typical /= float64(max(1, n))
	out := make([]float64, attention)
	for h := range out {
		for tenth := range 10 {
			x := typical * float64(s.kernel[h*10+tenth]) / p.pace * burst
			out[h] += (1 - math.Exp(-x)) * p.pace / burst / typical / 10
		}
	}
	return out
}

// attentionOf sums the pull of a mail's ages over the hours in which they fall.
func attentionOf(c *[168]float32, pull []float64) *[168]float64 {
	var folded [168]float64 // ages a week apart fall into the same hour
	for age, v := range pull {
		folded[age%168] += v
	}
	out := new([168]float64)
	for h := range out {
		for age, v := range folded[:168-h] {
			out[h] += float64(c[h+age]) * v
		}
		for i, v := range folded[168-h:] {
			out[h] += float64(c[i]) * v
		}
	}
	return out
}
