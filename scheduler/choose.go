package scheduler

import (
	"math/bits"
	"time"
)

// maxRivals is how many waiting items are put into order against each other: the
// exact search doubles with each. Those behind wait for their turn.
const maxRivals = 4

// table is what one plan, or one pass over all items, works with.
type table struct {
	p    *Policy
	r    *Request
	zone *time.Location
	h    hours
	own  outlook
	all  outlook // for what may not use the profile
	spot rival   // the item asked about, where it has no rivals
	row  [maxRivals]rival
	n    int
	set  bool // rows are filled
	seq  sequence
}

func (t *table) begin(p *Policy, r *Request) { t.p, t.r, t.zone = p, r, p.zone(r.Zone) }

// outlook is the reader as far as the item may know them.
func (t *table) outlook(it *Item) *outlook {
	own := t.r.Profile != nil && !it.Sensitive && t.r.Sees < SeesNone
	o := &t.all
	if own {
		o = &t.own
	}
	if !o.ready {
		o.view(t.p, t.r, own, t.zone)
	}
	return o
}

// of is the outlook that a rival was rated by.
func (t *table) of(v *rival) *outlook {
	if v.own {
		return &t.own
	}
	return &t.all
}

// span makes sure that the hours reach to the end of all windows.
func (t *table) span() {
	if t.h.n > 0 {
		return
	}
	now := t.r.Now.Unix()
	end := now
	for i := range t.r.Items {
		if it := &t.r.Items[i]; !it.Bypass && !it.Exempt {
			end = max(end, t.p.end(t.r, it))
		}
	}
	t.h.fill(t.zone, now, end)
}

// rival asks the model about one item.
func (t *table) rival(v *rival, i int) {
	o := t.outlook(&t.r.Items[i])
	v.know(t.p, t.r, i, o)
	v.b = t.p.bounds(t.r, v.item)
	t.span()
	o.foresee(&t.h)
	v.rate(t.p, t.r, &t.h, o)
	if o.state.Mails() > 0 {
		v.sd = float32(o.state.Sd(o.prior, v.mail))
	}
}

// contend reports whether items of the mailbox stand in each other's way.
func (p *Policy) contend(r *Request, it *Item) bool {
	return len(r.Items) > 1 && !it.Counted && (p.MinGap > 0 || p.WeeklyCap > 0)
}

// line fills the rows: the items that take turns, the first in the order of
// acceptance where there are too many. Those that the model would rather drop, and
// those drawn for a random hour, stand in nobody's way.
func (t *table) line() {
	if t.set {
		return
	}
	t.set = true
	r := t.r
	var skip uint64
	for range len(r.Items) {
		if t.n == maxRivals {
			break
		}
		first := -1
		for j := range min(len(r.Items), 64) {
			if skip>>j&1 == 0 && (first < 0 || r.Items[j].before(&r.Items[first])) {
				first = j
			}
		}
		if first < 0 {
			break
		}
		skip |= 1 << first
		it := &r.Items[first]
		if !it.takesTurn(r.Now, r.Now.Add(maxWindow)) || r.superseded(first) || t.p.explores(it) {
			continue
		}
		v := &t.row[t.n]
		t.rival(v, first)
		if v.best >= 0 && !(v.unwanted(t.of(v)) && it.Droppable) {
			t.n++
		}
	}
	t.seq.solve(t)
}

// explores reports whether the item is in the share that leaves at a random hour.
func (p *Policy) explores(it *Item) bool {
	return p.Explore > 0 && unit(hash(hash(p.Salt, 'e'), it.ID)) < float64(p.Explore)
}

// noisy is the utility with the noise that makes the best hour a draw from the
// softmax: of the absolute hour, so that it stays while nothing happens.
func (t *table) noisy(v *rival, k int) float32 {
	if t.p.Explore <= 0 || v.at[k] == 0 || !t.of(v).known {
		return v.u[k]
	}
	return v.u[k] + v.heat()*gumbel(hash(hash(t.p.Salt, v.item.ID), uint64(t.h.from[k]/900)))
}

func (v *rival) heat() float32 { return warmth * v.read * v.value }

// pick is the hour in which an item leaves that has no rivals: the first that is
// good enough given those that follow. So a later plan without news picks it too.
func (t *table) pick(v *rival) int {
	slack := float32(enough)
	if t.p.Explore > 0 {
		slack = 0
	}
	chosen, best := -1, float32(never)
	for k := v.last - 1; k >= v.first; k-- {
		if v.at[k] == 0 {
			continue
		}
		u := t.noisy(v, k)
		best = max(best, u)
		if u >= best-slack*max(best, 0) {
			chosen = k
		}
	}
	return chosen
}

// sequence is the order in which rivals leave: the best sum of utilities over all
// orders and hours that gap and cap permit, by backward recursion over the hours
// and the sets of those still waiting. What is best now is best later while
// nothing happens: a later plan looks at the rest of the same recursion.
type sequence struct {
	ready bool
	sum   [1 << maxRivals][maxHours + 1]float32
	kept  [maxRivals]kept // factors behind so many mails
	open  [maxRivals]int64
	gap   int64
}

// kept is what a mail before it leaves of a mail's utility.
type kept struct{ gain, cost float32 }

func (s *sequence) solve(t *table) {
	if t.n < 2 {
		return
	}
	s.gap = int64((t.p.MinGap + time.Second - 1) / time.Second)
	s.limits(t)
	n := t.h.n
	for set := 1; set < 1<<t.n; set++ {
		gone := t.n - bits.OnesCount(uint(set))
		row := &s.sum[set]
		row[n] = s.left(t, set)
		for k := n - 1; k >= 0; k-- {
			_, u := s.act(t, set, gone, k)
			row[k] = max(u, row[k+1])
		}
	}
}

// limits says when the cap opens for the first, the second, … and how much less the
// later ones bring.
func (s *sequence) limits(t *table) {
	o := t.of(&t.row[0])
	x, weight := o.pressure, float32(0)
	for j := range t.n {
		weight += t.row[j].weight / float32(t.n)
	}
	g := gatesOf(t.r)
	for j := range t.n {
		d := weight * float32(j) * o.push
		s.kept[j] = kept{o.prior.Openness(x+d) / o.openness, exp(o.prior.Leaving.UnsubscribeSlope * d)}
		s.open[j] = g.capped(t.r.Now, t.p, j)
	}
}

// capped is when the weekly cap permits one more after so many, in unix seconds.
func (g *Gates) capped(now time.Time, p *Policy, more int) int64 {
	weekly := min(p.WeeklyCap, ringSize)
	switch {
	case weekly <= 0:
		return 0
	case more >= weekly:
		return forever
	}
	bulk, believed := 0, now.Add(clockSlack).Unix()
	for i := int(g.n) - 1; i >= 0; i-- {
		if g.tag[i]&bulkBit == 0 || int64(g.at[i]) > believed {
			continue
		}
		if bulk++; bulk >= weekly-more {
			return int64(g.at[i]) + int64(week/time.Second)
		}
	}
	return 0
}

// left is what those are worth that find no hour: they would pass a gate in the end.
func (s *sequence) left(t *table, set int) (sum float32) {
	for j := range t.n {
		if set>>j&1 != 0 {
			sum -= 1 + t.row[j].value
		}
	}
	return sum
}

// act is who of the set leaves best in the k-th hour, and the utility of that and
// all that follows; -1: nobody may.
func (s *sequence) act(t *table, set, gone, k int) (who int, best float32) {
	who, best = -1, never
	for j := range t.n {
		v := &t.row[j]
		if set>>j&1 == 0 || v.at[k] == 0 || s.open[gone] > t.h.from[0]+int64(v.at[k]-1) {
			continue
		}
		u := t.noisy(v, k)
		if gone > 0 {
			u -= v.gain[k]*(1-s.kept[gone].gain) + (v.gain[k]-v.u[k])*(s.kept[gone].cost-1)
		}
		u += s.sum[set&^(1<<j)][s.behind(t, v, k)]
		if u > best { // rows are in order of priority: of equals the first
			who, best = j, u
		}
	}
	return who, best
}

// behind is the first hour open to those who follow an item that leaves in the k-th.
func (s *sequence) behind(t *table, v *rival, k int) int {
	open := t.h.from[0] + int64(v.at[k]-1) + s.gap
	k += int((open - t.h.from[k]) / 3600)
	for k < t.h.n && t.h.until(k) <= open {
		k++
	}
	return min(k, t.h.n)
}

// turn is when one of the rows leaves, in which hour, and the queue that it leaves
// behind; -1: it finds no hour.
func (t *table) turn(row int) (k int, at int64, q queue) {
	s := &t.seq
	q.gates = gatesOf(t.r)
	if t.n == 1 && row == 0 {
		if k = t.pick(&t.row[0]); k < 0 {
			return -1, 0, q
		}
		return k, t.instant(&t.row[0], k), q
	}
	set, k, free := 1<<t.n-1, 0, int64(0)
	for set != 0 {
		who, hour := s.first(t, set, k)
		if who < 0 {
			return -1, 0, q
		}
		v := &t.row[who]
		at = max(t.instant(v, hour), free)
		if who == row {
			return hour, at, q
		}
		q.at, q.why = time.Unix(at, 0), MinGap
		if t.p.MinGap <= 0 {
			q.why = WeeklyCap
		}
		q.gates.Count(Send{At: q.at, Bulk: true})
		free = at + s.gap
		set, k = set&^(1<<who), s.behind(t, v, hour)
	}
	return -1, 0, q
}

// first is who of the set leaves first, from the k-th hour on, and in which hour:
// the first that is good enough.
func (s *sequence) first(t *table, set, k int) (who, hour int) {
	count := bits.OnesCount(uint(set))
	slack := float32(enough) / float32(count)
	if t.p.Explore > 0 {
		slack = 0
	}
	for ; k < t.h.n; k++ {
		who, u := s.act(t, set, t.n-count, k)
		if best := s.sum[set][k]; who >= 0 && u >= best-slack*max(best, 0) {
			return who, k
		}
	}
	return -1, 0
}

// instant is when an item leaves in the k-th hour.
func (t *table) instant(v *rival, k int) int64 { return t.h.from[0] + int64(v.at[k]-1) }
