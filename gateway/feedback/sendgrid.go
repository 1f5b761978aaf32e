package feedback

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net/http"
	"strings"

	"tidepost/gateway"
	"tidepost/gateway/bounce"
)

// parsePublicKey reads the key of SendGrid's signed event webhook: an ECDSA key on
// P-256, as base64 of its SubjectPublicKeyInfo (RFC 5280 §4.1) or as PEM.
func parsePublicKey(text string) ([]byte, error) {
	der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if block, rest := pem.Decode([]byte(text)); block != nil && len(strings.TrimSpace(string(rest))) == 0 {
		der, err = block.Bytes, nil
	}
	if err != nil {
		return nil, errors.New("is neither base64 nor PEM")
	}
	if _, err := publicKey(der); err != nil {
		return nil, err
	}
	return der, nil
}

func publicKey(der []byte) (*ecdsa.PublicKey, error) {
	k, err := x509.ParsePKIXPublicKey(der)
	if key, ok := k.(*ecdsa.PublicKey); err == nil && ok && key.Curve == elliptic.P256() {
		return key, nil
	}
	return nil, errors.New("is no public key of ECDSA on P-256")
}

// sendgridVerify checks the signature over the time and the body.
// https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
func sendgridVerify(_ context.Context, r *Request) (string, error) {
	signature, ok1 := single(r.Header, "X-Twilio-Email-Event-Webhook-Signature")
	stamp, ok2 := single(r.Header, "X-Twilio-Email-Event-Webhook-Timestamp")
	der, err := base64.StdEncoding.DecodeString(signature)
	if !ok1 || !ok2 || err != nil || !digits(stamp) {
		return "", ErrSignature
	}
	h := sha256.New()
	h.Write([]byte(stamp))
	h.Write(r.Body)
	sum, found := h.Sum(nil), false
	for _, secret := range r.Secrets {
		if key, err := publicKey(secret); err == nil && ecdsa.VerifyASN1(key, sum, der) {
			found = true
		}
	}
	if !found {
		return "", ErrSignature
	}
	return fingerprint(r.Body), fresh(stamp, r.Now)
}

// single is a field that is there once.
func single(h http.Header, name string) (string, bool) {
	values := h.Values(name)
	if len(values) != 1 {
		return "", false
	}
	return values[0], values[0] != ""
}

func sendgridRead(body []byte) (*Payload, error) { return decodeList(body, sendgridEvent) }

// sendgridClasses are what SendGrid makes of a bounce.
var sendgridClasses = map[string]bounce.Group{
	"Invalid Address": bounce.NoSuchUser, "Mailbox Unavailable": bounce.MailboxFull, "Reputation": bounce.BlockedSender, "Content": bounce.PolicyGroup,
	"Technical": bounce.Unreachable, "Technical Failure": bounce.Unreachable, "Frequency or Volume Too High": bounce.BlockedSender,
}

// sendgridEvent reads one event. A dropped mail is no new bounce, complaint or opt-out:
// SendGrid did not send it since its own list names the address.
// https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
func sendgridEvent(p *Payload, doc []byte) error {
	var x struct {
		Email          text `json:"email"`
		Event          text `json:"event"`
		Type           text `json:"type"` // of a bounce: bounce, blocked, expired
		Timestamp      text `json:"timestamp"`
		SMTPID         text `json:"smtp-id"`
		EventID        text `json:"sg_event_id"`
		MessageID      text `json:"sg_message_id"`
		Reason         text `json:"reason"`
		Status         text `json:"status"`
		Classification text `json:"bounce_classification"`
		UserAgent      text `json:"useragent"`
		IP             text `json:"ip"`
		URL            text `json:"url"`
		Machine        bool `json:"sg_machine_open"`
	}
	if err := decode("", doc, &x); err != nil {
		return err
	}
	e := Event{
		SignalDoc: gateway.SignalDoc{ID: string(x.EventID), At: epoch(x.Timestamp), Mailbox: string(x.Email)},
		Clue:      gateway.Clue{Recipient: string(x.Email), MessageIDs: names(string(x.SMTPID)), QueueIDs: names(sendgridQueueID(string(x.MessageID)))},
	}
	s := saw{string(x.URL), string(x.UserAgent), string(x.IP), x.Machine}
	switch x.Event {
	case "bounce":
		hard := (x.Type == "bounce" || x.Type == "") && !strings.HasPrefix(string(x.Status), "4")
		b := gateway.Bounce{Status: string(x.Status), Text: string(x.Reason)}
		b.Group = orGroup(b.Status, b.Text, sendgridClasses[string(x.Classification)])
		p.bounced(e, hard, b)
	case "open":
		p.seen(e, gateway.SignalOpened, s)
	case "click":
		p.seen(e, gateway.SignalClicked, s)
	case "spamreport":
		p.complained(e, "")
	case "unsubscribe", "group_unsubscribe":
		p.add(e, gateway.SignalUnsubscribed, details{})
	default: // processed, deferred, delivered, dropped, group_resubscribe, those of the account
		p.Ignored++
	}
	return nil
}

// sendgridQueueID is what SendGrid's 250 named: sg_message_id up to the filter's name.
func sendgridQueueID(id string) string {
	for _, mark := range []string{".filter", ".recvd"} {
		id, _, _ = strings.Cut(id, mark)
	}
	return id
}
