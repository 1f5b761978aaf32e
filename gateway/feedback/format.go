package feedback

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"tidepost/gateway"
)

// Format is how a provider signs and writes its reports.
type Format struct {
	// Verify returns the id under which the provider repeats a report that it could
	// not deliver, "" where it has none. The error is ErrSignature or ErrStale,
	// wrapped; another one says that it cannot be told now.
	Verify func(ctx context.Context, r *Request) (id string, err error)

	// Read reads a body that was verified. The error is a *PayloadError.
	Read func(body []byte) (*Payload, error)

	// CheckSecret reads one secret as the configuration has it into what Request has.
	// Its error begins with a verb, for the key's name to stand before it.
	CheckSecret func(text string) ([]byte, error)

	Secret    string // what a secret is and where to get one, for people
	PublicKey bool   // the secret is a public key: it may be known
	Challenge string // WWW-Authenticate of a 401 (RFC 9110 §11.6.1); "": none
}

// Request is a report that came in.
type Request struct {
	Header  http.Header
	Body    []byte
	Secrets [][]byte // as CheckSecret made them; several while one is changed for another
	Now     time.Time

	// Fetch gets a document over HTTPS for formats whose signatures need one (a
	// certificate); it refuses private addresses and does not follow redirects.
	Fetch func(ctx context.Context, url string) ([]byte, error)
}

// Payload is what a report says.
type Payload struct {
	Events  []Event
	Confirm string // an address that is to be called once, for the provider to go on; "": none
	Ignored int    // events that say nothing to us
}

// Event is one event of a report: a signal as far as it is told, and what tells which
// of our mails it is about.
type Event struct {
	gateway.SignalDoc
	Clue gateway.Clue
}

// formats are all formats by their name in the configuration.
var formats = map[string]Format{
	"standard": {Verify: standardVerify, Read: standardRead, CheckSecret: ParseSecret,
		Secret: "`echo whsec_$(openssl rand -base64 32)` makes one"},
	"sendgrid": {Verify: sendgridVerify, Read: sendgridRead, CheckSecret: parsePublicKey, PublicKey: true,
		Secret: "copy it from Mail Settings, Event Webhooks, Security features"},
	"mailgun": {Verify: mailgunVerify, Read: mailgunRead, CheckSecret: parseText,
		Secret: "copy the HTTP webhook signing key from Mailgun's API security page"},
	"ses": {Verify: snsVerify, Read: sesRead, CheckSecret: parseTopic,
		Secret: "copy it from the topic's page in the SNS console"},
	"postmark":  {Verify: basicVerify, Read: postmarkRead, CheckSecret: parseBasic, Secret: basicSecret, Challenge: basicChallenge},
	"sparkpost": {Verify: sparkpostVerify, Read: sparkpostRead, CheckSecret: parseBasic, Secret: basicSecret, Challenge: basicChallenge},
	"mautic": {Verify: mauticVerify, Read: mauticRead, CheckSecret: parseText,
		Secret: "copy the secret of the webhook in Mautic"},
	"listmonk": {Verify: basicVerify, Read: listmonkRead, CheckSecret: parseBasic, Secret: basicSecret, Challenge: basicChallenge},
}

// Formats are the names of all formats, sorted.
func Formats() []string { return slices.Sorted(maps.Keys(formats)) }

// ReadEvent reads one event as a provider has it in its logs, outside of any report:
// an element of SendGrid's list, Mailgun's event-data, or the message that SES gives to
// SNS. One event can be several signals; ignored counts those that say nothing to us.
// The error is a *PayloadError.
func ReadEvent(format string, one []byte) (events []Event, ignored int, err error) {
	read, ok := map[string]func(*Payload, []byte) error{"sendgrid": sendgridEvent, "mailgun": mailgunEvent, "ses": sesMessage}[format]
	if !ok {
		return nil, 0, &PayloadError{Problem: fmt.Sprintf("is of format %q, which has no single events", format), Remedy: "use sendgrid, mailgun or ses"}
	}
	if err := checkReport(one); err != nil {
		return nil, 0, err
	}
	p := &Payload{}
	if err := read(p, one); err != nil {
		return nil, 0, err
	}
	return p.Events, p.Ignored, nil
}

func standardVerify(_ context.Context, r *Request) (string, error) {
	return Verify(r.Header, r.Body, r.Secrets, r.Now)
}

func standardRead(body []byte) (*Payload, error) {
	docs, err := Signals(body)
	if err != nil {
		return nil, err
	}
	p := &Payload{}
	for _, d := range docs {
		p.Events = append(p.Events, Event{SignalDoc: d})
	}
	return p, nil
}

// Lookup returns the format of that name; "" is standard.
func Lookup(name string) (Format, bool) {
	if name == "" {
		name = "standard"
	}
	f, ok := formats[name]
	return f, ok
}

// Bounds of a report.
const (
	MaxBody    = 1 << 20 // bytes
	MaxSignals = 1000    // in one of ours
	MaxEvents  = 10_000  // in a list of a provider's; MaxBody is the tighter bound
	maxDepth   = 32
)

// ErrSignature says that a report is not signed by whom we expect.
var ErrSignature = errors.New("the signature is missing or not right")

// refusal is an ErrSignature that says why.
type refusal string

func (r refusal) Error() string        { return string(r) }
func (r refusal) Is(target error) bool { return target == ErrSignature }

// ErrStale says that a report was signed too long ago, or in the future.
var ErrStale = errors.New("the timestamp is too far from now")

// PayloadError says what is wrong with a report that was verified.
type PayloadError struct {
	At      string // where, as signals[3]; "": in all of it
	Problem string
	Remedy  string
	TooMany bool // it is too large, not wrong
}

func (e *PayloadError) Error() string {
	text := e.Problem
	if e.Remedy != "" {
		text += "; " + e.Remedy
	}
	if e.At != "" {
		text = e.At + " " + text
	}
	return text
}
