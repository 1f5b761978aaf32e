package simulate

import (
	"math"
	"math/rand/v2"
)

// person is somebody who gets mail. Nothing in it depends on what a policy does.
type person struct {
	index       int
	home, later *zone // where they live, before and after moving
	moves       when  // when they move; never: after the run
	declared    bool  // their first zone is known to the policies

	curves  [2]*[168]float32 // visits by local hour of week, mean 1, before and after their habits change
	changes when             // when habits change
	visits  []int32          // moments at which they look into their inbox, ascending
	pace    float64          // visits an hour, on average
	away    []span           // holidays

	tenants   [tenantCount]bool     // whom they gave their address to
	appeal    [topicCount][]float32 // log odds of reading a mail of the topic, by week
	lapse     [topicCount]when      // when a topic stops to interest them
	clicky    float64               // probability of a click where a mail is read
	tolerance float64               // mails a week they bear
	patience  float64               // how unlikely they are to leave; mean 1 of the inverse
	prefetch  bool                  // a machine opens their mail
	domain    int                   // destination
}

type span struct{ from, to when }

// zone is where a person lives at a time.
func (p *person) zone(t when) *zone {
	if t >= p.moves {
		return p.later
	}
	return p.home
}

// curve is a person's habit at a time.
func (p *person) curve(t when) *[168]float32 { return p.curves[p.habit(t)] }

func (p *person) habit(t when) int {
	if t >= p.changes {
		return 1
	}
	return 0
}

// interest is the probability that a rested person reads a mail of a topic, were
// it noticed at all times.
func (p *person) interest(topic int, t when) float64 {
	if t >= p.lapse[topic] {
		return .004
	}
	week := min(max(int(t/weekLong), 0), len(p.appeal[topic])-1)
	return min(.92, sigmoid(float64(p.appeal[topic][week])))
}

// destinations are providers with their shares of people.
var destinations = []float64{.45, .2, .15, .1, .1}

// populate makes the people of a world.
func populate(w *World, seed uint64, people, weeks int) ([]*person, error) {
	where, err := zones()
	if err != nil {
		return nil, err
	}
	all := make([]*person, people)
	for i := range all {
		r := rand.New(rand.NewPCG(mix(seed), mix(uint64(i)+0x5eed)))
		all[i] = newPerson(w, r, where, i, weeks)
	}
	return all, nil
}

func newPerson(w *World, r *rand.Rand, where []*zone, index, weeks int) *person {
	end := when((weeks + afterwards) * weekLong)
	middle := when(weeks) * weekLong / 2
	p := &person{index: index, moves: end, changes: end, domain: draw(r, destinations)}
	p.home = where[drawZone(r)]
	p.later = where[drawZone(r)]
	p.declared = r.Float64() < w.Declared
	if u, at := r.Float64(), r.Float64(); u < w.Moves {
		p.moves = middle + when((at-.5)*2*weekLong)
	}
	if u, at := r.Float64(), r.Float64(); u < w.Change {
		p.changes = middle + when((at-.5)*2*weekLong)
		if w.Change < 1 {
			p.changes = when(at * float64(end))
		}
	}
	first := drawShape(r)
	p.curves = [2]*[168]float32{newCurve(w, r, first), newCurve(w, r, otherShape(r, first))}
	p.pace = w.Visits * math.Exp(.5*r.NormFloat64()) / 24
	p.away = holidays(r, end)
	p.visits = p.visit(r, w.Cluster, end)
	p.clicky = .12 * math.Exp(.5*r.NormFloat64())
	p.tolerance = 3 * math.Exp(.5*r.NormFloat64())
	p.patience = math.Exp(.9 * r.NormFloat64())
	p.prefetch = r.Float64() < w.Prefetch
	p.subscribe(r)
	p.grow(r, weeks+afterwards)
	return p
}

func drawZone(r *rand.Rand) int {
	u := r.Float64()
	for i, s := range zoneShares {
		if u -= s.share; u < 0 {
			return i
		}
	}
	return 0
}

func draw(r *rand.Rand, shares []float64) int {
	u := r.Float64()
	for i, s := range shares {
		if u -= s; u < 0 {
			return i
		}
	}
	return len(shares) - 1
}

// subscribe draws who may write to a person.
func (p *person) subscribe(r *rand.Rand) {
	some := false
	for t := range p.tenants {
		p.tenants[t] = r.Float64() < .55
		some = some || p.tenants[t]
	}
	if fallback := r.IntN(tenantCount); !some {
		p.tenants[fallback] = true
	}
}

// grow draws how a person's interest in each topic drifts, fades and ends.
func (p *person) grow(r *rand.Rand, weeks int) {
	base := -2.2 + 2.2*r.NormFloat64()
	mood := 0.0
	moods := make([]float64, weeks)
	for i := range moods {
		mood = .9*mood + .12*r.NormFloat64()
		moods[i] = mood
	}
	for topic := range p.appeal {
		level := base + topics[topic].appeal + .45*r.NormFloat64()
		own := 0.0
		p.appeal[topic] = make([]float32, weeks)
		for i := range moods {
			own = .92*own + .12*r.NormFloat64()
			p.appeal[topic][i] = float32(level + moods[i] + own - .012*float64(i))
		}
		p.lapse[topic] = when(r.ExpFloat64() * 110 * weekLong)
	}
}

func holidays(r *rand.Rand, end when) []span {
	var all []span
	for t := when(r.ExpFloat64() * 18 * weekLong); t < end; t += when((2 + r.ExpFloat64()*18) * weekLong) {
		to := t + when((4+r.Float64()*11)*day)
		all = append(all, span{t, to})
		t = to
	}
	return all
}

// visit draws the moments at which a person looks into their inbox: at the rate of
// their curve, hour by hour, each the start of a burst.
func (p *person) visit(r *rand.Rand, burst int, end when) []int32 {
	visits := make([]int32, 0, int(p.pace*float64(end)/hour*1.2)+16)
	starts := p.pace / float64(burst)
	left := r.ExpFloat64()
	for t := when(0); t < end; t += hour {
		rate := starts * float64(p.curve(t)[p.zone(t).hourOfWeek(t)])
		if p.isAway(t) {
			rate *= .02
		}
		spent := 0.0
		for left <= rate-spent {
			spent += left
			left = r.ExpFloat64()
			at := t + when(spent/rate*hour)
			visits = appendBurst(visits, r, burst, at)
		}
		left -= rate - spent
	}
	return sorted(visits)
}

// appendBurst appends a visit and those which follow within the hour or so.
func appendBurst(visits []int32, r *rand.Rand, burst int, at when) []int32 {
	visits = append(visits, int32(at))
	for burst > 1 && r.Float64() < 1-1/float64(burst) {
		at += when(60 + r.ExpFloat64()*600)
		visits = append(visits, int32(at))
	}
	return visits
}

func (p *person) isAway(t when) bool {
	for _, s := range p.away {
		if t >= s.from && t < s.to {
			return true
		}
	}
	return false
}
