package feedback

import (
	"context"
	"encoding/json"

	"tidepost/gateway"
	"tidepost/gateway/bounce"
)

// sparkpostVerify knows a batch again by the id that SparkPost gives it.
func sparkpostVerify(ctx context.Context, r *Request) (string, error) {
	id, err := basicVerify(ctx, r)
	if batch, ok := single(r.Header, "X-MessageSystems-Batch-ID"); ok && err == nil {
		id = plainID(batch)
	}
	return id, err
}

func sparkpostRead(body []byte) (*Payload, error) { return decodeList(body, sparkpostElement) }

// sparkpostClass is what a number of bounce_class says.
type sparkpostClass struct {
	hard  bool
	group bounce.Group
}

// sparkpostClasses are those that say something about an address or a mail. The others
// are what SparkPost itself did (25, 26), notes of absence (60), and questions back.
// https://support.sparkpost.com/docs/deliverability/bounce-classification-codes
var sparkpostClasses = map[text]sparkpostClass{
	"1":  {false, bounce.Unknown},
	"10": {true, bounce.NoSuchUser},
	"20": {false, bounce.Unknown},
	"21": {false, bounce.NoSuchHost},
	"22": {false, bounce.MailboxFull},
	"23": {false, bounce.ContentOrSize},
	"24": {false, bounce.Unreachable},
	"30": {true, bounce.NoSuchUser},
	"40": {false, bounce.Unknown},
	"50": {false, bounce.BlockedSender},
	"51": {false, bounce.BlockedSender},
	"52": {false, bounce.PolicyGroup},
	"53": {false, bounce.ContentOrSize},
	"54": {false, bounce.PolicyGroup},
	"70": {false, bounce.System},
}

// sparkpostUnsubscribe is the class of mail that came back as a wish to be taken off.
const sparkpostUnsubscribe = "90"

// sparkpostElement reads one element of the list: an event in two wrappings. An empty
// one is SparkPost's test of the address.
func sparkpostElement(p *Payload, doc []byte) error {
	var x struct {
		Msys map[string]json.RawMessage `json:"msys"`
	}
	if err := decode("", doc, &x); err != nil {
		return err
	}
	for _, kind := range []string{"message_event", "track_event", "unsubscribe_event"} {
		if event := x.Msys[kind]; event != nil {
			return sparkpostEvent(p, event)
		}
	}
	p.Ignored++ // gen_event, relay_event, those of A/B tests and of other channels
	return nil
}

// sparkpostEvent reads one event.
// https://developers.sparkpost.com/api/webhooks
func sparkpostEvent(p *Payload, doc []byte) error {
	var x struct {
		Type         text   `json:"type"`
		ID           text   `json:"event_id"`
		Timestamp    text   `json:"timestamp"`
		MessageID    text   `json:"message_id"`
		Transmission text   `json:"transmission_id"`
		Injected     string `json:"injection_time"`
		Recipient    text   `json:"rcpt_to"`
		ReturnPath   text   `json:"msg_from"`
		Class        text   `json:"bounce_class"`
		Code         text   `json:"error_code"`
		Reason       text   `json:"raw_reason"`
		Feedback     text   `json:"fbtype"`
		UserAgent    text   `json:"user_agent"`
		IP           text   `json:"ip_address"`
		Link         text   `json:"target_link_url"`
		Parsed       struct {
			Prefetched bool `json:"is_prefetched"`
		} `json:"user_agent_parsed"`
	}
	if err := decode("", doc, &x); err != nil {
		return err
	}
	e := Event{
		SignalDoc: gateway.SignalDoc{ID: string(x.ID), At: epoch(x.Timestamp), Mailbox: string(x.Recipient)},
		Clue: gateway.Clue{Recipient: string(x.Recipient), ReturnPath: string(x.ReturnPath), At: stamp(x.Injected),
			QueueIDs: names(string(x.MessageID), string(x.Transmission))},
	}
	s := saw{string(x.Link), string(x.UserAgent), string(x.IP), x.Parsed.Prefetched}
	class, known := sparkpostClasses[x.Class]
	switch x.Type {
	case "bounce", "out_of_band":
		switch {
		case x.Class == sparkpostUnsubscribe:
			p.add(e, gateway.SignalUnsubscribed, details{})
		case known || x.Class == "":
			p.bounced(e, class.hard, gateway.Bounce{Code: string(x.Code), Text: string(x.Reason), Group: class.group})
		default:
			p.Ignored++
		}
	case "spam_complaint":
		if x.Feedback == "not-spam" {
			p.Ignored++
			return nil
		}
		p.complained(e, string(x.Feedback))
	case "open", "initial_open", "amp_open", "amp_initial_open":
		p.seen(e, gateway.SignalOpened, s)
	case "click", "amp_click":
		p.seen(e, gateway.SignalClicked, s)
	case "list_unsubscribe", "link_unsubscribe":
		p.add(e, gateway.SignalUnsubscribed, details{})
	default: // injection, delivery, delay, policy_rejection: not sent, or not yet
		p.Ignored++
	}
	return nil
}
