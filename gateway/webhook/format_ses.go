package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"time"
)

// sesTopic is the topic that our notifications say they are of.
const sesTopic = "arn:aws:sns:us-east-1:000000000000:tidepost"

// snsDoc is a notification of Amazon SNS. Its signature is Amazon's to make and
// stays empty: what checks it refuses ours.
type snsDoc struct {
	Type             string
	MessageID        string `json:"MessageId"`
	TopicARN         string `json:"TopicArn"`
	Message          string // JSON of a sesDoc
	Timestamp        string
	SignatureVersion string
	Signature        string
	SigningCertURL   string
	UnsubscribeURL   string
}

// sesDoc is a notification of Amazon SES. It says its kind twice: receivers of
// feedback notifications read one name, those of published events the other.
type sesDoc struct {
	NotificationType string         `json:"notificationType"`
	EventType        string         `json:"eventType"`
	Mail             sesMail        `json:"mail"`
	Bounce           *sesBounce     `json:"bounce,omitempty"`
	Complaint        *sesComplaint  `json:"complaint,omitempty"`
	Delivery         *sesDelivery   `json:"delivery,omitempty"`
	Open             *sesEngagement `json:"open,omitempty"`
	Click            *sesEngagement `json:"click,omitempty"`
}

type sesMail struct {
	Timestamp        string            `json:"timestamp"`
	MessageID        string            `json:"messageId"`
	Source           string            `json:"source,omitempty"`
	Destination      []string          `json:"destination"`
	HeadersTruncated bool              `json:"headersTruncated"`
	Headers          []sesHeader       `json:"headers"`
	CommonHeaders    map[string]string `json:"commonHeaders"`
}

type sesHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type sesRecipient struct {
	EmailAddress   string `json:"emailAddress"`
	Action         string `json:"action,omitempty"`
	Status         string `json:"status,omitempty"`
	DiagnosticCode string `json:"diagnosticCode,omitempty"`
}

type sesBounce struct {
	BounceType        string         `json:"bounceType"` // Permanent or Transient
	BounceSubType     string         `json:"bounceSubType"`
	BouncedRecipients []sesRecipient `json:"bouncedRecipients"`
	Timestamp         string         `json:"timestamp"`
	FeedbackID        string         `json:"feedbackId"`
}

type sesComplaint struct {
	ComplainedRecipients  []sesRecipient `json:"complainedRecipients"`
	Timestamp             string         `json:"timestamp"`
	FeedbackID            string         `json:"feedbackId"`
	ComplaintFeedbackType string         `json:"complaintFeedbackType"`
}

type sesDelivery struct {
	Timestamp    string   `json:"timestamp"`
	Recipients   []string `json:"recipients"`
	SMTPResponse string   `json:"smtpResponse"`
}

type sesEngagement struct {
	Timestamp string `json:"timestamp"`
	Link      string `json:"link,omitempty"`
}

// sesTime is how Amazon writes an instant.
func sesTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func encodeSES(list []*notice) ([]byte, http.Header) {
	n := list[0]
	id := hashUUID(n.id)
	doc := snsDoc{
		Type: "Notification", MessageID: id, TopicARN: sesTopic, Message: string(marshal(n.ses())),
		Timestamp: sesTime(n.At), SignatureVersion: "1",
	}
	h := http.Header{}
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	h.Set("X-Amz-Sns-Message-Type", "Notification")
	h.Set("X-Amz-Sns-Message-Id", id)
	h.Set("X-Amz-Sns-Topic-Arn", sesTopic)
	return marshal(&doc), h
}

// ses is the inner notification.
func (n *notice) ses() *sesDoc {
	at := sesTime(n.At)
	doc := &sesDoc{Mail: n.sesMail()}
	switch n.word {
	case "bounced":
		doc.EventType = "Bounce"
		doc.Bounce = &sesBounce{BounceType: "Transient", BounceSubType: "General", Timestamp: at, FeedbackID: n.id,
			BouncedRecipients: []sesRecipient{{EmailAddress: n.address, Action: "failed", Status: n.bounce.Status, DiagnosticCode: "smtp; " + n.text()}}}
		if n.bounce.Hard {
			doc.Bounce.BounceType = "Permanent"
		}
	case "complained":
		doc.EventType = "Complaint"
		doc.Complaint = &sesComplaint{ComplainedRecipients: []sesRecipient{{EmailAddress: n.address}}, Timestamp: at, FeedbackID: n.id, ComplaintFeedbackType: "abuse"}
		if b := n.detail.Bounce; b != nil && b.Feedback != "" {
			doc.Complaint.ComplaintFeedbackType = b.Feedback
		}
	case "delivered":
		doc.EventType = "Delivery"
		doc.Delivery = &sesDelivery{Timestamp: at, Recipients: []string{n.address}, SMTPResponse: n.text()}
	case "opened":
		doc.EventType, doc.Open = "Open", &sesEngagement{Timestamp: at}
	case "clicked":
		doc.EventType, doc.Click = "Click", &sesEngagement{Timestamp: at, Link: n.detail.Link}
	}
	doc.NotificationType = doc.EventType
	return doc
}

func (n *notice) sesMail() sesMail {
	m := sesMail{Timestamp: sesTime(n.At), MessageID: n.ownID(), Destination: []string{n.address}, Headers: []sesHeader{}, CommonHeaders: map[string]string{}}
	if n.Delivery != nil {
		m.Timestamp = sesTime(n.Delivery.Accepted)
	}
	for _, name := range slices.Sorted(maps.Keys(n.headers())) {
		m.Headers = append(m.Headers, sesHeader{name, n.header(name)})
	}
	if n.mail != nil {
		m.Source = n.mail.from
		m.CommonHeaders["messageId"], m.CommonHeaders["subject"] = "<"+n.messageID()+">", n.mail.subject
	}
	return m
}

// hashUUID makes an id in the form of a UUID of another: always the same.
func hashUUID(id string) string {
	sum := sha256.Sum256([]byte(id))
	return formUUID([16]byte(sum[:16]))
}

func formUUID(b [16]byte) string {
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
