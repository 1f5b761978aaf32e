package clock

import "slices"

// Report says what a refit has found: log-loss per event, in nats, of what came
// after the evidence, by the prior before and by the refitted one, on persons kept
// out of that part of the fit.
type Report struct {
	People        int
	Before, After float64
	Adopted       bool // the refitted prior was better and is the one returned
}

// Learner gathers from live traffic what a refit needs, in bounded memory: the
// clocks of some persons, and what came after an earlier state of each. It is not
// locked: one background job owns it. The zero value is ready.
type Learner struct {
	People  int   // at most so many persons are followed, those whose keys hash lowest; 0: 2000
	Horizon int64 // seconds from a state to the one it must foretell; 0: 28 days

	followed map[uint64]*follow
	bar      uint64 // persons whose hash is not below are not followed; 0: everybody is
	moments  []moment
	next     int // of moments to overwrite once there are enough
}

// follow is one person's state at the beginning of the horizon and now.
type follow struct {
	before, now Clock
	id          int
}

// Observe shows the learner a person's clock as of unix second at. The key stands
// for the person. To be called now and then, for instance whenever the profile is
// written; the learner itself picks whom and when.
func (l *Learner) Observe(p *Prior, key uint64, c *Clock, at int64) {
	h := scatter(key)
	if !c.known || l.bar != 0 && h >= l.bar {
		return
	}
	if l.followed == nil {
		l.followed = map[uint64]*follow{}
	}
	f := l.followed[h]
	if f == nil {
		l.followed[h] = &follow{before: *c, now: *c, id: int(h >> 33)}
		l.shrink()
		return
	}
	f.now = *c
	horizon := l.Horizon
	if horizon == 0 {
		horizon = 28 * day
	}
	if at-f.before.last < horizon {
		return
	}
	if m, ok := between(p.audience(c.utc), &f.before, c, f.id); ok {
		l.keep(m)
	}
	f.before = *c
}

// shrink halves the share of persons followed until they fit.
func (l *Learner) shrink() {
	most := l.People
	if most <= 0 {
		most = 2000
	}
	for len(l.followed) > most {
		if l.bar == 0 {
			l.bar = 1 << 63
		} else {
			l.bar >>= 1
		}
		for h := range l.followed {
			if h >= l.bar {
				delete(l.followed, h)
			}
		}
	}
}

// keep stores a moment, over the oldest if there are two for each person.
func (l *Learner) keep(m moment) {
	most := 2 * l.People
	if most <= 0 {
		most = 4000
	}
	if len(l.moments) < most {
		l.moments = append(l.moments, m)
		return
	}
	l.moments[l.next%most] = m
	l.next = (l.next + 1) % most
}

// scatter is a bijective hash.
func scatter(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// between makes a moment of two states of one clock: what was observed and what
// could have been in the time between.
func between(a *audience, before, now *Clock, person int) (m moment, ok bool) {
	if before.utc != now.utc || now.last <= before.last {
		return m, false
	}
	var was, is view
	before.counted(a, &was)
	now.counted(a, &is)
	fade := 1 / grow(now.last-before.last, slowHalf)
	m = moment{person: person, clock: *before, open: !is.steady}
	for q := range 2 {
		for h := range 24 {
			m.next[q][h] = max(0, is.hour[q][h]-fade*was.hour[q][h])
			m.offer[q][h] = offer(is.due[q][h]-fade*was.due[q][h], a.hour[q][h])
		}
	}
	for d := range 7 {
		m.day[d] = max(0, is.day[d]-fade*was.day[d])
		m.offerDay[d] = offer(is.dueDay[d]-fade*was.dueDay[d], a.day[d])
		m.events += m.day[d]
	}
	return m, m.events >= 1
}

// offer is the logarithm of how much of the shared expectation could be seen.
func offer(due, shared float32) float32 {
	return log32(max(due, 1e-4) / max(shared, 1e-6))
}

// Refit fits a prior to what was gathered. What foretells held-out persons worse is
// not adopted, for local and unzoned clocks separately; if neither is, the prior at
// hand is returned. Kernel and the weights of Rate stay as they are.
func (l *Learner) Refit(from *Prior) (*Prior, Report) {
	next := *from
	var all Report
	var moments float64
	for _, utc := range []bool{false, true} {
		s := l.study(from, utc)
		a, r := s.learn()
		all.People += r.People
		if r.After == 0 { // too few
			continue
		}
		if r.Adopted {
			*next.audience(utc) = *a
			all.Adopted = true
		}
		n := float64(len(s.moments))
		all.Before += n * r.Before
		all.After += n * r.After
		moments += n
	}
	if moments > 0 {
		all.Before, all.After = all.Before/moments, all.After/moments
	}
	if !all.Adopted {
		return from, all
	}
	next.Version++
	next.prepare()
	return &next, all
}

// study is what was gathered of local or of UTC clocks, in an order that does not
// depend on the map's.
func (l *Learner) study(from *Prior, utc bool) *study {
	s := newStudy(from.audience(utc), reach(utc))
	hashes := make([]uint64, 0, len(l.followed))
	for h := range l.followed {
		hashes = append(hashes, h)
	}
	slices.Sort(hashes)
	for _, h := range hashes {
		if f := l.followed[h]; f.now.utc == utc {
			s.add(f.id, &f.now)
		}
	}
	for _, m := range l.moments {
		if m.clock.utc == utc {
			s.moments = append(s.moments, m)
		}
	}
	return s
}
