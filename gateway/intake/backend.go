package intake

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"tidepost/gateway"
	"tidepost/suppression/address"
)

// Extension is what a smtp.Session may offer beyond go-smtp's vocabulary.
type Extension interface {
	smtp.Session
	// Allowed returns why this client may not submit mail at all, or nil.
	Allowed() error
	// MailExtended is Mail with the parameters that go-smtp does not know. The
	// reply, if any, is given in place of the usual 250.
	MailExtended(from string, o *smtp.MailOptions, x *MailExtensions) (*gateway.Reply, error)
	// Ready makes sure that content can be read, before the client is asked for it.
	Ready() error
	// Queued is the id of the message that Data took last; zero: it has none.
	Queued() gateway.ID
}

// session is one client's dealings: who it is, what it may do, and the
// transaction at hand. It implements smtp.Session, smtp.AuthSession and Extension.
type session struct {
	s      *Server
	ctx    context.Context
	peer   *peer
	access *access             // what cred was found in
	cred   *gateway.Credential // nil: may not submit
	user   bool                // by AUTH

	sub    *gateway.Submission // nil outside of a transaction
	seen   map[string]struct{} // recipients so far, from manyRecipients on
	size   int64               // as declared
	body   body
	queued gateway.ID
}

var (
	_ smtp.Backend     = (*Server)(nil)
	_ smtp.AuthSession = (*session)(nil)
	_ Extension        = (*session)(nil)
)

// NewSession implements smtp.Backend, so that go-smtp's server can run the same
// session: that is how tests compare the two wires.
func (s *Server) NewSession(c *smtp.Conn) (smtp.Session, error) {
	s.init()
	p := &peer{addr: addrOf(c.Conn().RemoteAddr()), helo: c.Hostname(), esmtp: true}
	p.text = p.addr.String()
	if state, ok := c.TLSConnectionState(); ok {
		p.secure, p.tlsVersion, p.tlsCipher = true, versionName(state.Version), tls.CipherSuiteName(state.CipherSuite)
	}
	return s.begin(context.Background(), p), nil
}

// begin begins the kind of session that the server is for.
func (s *Server) begin(ctx context.Context, p *peer) smtp.Session {
	if s.Inbound != nil {
		return s.newInbound(ctx, p)
	}
	return s.newSession(ctx, p)
}

func (s *Server) newSession(ctx context.Context, p *peer) *session {
	t := &session{s: s, ctx: ctx, peer: p}
	t.renew()
	t.body = body{budget: s.Budget, spool: s.Spool, wait: s.limits.BudgetTimeout}
	return t
}

// renew looks the client up again when the lists have changed: who was removed, or
// has another password now, has to leave.
func (t *session) renew() {
	a := t.s.access.Load()
	if a == t.access {
		return
	}
	t.access = a
	if t.user {
		if c := a.byName[t.cred.Name]; c != nil && c.PasswordHash == t.cred.PasswordHash && mayUse(c, t.peer.addr) {
			t.cred = c
			return
		}
		t.user = false
	}
	t.cred = a.of(t.peer.addr)
}

// AuthMechanisms implements smtp.AuthSession.
func (t *session) AuthMechanisms() []string {
	if len(t.s.access.Load().byName) == 0 {
		return nil
	}
	return mechanismNames
}

var mechanismNames = []string{sasl.Plain, sasl.Login}

// Auth implements smtp.AuthSession.
func (t *session) Auth(mech string) (sasl.Server, error) {
	switch mech {
	case sasl.Plain:
		return plainServer(t.login), nil
	case sasl.Login:
		return &loginServer{check: t.login}, nil
	}
	return nil, &gateway.Reply{Code: 504, Status: "5.5.4", Text: "mechanism not supported"}
}

func (t *session) login(name, password string) error {
	t.renew()
	cred, err := t.s.gate.login(t.ctx, t.access, t.peer.addr, name, password)
	if err != nil {
		t.s.log.Info("authentication failed", "client", t.peer.text, "name", t.s.show(name), "error", err)
		return err
	}
	t.cred, t.user = cred, true
	return nil
}

// Allowed implements Extension. The answer names the key that would change it.
func (t *session) Allowed() error {
	if t.sub == nil {
		t.renew()
	}
	if t.cred != nil {
		return nil
	}
	t.s.Metrics.refuse(RefusedRelay)
	return &gateway.Reply{Code: 530, Status: "5.7.0", Text: t.peer.text + " is not in smtp.trusted_networks; authenticate or add its network"}
}

// Mail implements smtp.Session.
func (t *session) Mail(from string, o *smtp.MailOptions) error {
	_, err := t.MailExtended(from, o, &MailExtensions{})
	return err
}

// MailExtended implements Extension.
func (t *session) MailExtended(from string, o *smtp.MailOptions, x *MailExtensions) (*gateway.Reply, error) {
	if err := t.Allowed(); err != nil {
		return nil, err
	}
	if t.sub != nil {
		return nil, &gateway.Reply{Code: 503, Status: "5.5.1", Text: "there is a transaction already"}
	}
	sender, err := t.sender(from, o.UTF8)
	if err != nil {
		return nil, err
	}
	sub := &gateway.Submission{Credential: t.cred, HoldUntil: x.HoldUntil, Prioritised: x.Prioritised}
	t.fillMessage(&sub.Message, sender, o)
	if x.By.Mode != "" {
		sub.ByDeadline = x.ByTime
		sub.Message.By, sub.Message.ByTrace = x.By.Mode[0], x.By.Trace
	}
	t.sub, t.size = sub, o.Size
	sub.Message.Priority = t.priority(x.Priority)
	if sub.Message.Priority != x.Priority { // RFC 6710 §4.1
		return &gateway.Reply{Code: 250, Status: "2.3.6", Text: fmt.Sprintf("%d is the new priority assigned to the message", sub.Message.Priority)}, nil
	}
	return nil, nil
}

// priority is the highest that the client may ask for: 4 and more pass by all
// planning, which is only for those whose mail may be transactional.
func (t *session) priority(want int8) int8 {
	if want > 3 && !t.cred.MayClass(gateway.Transactional) {
		return 3
	}
	return want
}

// sender checks the envelope sender; "" is the null one.
func (t *session) sender(from string, utf8 bool) (string, error) {
	if from == "" {
		return "", nil
	}
	a, err := parseAddress(from, utf8, "5.1.7")
	if err != nil {
		return "", err
	}
	if a.Domain == "" {
		from, a.Domain = a.Local+"@"+t.s.Hostname, t.s.Hostname
	}
	if !t.cred.MaySend(a.Domain) {
		text := fmt.Sprintf("%s is not in the senders of credential %q", a.Domain, t.cred.Name)
		return "", &gateway.Reply{Code: 550, Status: "5.7.1", Text: text}
	}
	return from, nil
}

func (t *session) fillMessage(m *gateway.Message, from string, o *smtp.MailOptions) {
	m.Tenant = t.cred.Tenant
	m.Audience = t.s.audience(m.Tenant)
	m.Credential = t.cred.Name
	m.From = from
	m.EnvID = o.EnvelopeID
	m.Return = string(o.Return)
	m.EightBit = o.Body == smtp.Body8BitMIME
	m.UTF8 = o.UTF8
	m.Received = time.Now()
	m.Client = t.peer.text
	m.Helo = t.peer.helo
	m.Protocol = t.protocol(o.UTF8)
	m.TLSVersion, m.TLSCipher = t.peer.tlsVersion, t.peer.tlsCipher
}

// protocol is the "with" of Received (RFC 3848, RFC 6531 §4.3).
func (t *session) protocol(utf8 bool) string {
	p := t.peer.protocol(utf8)
	if t.user {
		p += "A"
	}
	return p
}

// Rcpt implements smtp.Session.
func (t *session) Rcpt(to string, o *smtp.RcptOptions) error {
	if t.sub == nil {
		return &gateway.Reply{Code: 503, Status: "5.5.1", Text: "RCPT comes after MAIL"}
	}
	m := &t.sub.Message
	a, err := parseAddress(to, m.UTF8, "5.1.3")
	if err != nil {
		return err
	}
	// RFC 5321 §3.6.1 and appendix F.2: what looks like a route might be taken for
	// one further on.
	if strings.ContainsAny(a.Local, "%!@") {
		return &gateway.Reply{Code: 550, Status: "5.7.1", Text: "addresses with a route in them are not accepted"}
	}
	if a.Domain == "" { // postmaster, RFC 5321 §4.5.1
		to, a.Domain = a.Local+"@"+t.s.Hostname, t.s.Hostname
	}
	if t.repeated(to) {
		return nil
	}
	box := a.Mailbox()
	if t.s.Refuse != nil {
		if err := t.s.Refuse(t.ctx, m.Tenant, m.Audience, box.String()); err != nil {
			return err
		}
	}
	m.Recipients = append(m.Recipients, gateway.Recipient{
		Address:   to,
		Mailbox:   gateway.MailboxKey(m.Audience, box),
		Canonical: box.String(),
		Notify:    notifySet(o.Notify),
		Original:  original(o),
	})
	return nil
}

// manyRecipients is from where on a map is cheaper than looking.
const manyRecipients = 16

// repeated reports whether the very same recipient is in the transaction already.
func (t *session) repeated(to string) bool {
	list := t.sub.Message.Recipients
	if len(list) < manyRecipients {
		for i := range list {
			if list[i].Address == to {
				return true
			}
		}
		return false
	}
	if t.seen == nil {
		t.seen = make(map[string]struct{}, 8*manyRecipients)
		for i := range list {
			t.seen[list[i].Address] = struct{}{}
		}
	}
	_, ok := t.seen[to]
	t.seen[to] = struct{}{}
	return ok
}

func notifySet(words []smtp.DSNNotify) (n gateway.Notify) {
	for _, w := range words {
		switch w {
		case smtp.DSNNotifyNever:
			n |= gateway.NotifyNever
		case smtp.DSNNotifySuccess:
			n |= gateway.NotifySuccess
		case smtp.DSNNotifyFailure:
			n |= gateway.NotifyFailure
		case smtp.DSNNotifyDelayed:
			n |= gateway.NotifyDelay
		}
	}
	return n
}

func original(o *smtp.RcptOptions) string {
	if o.OriginalRecipient == "" {
		return ""
	}
	return strings.ToLower(string(o.OriginalRecipientType)) + ";" + o.OriginalRecipient
}

// parseAddress reads an address and says what is wrong in an SMTP reply. status is
// the one for bad syntax: 5.1.7 of a sender, 5.1.3 of a recipient.
func parseAddress(s string, utf8 bool, status string) (address.Address, error) {
	if !utf8 && !isASCII(s) { // RFC 6531 §3.5
		return address.Address{}, &gateway.Reply{Code: 550, Status: "5.6.7", Text: address.ErrUTF8.Error()}
	}
	a, err := address.Parse(s)
	if err == nil {
		return a, nil
	}
	r := &gateway.Reply{Code: 501, Status: status, Text: err.Error()}
	switch {
	case errors.Is(err, address.ErrSourceRoute), errors.Is(err, address.ErrLiteral):
		r.Code, r.Status = 550, "5.7.1"
	case !isASCII(s):
		r.Code = 553
	}
	return a, r
}

// Ready implements Extension.
func (t *session) Ready() error { return t.body.ready(t.ctx, t.size) }

// Data implements smtp.Session. What it reads is whole and checked when it ends in
// io.EOF, and only then submitted.
func (t *session) Data(r io.Reader) error {
	if t.sub == nil || len(t.sub.Message.Recipients) == 0 {
		return &gateway.Reply{Code: 503, Status: "5.5.1", Text: "DATA comes after MAIL and RCPT"}
	}
	defer t.body.release()
	if err := t.Ready(); err != nil {
		return err
	}
	if err := t.body.read(r); err != nil {
		return err
	}
	sub := t.sub
	sub.Content, sub.Header = t.body.content(), t.body.header()
	sub.Message.Size, sub.Message.Header = sub.Content.Size, int64(len(sub.Header))
	id, err := t.s.Submit(t.ctx, sub)
	if err != nil {
		return err
	}
	if t.body.file != nil {
		t.s.Metrics.Spooled.Add(1)
		t.body.file = nil // the store's now
	}
	t.queued = id
	return nil
}

// Queued implements Extension.
func (t *session) Queued() gateway.ID { return t.queued }

// Reset implements smtp.Session.
func (t *session) Reset() {
	t.sub, t.seen, t.size = nil, nil, 0
	t.body.release()
}

// Logout implements smtp.Session.
func (t *session) Logout() error {
	t.Reset()
	return nil
}
