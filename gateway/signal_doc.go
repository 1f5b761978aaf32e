package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"tidepost/gateway/bounce"
	"tidepost/scheduler"
	"tidepost/scheduler/evidence"
	"tidepost/suppression/address"
)

// MaxSignal is the longest document of a signal, in bytes.
const MaxSignal = 64 << 10

// Longest texts of a signal, in bytes.
const (
	maxSignalID   = 200
	maxSignalLink = 2000
	maxSignalName = 255
	maxBounceText = 500
)

// SignalDoc is a signal as it travels in JSON: over NATS, in the admin API and in
// files. gateway/bus/schema/signal.json says what each field means.
type SignalDoc struct {
	ID      string          `json:"id,omitempty"`
	Kind    string          `json:"kind,omitempty"`
	At      time.Time       `json:"at,omitzero"`
	Mailbox string          `json:"mailbox"`
	Tenant  string          `json:"tenant,omitempty"`
	Message string          `json:"message,omitempty"`
	Source  string          `json:"source,omitempty"`
	Human   *float32        `json:"human,omitempty"`
	Zone    string          `json:"timezone,omitempty"` // short for data.timezone
	Data    json.RawMessage `json:"data,omitempty"`
}

// signalData is what a signal may say beside that, each kind its own part.
type signalData struct {
	// opened, clicked
	Link      string `json:"link"`
	UserAgent string `json:"user_agent"`
	IP        string `json:"ip"`
	Method    string `json:"method"`
	// unsubscribed, consent
	List string `json:"list"`
	Why  Why    `json:"why"`
	// bounced, complained
	Hard *bool `json:"hard"`
	Bounce
	// attributes
	Zone string `json:"timezone"`
	// consent
	Evidence string    `json:"evidence"`
	Until    time.Time `json:"until"`
	PerWeek  int       `json:"per_week"`
	Resume   bool      `json:"resume"`
}

// SignalError says what of a signal is wrong and what to write instead.
type SignalError struct{ Field, Problem, Remedy string }

func (e *SignalError) Error() string { return e.Field + " " + e.Problem + ": " + e.Remedy }

// Signal checks every field. The error is a *SignalError.
func (d *SignalDoc) Signal() (Signal, error) {
	s := Signal{ID: d.ID, At: d.At, Tenant: d.Tenant, Message: d.Message, Human: 1, Source: d.Source, Zone: d.Zone}
	kind, err := ParseSignalKind(d.Kind)
	if err != nil {
		return s, &SignalError{"kind", "is unknown", "write one of " + strings.Join(signalKinds(), ", ")}
	}
	a, err := address.Parse(d.Mailbox)
	if err != nil {
		return s, &SignalError{"mailbox", "is no address", "write it as reader@example.com"}
	}
	s.Kind, s.Mailbox = kind, a.Mailbox()
	for _, check := range []func(*Signal) error{d.checkTexts, d.checkHuman, d.checkMessage, d.takeData} {
		if err := check(&s); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (d *SignalDoc) checkTexts(*Signal) error {
	for _, text := range []struct {
		field, value string
		limit        int
	}{{"id", d.ID, maxSignalID}, {"tenant", d.Tenant, maxSignalName}, {"source", d.Source, 64}} {
		if len(text.value) > text.limit || strings.ContainsFunc(text.value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return &SignalError{text.field, "is too long or has control characters", fmt.Sprintf("write at most %d plain characters", text.limit)}
		}
	}
	if d.Tenant == "" {
		return &SignalError{"tenant", "is missing", "say whose mail it is about"}
	}
	return nil
}

func (d *SignalDoc) checkHuman(s *Signal) error {
	if d.Human == nil {
		return nil
	}
	if h := float64(*d.Human); !(h >= 0 && h <= 1) || math.IsNaN(h) {
		return &SignalError{"human", "is out of range", "write how sure it is that a person did it, from 0 to 1"}
	}
	s.Human = *d.Human
	return nil
}

func (d *SignalDoc) checkMessage(s *Signal) error {
	if d.Message == "" {
		return nil
	}
	_, delivery := ParseDeliveryID(d.Message)
	_, message := ParseID(d.Message)
	if delivery != nil && message != nil {
		return &SignalError{"message", "is no id", "write the id that our 250 named, or a delivery as queue list prints it"}
	}
	return nil
}

// takeData reads what the kind says beside the common fields.
func (d *SignalDoc) takeData(s *Signal) error {
	var x signalData
	if len(d.Data) > 0 && !bytes.Equal(d.Data, []byte("null")) {
		if err := json.Unmarshal(d.Data, &x); err != nil {
			return &SignalError{"data", "cannot be read: " + err.Error(), "see schema/signal.json"}
		}
	}
	switch s.Kind {
	case SignalOpened, SignalClicked:
		return x.seen(d, s)
	case SignalUnsubscribed:
		if len(x.List) > maxSignalName {
			return &SignalError{"data.list", "is too long", "write the List-Id, without brackets"}
		}
		s.List = x.List
		return x.why(s)
	case SignalBounced:
		s.Soft = x.Hard != nil && !*x.Hard
		return x.bounce(s)
	case SignalComplained:
		return x.bounce(s)
	case SignalAttributes:
		if s.Zone == "" {
			s.Zone = x.Zone
		}
		if zone(s.Zone) == nil {
			return &SignalError{"timezone", "is unknown", "write a name like Europe/Berlin"}
		}
	case SignalConsent:
		if len(x.List) > maxSignalName {
			return &SignalError{"data.list", "is too long", "write the List-Id, without brackets"}
		}
		s.List = x.List
		if err := x.why(s); err != nil {
			return err
		}
		return x.wish(s)
	}
	return nil
}

// seen takes what a bringer that does not judge saw of a request.
func (x *signalData) seen(d *SignalDoc, s *Signal) error {
	if len(x.Link) > maxSignalLink || len(x.UserAgent) > maxSignalLink {
		return &SignalError{"data", "has a text that is too long", fmt.Sprintf("write at most %d bytes", maxSignalLink)}
	}
	s.Link = x.Link
	if d.Human != nil || x.UserAgent == "" && x.IP == "" && x.Method == "" {
		return nil
	}
	var from netip.Addr
	if x.IP != "" {
		var err error
		if from, err = netip.ParseAddr(x.IP); err != nil {
			return &SignalError{"data.ip", "is no address", "write it as 192.0.2.1 or 2001:db8::1"}
		}
	}
	action := evidence.Open
	if s.Kind == SignalClicked {
		action = evidence.Click
	}
	s.Seen = &evidence.Request{Action: action, Method: x.Method, UserAgent: x.UserAgent, Known: x.UserAgent != "", Addr: from}
	return nil
}

// bounce takes what a report says of mail that came back.
func (x *signalData) bounce(s *Signal) error {
	if x.Bounce == (Bounce{}) {
		return nil
	}
	b := x.Bounce
	if len(b.Status) > 16 || len(b.Code) > 3 || len(b.Feedback) > 32 || len(b.Match) > 16 {
		return &SignalError{"data", "has a text that is too long", "write a status as 5.1.1 and a code as 550"}
	}
	if b.Group != "" && !slices.Contains(bounce.Groups(), b.Group) {
		return &SignalError{"data.group", "is unknown", "write no_such_user, mailbox_full or another of `tidepost help feedback`"}
	}
	b.Text = shorten(b.Text, maxBounceText)
	s.Bounce = &b
	return nil
}

func (x *signalData) why(s *Signal) error {
	switch x.Why {
	case "", WhyOften, WhyIrrelevant, WhyDone:
		s.Why = x.Why
		return nil
	}
	return &SignalError{"data.why", "is unknown", "write often, irrelevant or done"}
}

func (x *signalData) wish(s *Signal) error {
	if x.Evidence != "" {
		if _, err := scheduler.ParseSees(x.Evidence); err != nil {
			return &SignalError{"data.evidence", "is unknown", "write none, day, click or full"}
		}
	}
	if x.PerWeek < 0 || x.PerWeek > 32 {
		return &SignalError{"data.per_week", "is out of range", "write 1 to 32, or 0 for no wish"}
	}
	s.Wish = &Wish{Evidence: x.Evidence, Until: x.Until, PerWeek: x.PerWeek, Resume: x.Resume}
	if *s.Wish == (Wish{}) {
		if s.Wish = nil; s.Why == "" {
			return &SignalError{"data", "says nothing", "write evidence, until, per_week, resume or why"}
		}
	}
	return nil
}
