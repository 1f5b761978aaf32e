package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"

	"tidepost/scheduler"
	"tidepost/scheduler/clock"
)

// activeHour is an hour in which a person was seen active.
type activeHour struct {
	local int32 // hours of local time; modulo 168 the hour of the week, Monday 00:00 = 0
	utc   int32 // the same in UTC
}

// activePerson is one person's hours, by local time and each once.
type activePerson struct {
	id    int64
	hours []activeHour
}

// mondayShift makes hours since 1970 begin with a Monday.
const mondayShift = 72

// readActivity reads a recording of activity. Its rows may stand in any order. It
// takes eight bytes an hour.
func readActivity(dir string, note *progressNote) ([]activePerson, error) {
	t, err := openTable(filepath.Join(dir, "active_hours.csv.gz"), note, "person", "utc_min", "tz_min")
	if err != nil {
		return nil, err
	}
	defer t.close()
	var people []activePerson
	numbers := map[int64]int{}
	for {
		ok, err := t.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		id, hour, err := activityRow(t)
		if err != nil {
			return nil, err
		}
		i, ok := numbers[id]
		if !ok {
			i = len(people)
			numbers[id] = i
			people = append(people, activePerson{id: id})
		}
		people[i].hours = append(people[i].hours, hour)
	}
	if len(people) == 0 {
		return nil, fmt.Errorf("%s: no rows", t.name)
	}
	for i := range people {
		people[i].sort()
	}
	slices.SortFunc(people, func(a, b activePerson) int { return int(min(max(a.id-b.id, -1), 1)) })
	return people, nil
}

func activityRow(t *recordedTable) (id int64, hour activeHour, err error) {
	if id, err = t.int(0, math.MinInt64/2, math.MaxInt64/2); err != nil {
		return id, hour, err
	}
	const most = 1 << 32 // minutes: eight thousand years
	at, err := t.int(1, -most, most)
	if err != nil {
		return id, hour, err
	}
	zone, err := t.int(2, -24*60, 24*60)
	if err != nil {
		return id, hour, err
	}
	return id, activeHour{int32(floorDiv(at+zone, 60) + mondayShift), int32(floorDiv(at, 60) + mondayShift)}, nil
}

func floorDiv(a, n int64) int64 {
	q := a / n
	if a%n < 0 {
		q--
	}
	return q
}

// sort orders the hours and drops repetitions of a local one.
func (p *activePerson) sort() {
	slices.SortFunc(p.hours, func(a, b activeHour) int {
		if a.local != b.local {
			return int(a.local) - int(b.local)
		}
		return int(a.utc) - int(b.utc)
	})
	p.hours = slices.CompactFunc(p.hours, func(a, b activeHour) bool { return a.local == b.local })
}

// trained is how many of the hours lie in the first 70 % of the person's own span.
func (p *activePerson) trained() int {
	first, last := p.hours[0].local, p.hours[len(p.hours)-1].local
	cut := float64(first) + 0.7*float64(last-first)
	n, _ := slices.BinarySearchFunc(p.hours, cut, func(h activeHour, cut float64) int {
		if float64(h.local) > cut {
			return 1
		}
		return -1
	})
	return n
}

// scored reports whether the person has enough hours on both sides to be scored.
func (p *activePerson) scored() bool {
	n := p.trained()
	return n >= 20 && len(p.hours)-n >= 10
}

// unix is the moment of the hour, in the middle.
func (h activeHour) unix() int64 { return (int64(h.utc)-mondayShift)*3600 + 1800 }

// week is the hour of the week, local or, where the zone counts as unknown, UTC.
func (h activeHour) week(utc bool) int {
	if utc {
		return int(floorMod(int64(h.utc), clock.Hours))
	}
	return int(floorMod(int64(h.local), clock.Hours))
}

func floorMod(a, n int64) int64 { return a - n*floorDiv(a, n) }

// fitClock fits what persons share on the first 70 % of each one's span.
func fitClock(people []activePerson) *scheduler.Model {
	model := scheduler.BuiltIn()
	var histories []clock.History
	for _, utc := range []bool{false, true} {
		for i := range people[:fitPeople(len(people))] {
			histories = append(histories, people[i].history(utc))
		}
	}
	model.Clock = clock.Fit(histories, model.Clock)
	model.Version, model.Observed = 1, true
	return model
}

// history is what a person's first 70 % show, in local time or as it looks where
// the zone is unknown.
func (p *activePerson) history(utc bool) clock.History {
	hours := make([]int64, p.trained())
	for j := range hours {
		hours[j] = int64(p.hours[j].local)
		if utc {
			hours[j] = int64(p.hours[j].utc)
		}
	}
	return clock.History{Hours: hours, Unzoned: utc}
}

// clockOf lives through hours in order, as the clock of a profile does.
func clockOf(prior *clock.Prior, hours []activeHour, utc bool) (c clock.Clock) {
	if utc {
		c.Unzone()
	}
	for _, h := range hours {
		c.Active(prior, h.unix(), h.week(utc), 1)
	}
	return c
}

// shares is the curve as the share of a person's activity in each hour of the week.
func shares(c *clock.Clock, prior *clock.Prior, out *[clock.Hours]float64) {
	var curve clock.Curve
	c.Curve(prior, &curve)
	sum := 0.0
	for _, v := range curve {
		sum += float64(v)
	}
	for h, v := range curve {
		out[h] = float64(v) / sum
	}
}

// evaluateActivity writes person,h0,…,h167 for each person.
func (e *evaluateCmd) evaluateActivity(w io.Writer, note *progressNote) ([]measured, error) {
	people, err := readActivity(e.Data, note)
	if err != nil {
		return nil, err
	}
	note.say("learning from the first 70 % of each person's time")
	model := fitClock(people)
	out := bufio.NewWriterSize(w, 1<<16)
	out.WriteString("person")
	for h := range clock.Hours {
		fmt.Fprintf(out, ",h%d", h)
	}
	out.WriteByte('\n')
	var score hourScore
	var line []byte
	var p [clock.Hours]float64
	for i := range people {
		person := &people[i]
		n := person.trained()
		c := clockOf(model.Clock, person.hours[:n], false)
		shares(&c, model.Clock, &p)
		line = strconv.AppendInt(line[:0], person.id, 10)
		for _, v := range p {
			line = strconv.AppendFloat(append(line, ','), v, 'g', 7, 64)
		}
		if _, err := out.Write(append(line, '\n')); err != nil {
			return nil, err
		}
		if person.scored() {
			score.add(&p, person.hours[n:], false)
		}
		note.part("predicting", func() float64 { return float64(i) / float64(len(people)) })
	}
	note.done()
	figures := score.measured()
	if e.Deliveries != "" {
		more, err := evaluateDeliveries(e.Deliveries, people, model, note)
		if err != nil {
			return nil, err
		}
		figures = append(figures, more...)
	}
	return figures, out.Flush()
}

// hourScore scores curves by the hours that came: the figures of score.py.
type hourScore struct {
	people, loss      float64
	hit1, hit3, hit24 float64
	rank              [clock.Hours]int // of the person at hand
	order             [clock.Hours]uint8
}

// add scores one person.
func (s *hourScore) add(p *[clock.Hours]float64, came []activeHour, utc bool) {
	for h := range s.order {
		s.order[h] = uint8(h)
	}
	slices.SortStableFunc(s.order[:], func(a, b uint8) int {
		switch {
		case p[a] > p[b]:
			return -1
		case p[a] < p[b]:
			return 1
		}
		return 0
	})
	for rank, h := range s.order {
		s.rank[h] = rank
	}
	n := float64(len(came))
	for _, h := range came {
		week := h.week(utc)
		s.loss -= math.Log(max(p[week], 1e-12)) / n
		rank := s.rank[week]
		for _, hit := range []struct {
			sum  *float64
			best int
		}{{&s.hit1, 1}, {&s.hit3, 3}, {&s.hit24, 24}} {
			if rank < hit.best {
				*hit.sum += 1 / n
			}
		}
	}
	s.people++
}

func (s *hourScore) measured() []measured {
	if s.people == 0 {
		return []measured{{"persons", 0}}
	}
	return []measured{{"persons", s.people}, {"log_loss", s.loss / s.people}, {"hit1", s.hit1 / s.people},
		{"hit3", s.hit3 / s.people}, {"hit24", s.hit24 / s.people}}
}
