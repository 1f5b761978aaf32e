package bus

import (
	"bytes"
	_ "embed" // for EventSchema
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"tidepost/gateway"
)

// EventSchema is the JSON Schema (draft 2020-12) of the messages in
// TIDEPOST_EVENTS. Fields may be added to it; none is renamed or removed.
//
//go:embed schema/event.json
var EventSchema string

// maxDetail is the length in bytes above which a detail is left out: a message
// of NATS ends at 1 MiB unless the operator says otherwise.
const maxDetail = 32 << 10

// timeFormat is RFC 3339 with milliseconds; times are in UTC.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// eventJSON is an event as it is published; schema/event.json says what each
// field means.
type eventJSON struct {
	ID        string          `json:"id"`
	Kind      string          `json:"kind"`
	At        string          `json:"at"`
	Delivery  string          `json:"delivery,omitempty"`
	Message   string          `json:"message,omitempty"`
	Mailbox   string          `json:"mailbox,omitempty"`
	Address   string          `json:"address,omitempty"`
	Tenant    string          `json:"tenant,omitempty"`
	Campaign  string          `json:"campaign,omitempty"`
	List      string          `json:"list,omitempty"`
	Class     string          `json:"class,omitempty"`
	State     string          `json:"state,omitempty"`
	Reason    string          `json:"reason,omitempty"`
	Detail    string          `json:"detail,omitempty"`
	Data      json.RawMessage `json:"data,omitempty"`
	Truncated bool            `json:"truncated,omitempty"`
	Reply     string          `json:"reply,omitempty"`
	Attempts  uint16          `json:"attempts,omitempty"`
	Accepted  string          `json:"accepted,omitempty"`
	Due       string          `json:"due,omitempty"`
	Deadline  string          `json:"deadline,omitempty"`
	Actor     string          `json:"actor,omitempty"`
}

// known are the kinds that have a subject.
var known = map[gateway.EventKind]bool{
	gateway.EventAccepted: true, gateway.EventPlanned: true, gateway.EventHeld: true, gateway.EventReleased: true,
	gateway.EventDelivered: true, gateway.EventDeferred: true, gateway.EventBounced: true, gateway.EventDropped: true,
	gateway.EventSuppressed: true, gateway.EventCaptured: true, gateway.EventInDoubt: true, gateway.EventTakenBack: true,
	gateway.EventDuplicate: true, gateway.EventIgnored: true, gateway.EventEntry: true, gateway.EventSetting: true,
	gateway.EventTooLate: true, gateway.EventOpened: true, gateway.EventClicked: true, gateway.EventViewed: true,
	gateway.EventConverted: true, gateway.EventReplied: true, gateway.EventActive: true, gateway.EventUnsubscribed: true,
	gateway.EventComplained: true, gateway.EventAttributes: true, gateway.EventBounceTold: true,
	gateway.EventConsent: true, gateway.EventErased: true, gateway.EventRules: true,
}

// encode makes the message that tells of an event.
func encode(e *gateway.Event) (*nats.Msg, error) {
	if !known[e.Kind] {
		return nil, fmt.Errorf("event %s: there is no subject for the kind %q", e.ID(), e.Kind)
	}
	j := describe(e)
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // replies are full of <addresses>
	if err := enc.Encode(&j); err != nil {
		return nil, fmt.Errorf("event %s: %w", j.ID, err)
	}
	return &nats.Msg{
		Subject: EventSubject + j.Kind,
		Header:  nats.Header{nats.MsgIdHdr: {j.ID}},
		Data:    bytes.TrimSuffix(b.Bytes(), []byte{'\n'}),
	}, nil
}

func describe(e *gateway.Event) eventJSON {
	j := eventJSON{ID: e.ID(), Kind: string(e.Kind), At: stamp(e.At), Reason: e.Reason, Actor: e.Actor}
	if d := e.Delivery; d != nil {
		j.describeDelivery(d)
	}
	switch {
	case len(e.Detail) > maxDetail:
		j.Truncated = true
	case strings.HasPrefix(e.Detail, "{") && json.Valid([]byte(e.Detail)):
		j.Data = json.RawMessage(e.Detail)
	case e.Detail != j.Reply:
		j.Detail = e.Detail
	}
	return j
}

func (j *eventJSON) describeDelivery(d *gateway.Delivery) {
	j.Delivery, j.Message, j.Mailbox = d.ID.String(), d.ID.Message.String(), d.Mailbox.String()
	j.Address, j.Tenant, j.Campaign, j.List = d.Address, d.Tenant, d.Campaign, d.List
	j.Class, j.State = d.Class.String(), d.State.String()
	j.Reply, j.Attempts = d.Reply, d.Attempts
	j.Accepted, j.Deadline = stamp(d.Accepted), stamp(d.Deadline)
	if d.State == gateway.Waiting {
		j.Due = stamp(d.Due)
	}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeFormat)
}
