package outbound

import (
	"context"
	"io"
	"net"
	"time"

	"tidepost/gateway"
)

// Smarthost routes all mail to one host.
type Smarthost struct {
	Host string // host:port; port 25 where none is said
}

var _ gateway.Router = Smarthost{}

// Route returns the smarthost, whatever the domain.
func (s Smarthost) Route(context.Context, string) (gateway.Destination, error) {
	host := s.Host
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(host, "25")
	}
	return gateway.Destination{Name: "smarthost", Hosts: []string{host}}, nil
}

// Capture routes all mail nowhere: it is kept to be looked at.
type Capture struct{}

var _ gateway.Router = Capture{}

// Route returns the destination that captures.
func (Capture) Route(context.Context, string) (gateway.Destination, error) {
	return gateway.Destination{Name: "capture", Capture: true}, nil
}

// captured is the session of a destination that captures.
type captured struct{}

// Send keeps the message where it is.
func (captured) Send(_ context.Context, e *gateway.Envelope, _ io.Reader, _ time.Time) []gateway.Outcome {
	out := make([]gateway.Outcome, len(e.Recipients))
	for i := range out {
		out[i] = gateway.Outcome{Kind: gateway.OutcomeCaptured, Code: 250, Status: "2.0.0", Text: "captured, not sent"}
	}
	return out
}

func (captured) Usable() bool { return true }
func (captured) Close() error { return nil }
