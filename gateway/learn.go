package gateway

import (
	"context"
	"encoding/json"
	"time"

	"tidepost/scheduler"
	"tidepost/scheduler/evidence"
)

// SignalDetail is what the event of a signal tells beside its kind.
type SignalDetail struct {
	Mailbox  string   `json:"mailbox"`
	Tenant   string   `json:"tenant"`
	Delivery string   `json:"delivery,omitempty"`
	Human    float32  `json:"human"`
	Source   string   `json:"source,omitempty"`
	ID       string   `json:"id,omitempty"`
	Link     string   `json:"link,omitempty"`
	Verdict  string   `json:"verdict,omitempty"` // machine, doubtful or human, where we judged
	Reasons  []string `json:"reasons,omitempty"` // of the verdict
	List     string   `json:"list,omitempty"`
	Soft     bool     `json:"soft,omitempty"`
	Wish     *Wish    `json:"wish,omitempty"`
	Why      Why      `json:"why,omitempty"`
	Bounce   *Bounce  `json:"bounce,omitempty"`

	// For the experiment: its name if it is a named one, the mailbox's arm, the week,
	// and what its owner did for the first time in it (scheduler.Deeds).
	Experiment string `json:"experiment,omitempty"`
	Arm        string `json:"arm,omitempty"`
	Week       uint16 `json:"week,omitempty"`
	New        uint8  `json:"new,omitempty"`
}

// tooOld is the age from which what a person did teaches nothing any more. To a
// profile it would look as if all that it knows were dated wrongly.
const tooOld = 365 * 24 * time.Hour

// hear applies a signal to the mailbox, once.
func (t *turn) hear(s *Signal, about DeliveryID) (news bool) {
	h := t.heard()
	if h.passed(s.Place) {
		return false
	}
	sees := t.mayLearn(s, about)
	if excluded(s, sees) {
		t.g.Metrics.Excluded.Add(1)
		return false
	}
	detail := SignalDetail{Mailbox: t.box.Key.String(), Tenant: s.Tenant, Source: s.Source, ID: s.ID, Link: s.Link,
		List: s.List, Soft: s.Soft, Wish: s.Wish, Why: s.Why, Bounce: s.Bounce}
	if !about.Message.IsZero() {
		detail.Delivery = about.String()
	}
	retract := t.judged(s, about, &detail)
	detail.Human = s.Human
	hash := s.mark(about)
	if h.has(hash) && !retract {
		return false
	}
	if s.Kind == SignalUnsubscribed && s.Why != "" && t.left(s) {
		s.Kind = SignalConsent // the departure is known and told; what may be new is why
		if hash = s.mark(about); h.has(hash) {
			return false
		}
	}
	if t.box.Address == "" { // never heard of: what is learned is kept for its first mail
		t.box.Address, t.box.Audience = s.Mailbox.String(), t.g.audience(s.Tenant)
	}
	if !t.apply(s, about, &detail, sees, retract && t.retract(about, h)) {
		return false
	}
	h.note(s.Place, hash, t.now)
	h.did.signal(s, sees)
	if !s.Kind.Permission() {
		h.did.narrow(max(t.g.Rules(s.Tenant).Sees, t.box.Wishes.Sees))
	}
	if sees >= scheduler.SeesDay {
		h.coarsen()
	}
	if s.Kind == SignalClicked {
		t.g.undo.clicked(about, undone{hash, s.At, s.Human >= 0.5})
	}
	t.keepHeard()
	t.change.Settings = append(t.change.Settings, t.g.heard.unsaved(true)...)
	t.tell1(s, &detail, sees)
	t.replanBulk(DeliveryID{})
	return true
}

// excluded reports whether what the signal tells may not be learned: it is counted,
// and not stored (decision model 2.3). Permission is always heard.
func excluded(s *Signal, sees scheduler.Sees) bool {
	switch s.Kind {
	case SignalOpened:
		return sees == scheduler.SeesNone || sees == scheduler.SeesClick
	case SignalClicked, SignalViewed, SignalConverted, SignalReplied, SignalActive:
		return sees == scheduler.SeesNone
	}
	return false
}

// mayLearn is what may be learned from a signal: what the operator's policy, the mail
// that it is about, as far as that is known, and the mailbox's reader permit.
func (t *turn) mayLearn(s *Signal, about DeliveryID) scheduler.Sees {
	rules := t.g.Rules(s.Tenant)
	sees := max(rules.Sees, t.box.Wishes.Sees)
	if !s.Kind.Permission() {
		sees = max(sees, rules.SeesOf(s.List))
	}
	if m, ok := t.g.rulebooks.messages.cache.Get(about.Message); ok {
		sees = max(sees, rules.SeesOf(m.list), m.sees)
	}
	return sees
}

// recall reads the message that a signal is about where its list may have limits of
// its own; mayLearn finds it then.
func (g *Gateway) recall(ctx context.Context, s *Signal, about DeliveryID) {
	if s.Kind.Permission() || s.List != "" || about.Message.IsZero() || len(g.Rules(s.Tenant).ListSees) == 0 || g.rulebooks.messages.cache.Contains(about.Message) {
		return
	}
	if b, ok := g.Store.(Browser); ok {
		if m, _, err := b.Message(ctx, about.Message); err == nil {
			g.rulebooks.messages.put(m)
		}
	}
}

// apply does what a signal says and reports whether it was news.
func (t *turn) apply(s *Signal, about DeliveryID, detail *SignalDetail, sees scheduler.Sees, retracted bool) bool {
	switch {
	case s.Kind == SignalAttributes:
		before := t.box.Zone
		t.locate(s.Zone)
		return t.box.Zone != before
	case s.Kind == SignalConsent:
		wished := t.wish(s)
		return t.explained(s, about, sees) || wished
	case s.Kind == SignalBounced && s.Soft:
		if t.g.Rules(s.Tenant).SuppressBounces && s.held() {
			t.softBounce(s.evidence(), s.reach())
		}
		return true
	}
	reason, closing := closes[s.Kind]
	if s.Kind == SignalBounced && s.Bounce != nil && !t.g.Rules(s.Tenant).SuppressBounces {
		closing = false
	}
	closed := closing && t.close(s, reason)
	if closing && !closed && s.Message == "" {
		return false // known, and it tells nothing else
	}
	if t.now.Sub(s.At) > tooOld && !closing {
		return false
	}
	kind, ok := teaches[s.Kind]
	if !ok {
		return true
	}
	if t.now.Sub(s.At) > tooOld {
		return true
	}
	explained := t.explained(s, about, sees)
	return t.teach(s, kind, about, detail, sees) || closed || retracted || explained
}

// tell1 writes the event of a signal. Where the reader lets us keep no more than the
// day of the last open, there is none of what they read.
func (t *turn) tell1(s *Signal, detail *SignalDetail, sees scheduler.Sees) {
	if sees == scheduler.SeesDay && !s.Kind.Permission() && s.Kind != SignalAttributes {
		return
	}
	text, _ := json.Marshal(detail) // a struct of plain fields
	kind := EventKind(s.Kind)
	if s.Kind == SignalBounced {
		kind = EventBounceTold // bounced is told of deliveries that we could not make
	}
	t.change.Events = append(t.change.Events, Event{Kind: kind, At: t.now, Name: t.g.eventName(), Detail: string(text)})
}

// teach shows the profile what a person did, and the models above it.
func (t *turn) teach(s *Signal, kind scheduler.Kind, about DeliveryID, detail *SignalDetail, sees scheduler.Sees) (news bool) {
	if kind == scheduler.Opened && s.Human == 0 && detail.Verdict == evidence.Doubtful.String() {
		return false // maybe the reader's program, maybe the reader: it says nothing
	}
	tenant := t.g.models.tenant(s.Tenant)
	e := scheduler.Evidence{Kind: kind, At: s.At, Weight: s.Human}
	if !about.Message.IsZero() {
		e.Ref = slotRefOf(about)
	}
	p := t.profile()
	week, did := p.Week, p.Did
	m, where, before := tenant.current.Load(), t.box.Location(), t.box.Profile
	if kind == scheduler.Clicked && e.Weight > 0 {
		t.g.undo.keep(about, t.box, t.heard().did.click.last, t.now)
	}
	news = p.Observe(m, where, sees, e)
	if kind == scheduler.Active && s.Kind != SignalActive && !about.Message.IsZero() {
		// A page that was looked at, an order, an answer: the click that led there was
		// a person's, whatever it looked like.
		e.Kind = scheduler.Clicked
		news = p.Observe(m, where, sees, e) || news
	}
	if !news {
		return false
	}
	t.keepProfile()
	if kind <= scheduler.Clicked {
		t.g.undo.follow(about, before, t.box.Profile)
	}
	if p.Week != week {
		did = 0
	}
	arm, named := t.g.arm(s.Tenant, t.box.Key, t.now)
	detail.Experiment, detail.Arm, detail.Week, detail.New = named, arm.String(), p.Week, uint8(p.Did&^did)
	var delay time.Duration
	if kind <= scheduler.Clicked && s.Human >= 0.5 {
		tenant.observed()
		delay = t.g.models.delay(about, s.At)
	}
	tenant.watch(t.box.Key, p, s.At, delay)
	return true
}
