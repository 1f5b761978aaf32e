package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// TLSMode says when a connection is encrypted.
type TLSMode uint8

// The TLS modes.
const (
	// TLSOpportunistic encrypts where the host offers it, without looking at its
	// certificate, and goes on in clear where it does not (RFC 7435).
	TLSOpportunistic TLSMode = iota
	TLSRequired              // STARTTLS and a valid certificate, or no mail
	TLSNone                  // never
	TLSImplicit              // TLS from the first byte, port 465 (RFC 8314 §3.3)
)

// ParseTLSMode reads the name of a mode; "" is opportunistic.
func ParseTLSMode(s string) (TLSMode, error) {
	switch s {
	case "", "opportunistic":
		return TLSOpportunistic, nil
	case "required":
		return TLSRequired, nil
	case "none":
		return TLSNone, nil
	case "implicit":
		return TLSImplicit, nil
	}
	return 0, fmt.Errorf("tls %q: want opportunistic, required, none or implicit", s)
}

// errHandshake marks a connection that can only be tried again without TLS.
var errHandshake = errors.New("TLS handshake failed")

// config is the TLS configuration towards a host. The name verified is the
// host's, whatever address it was reached by.
func (t *Transport) config(host string) *tls.Config {
	c := &tls.Config{}
	if t.TLSConfig != nil {
		c = t.TLSConfig.Clone()
	}
	if c.ServerName == "" {
		c.ServerName = host
	}
	if c.ClientSessionCache == nil {
		t.once.Do(func() { t.sessions = tls.NewLRUClientSessionCache(256) })
		c.ClientSessionCache = t.sessions
	}
	if t.TLSMode == TLSOpportunistic {
		c.InsecureSkipVerify = true
	}
	return c
}

// encrypt puts TLS on the connection. Whatever was read ahead in clear is
// dropped: it was not said under TLS (RFC 3207 §4.2; attack F24).
func (s *session) encrypt(ctx context.Context, config *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeouts.StartTLS)
	defer cancel()
	tc := tls.Client(s.Conn, config)
	// A deadline left over from the command before must not end the handshake.
	if err := s.SetDeadline(s.deadline(s.timeouts.StartTLS)); err != nil {
		return err
	}
	if err := tc.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("%w: %w", errHandshake, err)
	}
	s.Conn, s.tls = tc, true
	s.br.Reset(tc)
	return nil
}

// startTLS encrypts the connection if the host offers it, and introduces us
// again: what it offered in clear no longer counts (RFC 3207 §4.2).
func (s *session) startTLS(ctx context.Context, t *Transport) error {
	if !s.features.startTLS {
		if t.TLSMode == TLSRequired {
			return unsent(s.host, "TLS", errors.New("required, and not offered"))
		}
		return nil
	}
	if err := s.command("STARTTLS", s.timeouts.StartTLS); err != nil {
		return s.lost("STARTTLS", err)
	}
	if !s.reply.ok() {
		if t.TLSMode == TLSRequired {
			return s.reply.unsent(s.host, "STARTTLS refused")
		}
		return nil
	}
	if err := s.encrypt(ctx, t.config(s.host)); err != nil {
		return err
	}
	s.features = features{}
	return s.hello(t.Hostname)
}

// loopback reports whether a connection does not leave this machine.
func loopback(a net.Addr) bool {
	ap, err := netip.ParseAddrPort(a.String())
	return err == nil && ap.Addr().Unmap().IsLoopback() || a.Network() == "unix"
}
