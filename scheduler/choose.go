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
	end  int64 // see last
	h    hours
	own  outlook
	all  outlook // for what may not use the profile
	spot rival   // the item asked about, where it has no rivals
	row  [maxRivals]rival
	n    int
	set  bool // rows are filled
	seq  sequence
}

// begin takes up a request. The table may have served another: all that is not
// filled in anew before it is looked at is cleared here.
func (t *table) begin(p *Policy, r *Request) {
	t.p, t.r, t.zone = p, r, p.zone(r.Zone)
	t.end, t.h.n, t.n, t.set = 0, 0, 0, false
	t.own.ready, t.all.ready = false, false
}

// outlook is the reader as far as the item may know them.
func (t *table) outlook(it *Item) *outlook {
	own := t.r.Profile != nil && !it.Sensitive && t.r.Sees < SeesNone
	o := &t.all
	if own {
		o = &t.own
	}
	if !o.ready {
		o.view(t.p, t.r, own, t.zone, t.last())
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
	t.h.fill(t.zone, t.p.Quiet, t.r.Now.Unix(), t.last())
}

// last is the end of the last window.
func (t *table) last() int64 {
	if t.end == 0 {
		t.end = t.r.Now.Unix()
		for i := range t.r.Items {
			if it := &t.r.Items[i]; !it.Bypass && !it.Exempt {
				t.end = max(t.end, t.p.end(t.r, it))
			}
		}
	}
	return t.end
}

// rival asks the model about one item.
func (t *table) rival(v *rival, i int) {
	o := t.outlook(&t.r.Items[i])
	v.know(t.p, t.r, i, o)
	v.b = t.p.bounds(t.r, v.item)
	t.span()
	o.foresee(&t.h)
	v.rate(t.p, t.r, &t.h, o)
}

// contend reports whether items of the mailbox stand in each other's way.
func (p *Policy) contend(r *Request) bool {
	return len(r.Items) > 1 && (p.MinGap > 0 || p.WeeklyCap > 0)
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
		if v.best >= 0 && !v.unwanted(t.of(v)) {
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
	return v.u[k] + v.heat()*gumbel(hash(v.noise, uint64(t.h.from[k]/900)))
}

func (v *rival) heat() float32 { return warmth[v.aim] * v.read * v.value }

func (t *table) slack(v *rival) float32 {
	if t.p.Explore > 0 {
		return 0 // what is drawn is drawn
	}
	return slack[v.aim]
}

// pick is the hour in which an item leaves that has no rivals: the first that is
// good enough given those that follow. So a later plan without news picks it too.
func (t *table) pick(v *rival) int {
	slack := t.slack(v)
	chosen, best := -1, float32(never)
	for k := v.last - 1; k >= v.first; k-- {
		if v.at[k] == 0 {
			continue
		}
		u := t.noisy(v, k)
		best = max(best, u)
		if u >= best-slack*max(u, 0) {
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
	sum  [1 << maxRivals][maxHours + 1]float32
	kept [maxRivals]kept // factors behind so many mails
	open [maxRivals]int64
	gap  int64
}

// kept is what a mail before it leaves of a mail's utility.
type kept struct{ gain, cost float32 }

func (s *sequence) solve(t *table) {
	if t.n < 2 {
		return
	}
	s.gap = int64((t.p.MinGap + time.Second - 1) / time.Second)
	s.limits(t)
	first, last := t.h.n, 0
	for j := range t.n {
		v := &t.row[j]
		first, last = min(first, v.first), max(last, v.last)
		s.follow(t, v)
	}
	for set := 1; set < 1<<t.n; set++ {
		s.fill(t, set, first, last)
	}
}

// blank stands in for the order of a single row, for whom it was not solved: for
// those that have no hour, the row goes first only where it brings nothing.
func (s *sequence) blank(v *rival) {
	s.gap, s.kept[0] = 0, kept{}
	s.sum[1] = [maxHours + 1]float32{}
	v.noisy, v.after = [maxHours]float32{}, [maxHours]uint8{}
}

// fill makes the sums of one set, given those of its subsets.
func (s *sequence) fill(t *table, set, first, last int) {
	gone := t.n - bits.OnesCount(uint(set))
	open := int32(0)
	if gone > 0 {
		open = int32(min(max(s.open[gone]-t.h.from[0], 0), 1<<31-2)) + 1
	}
	row, best := &s.sum[set], s.left(t, set)
	for k := first; k <= t.h.n; k++ {
		row[k] = best
	}
	for left := set; left != 0; left &= left - 1 {
		j := bits.TrailingZeros8(uint8(left))
		s.raise(row, &s.sum[set&^(1<<j)], &t.row[j], open, gone)
	}
	for k := last - 1; k >= first; k-- {
		if row[k] > best {
			best = row[k]
		} else {
			row[k] = best
		}
	}
	for k := range first {
		row[k] = best
	}
}

// raise enters what it brings in each hour that an item leaves and the rest follow.
func (s *sequence) raise(row, rest *[maxHours + 1]float32, v *rival, open int32, gone int) {
	gain, cost := 1-s.kept[gone].gain, s.kept[gone].cost-1
	if gone == 0 {
		gain, cost = 0, 0
	}
	for k := v.first; k < v.last; k++ {
		at := v.at[k]
		if at == 0 || at < open {
			continue
		}
		u := v.noisy[k] - v.gain[k]*gain - (v.gain[k]-v.u[k])*cost + rest[v.after[k]]
		if u > row[k] {
			row[k] = u
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
	lost := kept{1 - s.kept[gone].gain, s.kept[gone].cost - 1}
	for j := range t.n {
		v := &t.row[j]
		if set>>j&1 == 0 || v.at[k] == 0 || gone > 0 && t.instant(v, k) < s.open[gone] {
			continue
		}
		u := v.noisy[k] - v.gain[k]*lost.gain - (v.gain[k]-v.u[k])*lost.cost + s.sum[set&^(1<<j)][v.after[k]]
		if u > best { // rows are in order of priority: of equals the first
			who, best = j, u
		}
	}
	return who, best
}

// follow finds for each hour in which an item may leave the first hour open to those
// behind it.
func (s *sequence) follow(t *table, v *rival) {
	next, shift := v.first, t.h.from[0]-1+s.gap
	for k := v.first; k < v.last; k++ {
		if v.at[k] == 0 {
			continue
		}
		open := int64(v.at[k]) + shift
		for next = max(next, k); next < t.h.n && t.h.until(next) <= open; {
			next++
		}
		v.noisy[k], v.after[k] = t.noisy(v, k), uint8(next)
	}
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
	if t.n == 1 {
		s.blank(&t.row[0])
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
		set, k = set&^(1<<who), int(v.after[hour])
	}
	return -1, 0, q
}

// first is who of the set leaves first, from the k-th hour on, and in which hour:
// the first that is good enough.
func (s *sequence) first(t *table, set, k int) (who, hour int) {
	count := bits.OnesCount(uint(set))
	for ; k < t.h.n; k++ {
		who, u := s.act(t, set, t.n-count, k)
		if who >= 0 && u >= s.sum[set][k]-t.slack(&t.row[who])*max(t.row[who].u[k], 0) {
			return who, k
		}
	}
	return -1, 0
}

// instant is when an item leaves in the k-th hour.
func (t *table) instant(v *rival, k int) int64 { return t.h.from[0] + int64(v.at[k]-1) }
