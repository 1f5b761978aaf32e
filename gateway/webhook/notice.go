package webhook

import (
	"slices"
	"strings"

	"tidepost/gateway"
)

// testWord is the kind of the event that a person sends to see whether it arrives.
const testWord = "test"

// notice is an event on its way to one endpoint.
type notice struct {
	*gateway.Event
	word     string // its kind as the configuration names it
	id       string // the event's
	tenant   string
	detail   gateway.SignalDetail // where it is of a signal
	signal   bool
	delivery gateway.DeliveryID // zero: it is about none that is known

	// Found out when it is told.
	address string // "": there is none any more
	bounce  *verdict
	mail    *mail // nil: the message is forgotten, or nobody asked
}

// verdict is what a bounce or a complaint comes to.
type verdict struct {
	Hard   bool   `json:"hard"`             // there is no such mailbox
	Status string `json:"status,omitempty"` // RFC 3463
	Code   string `json:"code,omitempty"`   // SMTP reply
	Group  string `json:"group,omitempty"`  // kind of trouble, of bounces that came back
	Text   string `json:"text,omitempty"`   // what the far side said
}

// newNotice returns what an endpoint may be told of an event; false where it is of no
// tenant.
func newNotice(e *gateway.Event) (*notice, bool) {
	n := &notice{Event: e, word: word(e.Kind), id: e.ID()}
	if d := e.Delivery; d != nil {
		n.tenant, n.delivery, n.address = d.Tenant, d.ID, d.Address
		if e.Kind == gateway.EventBounced {
			n.bounce = refusal(d.Reply, e.Reason)
		}
		return n, n.tenant != ""
	}
	if n.detail, n.signal = e.SignalDetail(); !n.signal {
		return nil, false
	}
	n.tenant = n.detail.Tenant
	n.delivery, _ = gateway.ParseDeliveryID(n.detail.Delivery)
	if e.Kind == gateway.EventBounceTold || e.Kind == gateway.EventComplained {
		n.bounce = told(&n.detail, e.Kind)
	}
	return n, true
}

// refusal reads the reply of a delivery that was given up.
func refusal(reply, reason string) *verdict {
	v := &verdict{Text: cut(reply, maxText)}
	code, rest, _ := strings.Cut(reply, " ")
	if len(code) == 3 && strings.Trim(code, "0123456789") == "" {
		v.Code = code
		if status, _, _ := strings.Cut(rest, " "); isStatus(status) {
			v.Status = status
		}
	}
	v.Hard = reason == "refused" && gateway.Gone(v.Status)
	return v
}

// told reads what a report said that came back.
func told(d *gateway.SignalDetail, kind gateway.EventKind) *verdict {
	v := &verdict{Hard: kind == gateway.EventBounceTold && !d.Soft}
	if b := d.Bounce; b != nil {
		v.Status, v.Code, v.Group, v.Text = b.Status, b.Code, string(b.Group), cut(b.Text, maxText)
	}
	return v
}

// maxText is how much of a reply is repeated, in bytes.
const maxText = 500

// isStatus reports whether s is an enhanced status code (RFC 3463 §2).
func isStatus(s string) bool {
	parts := strings.Split(s, ".")
	return len(parts) == 3 && len(s) <= 9 && !slices.ContainsFunc(parts, func(p string) bool { return p == "" || strings.Trim(p, "0123456789") != "" })
}

// cut shortens text to n bytes at most, at a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// machine reports whether a program did it and not the reader.
func (n *notice) machine() bool {
	return n.signal && (n.Kind == gateway.EventOpened || n.Kind == gateway.EventClicked) && n.detail.Human < 0.5
}

// doc is the event as it travels, with what signals say elsewhere put where
// deliveries have it.
func (n *notice) doc() gateway.EventDoc {
	d := n.Event.Doc()
	if n.signal {
		d.Tenant, d.Mailbox, d.Delivery, d.Address = n.tenant, n.detail.Mailbox, n.detail.Delivery, n.address
		d.List = n.detail.List
		if !n.delivery.Message.IsZero() {
			d.Message = n.delivery.Message.String()
		}
	}
	return d
}

// headers are the fields of the original mail that the endpoint wants.
func (n *notice) headers() map[string]string {
	if n.mail == nil {
		return nil
	}
	return n.mail.fields
}

// header is one of them; "" where it is not there.
func (n *notice) header(name string) string { return n.headers()[name] }

// text is what the far side said.
func (n *notice) text() string {
	switch {
	case n.bounce != nil:
		return n.bounce.Text
	case n.Delivery != nil:
		return cut(n.Delivery.Reply, maxText)
	}
	return ""
}

// messageID names the mail: its Message-ID, else our own id of it.
func (n *notice) messageID() string {
	if n.mail != nil && n.mail.messageID != "" {
		return n.mail.messageID
	}
	return n.ownID()
}

// ownID is our id of the delivery that it is about, else of the event.
func (n *notice) ownID() string {
	if n.delivery.Message.IsZero() {
		return n.id
	}
	return n.delivery.String()
}
