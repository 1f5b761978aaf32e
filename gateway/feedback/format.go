package feedback

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"tidepost/gateway"
)

// Format is how a provider signs and writes its reports.
type Format struct {
	// Verify returns the id under which the provider repeats a report that it could
	// not deliver. The error is ErrSignature or ErrStale, wrapped.
	Verify func(h http.Header, body []byte, secrets [][]byte, now time.Time) (id string, err error)

	// Signals reads a body that was verified. The error is a *PayloadError.
	Signals func(body []byte) ([]gateway.SignalDoc, error)
}

// formats are all formats by their name in the configuration.
var formats = map[string]Format{
	"standard": {Verify, Signals},
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
