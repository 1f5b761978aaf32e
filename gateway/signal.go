package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tidepost/scheduler"
	"tidepost/suppression"
	"tidepost/suppression/address"
)

// Signal is something we learned from outside about a mailbox.
type Signal struct {
	Kind    SignalKind
	At      time.Time
	Tenant  string
	Mailbox address.Mailbox
	Message string  // message or delivery that it is about; "": none
	Human   float32 // how sure it is that a person did it, 0 to 1
	Source  string  // who brought it, for people
	Zone    string  // of SignalAttributes: the reader's time zone
}

// SignalKind is what happened.
type SignalKind string

// The kinds of signal.
const (
	SignalOpened       SignalKind = "opened"
	SignalClicked      SignalKind = "clicked"
	SignalViewed       SignalKind = "viewed"    // a page was looked at
	SignalConverted    SignalKind = "converted" // bought, registered
	SignalReplied      SignalKind = "replied"
	SignalActive       SignalKind = "active"
	SignalUnsubscribed SignalKind = "unsubscribed"
	SignalComplained   SignalKind = "complained"
	SignalBounced      SignalKind = "bounced" // for good
	SignalAttributes   SignalKind = "attributes"
)

// evidence is what each kind teaches about a person; opted kinds close a mailbox.
var evidence = map[SignalKind]scheduler.Kind{
	SignalOpened: scheduler.Opened, SignalClicked: scheduler.Clicked,
	SignalViewed: scheduler.Active, SignalConverted: scheduler.Active, SignalReplied: scheduler.Active, SignalActive: scheduler.Active,
	SignalUnsubscribed: scheduler.Unsubscribed, SignalComplained: scheduler.Complained,
}

var closes = map[SignalKind]suppression.Reason{
	SignalUnsubscribed: suppression.Unsubscribe, SignalComplained: suppression.Complaint, SignalBounced: suppression.HardBounce,
}

// ParseSignalKind reads the name of a kind.
func ParseSignalKind(s string) (SignalKind, error) {
	k := SignalKind(s)
	_, teaches := evidence[k]
	_, closing := closes[k]
	if !teaches && !closing && k != SignalAttributes {
		return "", fmt.Errorf("kind %q: want one of opened, clicked, viewed, converted, replied, active, unsubscribed, complained, bounced, attributes", s)
	}
	return k, nil
}

// Learn takes a signal in: it is stored with what it teaches, and what waits for
// the mailbox is planned anew. It reports whether it was news: the same signal
// twice is applied once.
func (g *Gateway) Learn(ctx context.Context, s Signal) (bool, error) {
	if now := g.now(); s.At.IsZero() || s.At.After(now) {
		s.At = now // believed, a clock that is ahead would make all that follows come too late
	}
	if s.Kind == SignalAttributes && zone(s.Zone) == nil {
		return false, fmt.Errorf("timezone %q: want a name like Europe/Berlin", s.Zone)
	}
	id, err := g.about(ctx, &s)
	if err != nil {
		return false, err
	}
	g.Metrics.Signals.Add(1)
	g.heard.beat(g.now())
	audience := g.Tenant(s.Tenant).Audience
	if audience == "" {
		audience = s.Tenant
	}
	k := MailboxKey(audience, s.Mailbox)
	mark := s.mark(k, id)
	if g.applied.Contains(mark) {
		return false, nil
	}
	if reason, ok := closes[s.Kind]; ok {
		if known, err := g.close(ctx, &s, reason); err != nil || known {
			return false, err
		}
	}
	news := false
	err = g.perform(ctx, k, func(t *turn) {
		if again, _ := g.applied.ContainsOrAdd(mark, struct{}{}); again {
			return
		}
		t.durable()
		if t.box.Address == "" { // never heard of: what is learned is kept for its first mail
			t.box.Address, t.box.Audience = s.Mailbox.String(), audience
		}
		news = t.learn(&s, id)
	})
	return news, err
}

// appliedSize is how many signals are remembered to tell a repetition that the
// profile cannot tell: of a visit, or of a mail it has forgotten.
const appliedSize = 100_000

// mark is the same for the same signal.
func (s *Signal) mark(k Key, about DeliveryID) [16]byte {
	message := s.Message
	if !about.Message.IsZero() {
		message = about.String()
	}
	h := sha256.Sum256(fmt.Appendf(nil, "%s %s %d %v %q %q %q", k, s.Kind, s.At.UnixNano(), s.Human, s.Tenant, message, s.Zone))
	return [16]byte(h[:16])
}

// about finds the delivery that a signal speaks of; the zero one where it speaks
// of none, or of one that is forgotten.
func (g *Gateway) about(ctx context.Context, s *Signal) (DeliveryID, error) {
	if s.Message == "" {
		return DeliveryID{}, nil
	}
	if id, err := ParseDeliveryID(s.Message); err == nil {
		return id, nil
	}
	id, err := ParseID(s.Message)
	if err != nil {
		return DeliveryID{}, fmt.Errorf("message %q: want the id that our 250 named, or a delivery as queue list prints it", s.Message)
	}
	b, ok := g.Store.(Browser)
	if !ok {
		return DeliveryID{}, nil
	}
	m, _, err := b.Message(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return DeliveryID{}, nil
	}
	if err != nil {
		return DeliveryID{}, err
	}
	i := slices.IndexFunc(m.Recipients, func(r Recipient) bool { return r.Canonical == s.Mailbox.String() })
	if i < 0 {
		return DeliveryID{}, nil
	}
	return DeliveryID{id, uint32(i)}, nil
}

// close stops further mail: an opt-out from its sender's bulk, or everything to an
// address that does not exist. known: an earlier signal has, and this one names no
// message, so that it tells nothing new.
func (g *Gateway) close(ctx context.Context, s *Signal, reason suppression.Reason) (known bool, err error) {
	scope := suppression.Scope{Kind: suppression.Tenant, Name: s.Tenant}
	if reason == suppression.HardBounce {
		scope = suppression.Scope{}
	}
	e := suppression.Entry{Address: s.Mailbox.String(), Scope: scope, Reason: reason,
		Source: "signal:" + s.Source, Evidence: s.Message, Created: g.now()}
	if s.Message == "" {
		earlier, err := g.closedBy(ctx, &e)
		if err != nil || earlier != nil {
			return earlier != nil && (reason == suppression.HardBounce || e.Created.Sub(earlier.Created) > toldAgain), err
		}
	}
	return false, g.Observe(ctx, e, e.Source)
}

// toldAgain is how long what a signal tells is applied again, lest a stop between the
// entry and the profile had left one of them out. The profile tells repetitions
// apart by itself that long.
const toldAgain = time.Hour

// closedBy is the entry that an earlier signal made and that an entry would repeat,
// or nil.
func (g *Gateway) closedBy(ctx context.Context, e *suppression.Entry) (*suppression.Entry, error) {
	list, ok := g.Store.(Entries)
	if !ok {
		return nil, nil
	}
	entries, err := list.Entries(ctx, e.Address)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(entries, func(old suppression.Entry) bool {
		return old.Scope == e.Scope && old.Reason == e.Reason && old.Removed.IsZero() && old.Expires.IsZero() &&
			strings.HasPrefix(old.Source, "signal:")
	})
	if i < 0 {
		return nil, nil
	}
	return &entries[i], nil
}

// signalDetail is what the event of a signal tells beside its kind.
type signalDetail struct {
	Mailbox  string  `json:"mailbox"`
	Tenant   string  `json:"tenant"`
	Delivery string  `json:"delivery,omitempty"`
	Human    float32 `json:"human"`
	Source   string  `json:"source,omitempty"`

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

// learn applies a signal to the mailbox's profile.
func (t *turn) learn(s *Signal, about DeliveryID) bool {
	detail := signalDetail{Mailbox: t.box.Key.String(), Tenant: s.Tenant, Human: s.Human, Source: s.Source}
	if s.Kind == SignalAttributes {
		before := t.box.Zone
		t.locate(s.Zone)
		if t.box.Zone == before {
			return false
		}
	}
	_, closing := closes[s.Kind]
	if t.now.Sub(s.At) > tooOld && !closing {
		return false
	}
	if kind, ok := evidence[s.Kind]; ok && !t.teach(s, kind, about, &detail) {
		return false
	}
	if !about.Message.IsZero() {
		detail.Delivery = about.String()
	}
	text, _ := json.Marshal(detail) // a struct of plain fields
	kind := EventKind(s.Kind)
	if s.Kind == SignalBounced {
		kind = EventBounceTold // bounced is told of deliveries that we could not make
	}
	t.change.Events = append(t.change.Events, Event{Kind: kind, At: t.now, Name: t.g.eventName(), Detail: string(text)})
	t.replanBulk(DeliveryID{})
	return true
}

// teach shows the profile what a person did, and the models above it.
func (t *turn) teach(s *Signal, kind scheduler.Kind, about DeliveryID, detail *signalDetail) (news bool) {
	tenant := t.g.models.tenant(s.Tenant)
	e := scheduler.Evidence{Kind: kind, At: s.At, Weight: s.Human}
	if !about.Message.IsZero() {
		e.Ref = slotRefOf(about)
	}
	p := t.profile()
	week, did := p.Week, p.Did
	if !p.Observe(tenant.current.Load(), t.box.Location(), t.g.Rules(s.Tenant).Sees, e) {
		return false
	}
	t.keepProfile()
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
