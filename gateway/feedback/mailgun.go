package feedback

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"strings"

	"tidepost/gateway"
	"tidepost/gateway/bounce"
)

// mailgunVerify checks the signature in the body, and reads no more of it. It covers
// the time and a token alone: whoever holds one can say what they like under it, so the
// token is the report's id, and counts once.
// https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks
func mailgunVerify(_ context.Context, r *Request) (string, error) {
	doc, err := member(r.Body, "signature")
	if err != nil {
		return "", refusal("signature is missing, or no object of three texts")
	}
	var x struct {
		Timestamp text   `json:"timestamp"`
		Token     string `json:"token"`
		Signature string `json:"signature"`
	}
	if err := json.Unmarshal(doc, &x); err != nil {
		return "", refusal("signature is missing, or no object of three texts")
	}
	got, err := hex.DecodeString(x.Signature)
	if err != nil || !digits(string(x.Timestamp)) || x.Token == "" || len(x.Token) > maxID || !printable(x.Token) {
		return "", ErrSignature
	}
	found := false
	for _, secret := range r.Secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(string(x.Timestamp) + x.Token))
		if len(secret) > 0 && hmac.Equal(got, mac.Sum(nil)) {
			found = true
		}
	}
	if !found {
		return "", ErrSignature
	}
	return x.Token, fresh(string(x.Timestamp), r.Now)
}

// maxSignature is how long the signature's object may be, in bytes.
const maxSignature = 2048

// member returns the first value of that name in an object, and looks at nothing
// behind it.
func member(body []byte, name string) (json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, io.ErrUnexpectedEOF
	}
	for depth, isName := 0, true; ; {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
			continue
		case json.Delim('}'), json.Delim(']'):
			if depth--; depth < 0 {
				return nil, io.EOF
			}
		}
		if depth > 0 {
			continue
		}
		if isName && t == name {
			return short(d)
		}
		isName = !isName
	}
}

// short is the decoder's next value, where it is a flat object of no great length.
func short(d *json.Decoder) (json.RawMessage, error) {
	var doc json.RawMessage
	if err := d.Decode(&doc); err != nil {
		return nil, err
	}
	if len(doc) > maxSignature || doc[0] != '{' {
		return nil, io.ErrShortBuffer
	}
	return doc, nil
}

func mailgunRead(body []byte) (*Payload, error) {
	return decodeOne(body, func(p *Payload, body []byte) error {
		var x struct {
			Data json.RawMessage `json:"event-data"`
		}
		if err := decode("", body, &x); err != nil {
			return err
		}
		if len(x.Data) == 0 {
			return &PayloadError{At: "event-data", Problem: "is missing", Remedy: "use the webhooks of Mailgun's API v3, not the legacy ones"}
		}
		return mailgunEvent(p, x.Data)
	})
}

// mailgunStatus is what Mailgun says of a delivery that failed.
type mailgunStatus struct {
	Code        text `json:"code"`
	Enhanced    text `json:"enhanced-code"`
	Message     text `json:"message"`
	Description text `json:"description"`
	BounceType  text `json:"bounce-type"`
}

// mailgunEvent reads one event, as webhooks and the events API have it.
// https://documentation.mailgun.com/docs/mailgun/user-manual/events/event-structure
func mailgunEvent(p *Payload, doc []byte) error {
	var x struct {
		Event     text          `json:"event"`
		ID        text          `json:"id"`
		Timestamp text          `json:"timestamp"`
		Recipient text          `json:"recipient"`
		Severity  text          `json:"severity"`
		Reason    text          `json:"reason"`
		URL       text          `json:"url"`
		IP        text          `json:"ip"`
		Status    mailgunStatus `json:"delivery-status"`
		Client    struct {
			Agent text `json:"user-agent"`
			Bot   text `json:"bot"`
		} `json:"client-info"`
		Envelope struct {
			Sender text `json:"sender"`
		} `json:"envelope"`
		Message struct {
			Headers struct {
				MessageID text `json:"message-id"`
			} `json:"headers"`
		} `json:"message"`
	}
	if err := decode("event-data", doc, &x); err != nil {
		return err
	}
	id := string(x.Message.Headers.MessageID)
	e := Event{
		SignalDoc: gateway.SignalDoc{ID: string(x.ID), At: epoch(x.Timestamp), Mailbox: string(x.Recipient)},
		Clue:      gateway.Clue{Recipient: string(x.Recipient), MessageIDs: names(id), ReturnPath: string(x.Envelope.Sender)},
	}
	// Gmail's proxy is left to our own judgement: behind it are readers, too.
	s := saw{string(x.URL), string(x.Client.Agent), string(x.IP), x.Client.Bot != "" && x.Client.Bot != "gmail"}
	switch x.Event {
	case "failed":
		if strings.HasPrefix(string(x.Reason), "suppress-") {
			p.Ignored++ // not sent, since Mailgun's own list names the address
			return nil
		}
		if x.Severity != "permanent" && id != "" {
			e.ID = "temporary " + id // each attempt is told: the mail counts once
		}
		mailgunFailed(p, e, x.Severity == "permanent" && x.Reason != "old", &x.Status)
	case "opened":
		p.seen(e, gateway.SignalOpened, s)
	case "clicked":
		p.seen(e, gateway.SignalClicked, s)
	case "complained":
		p.complained(e, "")
	case "unsubscribed":
		p.add(e, gateway.SignalUnsubscribed, details{})
	default: // accepted, delivered, rejected, stored, list_member_uploaded …
		p.Ignored++
	}
	return nil
}

func mailgunFailed(p *Payload, e Event, hard bool, s *mailgunStatus) {
	b := gateway.Bounce{Status: string(s.Enhanced), Code: string(s.Code), Text: string(s.Message)}
	if b.Text == "" {
		b.Text = string(s.Description)
	}
	if !hard && b.Text == "" {
		b.Group = bounce.Unreachable
	}
	p.bounced(e, hard && s.BounceType != "soft", b)
}
