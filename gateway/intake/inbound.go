package intake

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"tidepost/gateway"
)

// Inbound makes a Server one that takes mail from the world: bounces and
// complaints, which come to our return path from anybody. Nobody authenticates and
// nobody relays: whether a recipient is ours is the only question. The Server's
// Submit, credentials, Refuse, Spool and MaxHold are not used, and its TrustedNetworks
// are only who may have more than Limits.MaxPerAddress connections. Set before the
// first Serve; where they are zero, Server.BareNewline is BareNormalize (old
// systems write bare LF into the bounces they make),
// Limits.MaxMessageBytes 10 MiB and some, and Limits.MaxRecipients 20.
//
// Recipients that are refused count as errors, so that Limits.HardErrors of them end
// a connection with 421.
type Inbound struct {
	// Recipient returns nil where an address is ours, else a *gateway.Reply that the
	// client is told, 550 5.1.1 say; any other error is told as 451 4.3.0. The address
	// is as the client wrote it, in any case, without brackets, checked for its form;
	// "postmaster" may come without a domain (RFC 5321 §4.5.1).
	Recipient func(ctx context.Context, address string) error
	// Deliver takes a whole message. After nil the client is told 250, so what must
	// not be lost is durable by then. Errors are told as Recipient's are.
	Deliver func(ctx context.Context, m *Incoming) error
}

// Incoming is a message from the world.
type Incoming struct {
	From       string   // as written; "" for <>
	Recipients []string // as written, at least one
	Content    []byte   // lines end in CRLF; valid until Deliver returns
	Received   time.Time

	Client     string // address of the client
	Helo       string
	Protocol   string // SMTP, ESMTP, ESMTPS (RFC 3848), UTF8SMTP, UTF8SMTPS (RFC 6531)
	TLSVersion string // "TLS1.3", "" without TLS
	TLSCipher  string
}

// inboundMessageBytes is the default of Limits.MaxMessageBytes: a bounce returns a
// message of 10 MiB and says why.
const inboundMessageBytes = 10<<20 + 256<<10

// prepareInbound sets the defaults that differ from a submission's.
func (s *Server) prepareInbound() error {
	if s.Inbound.Recipient == nil || s.Inbound.Deliver == nil {
		return errors.New("intake: Inbound needs Recipient and Deliver")
	}
	if s.BareNewline == "" {
		s.BareNewline = BareNormalize
	}
	set(&s.Limits.MaxMessageBytes, inboundMessageBytes)
	set(&s.Limits.MaxRecipients, 20)
	s.MaxHold = 0
	return nil
}

// inbound is one client's dealings with an Inbound server.
type inbound struct {
	s    *Server
	ctx  context.Context
	peer *peer

	message *Incoming // nil outside of a transaction
	utf8    bool
	size    int64 // as declared
	body    body
}

var _ Extension = (*inbound)(nil)

func (s *Server) newInbound(ctx context.Context, p *peer) *inbound {
	t := &inbound{s: s, ctx: ctx, peer: p}
	t.body = body{budget: s.Budget, wait: s.limits.BudgetTimeout, spool: func() (gateway.SpoolFile, error) {
		return &heldFile{budget: s.Budget}, nil
	}}
	return t
}

// Allowed implements Extension: anybody may write to us.
func (t *inbound) Allowed() error { return nil }

// Mail implements smtp.Session.
func (t *inbound) Mail(from string, o *smtp.MailOptions) error {
	_, err := t.MailExtended(from, o, nil)
	return err
}

// MailExtended implements Extension. Any sender is taken, also what is no address:
// some systems write <MAILER-DAEMON>.
func (t *inbound) MailExtended(from string, o *smtp.MailOptions, _ *MailExtensions) (*gateway.Reply, error) {
	if t.message != nil {
		return nil, &gateway.Reply{Code: 503, Status: "5.5.1", Text: "there is a transaction already"}
	}
	t.utf8, t.size = o.UTF8, o.Size
	t.message = &Incoming{
		From: from, Received: time.Now(),
		Client: t.peer.text, Helo: t.peer.helo, Protocol: t.peer.protocol(o.UTF8),
		TLSVersion: t.peer.tlsVersion, TLSCipher: t.peer.tlsCipher,
	}
	return nil, nil
}

// Rcpt implements smtp.Session.
func (t *inbound) Rcpt(to string, _ *smtp.RcptOptions) error {
	if t.message == nil {
		return &gateway.Reply{Code: 503, Status: "5.5.1", Text: "RCPT comes after MAIL"}
	}
	a, err := parseAddress(to, t.utf8, "5.1.3")
	if err != nil {
		return err
	}
	if strings.ContainsAny(a.Local, "%!@") { // routes, as in a submission
		return &gateway.Reply{Code: 550, Status: "5.7.1", Text: "addresses with a route in them are not accepted"}
	}
	if slices.Contains(t.message.Recipients, to) {
		return nil
	}
	if err := t.s.Inbound.Recipient(t.ctx, to); err != nil {
		if r := asReply(err); r != nil && r.Code >= 500 {
			t.s.Metrics.refuse(RefusedRelay)
		}
		return err
	}
	t.message.Recipients = append(t.message.Recipients, to)
	return nil
}

// Ready implements Extension.
func (t *inbound) Ready() error { return t.body.ready(t.ctx, t.size) }

// Data implements smtp.Session. What it reads is whole when it ends in io.EOF, and
// only then delivered.
func (t *inbound) Data(r io.Reader) error {
	if t.message == nil || len(t.message.Recipients) == 0 {
		return &gateway.Reply{Code: 503, Status: "5.5.1", Text: "DATA comes after MAIL and RCPT"}
	}
	defer t.body.release()
	if err := t.Ready(); err != nil {
		return err
	}
	if err := t.body.read(r); err != nil {
		return err
	}
	content := t.body.content()
	if f, ok := content.File.(*heldFile); ok {
		content.Bytes = f.b
	}
	t.message.Content = content.Bytes
	return t.s.Inbound.Deliver(t.ctx, t.message)
}

// Queued implements Extension: there is no id to tell.
func (t *inbound) Queued() (id gateway.ID) { return id }

// Reset implements smtp.Session.
func (t *inbound) Reset() {
	t.message, t.utf8, t.size = nil, false, 0
	t.body.release()
}

// Logout implements smtp.Session.
func (t *inbound) Logout() error {
	t.Reset()
	return nil
}

// heldFile keeps in memory what a submission would spool to a disk: a bounce is
// read as soon as it is there. Its memory is the budget's, too; it never waits for
// more.
type heldFile struct {
	budget Budget
	b      []byte
}

// Write implements io.Writer.
func (f *heldFile) Write(p []byte) (int, error) {
	if need := len(f.b) + len(p); need > cap(f.b) {
		grown := max(need, 2*cap(f.b))
		if !f.budget.TryAcquire(int64(grown)) {
			return 0, replyFull
		}
		b := make([]byte, len(f.b), grown)
		copy(b, f.b)
		f.budget.Release(int64(cap(f.b)))
		f.b = b
	}
	f.b = append(f.b, p...)
	return len(p), nil
}

// Discard gives the memory back.
func (f *heldFile) Discard() {
	f.budget.Release(int64(cap(f.b)))
	f.b = nil
}
