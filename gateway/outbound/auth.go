package outbound

import (
	"encoding/base64"
	"errors"
)

// login proves who we are: PLAIN (RFC 4616) or LOGIN, and only where nobody
// listens: under TLS, or inside this machine when TLS is switched off on
// purpose. The error is a *gateway.Outcome; wrong credentials are our trouble,
// never a message's.
func (s *session) login(t *Transport) error {
	if !s.tls && !(t.TLSMode == TLSNone && loopback(s.RemoteAddr())) {
		return unsent(s.host, "AUTH", errors.New("not sending the password without TLS"))
	}
	switch {
	case s.features.plain:
		return s.authenticate("AUTH PLAIN "+encode("\x00"+t.Username+"\x00"+t.Password), encode("\x00"+t.Username+"\x00"+t.Password))
	case s.features.login:
		return s.authenticate("AUTH LOGIN", encode(t.Username), encode(t.Password))
	}
	return unsent(s.host, "AUTH", errors.New("neither PLAIN nor LOGIN is offered"))
}

// authenticate writes lines for as long as the host challenges (334).
func (s *session) authenticate(lines ...string) error {
	for _, line := range lines {
		if err := s.command(line, s.timeouts.Auth); err != nil {
			return s.lost("AUTH", err)
		}
		if !s.reply.challenge() {
			break
		}
	}
	if !s.reply.ok() {
		return s.reply.unsent(s.host, "AUTH refused")
	}
	return nil
}

func encode(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
