package clock

import "math"

// History is one person's active hours as slot numbers, ascending; slot%168 is the
// hour of the week. It is the unit of fitting.
type History struct {
	Hours   []int64
	Unzoned bool // slots are of UTC because the person's zone is unknown
}

const (
	fewPeople = 30   // fewer teach nothing about an audience
	maxPeople = 3000 // more are thinned out, for time and memory
	folds     = 4
)

// moment is what was known of a person at some time, and what came after.
type moment struct {
	person int
	clock  Clock
	next   [2][24]float32 // events after it, by part of the week and hour
	day    [7]float32
	events float32

	open     bool // not every hour could show an event
	offer    [2][24]float32
	offerDay [7]float32
}

// Fit learns an audience from histories: shared curve, shapes and weights. The
// weights are learned on how well the earlier part of a history foretells the
// later, with shapes from other persons. Where data are few, or do no better, the
// part of from stays.
func Fit(people []History, from *Prior) *Prior {
	next := *from
	changed := false
	for _, utc := range []bool{false, true} {
		s := newStudy(from.audience(utc), reach(utc))
		for i := range people {
			if people[i].Unzoned == utc && (len(people) <= maxPeople || i%(len(people)/maxPeople+1) == 0) {
				s.history(from, &people[i])
			}
		}
		if a, r := s.learn(); r.Adopted {
			*next.audience(utc) = *a
			next.come = s.learnCome(&next)
			changed = true
		}
	}
	if !changed {
		return from
	}
	next.Version++
	next.prepare()
	return &next
}

// reach is by how many hours a shape may be shifted.
func reach(utc bool) int {
	if utc {
		return 12
	}
	return 4
}

// study is the material from which one audience is learned.
type study struct {
	from    *audience
	reach   int
	now     []Clock               // each person's latest state
	ids     []int                 // of the persons: what they are modulo folds is their fold
	counts  [folds][Hours]float64 // events, weighted by person; empty unless histories were given
	moments []moment
	seen    []appearance
}

func newStudy(from *audience, reach int) *study { return &study{from: from, reach: reach} }

// cuts are the shares of a history's span at which it is divided into known and
// to come, and ahead the share of the known span that is looked ahead.
var cuts = [4]float64{.3, .5, .65, .8}

const ahead = .6

// few are the numbers of events after which a history is divided as well, so that
// little evidence is weighed right too.
var few = [3]int{3, 8, 20}

// history adds a person's history.
func (s *study) history(p *Prior, h *History) {
	n := len(h.Hours)
	if n < 20 {
		return
	}
	first, last := h.Hours[0], h.Hours[n-1]
	person := len(s.now)
	c := Clock{utc: h.Unzoned}
	cut, small := 0, 0
	look := first + int64(startLooking*float64(last-first))
	every := max(24, (last-look)/perPerson) | 1 // odd: all hours have their turn
	look += int64(person * 5 % 24)
	for i, slot := range h.Hours {
		for cut < len(cuts) && float64(slot-first) > cuts[cut]*float64(last-first) {
			known := cuts[cut] * float64(last-first)
			s.divide(person, &c, h.Hours[i:], first+int64(known*(1+ahead)))
			cut++
		}
		if small < len(few) && i == few[small] {
			s.divide(person, &c, h.Hours[i:], slot+(last-first)/3)
			small++
		}
		for ; look <= slot; look += every {
			s.watch(&c, h.Hours[i:], look, last)
		}
		c.Active(p, (slot-72)*3600, int(slot%Hours), 1)
		s.counts[person%folds][wrap(int(slot%Hours))] += 1 / math.Sqrt(float64(n))
	}
	s.add(person, &c)
}

// add adds a person's latest state.
func (s *study) add(id int, c *Clock) {
	s.now, s.ids = append(s.now, *c), append(s.ids, id)
}

// divide adds a moment: the clock as it is, and the events up to slot end.
func (s *study) divide(person int, c *Clock, later []int64, end int64) {
	m := moment{person: person, clock: *c}
	for _, slot := range later {
		if slot > end {
			break
		}
		h := wrap(int(slot % Hours))
		m.next[partOf[h/24]][h%24]++
		m.day[h/24]++
		m.events++
	}
	if m.events >= 8 && c.known {
		s.moments = append(s.moments, m)
	}
}

// learn fits the audience and compares it with the old one. Each moment's inputs
// are made with shapes, and judged with weights, learned from other persons.
func (s *study) learn() (*audience, Report) {
	r := Report{People: len(s.now)}
	if len(s.now) < fewPeople || len(s.moments) < fewPeople {
		return s.from, r
	}
	var parts [folds]choices
	for f := range parts {
		parts[f] = s.choices(s.shared(f), f)
	}
	var all choices
	for f := range parts {
		var others choices
		for o := range parts {
			if o != f {
				others.join(&parts[o])
			}
		}
		judge := *s.from
		others.weigh(&judge)
		r.After += parts[f].loss(&judge)
		all.join(&parts[f])
	}
	old := s.choices(s.from, -1)
	r.Before = old.loss(s.from) / float64(len(s.moments))
	r.After /= float64(len(s.moments))
	r.Adopted = r.After < r.Before
	if !r.Adopted {
		return s.from, r
	}
	a := s.shared(-1)
	all.weigh(a)
	return a, r
}

// shared fits curve and shapes on all persons but those of the fold left out.
func (s *study) shared(leftOut int) *audience {
	a := *s.from
	people := make([]evidence, 0, len(s.now))
	for i := range s.now {
		if s.ids[i]%folds != leftOut {
			people = append(people, a.gather(&s.now[i]))
		}
	}
	if s.counted() {
		s.learnCurve(&a, leftOut)
	} else {
		a.moveCurve(people)
	}
	a.prepare()
	for i, j := 0, 0; i < len(s.now); i++ {
		if s.ids[i]%folds != leftOut {
			people[j] = a.gather(&s.now[i])
			j++
		}
	}
	a.learnShapes(people, s.reach)
	a.prepare()
	return &a
}

// curveMass is how many roots of a person's events the old curve counts for.
const curveMass = 100

// counted reports whether there are counts by hour of the week.
func (s *study) counted() bool { return s.counts != [folds][Hours]float64{} }

// learnCurve moves the shared curve to what was counted.
func (s *study) learnCurve(a *audience, leftOut int) {
	var total float64
	var count [Hours]float64
	for f := range s.counts {
		if f == leftOut {
			continue
		}
		for h, n := range s.counts[f] {
			count[h] += n
			total += n
		}
	}
	for h := range a.curve {
		g := float64(s.from.curve[h]) / Hours
		a.curve[h] = float32((count[h] + curveMass*g) / (total + curveMass) * Hours)
	}
}

// moveCurve moves the shared curve by what was observed against what was expected,
// by part of the week and hour, and by day.
func (a *audience) moveCurve(people []evidence) {
	var t tally
	for i := range people {
		t.add(&people[i], 0, 0, people[i].weight)
	}
	o, chance := &t.o[0], &t.chance[0]
	var total float32
	for i := range a.curve {
		d, h := i/24, partOf[i/24]*24+i%24
		hours := curveMass * a.hour[partOf[d]][i%24]
		days := curveMass * a.day[d]
		a.curve[i] *= (o[h] + hours) / (chance[h]*a.hour[partOf[d]][i%24] + hours)
		a.curve[i] *= (o[48+d] + days) / (chance[48+d]*a.day[d] + days)
		total += a.curve[i]
	}
	for i := range a.curve {
		a.curve[i] *= Hours / total
	}
}
