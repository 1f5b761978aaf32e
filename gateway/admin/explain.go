package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tidepost/gateway"
)

// explanation is the answer of GET /api/v1/explain/{subject}: sentences for
// people, and the fields that they were made from.
type explanation struct {
	Subject     string          `json:"subject"`
	Sentences   []string        `json:"sentences"`
	Deliveries  []deliveryDoc   `json:"deliveries"`
	Entries     []entryDoc      `json:"entries"`
	Events      []eventDoc      `json:"events"` // the newest, oldest first
	ClassReason string          `json:"class_reason,omitempty"`
	Notes       []string        `json:"notes,omitempty"` // control headers that were ignored
	Gates       []gatesDoc      `json:"gates,omitempty"`
	Readers     []readerDoc     `json:"readers,omitempty"` // what is known of the address's owner, by audience
	Rules       []rulingDoc     `json:"rules,omitempty"`   // of the admin's, about each delivery that they have a say in
	Paused      []pauseDoc      `json:"paused,omitempty"`
	Destination *destinationDoc `json:"destination,omitempty"`
	Mode        string          `json:"mode,omitempty"`
	Warning     string          `json:"warning,omitempty"`
}

// eventDoc is an event as it is sent.
type eventDoc struct {
	ID       string    `json:"id"`
	At       time.Time `json:"at"`
	Kind     string    `json:"kind"`
	Delivery string    `json:"delivery,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Detail   string    `json:"detail,omitempty"`
	Actor    string    `json:"actor,omitempty"`
}

// Bounds of an explanation.
const (
	maxExplained = 100 // deliveries
	maxEvents    = 200
	maxHistories = 5 // messages whose history is read for an address
	historyTime  = 5 * time.Second
	maxDetail    = 4096 // bytes
)

// explain answers GET /api/v1/explain/{subject}: an address, a delivery, or a
// message with one recipient.
func (s *Server) explain(c *call) (any, error) {
	b, err := s.browser()
	if err != nil {
		return nil, err
	}
	c.unhurried()
	subject := c.PathValue("subject")
	x := &explanation{Subject: subject, Sentences: []string{}, Deliveries: []deliveryDoc{}, Entries: []entryDoc{}, Events: []eventDoc{}}
	x.Mode = s.info().Mode
	x.Warning = warning(x.Mode)
	if id, ok := explainedDelivery(subject); ok {
		err = s.explainDelivery(c.Context(), b, x, id)
	} else {
		if err = s.explainAddress(c.Context(), b, x, subject); err == nil {
			err = s.tellRulesOf(c.Context(), x)
		}
	}
	return x, err
}

// explainedDelivery reads a delivery's id, or a message's for its first one.
func explainedDelivery(subject string) (gateway.DeliveryID, bool) {
	if id, err := gateway.ParseDeliveryID(subject); err == nil {
		return id, true
	}
	id, err := gateway.ParseID(subject)
	return gateway.DeliveryID{Message: id}, err == nil
}

func (s *Server) explainDelivery(ctx context.Context, b gateway.Browser, x *explanation, id gateway.DeliveryID) error {
	r, events, err := s.find(ctx, b, id)
	if err == nil && events == nil {
		events, err = b.History(ctx, id.Message)
		err = ignoreMissing(err)
	}
	if err != nil {
		return missing(err, "delivery "+id.String())
	}
	d := r.delivery
	x.Deliveries = append(x.Deliveries, newDeliveryDoc(r))
	last := x.addEvents(events, id)
	x.say(standing(d, s.now(), last))
	x.sayActors()
	if box, err := s.Store.Mailbox(ctx, d.Mailbox); err == nil {
		x.tellDecision(d, box.Location())
		x.Deliveries[0].Decision = newDecisionDoc(d, box.Location())
		s.tellRules(x, d, box, events)
		if d.Spared {
			x.say("It was not dropped, because more than policy.max_drop of that hour's bulk mail would have been.")
		}
	}
	if d.State == gateway.Waiting {
		if err := s.tellStops(ctx, x, r); err != nil {
			return err
		}
	}
	if d.Attempts > 0 && d.State == gateway.Waiting {
		x.say(with("It was tried "+plural(int64(d.Attempts), "time", "times")+".", reply(d)))
	}
	s.tellMessage(ctx, x, d)
	return nil
}

// tellMessage says which mark chose the class, and what was ignored.
func (s *Server) tellMessage(ctx context.Context, x *explanation, d *gateway.Delivery) {
	m := s.messageOf(ctx, d)
	if m == nil {
		return
	}
	x.ClassReason, x.Notes = m.ClassReason, m.Notes
	x.say(fmt.Sprintf("Its class is %s: %s.", m.Class, mark(m.ClassReason)))
	for _, n := range m.Notes {
		x.say("Ignored: " + mark(n) + ".")
	}
}

func (x *explanation) say(sentence string) { x.Sentences = append(x.Sentences, sentence) }

// addEvents adds those of a delivery and returns when the last was.
func (x *explanation) addEvents(events []gateway.Event, id gateway.DeliveryID) (last time.Time) {
	for i := range events {
		e := &events[i]
		if !e.AboutDelivery(id) {
			continue
		}
		doc := newEventDoc(e)
		if e.Delivery == nil {
			doc.tellSignal(id)
		} else {
			last = e.At
		}
		x.Events = append(x.Events, doc)
	}
	x.Events = x.Events[max(0, len(x.Events)-maxEvents):]
	return last
}

// tellSignal words what a reader did with a delivery: who it was taken for and why.
func (d *eventDoc) tellSignal(id gateway.DeliveryID) {
	d.Delivery = id.String()
	var x gateway.SignalDetail
	if json.Unmarshal([]byte(d.Detail), &x) != nil {
		return
	}
	words := []string{"told by " + x.Source}
	if x.Bounce != nil {
		d.tellBounce(&x, words)
		return
	}
	d.Reason = x.Verdict
	if x.Link != "" {
		words = append(words, "link "+x.Link)
	}
	if len(x.Reasons) > 0 {
		words = append(words, strings.Join(x.Reasons, " "))
	}
	d.Detail = shorten(fmt.Sprintf("%s; counts %.2g", strings.Join(words, ", "), x.Human), maxDetail)
}

// tellBounce words what a report said of a delivery, and how it was found.
func (d *eventDoc) tellBounce(x *gateway.SignalDetail, words []string) {
	b := x.Bounce
	d.Reason = string(b.Group)
	if x.Soft {
		words = append(words, "temporary, or not about the address")
	}
	if b.Match != "" {
		words = append(words, "found by "+string(b.Match))
	}
	for _, text := range []string{b.Feedback, b.Status, b.Text} {
		if text != "" {
			words = append(words, text)
		}
	}
	d.Detail = shorten(strings.Join(words, ", "), maxDetail)
}

// sayActors says what people did.
func (x *explanation) sayActors() {
	for _, e := range x.Events {
		if e.Actor != "" {
			x.say(fmt.Sprintf("%s: %s by %s%s", at(e.At), e.Kind, mark(e.Actor), noted(e.Detail)))
		}
	}
}

func noted(detail string) string {
	if detail == "" {
		return "."
	}
	return ": " + mark(shorten(detail, maxDetail))
}

func newEventDoc(e *gateway.Event) eventDoc {
	doc := eventDoc{ID: e.ID(), At: utc(e.At), Kind: string(e.Kind), Reason: e.Reason, Detail: shorten(e.Detail, maxDetail), Actor: e.Actor}
	if e.Delivery != nil {
		doc.Delivery = e.Delivery.ID.String()
	}
	return doc
}
