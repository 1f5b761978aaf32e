package main

import (
	"fmt"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler"
	"tidepost/scheduler/simulate"
	"tidepost/suppression/address"
)

// demoSender is the senders, the gateway and the mail server as the simulated world
// sees them: a policy, of which it hears what leaves and when.
type demoSender struct {
	*demo
	begins  time.Time // all times are the gateway's
	letters []demoTrack
	waiting []simulate.Departure // came to the mail server and is not told yet
	weeks   []demoWeek           // the last one is what comes after the campaigns
	ended   int                  // weeks that are over
	sums    demoSums             // at the end of the last week that is over

	passing  func(time.Time) // of the world; hears that time passes
	weekOver func(*demoWeek) error
}

// demoTrack is what became of a letter, as everybody together knows it.
type demoTrack struct {
	letter    *simulate.Letter // nil: not handed in
	id        gateway.DeliveryID
	held      scheduler.Reason // why it did not leave at once; "": it did
	why       scheduler.Decision
	delivered time.Time // zero: not
	read      time.Time // by a human
}

// demoWeek is what happened in one week.
type demoWeek struct {
	number                                  int  // from 1
	after                                   bool // the campaigns are over
	in, held, out                           int
	read, clicked, unsubscribed, complained int
	waiting                                 int            // at its end
	dropped                                 map[string]int // by reason
}

// demoSums are the gateway's own, over all campaigns.
type demoSums struct {
	accepted, delivered, waiting, others int
	dropped                              map[string]int // by reason
}

func newDemoSender(d *demo, stage *simulate.Stage, weeks int) *demoSender {
	s := &demoSender{demo: d, begins: demoTime(stage.Begins()), letters: make([]demoTrack, stage.Letters()), weeks: make([]demoWeek, weeks+1)}
	for i := range s.weeks {
		s.weeks[i].number, s.weeks[i].after = i+1, i == weeks
	}
	return s
}

// Accept hands a letter in over SMTP.
func (s *demoSender) Accept(l *simulate.Letter) error {
	now := demoTime(l.At)
	s.clock.set(now)
	if err := s.clients[l.Tenant].send(l, now); err != nil {
		return fmt.Errorf("handing in a letter of %s: %w", l.Tenant, err)
	}
	t := &s.letters[l.ID]
	t.letter, t.id = l, gateway.DeliveryID{Message: s.ids.last}
	if err := s.step(); err != nil {
		return err
	}
	s.collect()
	w := s.week(now)
	w.in++
	d, err := s.stored(t)
	if err != nil {
		return err
	}
	if d != nil && d.State == gateway.Waiting {
		t.held = scheduler.Reason(d.Reason)
		w.held++
		t.why, err = d.Why()
	}
	return err
}

// stored is the gateway's record of a letter; nil where it keeps none any more.
func (s *demoSender) stored(t *demoTrack) (*gateway.Delivery, error) {
	a, err := address.Parse(demoAddress(t.letter.Person, t.letter.Domain))
	if err != nil {
		return nil, err
	}
	g := s.server.gateway
	box, err := g.Store.Mailbox(s.ctx, gateway.MailboxKey(g.Tenant(t.letter.Tenant).Audience, a.Mailbox()))
	if err != nil {
		return nil, err
	}
	return box.Delivery(t.id), nil
}

var demoSignals = map[scheduler.Kind]gateway.SignalKind{
	scheduler.Opened: gateway.SignalOpened, scheduler.Clicked: gateway.SignalClicked,
	scheduler.Unsubscribed: gateway.SignalUnsubscribed, scheduler.Complained: gateway.SignalComplained,
}

// Learn tells the gateway what a reader, or a machine, did.
func (s *demoSender) Learn(n simulate.News) error {
	t := &s.letters[n.Letter]
	a, err := address.Parse(demoAddress(t.letter.Person, t.letter.Domain))
	if err != nil {
		return err
	}
	signal := gateway.Signal{Kind: demoSignals[n.Kind], At: demoTime(n.At), Tenant: t.letter.Tenant, Mailbox: a.Mailbox(),
		Message: t.id.String(), Source: "demo"}
	if n.Human {
		signal.Human = 1
	}
	if _, err := s.server.gateway.Learn(s.ctx, signal); err != nil {
		return err
	}
	if err := s.step(); err != nil {
		return err
	}
	s.collect()
	return nil
}

// Advance moves the clock.
func (s *demoSender) Advance(t time.Time) ([]simulate.Departure, error) {
	if err := s.advance(demoTime(t)); err != nil {
		return nil, err
	}
	s.passing(t)
	came := s.waiting
	s.waiting = nil
	return came, nil
}

func (s *demoSender) advance(now time.Time) error {
	for end := s.weekEnd(); s.ended < len(s.weeks)-1 && !now.Before(end); end = s.weekEnd() {
		if err := s.moveTo(end.Add(-time.Second)); err != nil {
			return err
		}
		if err := s.endWeek(); err != nil {
			return err
		}
	}
	return s.moveTo(now)
}

// moveTo lets the gateway do what is due on the way.
func (s *demoSender) moveTo(now time.Time) error {
	for {
		due := s.server.gateway.NextDue()
		if due.IsZero() || due.After(now) {
			s.clock.set(now)
			return s.ctx.Err()
		}
		s.clock.set(due)
		if err := s.step(); err != nil {
			return err
		}
		s.collect()
	}
}

// Next is when the gateway, or what has left it, wants attention.
func (s *demoSender) Next() time.Time {
	due := s.server.gateway.NextDue()
	if len(s.waiting) > 0 {
		due = s.waiting[0].At.Add(demoShift)
	}
	if due.IsZero() {
		return due
	}
	return due.Add(-demoShift)
}

// collect takes over what came to the mail server.
func (s *demoSender) collect() {
	for _, c := range s.sink.take() {
		s.letters[c.Letter].delivered = c.At
		s.week(c.At).out++
		s.waiting = append(s.waiting, simulate.Departure{Letter: c.Letter, At: c.At.Add(-demoShift)})
	}
}

// seen hears what a reader will do with a letter.
func (s *demoSender) seen(r simulate.Reading) {
	count := func(t time.Time, n func(*demoWeek) *int) time.Time {
		if t.IsZero() {
			return t
		}
		t = demoTime(t)
		*n(s.week(t))++
		return t
	}
	s.letters[r.Letter].read = count(r.Read, func(w *demoWeek) *int { return &w.read })
	count(r.Clicked, func(w *demoWeek) *int { return &w.clicked })
	count(r.Left, func(w *demoWeek) *int { return &w.unsubscribed })
	count(r.Complained, func(w *demoWeek) *int { return &w.complained })
}

func (s *demoSender) week(t time.Time) *demoWeek {
	return &s.weeks[min(int(t.Sub(s.begins)/(7*24*time.Hour)), len(s.weeks)-1)]
}

// weekEnd is when the week ends that is under way.
func (s *demoSender) weekEnd() time.Time { return s.begins.AddDate(0, 0, 7*(s.ended+1)) }

// endWeek adds up a week and tells of it.
func (s *demoSender) endWeek() error {
	w, sums := &s.weeks[s.ended], s.totals()
	w.waiting = sums.waiting
	w.dropped = map[string]int{}
	for reason, n := range sums.dropped {
		if n -= s.sums.dropped[reason]; n > 0 {
			w.dropped[reason] = n
		}
	}
	s.sums = sums
	s.ended++
	return s.weekOver(w)
}

// finish lets the last weeks pass.
func (s *demoSender) finish(t time.Time) error {
	if err := s.advance(demoTime(t)); err != nil {
		return err
	}
	return s.endWeek()
}

// totals are the sums that `tidepost campaigns` shows, over all of them.
func (s *demoSender) totals() demoSums {
	sums := demoSums{dropped: map[string]int{}}
	campaigns, _ := s.server.store.Totals()
	for _, c := range campaigns {
		sums.accepted += int(c.Accepted)
		sums.delivered += int(c.Delivered)
		sums.waiting += int(c.Waiting)
		sums.others += int(c.Sending + c.Bounced + c.Captured)
		for reason, n := range c.Dropped {
			sums.dropped[reason] += int(n)
		}
	}
	return sums
}

// ask gets a document from the admin API.
func (s *demoSender) ask(path string, out any) error {
	return s.admin.get(s.ctx, path, nil, out)
}
