package feedback

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"tidepost/gateway"
)

// mauticVerify checks the signature over the body. Nothing in it tells when it was
// made: a report that is played again is known by its bytes, and its events by their
// ids.
func mauticVerify(_ context.Context, r *Request) (string, error) {
	text, ok := single(r.Header, "Webhook-Signature")
	got, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil {
		return "", ErrSignature
	}
	found := false
	for _, secret := range r.Secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write(r.Body)
		if len(secret) > 0 && hmac.Equal(got, mac.Sum(nil)) {
			found = true
		}
	}
	if !found {
		return "", ErrSignature
	}
	return fingerprint(r.Body), nil
}

// mauticEvents are the events that say something, by their name.
var mauticEvents = map[string]func(*Payload, json.RawMessage) error{
	"mautic.email_on_open":                     mauticOpen,
	"mautic.lead_channel_subscription_changed": mauticSubscription,
	"mautic.page_on_hit":                       mauticHit,
}

// mauticRead reads a report: lists of events by their name.
// https://devdocs.mautic.org/en/5.x/webhooks/events/index.html
func mauticRead(body []byte) (*Payload, error) {
	if err := checkReport(body); err != nil {
		return nil, err
	}
	var lists map[string]json.RawMessage
	if err := decode("", body, &lists); err != nil {
		return nil, err
	}
	p := &Payload{}
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		one := mauticEvents[name]
		if one == nil {
			p.Ignored++
			continue
		}
		var docs []json.RawMessage
		if err := decode(name, lists[name], &docs); err != nil {
			return nil, err
		}
		for i, doc := range docs {
			if err := one(p, doc); err != nil {
				return nil, &PayloadError{At: fmt.Sprintf("%s[%d]", name, i), Problem: "cannot be read", Remedy: seeHooks}
			}
		}
	}
	return p, nil
}

// mauticContact is a contact as far as its address.
type mauticContact struct {
	ID     text            `json:"id"`
	Fields json.RawMessage `json:"fields"`
}

// address is the contact's. PHP writes an empty object as a list: where a field is
// something else than it should be, there is none.
func (c *mauticContact) address() string {
	var fields struct {
		Core struct {
			Email struct {
				Value string `json:"value"`
			} `json:"email"`
		} `json:"core"`
	}
	if json.Unmarshal(c.Fields, &fields) != nil {
		return ""
	}
	return fields.Core.Email.Value
}

func mauticOpen(p *Payload, doc json.RawMessage) error {
	var x struct {
		Stat struct {
			ID      text          `json:"id"`
			Address string        `json:"emailAddress"`
			Sent    string        `json:"dateSent"`
			Read    string        `json:"dateRead"`
			Count   text          `json:"openCount"`
			Lead    mauticContact `json:"lead"`
		} `json:"stat"`
		At string `json:"timestamp"`
	}
	if err := json.Unmarshal(doc, &x); err != nil {
		return err
	}
	to := x.Stat.Address
	if to == "" {
		to = x.Stat.Lead.address()
	}
	e := Event{SignalDoc: gateway.SignalDoc{At: stamp(x.At), Mailbox: to}, Clue: gateway.Clue{Recipient: to, At: stamp(x.Stat.Sent)}}
	if e.At.IsZero() {
		e.At = stamp(x.Stat.Read)
	}
	if x.Stat.ID != "" {
		e.ID = "open " + string(x.Stat.ID) + " " + string(x.Stat.Count)
	}
	p.seen(e, gateway.SignalOpened, saw{})
	return nil
}

// mauticSubscription takes an opt-out by the reader. A contact whom Mautic takes for
// bounced has no status with it, and one set by hand is no wish of theirs; Mautic
// writes to neither.
func mauticSubscription(p *Payload, doc json.RawMessage) error {
	var x struct {
		Contact mauticContact `json:"contact"`
		Channel string        `json:"channel"`
		New     string        `json:"new_status"`
		At      string        `json:"timestamp"`
	}
	if err := json.Unmarshal(doc, &x); err != nil {
		return err
	}
	if x.Channel != "email" || x.New != "unsubscribed" {
		p.Ignored++
		return nil
	}
	e := Event{SignalDoc: gateway.SignalDoc{At: stamp(x.At), Mailbox: x.Contact.address()}}
	e.Clue.Recipient = e.Mailbox
	if x.Contact.ID != "" && x.At != "" {
		e.ID = "left " + string(x.Contact.ID) + " " + x.At
	}
	p.add(e, gateway.SignalUnsubscribed, details{})
	return nil
}

func mauticHit(p *Payload, doc json.RawMessage) error {
	var x struct {
		Hit struct {
			ID   text          `json:"id"`
			At   string        `json:"dateHit"`
			Lead mauticContact `json:"lead"`
		} `json:"hit"`
	}
	if err := json.Unmarshal(doc, &x); err != nil {
		return err
	}
	e := Event{SignalDoc: gateway.SignalDoc{At: stamp(x.Hit.At), Mailbox: x.Hit.Lead.address()}}
	e.Clue.Recipient = e.Mailbox
	if x.Hit.ID != "" {
		e.ID = "hit " + string(x.Hit.ID)
	}
	p.add(e, gateway.SignalViewed, details{})
	return nil
}
