package admin

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"tidepost/gateway"
)

// exportMailbox answers GET /api/v1/mailboxes/{address}/export: everything that is
// kept of an address, its history last, written while it is read. The document
// says at its end whether it is complete.
func (s *Server) exportMailbox(c *call) (any, error) {
	p, err := s.findPerson(c)
	if err != nil {
		return nil, err
	}
	j, err := s.journal()
	if err != nil {
		return nil, err
	}
	doc, err := s.newPersonDoc(c.Context(), p)
	if err != nil {
		return nil, err
	}
	c.unhurried()
	return body(func(w http.ResponseWriter) error {
		w.Header().Set("Content-Type", "application/json")
		return s.writeExport(c.Context(), w, j, p, doc)
	}), nil
}

// writeExport writes the document piece by piece: an address can have years of
// history, and none of it is kept in memory.
func (s *Server) writeExport(ctx context.Context, w http.ResponseWriter, j gateway.Journal, p *person, doc *personDoc) error {
	out := bufio.NewWriterSize(w, 64<<10)
	put := func(v any) error {
		text, err := json.Marshal(v)
		if err == nil {
			_, err = out.Write(escape(text))
		}
		return err
	}
	head, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	out.Write(escape(head[:len(head)-1])) // without its }; bufio keeps an error for Flush
	out.WriteString(`,"events":[`)
	flush := func() {
		out.Flush()
		_ = http.NewResponseController(w).Flush() // a writer that cannot be flushed writes by itself
	}
	flush()
	t := &tracer{person: p, decided: map[gateway.DeliveryID]time.Time{}}
	n := 0
	_, err = readJournal(ctx, j, gateway.Cursor{}, func(e *gateway.Event) {
		if !t.about(e) {
			return
		}
		if n++; n > 1 {
			out.WriteByte(',')
		}
		out.WriteByte('\n')
		_ = put(t.trace(e)) // none of our types can fail
	}, func(time.Time) { flush() })
	out.WriteString("\n]")
	if err != nil {
		s.log().Error("an export broke off", "error", err)
		out.WriteString(`,"error":`)
		_ = put(mark(shorten(err.Error(), 500)))
	}
	fmt.Fprintf(out, `,"complete":%t}`+"\n", err == nil)
	return cmp.Or(err, out.Flush())
}

// tracer finds the events about a person and words them.
type tracer struct {
	*person
	decided map[gateway.DeliveryID]time.Time // of the decision told last
}

// about reports whether an event is about the person: about mail to them, an entry
// of theirs, or what they did.
func (t *tracer) about(e *gateway.Event) bool {
	switch {
	case e.Delivery != nil:
		return bytes.Equal(e.Delivery.Mailbox[:8], t.half) && canonical(e.Delivery.Address) == t.mailbox.String()
	case e.Kind == gateway.EventEntry:
		var entry struct{ Address string }
		return json.Unmarshal([]byte(e.Detail), &entry) == nil && entry.Address == t.mailbox.String()
	case strings.HasPrefix(e.Detail, "{"):
		var detail struct{ Mailbox string }
		return json.Unmarshal([]byte(e.Detail), &detail) == nil && t.keyed(detail.Mailbox)
	}
	return false
}

// tracedDoc is an event in an export.
type tracedDoc struct {
	eventDoc
	Sentence string       `json:"sentence"`
	Address  string       `json:"address,omitempty"` // as the client wrote it
	Tenant   string       `json:"tenant,omitempty"`
	Campaign string       `json:"campaign,omitempty"`
	List     string       `json:"list,omitempty"`
	Class    string       `json:"class,omitempty"`
	State    string       `json:"state,omitempty"` // after the event
	Decision *decisionDoc `json:"decision,omitempty"`
}

func (t *tracer) trace(e *gateway.Event) tracedDoc {
	doc := tracedDoc{eventDoc: newEventDoc(e), Sentence: happened[e.Kind]}
	d := e.Delivery
	if d == nil {
		doc.tellSignal(e)
		return doc
	}
	doc.Sentence = with(doc.Sentence, sentence(e.Reason))
	doc.Address, doc.Tenant, doc.Campaign, doc.List, doc.Class, doc.State = d.Address, d.Tenant, d.Campaign, d.List, d.Class.String(), d.State.String()
	if x := newDecisionDoc(d, t.zoneOf(d.Mailbox)); x != nil && !x.At.Equal(t.decided[d.ID]) {
		doc.Decision, t.decided[d.ID] = x, x.At
	}
	return doc
}

func (p *person) zoneOf(k gateway.Key) *time.Location {
	if i := slices.IndexFunc(p.boxes, func(o heldBox) bool { return o.Key == k }); i >= 0 {
		return p.boxes[i].Location()
	}
	return nil
}

// tellSignal adds who said so, and how sure it is.
func (d *tracedDoc) tellSignal(e *gateway.Event) {
	var detail struct {
		Tenant, Delivery, Source string
		Human                    *float32
	}
	if e.Kind == gateway.EventEntry || json.Unmarshal([]byte(e.Detail), &detail) != nil {
		return
	}
	d.Tenant, d.Delivery = detail.Tenant, cmp.Or(d.Delivery, detail.Delivery)
	if detail.Human != nil {
		d.Sentence += fmt.Sprintf(" That a person did it is %.0f %% sure.", 100**detail.Human)
	}
	if detail.Source != "" {
		d.Sentence += " It was told by " + mark(detail.Source) + "."
	}
}

// happened says what an event is.
var happened = map[gateway.EventKind]string{
	gateway.EventAccepted: "Mail to this address was taken in.", gateway.EventPlanned: "Its time was planned.",
	gateway.EventHeld: "It was held.", gateway.EventReleased: "It was handed to the next hop.",
	gateway.EventDelivered: "It was delivered.", gateway.EventDeferred: "The next hop put it off.",
	gateway.EventBounced: "It could not be delivered.", gateway.EventDropped: "It was dropped.",
	gateway.EventSuppressed: "A suppression stopped it.", gateway.EventCaptured: "It was kept and not sent.",
	gateway.EventInDoubt:   "The gateway stopped while it was on the wire.",
	gateway.EventTooLate:   "An opt-out came when it was on the wire already.",
	gateway.EventTakenBack: "Its release was taken back before anything was written.",
	gateway.EventDuplicate: "It repeats an earlier mail.", gateway.EventIgnored: "A control header of it was ignored.",
	gateway.EventEntry: "The suppressions of this address changed.", gateway.EventErased: "What was known of this address was erased.",

	gateway.EventOpened: "A mail was opened.", gateway.EventClicked: "A link was followed.", gateway.EventViewed: "A page was looked at.",
	gateway.EventConverted: "Something was bought or registered.", gateway.EventReplied: "A mail was answered.", gateway.EventActive: "They were active.",
	gateway.EventUnsubscribed: "They unsubscribed.", gateway.EventComplained: "They called a mail spam.", gateway.EventBounceTold: "A bounce came back.",
	gateway.EventAttributes: "Their time zone was told.", gateway.EventConsent: "They said what they want.",
}
