package bounce

import (
	"net/mail"
	"strings"
	"time"
)

// maxReceived is how many trace fields, and ids, are kept of the original.
const maxReceived = 20

// fill takes what the returned header tells. What a report itself told stays.
func (o *Original) fill(h header) {
	if o.MessageID == "" {
		o.MessageID = messageID(h.get("message-id"))
	}
	for _, name := range []string{"return-path", "x-envelope-from", "x-original-mail-from", "envelope-from", "x-return-path"} {
		if o.ReturnPath == "" {
			o.ReturnPath = strings.ToValidUTF8(mailbox(h.get(name)), "")
		}
	}
	if o.Sent.IsZero() {
		o.Sent = date(h.get("date"))
	}
	for _, f := range h {
		if f.name == "received" && len(o.Received) < maxReceived {
			o.Received = append(o.Received, oneLine(f.value))
			o.addQueueID(receivedID(f.value))
		}
	}
	for _, name := range []string{"x-ses-outgoing-id", "x-sg-eid", "x-mailgun-sid", "x-pm-message-id", "x-msfbl", "x-qq-mid"} {
		o.addQueueID(h.get(name))
	}
}

// message takes the fields of a delivery status about the message (RFC 3464 §2.2).
func (o *Original) message(h header) {
	o.Sent = date(h.get("arrival-date"))
	if sender := h.get("x-postfix-sender"); sender != "" {
		o.ReturnPath = mailbox(sender)
	}
	for _, f := range h {
		if strings.HasPrefix(f.name, "x-") && (strings.HasSuffix(f.name, "-queue-id") || strings.HasSuffix(f.name, "-queueid")) {
			o.addQueueID(f.value)
		}
		if f.name == "x-original-message-id" && o.MessageID == "" {
			o.MessageID = messageID(f.value)
		}
	}
}

func (o *Original) addQueueID(id string) {
	if id = oneLine(strings.Trim(id, " <>;()")); id == "" || len(o.QueueIDs) >= maxReceived || len(id) > 200 {
		return
	}
	for _, known := range o.QueueIDs {
		if known == id {
			return
		}
	}
	o.QueueIDs = append(o.QueueIDs, id)
}

// receivedID is what follows "id" in a Received field (RFC 5321 §4.4).
func receivedID(s string) string {
	fields := strings.Fields(s)
	for i, f := range fields[:max(0, len(fields)-1)] {
		if strings.EqualFold(f, "id") {
			return strings.TrimSuffix(fields[i+1], ";")
		}
	}
	return ""
}

// messageID takes the brackets off; it is one word (RFC 5322 §3.6.4).
func messageID(s string) string {
	if _, after, ok := strings.Cut(s, "<"); ok {
		s, _, _ = strings.Cut(after, ">")
	}
	s = strings.TrimSpace(s)
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		s = s[:i]
	}
	return strings.ToValidUTF8(s[:min(len(s), 500)], "")
}

// date reads a date of mail (RFC 5322 §3.3), or of JSON; zero if it is none.
func date(s string) time.Time {
	s = strings.TrimSpace(s[:min(len(s), 100)])
	if t, err := mail.ParseDate(s); err == nil {
		return t
	}
	t, _ := time.Parse(time.RFC3339, s)
	return t
}
