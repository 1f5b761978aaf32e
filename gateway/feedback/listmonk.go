package feedback

import "tidepost/gateway"

func listmonkRead(body []byte) (*Payload, error) { return decodeOne(body, listmonkEvent) }

// listmonkEvent reads a bounce as listmonk's /webhooks/bounce takes it.
// https://listmonk.app/docs/bounces/#webhook-api
func listmonkEvent(p *Payload, doc []byte) error {
	var x struct {
		Email string `json:"email"`
		UUID  string `json:"subscriber_uuid"`
		Type  string `json:"type"`
	}
	if err := decode("", doc, &x); err != nil {
		return err
	}
	switch {
	case x.Email == "" && x.UUID != "":
		return &PayloadError{At: "email", Problem: "is missing, and we know nobody by a subscriber_uuid", Remedy: "send email"}
	case x.Email == "":
		return &PayloadError{At: "email", Problem: "is missing", Remedy: "send the address that bounced"}
	}
	e := Event{SignalDoc: gateway.SignalDoc{Mailbox: x.Email}, Clue: gateway.Clue{Recipient: x.Email}}
	switch x.Type {
	case "hard", "soft":
		p.bounced(e, x.Type == "hard", gateway.Bounce{})
	case "complaint":
		p.complained(e, "")
	default:
		return &PayloadError{At: "type", Problem: "is none", Remedy: "send hard, soft or complaint"}
	}
	return nil
}
