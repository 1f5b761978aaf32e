package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	"tidepost/scheduler"
)

// deliveryWindow is how long a mail of the measurement may be held.
const deliveryWindow = 24 * time.Hour

// longestWait and longestTotal cap the mean hours from delivery and from release to
// reading: of somebody who never shows up again nothing is known but that it was long.
const (
	longestWait  = 168
	longestTotal = 240
)

// deliveryRule picks the hour of delivery for mail released in an hour, for a
// person of whom the first n hours are known.
type deliveryRule func(p *activePerson, known int, profile *scheduler.Profile, release int32) int32

// deliveryScore is what a rule brought.
type deliveryScore struct {
	name             string
	rule             deliveryRule
	hour, wait, both float64
}

// evaluateDeliveries delivers a mail at each recorded moment by each rule, and lets
// the recorded activity tell when its reader next shows up. All of it is in local
// time.
func evaluateDeliveries(path string, people []activePerson, model *scheduler.Model, note *progressNote) ([]measured, error) {
	releases, n, err := readReleases(path, people, note)
	if err != nil {
		return nil, err
	}
	rules := []*deliveryScore{
		{name: "immediate", rule: func(_ *activePerson, _ int, _ *scheduler.Profile, release int32) int32 { return release }},
		{name: "mautic", rule: mauticRule},
		{name: "soonest", rule: plannedRule(model, scheduler.AimSoonest)},
		{name: "hour", rule: plannedRule(model, scheduler.AimHour)},
	}
	for i := range people {
		deliverTo(&people[i], releases[i], model, rules)
		note.part("delivering", func() float64 { return float64(i) / float64(len(people)) })
	}
	note.done()
	figures := []measured{{"deliveries", n}}
	for _, r := range rules {
		figures = append(figures, measured{r.name + " within_1h", r.hour / n}, measured{r.name + " wait_h", r.wait / n}, measured{r.name + " total_h", r.both / n})
	}
	return figures, nil
}

// readReleases reads when mail is released to whom, by place in people.
func readReleases(path string, people []activePerson, note *progressNote) ([][]int32, float64, error) {
	t, err := openTable(path, note, "person", "release_hour")
	if err != nil {
		return nil, 0, err
	}
	defer t.close()
	releases, n := make([][]int32, len(people)), 0
	for {
		ok, err := t.next()
		if err != nil {
			return nil, 0, err
		}
		if !ok {
			break
		}
		id, err := t.int(0, math.MinInt64/2, math.MaxInt64/2)
		if err != nil {
			return nil, 0, err
		}
		hour, err := t.int(1, -1<<30, 1<<30)
		if err != nil {
			return nil, 0, err
		}
		i, ok := slices.BinarySearchFunc(people, id, func(p activePerson, id int64) int { return int(min(max(p.id-id, -1), 1)) })
		if !ok {
			return nil, 0, t.bad(0, fmt.Sprint(id), "no such person in active_hours.csv.gz")
		}
		releases[i] = append(releases[i], int32(hour))
		n++
	}
	if n == 0 {
		return nil, 0, fmt.Errorf("%s: no rows", t.name)
	}
	return releases, float64(n), nil
}

// deliverTo lives through a person's hours and delivers on the way: each decision
// knows what came before it.
func deliverTo(p *activePerson, releases []int32, model *scheduler.Model, rules []*deliveryScore) {
	slices.Sort(releases)
	var profile scheduler.Profile
	known := 0
	for _, release := range releases {
		for ; known < len(p.hours) && p.hours[known].local < release; known++ {
			at := localTime(p.hours[known].local).Add(30 * time.Minute)
			profile.Observe(model, time.UTC, scheduler.SeesFull, scheduler.Evidence{Kind: scheduler.Active, At: at, Weight: 1})
		}
		for _, r := range rules {
			r.add(p, known, release, r.rule(p, known, &profile, release))
		}
	}
}

// localTime is the beginning of a local hour, as if the person lived in UTC.
func localTime(hour int32) time.Time { return time.Unix((int64(hour)-mondayShift)*3600, 0).UTC() }

func (s *deliveryScore) add(p *activePerson, known int, release, delivered int32) {
	next := int32(math.MaxInt32 / 2)
	for _, h := range p.hours[known:] {
		if h.local >= delivered {
			next = h.local
			break
		}
	}
	if next == delivered {
		s.hour++
	}
	s.wait += float64(min(next-delivered, longestWait))
	s.both += float64(min(next-release, longestTotal))
}

// plannedRule is the engine, with the window and an aim.
func plannedRule(model *scheduler.Model, aim scheduler.Aim) deliveryRule {
	only := scheduler.ArmModel
	policy := scheduler.Policy{Zone: time.UTC, MaxHold: deliveryWindow, Live: true, Only: &only, Aim: aim}
	items := make([]scheduler.Item, 1)
	return func(p *activePerson, _ int, profile *scheduler.Profile, release int32) int32 {
		now := localTime(release)
		items[0] = scheduler.Item{ID: mix(uint64(p.id)<<32 + uint64(release)), Accepted: now, Aim: aim, Pressure: newsletterPressure, Weight: 2}
		plan := policy.Plan(&scheduler.Request{Now: now, Zone: time.UTC, Items: items, Mailbox: mix(uint64(p.id)), Profile: profile, Model: model}, 0)
		if plan.Action != scheduler.Hold {
			return release
		}
		return int32(floorDiv(plan.At.Unix(), 3600) + mondayShift)
	}
}

// mauticRule is what Mautic 5 does, for comparison: of the newest 50 interactions in
// 60 days, at least five, the median hour and the three most frequent days; else
// Tuesday, Monday or Thursday at nine.
func mauticRule(p *activePerson, known int, _ *scheduler.Profile, release int32) int32 {
	recent := p.hours[max(0, known-50):known]
	for len(recent) > 0 && recent[0].local < release-60*24 {
		recent = recent[1:]
	}
	hour, days := 9, []int{1, 0, 3}
	if len(recent) >= 5 {
		hour, days = medianHour(recent), frequentDays(recent)
	}
	first := int32(-1)
	for at := release; at < release+int32(deliveryWindow/time.Hour); at++ {
		week := int(floorMod(int64(at), 168))
		if d := week%24 - hour; d != 0 && d != 1 {
			continue
		}
		if slices.Contains(days, week/24) {
			return at
		}
		if first < 0 {
			first = at
		}
	}
	return max(first, release)
}

func medianHour(recent []activeHour) int {
	var hours []int
	for _, h := range recent {
		hours = append(hours, h.week(false)%24)
	}
	slices.Sort(hours)
	return (hours[(len(hours)-1)/2] + hours[len(hours)/2]) / 2
}

func frequentDays(recent []activeHour) []int {
	var count [7]int
	for _, h := range recent {
		count[h.week(false)/24]++
	}
	days := []int{0, 1, 2, 3, 4, 5, 6}
	slices.SortStableFunc(days, func(a, b int) int { return count[b] - count[a] })
	return days[:3]
}
