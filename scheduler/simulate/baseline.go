package simulate

import "math"

// immediate is a plain relay.
func immediate(*play) (sender, error) {
	return &timer{choose: func(t when, _ *mail) (when, bool) { return t, true }}, nil
}

// tenOClock waits for ten in the morning, as far as the reader's zone is known.
func tenOClock(*play) (sender, error) {
	return &timer{choose: func(t when, m *mail) (when, bool) {
		return nextHour(m, t, func(h int) float64 {
			if h%24 == 10 {
				return 1
			}
			return 0
		}), true
	}}, nil
}

// knownZone is the zone the policies take a person's clock from. Whose zone is
// unknown is taken to live where most do.
func knownZone(p *person) *zone {
	if p.declared {
		return p.home
	}
	where, err := zones()
	if err != nil {
		return p.home
	}
	return where[0]
}

// nextHour is the moment within a mail's window whose hour of the week scores
// most; the first of equals, so that no score at all means now.
func nextHour(m *mail, t when, score func(hourOfWeek int) float64) when {
	z := knownZone(m.person)
	best, at := score(z.hourOfWeek(t)), t
	end := m.at + when(m.campaign.window.Seconds())
	for s := t - t%hour + hour; s < end; s += hour {
		if v := score(z.hourOfWeek(s)); v > best {
			best, at = v, s
		}
	}
	return at
}

// random sends at any hour of the window and drops by lot as many mails as the
// given share.
func random(drop float64) starter {
	return func(p *play) (sender, error) {
		return &timer{choose: func(t when, m *mail) (when, bool) {
			wait := p.audience.lot(m, forHour) * (m.campaign.window.Seconds() - hour)
			return t + when(wait), p.audience.lot(m, forDropping) >= drop
		}}, nil
	}
}

// histogram counts what came back of a person's mail by hour of the day.
type histogram [24]float64

// ownHistogram sends in the hour in which most of a person's mail was opened so
// far: the argmax of raw opens, as naive as it is common.
func ownHistogram(p *play) (sender, error) {
	counts := make([]histogram, len(p.people))
	return &timer{
		choose: func(t when, m *mail) (when, bool) {
			h := &counts[m.person.index]
			return nextHour(m, t, func(hour int) float64 { return h[hour%24] }), true
		},
		hear: func(s *signal) {
			if s.kind == opened && s.human {
				counts[s.mail.person.index][knownZone(s.mail.person).hourOfWeek(s.at)%24]++
			}
		},
	}, nil
}

// sendTime is send-time optimisation as the large relays describe theirs:
// engagement of all tenants' mail pooled by person, of late, smoothed; the best
// hour within the window; at once where little is known.
func sendTime(p *play) (sender, error) {
	people := make([]engagement, len(p.people))
	return &timer{
		choose: func(t when, m *mail) (when, bool) {
			e := &people[m.person.index]
			if e.decay(t); e.total < 3 {
				return t, true
			}
			return nextHour(m, t, func(hour int) float64 { return e.around(hour) }), true
		},
		hear: func(s *signal) {
			if !s.human || s.kind > clicked {
				return
			}
			e := &people[s.mail.person.index]
			e.decay(s.at)
			e.add(knownZone(s.mail.person).hourOfWeek(s.at)%24, 1+float64(s.kind))
		},
	}, nil
}

// engagement is a histogram that forgets within a quarter of a year.
type engagement struct {
	hours histogram
	total float64
	at    when
}

func (e *engagement) add(hour int, weight float64) {
	e.hours[hour] += weight
	e.total += weight
}

func (e *engagement) decay(t when) {
	if t <= e.at {
		return
	}
	keep := math.Exp(-float64(t-e.at) / (90 * day))
	for h := range e.hours {
		e.hours[h] *= keep
	}
	e.total *= keep
	e.at = t
}

// around is the engagement in an hour and beside it.
func (e *engagement) around(h int) float64 {
	return e.hours[(h+23)%24]/4 + e.hours[h%24]/2 + e.hours[(h+1)%24]/4
}
