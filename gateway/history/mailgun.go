package history

import (
	"encoding/json"

	"tidepost/gateway"
	"tidepost/suppression/lists"
)

type mailgunEvent struct {
	Event     string `json:"event"`
	Timestamp unix   `json:"timestamp"`
	Recipient string `json:"recipient"`
	URL       string `json:"url"`
	IP        string `json:"ip"`
	Client    struct {
		Agent string `json:"user-agent"`
		Bot   string `json:"bot"`
	} `json:"client-info"`
	Message struct {
		Headers struct {
			ID string `json:"message-id"`
		} `json:"headers"`
	} `json:"message"`
	List struct {
		ID string `json:"list-id"`
	} `json:"mailing-list"`
}

// mailgun reads an event of the Events API, or of a webhook.
func (d *reader) mailgun(text []byte) *lists.Error {
	var e struct {
		mailgunEvent
		Data json.RawMessage `json:"event-data"`
	}
	if bad := d.event(text, &e); bad != nil {
		return bad
	}
	m := &e.mailgunEvent
	if len(e.Data) > 0 {
		text = e.Data
		if bad := d.event(text, m); bad != nil {
			return bad
		}
	}
	// Gmail's proxy is left to our own judgement: behind it are readers, too.
	row := Row{At: m.Timestamp.time(), Message: m.Message.Headers.ID, Link: m.URL, UserAgent: m.Client.Agent, IP: m.IP,
		List: m.List.ID, Class: classUnknown, Machine: m.Client.Bot != "" && m.Client.Bot != "gmail"}
	switch m.Event {
	case "accepted":
		row.Kind = gateway.PastSent
	case "delivered":
		row.Kind, row.Delivered = gateway.PastSent, true
	case "opened":
		row.Kind = gateway.SignalOpened
	case "clicked":
		row.Kind = gateway.SignalClicked
	case "unsubscribed", "complained", "failed":
		return d.permission(text, row.Message)
	case "":
		return &lists.Error{Line: d.line, Field: "event", Problem: "the event has no kind", Remedy: "is it an event of Mailgun's?"}
	default:
		return d.skip(m.Event)
	}
	return d.give(row, m.Recipient)
}
