package history

import (
	"tidepost/gateway"
	"tidepost/suppression/lists"
)

type sesSeen struct {
	At    string `json:"timestamp"`
	IP    string `json:"ipAddress"`
	Agent string `json:"userAgent"`
	Link  string `json:"link"`
}

type sesEvent struct {
	Wrapped string `json:"Message"` // by SNS
	SNS     string `json:"Type"`

	Event        string `json:"eventType"`
	Notification string `json:"notificationType"`
	Mail         struct {
		At          string   `json:"timestamp"`
		ID          string   `json:"messageId"`
		Destination []string `json:"destination"`
	} `json:"mail"`
	Delivery struct {
		At         string   `json:"timestamp"`
		Recipients []string `json:"recipients"`
	} `json:"delivery"`
	Open  sesSeen `json:"open"`
	Click sesSeen `json:"click"`
}

// ses reads an event of event publishing or a notification, as it is or wrapped by
// SNS.
func (d *reader) ses(text []byte) *lists.Error {
	var e sesEvent
	if bad := d.event(text, &e); bad != nil {
		return bad
	}
	if e.SNS == "Notification" && e.Wrapped != "" {
		text = []byte(e.Wrapped)
		e = sesEvent{}
		if bad := d.event(text, &e); bad != nil {
			return bad
		}
	}
	row, at, to := Row{Message: e.Mail.ID, Class: classUnknown}, "", e.Mail.Destination
	seen := func(kind gateway.SignalKind, s *sesSeen) {
		row.Kind, at, row.IP, row.UserAgent, row.Link = kind, s.At, s.IP, s.Agent, s.Link
	}
	kind := e.Event + e.Notification // an event has one of them
	switch kind {
	case "Send":
		row.Kind, at = gateway.PastSent, e.Mail.At
	case "Delivery":
		row.Kind, row.Delivered, at, to = gateway.PastSent, true, e.Delivery.At, e.Delivery.Recipients
	case "Open":
		seen(gateway.SignalOpened, &e.Open)
	case "Click":
		seen(gateway.SignalClicked, &e.Click)
	case "Bounce", "Complaint", "Subscription":
		return d.permission(text, row.Message)
	case "":
		return &lists.Error{Line: d.line, Field: "eventType", Problem: "the event has no kind", Remedy: "is it an event of Amazon SES?"}
	default:
		return d.skip(kind)
	}
	if row.Kind != gateway.PastSent && len(to) > 1 {
		return d.skip("a mail to several: nobody knows who it was")
	}
	row.At, _ = d.clock.Read([]byte(at)) // give refuses none
	for _, mailbox := range to {
		if bad := d.give(row, mailbox); bad != nil || d.stopped {
			return bad
		}
	}
	if len(to) == 0 {
		return &lists.Error{Line: d.line, Problem: "the event names no recipient", Remedy: "is it whole?"}
	}
	return nil
}
