package simulate

import (
	"math"
	"slices"
)

// audience is what one policy has made of the people: how tired they are and who
// has left. Everything else about them is shared by all policies.
type audience struct {
	world  *World
	seed   uint64
	kernel kernel
	state  []mood
}

// mood is the part of a person that depends on what they were sent.
type mood struct {
	load float64 // mails of late, fading over twelve days
	at   when    // load is as of
	last when    // the last mail came
	gone [tenantCount]when
}

const (
	never    when = math.MaxInt64
	memory        = 12 * day // mean time for which a mail burdens
	crowded       = 20 * hour
	noticing      = 3 * day // nobody leaves over a mail older than this
)

func newAudience(w *World, seed uint64, k kernel, people int) *audience {
	a := &audience{world: w, seed: seed, kernel: k, state: make([]mood, people)}
	for i := range a.state {
		a.state[i].last = -weekLong
		for t := range a.state[i].gone {
			a.state[i].gone[t] = never
		}
	}
	return a
}

// hasLeft reports whether a tenant may no longer write to a person.
func (a *audience) hasLeft(p *person, topic int, t when) bool {
	return t >= a.state[p.index].gone[topics[topic].tenant]
}

// burden is how much mail a person has had of late against what they bear; at 1
// they are at their limit.
func (m *mood) burden(p *person, t when) float64 {
	rest := m.load * math.Exp(-float64(max(0, t-m.at))/memory)
	return rest / (p.tolerance / weekLong * memory)
}

// vigour is what is left of interest under a burden: almost all of it up to the
// limit, a fifth at four times as much.
func vigour(burden float64) float64 {
	const steep, half = 1.1, 2.6
	return (1 + math.Exp(-steep*half)) / (1 + math.Exp(steep*(burden-half)))
}

// elbow is what a mail loses by following another too soon.
func (m *mood) elbow(t when) float64 {
	if t-m.last < crowded {
		return .88
	}
	return 1
}

// eagerness scales attention to a mail: the total it would get is exceeded by its
// lot with the probability that it is never read.
func (a *audience) eagerness(m *mail, t when) float64 {
	p, s := m.person, &a.state[m.person.index]
	return curiosity(m, t) * vigour(a.world.Fatigue*s.burden(p, t)) * a.crowding(s, t)
}

// curiosity is eagerness of the rested.
func curiosity(m *mail, t when) float64 {
	would := m.person.interest(m.campaign.topic, t)
	return -math.Log(1 - min(.93, sigmoid(logit(would)+m.campaign.quality)))
}

func (a *audience) crowding(s *mood, t when) float64 {
	if a.world.Fatigue == 0 {
		return 1
	}
	return s.elbow(t)
}

// annoyance is the probability that a mail makes a person leave, and that it makes
// them complain.
func (a *audience) annoyance(m *mail, t when) (leave, complain float64) {
	p, s := m.person, &a.state[m.person.index]
	burden := min(5, s.burden(p, t))
	bored := 1 - p.interest(m.campaign.topic, t)
	fragile := 1 / (1.5 * p.patience)
	leave = .0008 * fragile * math.Exp(.65*a.world.Temper*burden) * (.5 + 1.5*bored)
	complain = .0001 * fragile * math.Exp(.9*a.world.Temper*burden) * (.4 + 2*bored)
	return min(.2, leave), min(.1, complain)
}

// outcome is what becomes of a delivered mail; never where it does not happen.
type outcome struct {
	prefetched        when // by a machine
	read, clicked     when
	left, complained  when
	mistaken, visible bool // the machine is taken for a human; the human's open is seen
}

// deliver puts a mail into its person's inbox.
func (a *audience) deliver(m *mail, t when) outcome {
	p, s := m.person, &a.state[m.person.index]
	out := outcome{never, never, never, never, never, false, true}
	first := firstVisit(p, t)
	out.read = a.reading(m, t, first)
	if out.read != never && a.lot(m, forClicking) < min(.9, p.clicky) {
		out.clicked = out.read + 40
	}
	a.leaving(m, t, first, &out)
	if p.prefetch {
		a.machine(m, t, &out)
	}
	s.load, s.at, s.last = s.load*math.Exp(-float64(max(0, t-s.at))/memory)+topics[m.campaign.topic].weight, t, t
	return out
}

func (a *audience) lot(m *mail, p purpose) float64 { return lot(a.seed, m.person.index, m.id, p) }

// firstVisit is the index of a person's first visit after t.
func firstVisit(p *person, t when) int {
	i, _ := slices.BinarySearch(p.visits, int32(t)+1)
	return i
}

// reading is when a mail is read: at the visit that lifts the attention it got
// over its lot.
func (a *audience) reading(m *mail, t when, first int) when {
	need := exponential(a.lot(m, forReading)) * m.person.pace / a.eagerness(m, t)
	for _, v := range m.person.visits[first:] {
		age := when(v) - t
		if age >= attention*hour {
			return never
		}
		if need -= a.kernel.at(age); need < 0 {
			return when(v)
		}
	}
	return never
}

// leaving decides whether the mail is the last straw, on the first visit after it.
func (a *audience) leaving(m *mail, t when, first int, out *outcome) {
	visits := m.person.visits
	if first == len(visits) || when(visits[first])-t > noticing {
		return
	}
	leave, complain := a.annoyance(m, t)
	at := when(visits[first]) + 30
	switch {
	case a.lot(m, forComplaining) < complain:
		out.complained = at
	case a.lot(m, forLeaving) < leave:
		out.left = at
	default:
		return
	}
	gone := &a.state[m.person.index].gone[topics[m.campaign.topic].tenant]
	*gone = min(*gone, at)
}

// machine opens a mail before its owner does.
func (a *audience) machine(m *mail, t when, out *outcome) {
	out.prefetched = t + 5 + when(exponential(a.lot(m, forPrefetchDelay))*2400)
	if out.read <= out.prefetched {
		out.prefetched = t + (out.read-t)/2
	}
	out.mistaken = a.lot(m, forMistake) < a.world.Mistaken
	out.visible = a.lot(m, forSight) >= a.world.Hidden
}
