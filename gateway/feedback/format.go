package feedback

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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
	CheckSecret func(text string) ([]byte, error)
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
	"standard": {Verify: standardVerify, Read: standardRead, CheckSecret: ParseSecret},
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
	MaxSignals = 1000
	maxDepth   = 32
)

// ErrSignature says that a report is not signed by whom we expect.
var ErrSignature = errors.New("the signature is missing or not right")

// ErrStale says that a report was signed too long ago, or in the future.
var ErrStale = fmt.Errorf("the timestamp is more than %v away", Tolerance)

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
