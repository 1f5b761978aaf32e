package simulate

import (
	"context"
	"slices"
	"time"

	"tidepost/scheduler"
)

// Outside is a policy that lives outside of this package, such as a whole gateway
// with mail that goes in and out. Time is passed in and never goes back.
type Outside interface {
	// Accept takes a letter that is handed in, at Letter.At.
	Accept(l *Letter) error
	// Learn takes what came back.
	Learn(n News) error
	// Advance lets time pass and returns what left meanwhile, in order of time. What
	// leaves in Accept or Learn is returned by the next Advance.
	Advance(t time.Time) ([]Departure, error)
	// Next is when it wants to be woken; zero: nothing waits.
	Next() time.Time
}

// Letter is a mail of a campaign to one person.
type Letter struct {
	ID     int // from 0
	At     time.Time
	Person int            // from 0
	Zone   *time.Location // of the person; nil: the sender does not know it
	Domain int            // of the person's address, from 0

	Tenant, Class, List string
	Campaign            int // from 0, in order of time
	Window, HalfLife    time.Duration
	Value               float64
}

// Departure is a letter that has left. What is dropped does not depart.
type Departure struct {
	Letter int
	At     time.Time
}

// News is what a sender hears of a letter.
type News struct {
	Heard  time.Time
	At     time.Time // when it happened
	Kind   scheduler.Kind
	Letter int
	Human  bool // as far as the classifier can tell
}

// Reading is what becomes of a letter that has left; a zero time: it does not happen.
type Reading struct {
	Letter                          int
	Read, Clicked, Left, Complained time.Time
}

// Tenants are the names of those who send.
func Tenants() []string { return slices.Clone(tenants[:]) }

// Stage is people, their lots and a calendar of campaigns, on which policies are
// played one after another.
type Stage struct{ *stage }

// NewStage makes the people of a world. The same arguments make the same people.
func NewStage(w World, seed uint64, people, weeks int) (*Stage, error) {
	s, err := newStage(&w, mix(seed), people, weeks)
	return &Stage{s}, err
}

// Begins is the Monday on which the calendar starts.
func (s *Stage) Begins() time.Time { return epoch }

// Ends is when a play is over, some weeks after the last campaign.
func (s *Stage) Ends() time.Time { return when((s.weeks + afterwards) * weekLong).time() }

// Campaigns is how many the calendar has.
func (s *Stage) Campaigns() int {
	n := 0
	for i := range s.mails {
		n = max(n, s.mails[i].campaign.index+1)
	}
	return n
}

// Letters is how many letters the calendar has.
func (s *Stage) Letters() int { return len(s.mails) }

// Relay plays a plain relay, which sends at once.
func (s *Stage) Relay(ctx context.Context) ([]Week, error) {
	p, err := s.play(ctx, immediate)
	if err != nil {
		return nil, err
	}
	return p.weekly, nil
}

// Play plays a policy. seen hears of each letter that reached somebody who has not
// left its sender by then.
func (s *Stage) Play(ctx context.Context, o Outside, seen func(Reading)) ([]Week, error) {
	p, err := s.play(ctx, func(p *play) (sender, error) {
		p.seen = func(m *mail, _ when, out *outcome) {
			seen(Reading{m.id, out.read.orZero(), out.clicked.orZero(), out.left.orZero(), out.complained.orZero()})
		}
		return &outsider{Outside: o, mails: p.mails}, nil
	})
	if err != nil {
		return nil, err
	}
	return p.weekly, nil
}

// orZero is the time; zero for never.
func (w when) orZero() time.Time {
	if w == never {
		return time.Time{}
	}
	return w.time()
}

// outsider is an Outside as a sender.
type outsider struct {
	Outside
	mails []mail
	out   []release
}

func (o *outsider) accept(_ when, m *mail) error {
	topic := &topics[m.campaign.topic]
	l := &Letter{
		ID: m.id, At: m.at.time(), Person: m.person.index, Domain: m.person.domain,
		Tenant: tenants[topic.tenant], Class: topic.class, List: topic.list,
		Campaign: m.campaign.index, Window: m.campaign.window, HalfLife: m.campaign.halfLife, Value: m.campaign.value,
	}
	if m.person.declared {
		l.Zone = m.person.home.location
	}
	return o.Accept(l)
}

func (o *outsider) learn(t when, s *signal) error {
	return o.Learn(News{Heard: t.time(), At: s.at.time(), Kind: kinds[s.kind], Letter: s.mail.id, Human: s.human})
}

func (o *outsider) advance(t when) ([]release, error) {
	left, err := o.Advance(t.time())
	o.out = o.out[:0]
	for _, d := range left {
		o.out = append(o.out, release{at: whenOf(d.At), mail: &o.mails[d.Letter]})
	}
	return o.out, err
}

func (o *outsider) next() when {
	t := o.Next()
	if t.IsZero() {
		return never
	}
	return whenOf(t)
}

// Total adds up weeks.
func Total(weeks []Week) Week { return total(weeks) }
