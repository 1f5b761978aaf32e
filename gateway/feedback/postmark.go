package feedback

import (
	"tidepost/gateway"
	"tidepost/gateway/bounce"
)

func postmarkRead(body []byte) (*Payload, error) { return decodeOne(body, postmarkEvent) }

// postmarkVerdict is what a type of bounce says.
type postmarkVerdict struct {
	hard  bool
	group bounce.Group // "": what its text says
}

// postmarkTypes are the types that say something about an address. The others are
// notes of absence, questions back, and what Postmark or its user did.
// https://postmarkapp.com/developer/api/bounce-api#bounce-types
var postmarkTypes = map[string]postmarkVerdict{
	"HardBounce":        {true, ""},
	"BadEmailAddress":   {true, bounce.NoSuchUser},
	"SoftBounce":        {false, ""},
	"Transient":         {false, ""},
	"Unknown":           {false, ""},
	"DnsError":          {false, bounce.NoSuchHost},
	"Blocked":           {false, bounce.BlockedSender},
	"SpamNotification":  {false, bounce.PolicyGroup},
	"VirusNotification": {false, bounce.PolicyGroup},
	"DMARCPolicy":       {false, bounce.PolicyGroup},
}

// postmarkReport is one of Postmark's reports, of any kind.
type postmarkReport struct {
	RecordType  string
	MessageID   string
	Recipient   string // of opens, clicks, subscriptions
	Email       string // of bounces and complaints
	ID          text
	Type        string
	Description string
	Details     string
	From        string
	BouncedAt   string
	ReceivedAt  string
	ChangedAt   string
	UserAgent   string
	Link        string `json:"OriginalLink"`
	Geo         struct{ IP string }

	Suppress bool   `json:"SuppressSending"`
	Reason   string `json:"SuppressionReason"`
	Origin   string
}

// postmarkEvent reads one report.
// https://postmarkapp.com/developer/webhooks/webhooks-overview
func postmarkEvent(p *Payload, doc []byte) error {
	var x postmarkReport
	if err := decode("", doc, &x); err != nil {
		return err
	}
	switch x.RecordType {
	case "Bounce", "SpamComplaint":
		x.bounced(p)
	case "Open":
		p.seen(x.event(x.Recipient, x.ReceivedAt), gateway.SignalOpened, saw{agent: x.UserAgent, ip: x.Geo.IP})
	case "Click":
		p.seen(x.event(x.Recipient, x.ReceivedAt), gateway.SignalClicked, saw{link: x.Link, agent: x.UserAgent, ip: x.Geo.IP})
	case "SubscriptionChange":
		// Bounces and complaints that end a subscription are told on their own; an
		// administrator's hand is no wish of the reader's.
		if !x.Suppress || x.Reason != "ManualSuppression" || x.Origin != "Recipient" {
			p.Ignored++
			return nil
		}
		p.add(x.event(x.Recipient, x.ChangedAt), gateway.SignalUnsubscribed, details{})
	case "":
		return &PayloadError{At: "RecordType", Problem: "is missing", Remedy: "send reports of Postmark"}
	default: // Delivery, Inbound, SMTP API errors
		p.Ignored++
	}
	return nil
}

func (x *postmarkReport) event(recipient, at string) Event {
	return Event{
		SignalDoc: gateway.SignalDoc{At: stamp(at), Mailbox: recipient},
		Clue:      gateway.Clue{Recipient: recipient, QueueIDs: names(x.MessageID)},
	}
}

func (x *postmarkReport) bounced(p *Payload) {
	e := x.event(x.Email, x.BouncedAt)
	if x.ID != "" {
		e.ID = "bounce " + string(x.ID)
	}
	verdict, known := postmarkTypes[x.Type]
	switch {
	case x.RecordType == "SpamComplaint" || x.Type == "SpamComplaint":
		p.complained(e, "")
	case x.Type == "Unsubscribe": // a reader wrote back to be taken off
		p.add(e, gateway.SignalUnsubscribed, details{})
	case known:
		b := gateway.Bounce{Text: x.Details, Group: verdict.group}
		if b.Text == "" {
			b.Text = x.Description
		}
		p.bounced(e, verdict.hard, b)
	default:
		p.Ignored++
	}
}
