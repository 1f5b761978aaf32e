package bus

import (
	"bytes"
	_ "embed" // for EventSchema
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"

	"tidepost/gateway"
)

// EventSchema is the JSON Schema (draft 2020-12) of the messages in
// TIDEPOST_EVENTS. Fields may be added to it; none is renamed or removed.
//
//go:embed schema/event.json
var EventSchema string

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
	j := e.Doc()
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
