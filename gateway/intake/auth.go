package intake

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"tidepost/gateway"
)

// mechanisms returns the SASL mechanisms of the session; nil: none.
func (c *conn) mechanisms() []string {
	if a, ok := c.session.(smtp.AuthSession); ok {
		return a.AuthMechanisms()
	}
	return nil
}

// mayAuth reports whether a password may be sent on this connection: over TLS, or
// from a network that needs none anyway (RFC 4954 §4, RFC 8314 §3).
func (c *conn) mayAuth() bool { return c.peer.secure || c.s.isTrusted(c.peer.addr) }

// auth is the AUTH command (RFC 4954).
func (c *conn) auth(arg []byte) {
	a, ok := c.session.(smtp.AuthSession)
	switch {
	case !c.greeted:
		c.refuse(503, "5.5.1", "say EHLO first")
	case !ok || c.mechanisms() == nil:
		c.refuse(503, "5.5.1", "authentication is not enabled")
	case c.authed:
		c.refuse(503, "5.5.1", "already authenticated")
	case c.mail:
		c.refuse(503, "5.5.1", "AUTH is not allowed during a transaction")
	case !c.mayAuth():
		c.refuse(538, "5.7.11", "encryption required: say STARTTLS first")
	default:
		c.exchange(a, arg)
	}
}

// exchange runs one SASL exchange.
func (c *conn) exchange(a smtp.AuthSession, arg []byte) {
	mech, first, hasFirst := bytes.Cut(arg, spaceByte)
	server, err := a.Auth(strings.ToUpper(string(mech)))
	if err != nil {
		c.replyError(err)
		return
	}
	var answer []byte
	if hasFirst {
		if answer, err = decodeAnswer(first); err != nil {
			c.replyError(err)
			return
		}
	}
	for {
		challenge, done, err := server.Next(answer)
		switch {
		case err != nil:
			c.authFailed(err)
			return
		case done:
			c.authed = true
			c.s.Metrics.AuthOK.Add(1)
			c.reply(235, "2.7.0", "Authentication succeeded")
			return
		}
		if answer, err = c.challenge(challenge); err != nil {
			if r := asReply(err); r != nil {
				c.refuseReply(r)
			} else {
				c.lost(err)
			}
			return
		}
	}
}

// challenge asks and returns the client's answer.
func (c *conn) challenge(challenge []byte) ([]byte, error) {
	c.reply(334, "", base64.StdEncoding.EncodeToString(challenge))
	c.in.begin(c.timeout(c.limits.CommandTimeout))
	line, err := c.in.readLine(c.limits.MaxAuthLine)
	switch err {
	case nil:
		return decodeAnswer(line)
	case errBareLF:
		c.skipping, c.answered = true, false
		return nil, &gateway.Reply{Code: 500, Status: "5.5.2", Text: "bare <LF> received; lines end in <CR><LF>"}
	case errLongLine:
		c.skipping, c.answered = true, true
		return nil, &gateway.Reply{Code: 500, Status: "5.5.6", Text: "line too long"}
	}
	return nil, err
}

var (
	errCancelled = &gateway.Reply{Code: 501, Status: "5.7.0", Text: "authentication cancelled"}
	errBase64    = &gateway.Reply{Code: 501, Status: "5.5.2", Text: "not base64"}
)

// decodeAnswer decodes base64; "=" stands for nothing, "*" gives up (RFC 4954 §4).
func decodeAnswer(b []byte) ([]byte, error) {
	switch string(b) {
	case "*":
		return nil, errCancelled
	case "=", "":
		return []byte{}, nil
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(b)))
	n, err := base64.StdEncoding.Strict().Decode(out, b)
	if err != nil || bytes.ContainsAny(b, "\r\n") {
		return nil, errBase64
	}
	return out[:n], nil
}

// authFailed answers a failed exchange, and the last one that is put up with.
func (c *conn) authFailed(err error) {
	c.failedAuth++
	c.s.Metrics.AuthFailures.Add(1)
	r := asReply(err)
	if r == nil {
		r = replyBadPassword
	}
	c.reply(r.Code, r.Status, r.Text)
	switch {
	case r.Code == 421:
		c.hangUp(RefusedErrors)
	case over(c.failedAuth+1, c.limits.MaxAuth):
		c.reply(421, "4.7.0", "too many failed attempts")
		c.hangUp(RefusedErrors)
	}
}

var replyBadPassword = &gateway.Reply{Code: 535, Status: "5.7.8", Text: "authentication failed"}

// loginServer is the LOGIN mechanism, which go-sasl has only for clients
// (draft-murchison-sasl-login).
type loginServer struct {
	check func(name, password string) error
	name  *string
}

func (l *loginServer) Next(answer []byte) (challenge []byte, done bool, err error) {
	switch {
	case answer == nil:
		return []byte("Username:"), false, nil
	case l.name == nil:
		name := string(answer)
		l.name = &name
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(*l.name, string(answer))
}

// plainServer is go-sasl's PLAIN with an identity that may only be the name.
func plainServer(check func(name, password string) error) sasl.Server {
	return sasl.NewPlainServer(func(identity, name, password string) error {
		if identity != "" && identity != name {
			return errors.New("an identity other than the name is not supported")
		}
		return check(name, password)
	})
}
