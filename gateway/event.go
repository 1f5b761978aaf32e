package gateway

import (
	"strconv"
	"strings"
	"time"
)

// EventKind is the past tense of what happened.
type EventKind string

// The kinds of event, as they appear in tidepost.event.KIND.
const (
	EventAccepted   EventKind = "accepted"
	EventPlanned    EventKind = "planned"
	EventHeld       EventKind = "held"
	EventReleased   EventKind = "released"
	EventDelivered  EventKind = "delivered"
	EventDeferred   EventKind = "deferred"
	EventBounced    EventKind = "bounced"
	EventDropped    EventKind = "dropped"
	EventSuppressed EventKind = "suppressed"
	EventCaptured   EventKind = "captured"
	EventInDoubt    EventKind = "in_doubt"
	EventTooLate    EventKind = "too_late"   // an opt-out came after the release commit (design rule 5 d)
	EventTakenBack  EventKind = "taken_back" // a release whose MAIL was never written
	EventDuplicate  EventKind = "duplicate"
	EventIgnored    EventKind = "ignored"     // a control header that could not be read
	EventEntry      EventKind = "suppression" // an entry was added or removed
	EventSetting    EventKind = "setting"     // an admin changed something at run time

	// What signals told.
	EventOpened       EventKind = "opened"
	EventClicked      EventKind = "clicked"
	EventViewed       EventKind = "viewed"
	EventConverted    EventKind = "converted"
	EventReplied      EventKind = "replied"
	EventActive       EventKind = "active"
	EventUnsubscribed EventKind = "unsubscribed"
	EventComplained   EventKind = "complained"
	EventAttributes   EventKind = "attributes"
	EventBounceTold   EventKind = "bounce_told"  // a bounce that came back after delivery
	EventRules        EventKind = "rule_changed" // the rules, by an admin or because one kept failing
	EventConsent      EventKind = "consent"      // what a reader asks for about their mail
	EventErased       EventKind = "erased"       // a mailbox was forgotten
)

// Event is a fact we state. It is stored in the same commit as the change it
// tells of. Delivery is the state after that change; it is nil for facts that
// are about no delivery, which carry their own Name instead.
type Event struct {
	Kind     EventKind
	At       time.Time
	Delivery *Delivery
	Seq      uint8  // tells apart the events of one revision
	Name     string // id of an event without a delivery
	Reason   string
	Detail   string // a sentence, a reply, or JSON for Setting and Entry
	Actor    string // who did it, where a person did
	Facts    []byte // rules.Decision: what the first plan of a delivery rested on; stays in the journal
}

// ID is stable: the same change makes the same id after a crash.
func (e *Event) ID() string {
	if e.Delivery == nil {
		return e.Name
	}
	id := e.Delivery.ID.String() + "." + strconv.FormatUint(uint64(e.Delivery.Rev), 10)
	if e.Seq > 0 {
		id += "-" + strconv.Itoa(int(e.Seq))
	}
	return id
}

// About reports whether the event tells of a message: of one of its deliveries, or of
// what a reader did with it.
func (e *Event) About(id ID) bool {
	if e.Delivery != nil {
		return e.Delivery.ID.Message == id
	}
	return strings.Contains(e.Detail, `"delivery":"`+id.String()+`.`)
}

// AboutDelivery is About for one delivery.
func (e *Event) AboutDelivery(id DeliveryID) bool {
	if e.Delivery != nil {
		return e.Delivery.ID == id
	}
	return strings.Contains(e.Detail, `"delivery":"`+id.String()+`"`)
}
