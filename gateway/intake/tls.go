package intake

import (
	"context"
	"crypto/tls"
	"time"
)

// startTLS is STARTTLS (RFC 3207). What was read of the plaintext behind the
// command never reaches here: outOfSync hung up.
func (c *conn) startTLS(arg []byte) {
	switch {
	case len(arg) > 0:
		c.refuse(501, "5.5.4", "STARTTLS takes no argument")
		return
	case c.s.TLS == nil:
		c.refuse(502, "5.5.1", "TLS is not configured")
		return
	case c.peer.secure:
		c.refuse(503, "5.5.1", "TLS is on already")
		return
	case c.mail:
		c.refuse(503, "5.5.1", "STARTTLS is not allowed during a transaction")
		return
	}
	c.reply(220, "2.0.0", "Ready to start TLS")
	if c.in.flush() != nil || !c.handshake() {
		c.closing = true
		return
	}
	// RFC 3207 §4.2: all that was said in clear text is forgotten.
	if c.session != nil {
		c.session.Logout()
	}
	c.session, c.ext = nil, nil
	c.greeted, c.esmtp, c.authed = false, false, false
	c.peer.helo, c.peer.esmtp = "", false
	c.resetTransaction()
}

// handshake puts TLS on the connection. After a failure there is nobody to talk
// to: not a byte is sent in clear text.
func (c *conn) handshake() bool {
	t := tls.Server(c.in.nc, c.s.tlsConfig)
	ctx, cancel := context.WithTimeout(c.ctx, c.timeout(c.limits.HandshakeTimeout))
	defer cancel()
	c.in.mu.Lock()
	c.in.armed = time.Time{}
	c.in.nc.SetDeadline(time.Time{})
	c.in.writeBy = time.Time{}
	c.in.mu.Unlock()
	if err := t.HandshakeContext(ctx); err != nil {
		c.s.Metrics.refuse(RefusedHandshake)
		c.s.log.Debug("TLS handshake failed", "client", c.peer.text, "error", err)
		return false
	}
	c.in.mu.Lock()
	c.in.nc = t
	c.in.mu.Unlock()
	c.in.r, c.in.w = 0, 0
	state := t.ConnectionState()
	c.peer.secure = true
	c.peer.tlsVersion = versionName(state.Version)
	c.peer.tlsCipher = tls.CipherSuiteName(state.CipherSuite)
	return true
}

func versionName(v uint16) string {
	switch v {
	case tls.VersionTLS12:
		return "TLS1.2"
	case tls.VersionTLS13:
		return "TLS1.3"
	}
	return tls.VersionName(v)
}

// serverTLS is the configuration with a floor under its version (RFC 8996).
func serverTLS(cfg *tls.Config) *tls.Config {
	if cfg == nil {
		return nil
	}
	cfg = cfg.Clone()
	cfg.MinVersion = max(cfg.MinVersion, tls.VersionTLS12)
	return cfg
}
