package gateway

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"crypto/sha256"

	"tidepost/gateway/bounce"
	"tidepost/scheduler"
	"tidepost/scheduler/evidence"
	"tidepost/suppression"
	"tidepost/suppression/address"
)

// Signal is something we learned from outside about a mailbox.
type Signal struct {
	ID      string // the bringer's own; with Source it tells a repetition; "": none
	Kind    SignalKind
	At      time.Time // zero: now
	Tenant  string
	Mailbox address.Mailbox
	Message string  // message or delivery that it is about; "": none
	Human   float32 // how sure it is that a person did it, 0 to 1; not asked where Seen is set
	Source  string  // who brought it, for people
	Own     bool    // its bringer speaks for its own tenant: what it says of an address that the tenant has not written to concerns nobody else
	Link    string  // of a click: which of the mail's links
	Zone    string  // of SignalAttributes: the reader's time zone
	List    string  // of SignalUnsubscribed: this List-Id alone, "" for all bulk of the tenant; of others, the mail's, where that is known
	Soft    bool    // of SignalBounced: not for good
	Wish    *Wish   // of SignalConsent
	Forward string  // of SignalUnsubscribed: the sender's own one-click URL, to be called afterwards; "": none
	Why     Why     // of SignalUnsubscribed and SignalConsent: what the reader said, "" where nothing
	Bounce  *Bounce // of SignalBounced and SignalComplained: what the report says; nil: it is not known

	// Seen is the request behind an open or a click, to be judged; nil: Human is
	// believed. What the bringer cannot know is filled in.
	Seen  *evidence.Request
	Place Place // where in the stream it stood
}

// Bounce is what a report says of mail that came back.
type Bounce struct {
	Status   string       `json:"status,omitempty"`   // RFC 3463
	Code     string       `json:"code,omitempty"`     // SMTP reply, three digits
	Group    bounce.Group `json:"group,omitempty"`    // "": not told
	Text     string       `json:"text,omitempty"`     // what the far side said, at most 500 bytes
	Feedback string       `json:"feedback,omitempty"` // of a complaint: abuse, fraud, … (RFC 5965 §7.3)
	Match    MatchedBy    `json:"match,omitempty"`    // how its mail was found
}

// Why is what readers say when they leave.
type Why string

// What readers say.
const (
	WhyOften      Why = "often"      // too many mails
	WhyIrrelevant Why = "irrelevant" // not about what they care for
	WhyDone       Why = "done"       // no longer interested at all
)

// Wish is what a reader asks for about their mail; zero fields say nothing.
type Wish struct {
	Evidence string    // none, day, click or full: what may be learned from
	Until    time.Time // no bulk before
	PerWeek  int       // at most so many bulk mails a week
	Resume   bool      // ends an earlier pause and limit
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
	SignalBounced      SignalKind = "bounced"
	SignalAttributes   SignalKind = "attributes"
	SignalConsent      SignalKind = "consent"
)

// teaches is what each kind teaches about a person; those in closes stop mail.
var teaches = map[SignalKind]scheduler.Kind{
	SignalOpened: scheduler.Opened, SignalClicked: scheduler.Clicked,
	SignalViewed: scheduler.Active, SignalConverted: scheduler.Active, SignalReplied: scheduler.Active, SignalActive: scheduler.Active,
	SignalUnsubscribed: scheduler.Unsubscribed, SignalComplained: scheduler.Complained,
}

var closes = map[SignalKind]suppression.Reason{
	SignalUnsubscribed: suppression.Unsubscribe, SignalComplained: suppression.Complaint, SignalBounced: suppression.HardBounce,
}

// SignalKinds are all kinds, in the order in which they are told.
func SignalKinds() []SignalKind {
	return []SignalKind{SignalOpened, SignalClicked, SignalViewed, SignalConverted, SignalReplied, SignalUnsubscribed,
		SignalComplained, SignalBounced, SignalActive, SignalAttributes, SignalConsent}
}

func signalKinds() []string {
	var names []string
	for _, k := range SignalKinds() {
		names = append(names, string(k))
	}
	return names
}

// Permission reports whether the kind says what may be sent at all: such signals go
// before all others (design rule 10).
func (k SignalKind) Permission() bool {
	_, closing := closes[k]
	return closing || k == SignalConsent
}

// ParseSignalKind reads the name of a kind.
func ParseSignalKind(s string) (SignalKind, error) {
	if !slices.Contains(SignalKinds(), SignalKind(s)) {
		return "", fmt.Errorf("kind %q: want one of %s", s, strings.Join(signalKinds(), ", "))
	}
	return SignalKind(s), nil
}

// Learn takes a signal in: when it returns, what it says is stored, and what waits
// for the mailbox is planned anew or dropped. It reports whether it was news: the
// same signal twice is applied once.
func (g *Gateway) Learn(ctx context.Context, s Signal) (news bool, err error) {
	k, about, err := g.take(ctx, &s)
	if err != nil {
		return false, err
	}
	err = g.perform(ctx, k, func(t *turn) {
		t.durable()
		news = t.hear(&s, about)
	})
	if err == nil && news && s.everywhere() {
		err = g.replanAddress(ctx, s.Mailbox, k)
	}
	return news, err
}

// Hear is Learn for a stream: it returns before the signal is applied, and signals
// of one mailbox are applied in the order of the calls. done hears of it; what
// permission says is durable then, the rest with the next SaveStreamCursor.
func (g *Gateway) Hear(s Signal, done func(news bool, err error)) {
	ctx := context.Background()
	k, about, err := g.take(ctx, &s)
	if err != nil {
		done(false, err)
		return
	}
	news := false
	st := step{key: k, do: func(t *turn) {
		if s.Kind.Permission() {
			t.durable()
		}
		news = t.hear(&s, about)
	}, done: func(err error) {
		if err == nil && news && s.everywhere() {
			go func() { done(news, g.replanAddress(ctx, s.Mailbox, k)) }() // needs the owner, who is calling
			return
		}
		done(news, err)
	}}
	select {
	case g.shards[int(k[0])%shards].steps <- st:
	case <-g.stopped:
		done(false, errShutdown)
	}
}

// everywhere reports whether the signal concerns the address in every audience.
func (s *Signal) everywhere() bool { return s.Kind == SignalBounced && !s.Soft && !s.Own }

// reach is whom a bounce concerns: everybody, or the tenant whose word alone it is.
func (s *Signal) reach() suppression.Scope {
	if s.Own {
		return suppression.Scope{Kind: suppression.Tenant, Name: s.Tenant}
	}
	return suppression.Scope{}
}

// take checks a signal and finds what it is about.
func (g *Gateway) take(ctx context.Context, s *Signal) (Key, DeliveryID, error) {
	if now := g.now(); s.At.IsZero() || s.At.After(now) {
		s.At = now // believed, a clock that is ahead would make all that follows come too late
	}
	if s.Kind == SignalAttributes && zone(s.Zone) == nil {
		return Key{}, DeliveryID{}, fmt.Errorf("timezone %q: want a name like Europe/Berlin", s.Zone)
	}
	if s.Kind == SignalBounced && !s.held() {
		s.Soft = true // about us or this mail: the address is as good as before
	}
	about, err := g.about(ctx, s)
	if err != nil {
		return Key{}, DeliveryID{}, err
	}
	if s.Own && s.Kind == SignalBounced {
		s.Own = !g.wroteTo(ctx, s, about)
	}
	g.recall(ctx, s, about)
	g.Metrics.Signals.Add(1)
	g.heard.beat(g.now())
	return MailboxKey(g.audience(s.Tenant), s.Mailbox), about, nil
}

// wroteTo reports whether a delivery was the tenant's, to that mailbox. What cannot be
// read now is not believed of others.
func (g *Gateway) wroteTo(ctx context.Context, s *Signal, about DeliveryID) bool {
	if about.Message.IsZero() {
		return false
	}
	m, err := g.delivered(ctx, about, ByToken)
	return err == nil && m.Tenant == s.Tenant && m.Mailbox == s.Mailbox
}

// audience is whose profiles and opt-outs a tenant's mail shares.
func (g *Gateway) audience(tenant string) string {
	if a := g.Tenant(tenant).Audience; a != "" {
		return a
	}
	return tenant
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

// mark is the same for the same signal. Opens and clicks are the same by delivery
// and link, whoever brings them; but what a machine did first, a person may do
// later. So is why a reader left, by the mail that they left at. Others are the same by
// their bringer's id, or else by all that they say.
func (s *Signal) mark(about DeliveryID) uint32 {
	var b []byte
	switch {
	case (s.Kind == SignalOpened || s.Kind == SignalClicked) && !about.Message.IsZero():
		b = fmt.Appendf(nil, "%s %s %q %t", s.Kind, about, s.Link, s.Human > 0)
	case s.Kind == SignalConsent && s.Why != "" && s.Wish == nil && !about.Message.IsZero():
		b = fmt.Appendf(nil, "why %s %q %s", about, s.List, s.Why)
	case s.ID != "":
		b = fmt.Appendf(nil, "id %s %q %q %q", s.Kind, s.Tenant, s.Source, s.ID)
	default:
		message := s.Message
		if !about.Message.IsZero() {
			message = about.String()
		}
		b = fmt.Appendf(nil, "%s %d %v %q %q %q %q %q %t %+v", s.Kind, s.At.UnixNano(), s.Human, s.Tenant, message, s.Zone, s.Link, s.List, s.Soft, s.Wish)
		if s.Why != "" {
			b = fmt.Appendf(b, " %s", s.Why)
		}
	}
	h := sha256.Sum256(b)
	return binary.BigEndian.Uint32(h[:])
}
