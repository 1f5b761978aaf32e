package feedback

import (
	"strconv"
	"strings"

	"tidepost/gateway"
	"tidepost/gateway/bounce"
)

// sesMail is the mail that a message is about.
type sesMail struct {
	Timestamp   string   `json:"timestamp"`
	Source      string   `json:"source"`
	MessageID   string   `json:"messageId"`
	Destination []string `json:"destination"`
	Headers     struct {
		MessageID string `json:"messageId"`
	} `json:"commonHeaders"`
}

// sesRecipient is one of a bounce or a complaint.
type sesRecipient struct {
	Address    string `json:"emailAddress"`
	Status     string `json:"status"`
	Diagnostic string `json:"diagnosticCode"`
}

// sesBounce is why mail came back.
type sesBounce struct {
	Type       string         `json:"bounceType"`
	SubType    string         `json:"bounceSubType"`
	Recipients []sesRecipient `json:"bouncedRecipients"`
	Timestamp  string         `json:"timestamp"`
	ID         string         `json:"feedbackId"`
}

// sesComplaint is who complained.
type sesComplaint struct {
	SubType    string         `json:"complaintSubType"`
	Feedback   string         `json:"complaintFeedbackType"`
	Recipients []sesRecipient `json:"complainedRecipients"`
	Timestamp  string         `json:"timestamp"`
	ID         string         `json:"feedbackId"`
}

// sesSeen is an open or a click.
type sesSeen struct {
	Timestamp string `json:"timestamp"`
	UserAgent string `json:"userAgent"`
	IP        string `json:"ipAddress"`
	Link      string `json:"link"`
}

// sesTopics are what a reader gets of a contact list.
type sesTopics struct {
	All    bool `json:"unsubscribeAll"`
	Topics []struct {
		Name   string `json:"topicName"`
		Status string `json:"subscriptionStatus"`
	} `json:"topicSubscriptionStatus"`
}

// sesSubscription is a change of what a reader gets.
type sesSubscription struct {
	Timestamp string    `json:"timestamp"`
	New       sesTopics `json:"newTopicPreferences"`
	Old       sesTopics `json:"oldTopicPreferences"`
}

// sesMessage reads what SES wrote, in either of its forms: notifications have
// notificationType, published events eventType, and they agree in the rest.
// https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
// https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
func sesMessage(p *Payload, doc []byte) error {
	var x struct {
		Notification string          `json:"notificationType"`
		Event        string          `json:"eventType"`
		Mail         sesMail         `json:"mail"`
		Bounce       sesBounce       `json:"bounce"`
		Complaint    sesComplaint    `json:"complaint"`
		Open         sesSeen         `json:"open"`
		Click        sesSeen         `json:"click"`
		Subscription sesSubscription `json:"subscription"`
	}
	if err := decode("Message", doc, &x); err != nil {
		return err
	}
	switch x.Notification + x.Event {
	case "Bounce":
		x.Mail.bounced(p, &x.Bounce)
	case "Complaint":
		x.Mail.complained(p, &x.Complaint)
	case "Open":
		x.Mail.seen(p, gateway.SignalOpened, &x.Open)
	case "Click":
		x.Mail.seen(p, gateway.SignalClicked, &x.Click)
	case "Subscription":
		x.Mail.subscription(p, &x.Subscription)
	case "":
		return &PayloadError{At: "Message", Problem: "is not of SES", Remedy: "publish SES's notifications or events to this topic alone"}
	default: // Send, Delivery, DeliveryDelay, Reject, Rendering Failure, AmazonSnsSubscriptionSucceeded
		p.Ignored++
	}
	return nil
}

// event is one about a recipient.
func (m *sesMail) event(recipient, at, id string) Event {
	return Event{
		SignalDoc: gateway.SignalDoc{ID: id, At: stamp(at), Mailbox: recipient},
		Clue: gateway.Clue{Recipient: recipient, ReturnPath: m.Source, At: stamp(m.Timestamp),
			QueueIDs: names(m.MessageID), MessageIDs: names(m.Headers.MessageID)},
	}
}

// one is the mail's recipient; "" where it has several, and it cannot be told whose
// the event is.
func (m *sesMail) one() string {
	if len(m.Destination) != 1 {
		return ""
	}
	return m.Destination[0]
}

// sesGroups are what SES makes of a bounce.
var sesGroups = map[string]bounce.Group{
	"NoEmail": bounce.NoSuchUser, "MailboxFull": bounce.MailboxFull, "MessageTooLarge": bounce.ContentOrSize,
	"ContentRejected": bounce.PolicyGroup, "AttachmentRejected": bounce.ContentOrSize,
}

// bounced takes a bounce. Mail that SES did not send since a list of its own names the
// address came back from nowhere; and a temporary one without any words of the far
// side is what SES makes of notes of absence.
func (m *sesMail) bounced(p *Payload, b *sesBounce) {
	if b.SubType == "Suppressed" || b.SubType == "OnAccountSuppressionList" {
		p.Ignored++
		return
	}
	for i, r := range b.Recipients {
		if b.Type == "Transient" && b.SubType == "General" && r.Status == "" && r.Diagnostic == "" {
			p.Ignored++
			continue
		}
		p.bounced(m.event(unquoted(r.Address), b.Timestamp, nth(b.ID, i, len(b.Recipients))), b.Type == "Permanent",
			gateway.Bounce{Status: r.Status, Text: r.Diagnostic, Group: orGroup(r.Status, r.Diagnostic, sesGroups[b.SubType])})
	}
}

// complained takes a complaint. Its recipients are those who may have complained; of
// several, nobody knows who did.
func (m *sesMail) complained(p *Payload, c *sesComplaint) {
	if c.SubType == "OnAccountSuppressionList" || len(c.Recipients) != 1 || c.Feedback == "not-spam" {
		p.Ignored++
		return
	}
	p.complained(m.event(unquoted(c.Recipients[0].Address), c.Timestamp, c.ID), c.Feedback)
}

func (m *sesMail) seen(p *Payload, kind gateway.SignalKind, s *sesSeen) {
	p.seen(m.event(m.one(), s.Timestamp, ""), kind, saw{link: s.Link, agent: s.UserAgent, ip: s.IP})
}

// subscription takes an opt-out where there was none before.
func (m *sesMail) subscription(p *Payload, s *sesSubscription) {
	left := s.New.All && !s.Old.All
	out := map[string]bool{}
	for _, t := range s.Old.Topics {
		out[t.Name] = t.Status == "OptOut"
	}
	for _, t := range s.New.Topics {
		left = left || t.Status == "OptOut" && !out[t.Name]
	}
	if !left {
		p.Ignored++
		return
	}
	p.add(m.event(m.one(), s.Timestamp, ""), gateway.SignalUnsubscribed, details{})
}

// unquoted is an address as SES's are, without the name that some have before it.
func unquoted(a string) string {
	if i := strings.LastIndexByte(a, '<'); i >= 0 && strings.HasSuffix(a, ">") {
		return a[i+1 : len(a)-1]
	}
	return a
}

// nth tells the parts of one event apart.
func nth(id string, i, of int) string {
	if id == "" || of < 2 {
		return id
	}
	return id + "/" + strconv.Itoa(i)
}
