package simulate

import "context"

// stage is everything the policies of one run have in common.
type stage struct {
	world  *World
	seed   uint64
	weeks  int
	people []*person
	mails  []mail
	kernel kernel
}

func newStage(w *World, seed uint64, people, weeks int) (*stage, error) {
	s := &stage{world: w, seed: seed, weeks: weeks, kernel: newKernel(w.Kernel)}
	var err error
	if s.people, err = populate(w, seed, people, weeks); err != nil {
		return nil, err
	}
	calendar, err := campaigns(seed, weeks)
	if err != nil {
		return nil, err
	}
	s.mails = mails(s.people, calendar)
	return s, nil
}

// play is one policy on a stage.
type play struct {
	*stage
	audience *audience
	sender   sender
	signals  schedule[signal]
	free     []when // when each destination takes the next mail
	pace     []when // time between two mails of a destination; 0: any number at once
	weekly   []Week
	seen     func(m *mail, t when, out *outcome) // for tests; may be nil
}

// starter puts a policy to work.
type starter func(*play) (sender, error)

func (s *stage) play(ctx context.Context, start starter) (*play, error) {
	p := &play{
		stage: s, audience: newAudience(s.world, s.seed, s.kernel, len(s.people)),
		free: make([]when, len(destinations)), pace: make([]when, len(destinations)), weekly: newWeeks(s.weeks),
	}
	p.limit()
	var err error
	if p.sender, err = start(p); err != nil {
		return nil, err
	}
	return p, p.run(ctx)
}

// limit sets the pace of each destination by its share of the people.
func (p *play) limit() {
	if p.world.Capacity <= 0 {
		return
	}
	people := make([]int, len(destinations))
	for _, who := range p.people {
		people[who.domain]++
	}
	for d, n := range people {
		p.pace[d] = when(hour / (p.world.Capacity * float64(max(1, n))))
	}
}

// run hands in mails, carries out what the policy decides and tells it what comes
// back, all in order of time.
func (p *play) run(ctx context.Context) error {
	end := when(p.weeks+afterwards) * weekLong
	for i := 0; ; {
		t := min(p.sender.next(), p.signals.next())
		handed := i < len(p.mails) && p.mails[i].at <= t
		if handed {
			t = p.mails[i].at
		}
		if t >= end {
			return nil
		}
		if err := p.advance(t); err != nil {
			return err
		}
		for p.signals.next() <= t {
			s := p.signals.pop()
			if err := p.sender.learn(t, &s); err != nil {
				return err
			}
		}
		if handed {
			if err := p.accept(t, &p.mails[i]); err != nil {
				return err
			}
			if i++; i%4096 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
}

func (p *play) accept(t when, m *mail) error {
	if p.audience.hasLeft(m.person, m.campaign.topic, t) {
		return nil // the sender's list no longer has them
	}
	p.week(m).Accepted++
	return p.sender.accept(t, m)
}

func (p *play) week(m *mail) *Week { return &p.weekly[min(int(m.at/weekLong), p.weeks-1)] }

func (p *play) advance(t when) error {
	released, err := p.sender.advance(t)
	if err != nil {
		return err
	}
	for _, r := range released {
		switch {
		case r.dropped:
			p.week(r.mail).Dropped++
		case p.audience.hasLeft(r.mail.person, r.mail.campaign.topic, r.at):
			p.week(r.mail).Suppressed++
		default:
			p.deliver(r.mail, p.queue(r.mail.person.domain, r.at))
		}
	}
	return nil
}

// queue is when a destination takes a mail that leaves at t.
func (p *play) queue(domain int, t when) when {
	t = max(t, p.free[domain])
	p.free[domain] = t + p.pace[domain]
	return t
}

func (p *play) deliver(m *mail, t when) {
	out := p.audience.deliver(m, t)
	p.week(m).count(m, t, &out)
	if p.seen != nil {
		p.seen(m, t, &out)
	}
	if out.prefetched != never {
		p.report(m, out.prefetched, opened, out.mistaken)
	}
	if out.read != never && out.visible {
		p.report(m, out.read, opened, true)
	}
	if out.clicked != never {
		p.report(m, out.clicked, clicked, true)
	}
	if out.left != never {
		p.report(m, out.left, unsubscribed, true)
	}
	if out.complained != never {
		p.report(m, out.complained, complained, true)
	}
}

// report lets the policy hear of an outcome: mostly within minutes, at times only
// hours later.
func (p *play) report(m *mail, at when, k kind, human bool) {
	delay := exponential(p.audience.lot(m, forReportDelay+purpose(k)<<8)) * 90
	if p.audience.lot(m, forReport+purpose(k)<<8) < .03 {
		delay *= 200
	}
	p.signals.add(at+when(delay)+1, signal{at, k, m, human})
}
