package gateway

import (
	"encoding/json"
	"strings"
	"time"
)

// MaxEventDetail is the length in bytes above which a detail is left out of an
// EventDoc: a message of NATS ends at 1 MiB unless the operator says otherwise.
const MaxEventDetail = 32 << 10

// timeFormat is RFC 3339 with milliseconds; times are in UTC.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// EventDoc is an event as it travels in JSON: over NATS and in webhooks.
// gateway/bus/schema/event.json says what each field means.
type EventDoc struct {
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

// Doc returns the event as it travels.
func (e *Event) Doc() EventDoc {
	j := EventDoc{ID: e.ID(), Kind: string(e.Kind), At: Stamp(e.At), Reason: e.Reason, Actor: e.Actor}
	if d := e.Delivery; d != nil {
		j.describe(d)
	}
	switch {
	case len(e.Detail) > MaxEventDetail:
		j.Truncated = true
	case strings.HasPrefix(e.Detail, "{") && json.Valid([]byte(e.Detail)):
		j.Data = json.RawMessage(e.Detail)
	case e.Detail != j.Reply:
		j.Detail = e.Detail
	}
	return j
}

func (j *EventDoc) describe(d *Delivery) {
	j.Delivery, j.Message, j.Mailbox = d.ID.String(), d.ID.Message.String(), d.Mailbox.String()
	j.Address, j.Tenant, j.Campaign, j.List = d.Address, d.Tenant, d.Campaign, d.List
	j.Class, j.State = d.Class.String(), d.State.String()
	j.Reply, j.Attempts = d.Reply, d.Attempts
	j.Accepted, j.Deadline = Stamp(d.Accepted), Stamp(d.Deadline)
	if d.State == Waiting {
		j.Due = Stamp(d.Due)
	}
}

// Stamp writes an instant as documents do; "" for the zero one.
func Stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeFormat)
}

// SignalDetail reads what the event of a signal tells beside its kind; ok is false
// where the event is not of a signal.
func (e *Event) SignalDetail() (d SignalDetail, ok bool) {
	if e.Delivery != nil || !strings.HasPrefix(e.Detail, "{") {
		return d, false
	}
	err := json.Unmarshal([]byte(e.Detail), &d)
	return d, err == nil && d.Mailbox != "" && d.Tenant != ""
}
