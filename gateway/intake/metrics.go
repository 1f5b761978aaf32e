package intake

import "sync/atomic"

// Reason is why a connection, command or message was refused.
type Reason uint8

// The reasons that are counted.
const (
	RefusedBusy       Reason = iota // MaxConnections
	RefusedPerAddress               // MaxPerAddress
	RefusedHandshake                // TLS or PROXY header failed
	RefusedRelay                    // neither trusted nor authenticated
	RefusedSync                     // the client talked out of turn
	RefusedErrors                   // too many errors or junk commands
	RefusedTimeout                  // too slow, or stalled
	RefusedContent                  // bare CR, LF or NUL, a long line
	RefusedSize                     // MaxMessageBytes
	RefusedFull                     // 452 and other 4xx from storage
	RefusedPolicy                   // 5xx from Submit
	reasons
)

var reasonNames = [reasons]string{"busy", "per_address", "handshake", "relay", "sync", "errors", "timeout", "content", "size", "full", "policy"}

// String is the reason's name as a metric label.
func (r Reason) String() string {
	if r < reasons {
		return reasonNames[r]
	}
	return "unknown"
}

// Reasons returns all reasons, for exporters.
func Reasons() []Reason {
	all := make([]Reason, reasons)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}

// Metrics counts what happens. Open goes up and down, the rest only grows.
type Metrics struct {
	Open         atomic.Int64 // connections now
	Connections  atomic.Int64 // accepted so far
	Messages     atomic.Int64 // answered 250
	Bytes        atomic.Int64 // of their content
	Recipients   atomic.Int64 // of theirs
	Spooled      atomic.Int64 // messages that went through a spool file
	AuthOK       atomic.Int64
	AuthFailures atomic.Int64
	Aborted      atomic.Int64 // messages whose end never came

	refused [reasons]atomic.Int64
}

// Refused returns how often something was refused for that reason.
func (m *Metrics) Refused(r Reason) int64 { return m.refused[r].Load() }

func (m *Metrics) refuse(r Reason) { m.refused[r].Add(1) }
