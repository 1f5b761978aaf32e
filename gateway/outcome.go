package gateway

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Reply is an SMTP reply that we give: what intake says for an error of ours.
type Reply struct {
	Code   int    // 250, 452, …
	Status string // enhanced status code (RFC 3463), "4.3.1"
	Text   string
}

func (r *Reply) Error() string { return fmt.Sprintf("%d %s %s", r.Code, r.Status, r.Text) }

// OutcomeKind is what became of one attempt.
type OutcomeKind uint8

// The kinds of outcome.
const (
	OutcomeDelivered OutcomeKind = iota // 2xx: the next hop has it
	OutcomeDeferred                     // 4xx, or unknown after the final dot: try again
	OutcomeFailed                       // 5xx: it will never take it
	OutcomeUnsent                       // MAIL was not written, or went into a connection already closed: no attempt
	OutcomeCaptured                     // kept, not sent
)

// Outcome is what the far side said to one delivery.
type Outcome struct {
	Kind    OutcomeKind
	Code    int    // 250; 0 where there was no reply
	Status  string // enhanced status code, "" where there was none
	Text    string // the reply, escaped, at most 512 bytes
	Remote  string // host that said it
	Busy    bool   // 421 or "too many connections": the destination, not the message
	Relayed bool   // the next hop does not report success itself: we owe the DSN (RFC 3461 §5.2.2 a)
}

// Destination is the group of hosts that takes mail for a domain.
type Destination struct {
	Name    string   // limits, rates and listings go by it
	Hosts   []string // "host:port" in the order to be tried; empty in capture mode
	Capture bool
}

// Router finds where a domain's mail goes. An *Outcome as error is final or
// temporary by its Kind (null MX, no such domain); other errors are temporary.
type Router interface {
	Route(ctx context.Context, domain string) (Destination, error)
}

func (o *Outcome) Error() string { return replyText(*o) }

// Transport opens sessions to destinations.
type Transport interface {
	Open(ctx context.Context, d Destination) (Session, error)
}

// Session is one connection to a destination, ready for MAIL. It is used by
// one goroutine at a time.
type Session interface {
	// Send transmits one message and returns an outcome for each recipient. When
	// MAIL was not written before notAfter every outcome is OutcomeUnsent.
	Send(ctx context.Context, e *Envelope, body io.Reader, notAfter time.Time) []Outcome
	// Usable reports whether another message may be sent.
	Usable() bool
	Close() error
}

// Envelope is one SMTP transaction as it leaves.
type Envelope struct {
	From       string
	EnvID      string
	Return     string
	EightBit   bool
	UTF8       bool
	Size       int64
	Priority   int8
	By         byte // ByNone, ByNotify, ByReturn
	ByTrace    bool
	Deadline   time.Time // for BY=
	Recipients []EnvelopeRecipient
}

// EnvelopeRecipient is one RCPT of a transaction.
type EnvelopeRecipient struct {
	Address  string
	Notify   Notify
	Original string // ORCPT, decoded
}

// Composer makes the bytes that leave from the ones that came: trace header,
// control headers out, rewriting, signatures, in that order.
type Composer interface {
	// Compose returns the message for one delivery, with the marks put in as far as
	// its content and its signatures allow. size is exact.
	Compose(ctx context.Context, s *Stored, d *Delivery, m Marks) (body io.ReadCloser, size int64, err error)
}

// Reader reads a message's header on its way in, into the fields of m. An
// error is a *Reply; what cannot be read is left out and noted in m.Notes.
type Reader interface {
	Read(header []byte, m *Message, c *Credential) error
}
