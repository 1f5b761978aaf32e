package history

import (
	"strings"

	"tidepost/gateway"
	"tidepost/suppression/lists"
)

type sendgridEvent struct {
	Event     string `json:"event"`
	Email     string `json:"email"`
	Timestamp unix   `json:"timestamp"`
	MessageID string `json:"sg_message_id"`
	SMTPID    string `json:"smtp-id"`
	Agent     string `json:"useragent"`
	IP        string `json:"ip"`
	URL       string `json:"url"`
	Machine   bool   `json:"sg_machine_open"`
}

// message is the same for all events of one mail: what follows the mark in
// sg_message_id names a machine that handled it.
func (e *sendgridEvent) message() string {
	for _, mark := range []string{".filter", ".recvd"} {
		if id, _, cut := strings.Cut(e.MessageID, mark); cut {
			return id
		}
	}
	if e.MessageID == "" {
		return e.SMTPID
	}
	return e.MessageID
}

// sendgrid reads an event of the Event Webhook.
func (d *reader) sendgrid(text []byte) *lists.Error {
	var e sendgridEvent
	if bad := d.event(text, &e); bad != nil {
		return bad
	}
	row := Row{At: e.Timestamp.time(), Message: e.message(), Link: e.URL, UserAgent: e.Agent, Class: classUnknown, Machine: e.Machine}
	switch e.Event {
	case "processed":
		row.Kind = gateway.PastSent
	case "delivered":
		row.Kind, row.Delivered = gateway.PastSent, true
	case "open":
		row.Kind, row.IP = gateway.SignalOpened, e.IP
	case "click":
		row.Kind, row.IP = gateway.SignalClicked, e.IP
	case "unsubscribe", "group_unsubscribe", "spamreport", "bounce":
		return d.permission(text, row.Message)
	case "":
		return &lists.Error{Line: d.line, Field: "event", Problem: "the event has no kind", Remedy: "is it an event of SendGrid's?"}
	default:
		return d.skip(e.Event)
	}
	return d.give(row, e.Email)
}
