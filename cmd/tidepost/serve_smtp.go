package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/intake"
	"tidepost/suppression"
)

// openSMTP opens the submission ports. All of them share one server: its
// limits, its budget of bytes in flight and its counts.
func (s *server) openSMTP(context.Context) error {
	c := s.config.Load()
	if err := s.loadCertificate(c); err != nil {
		return err
	}
	s.smtp = &intake.Server{
		Hostname: c.hostname(),
		Limits: intake.Limits{
			MaxMessageBytes: int64(c.SMTP.MaxMessageBytes), MaxRecipients: c.SMTP.MaxRecipients,
			MaxConnections: c.SMTP.MaxConnections, MaxPerAddress: c.SMTP.MaxPerAddress, MaxLine: int(c.SMTP.MaxLine),
			DrainTimeout: clientTime,
		},
		BareNewline:     c.SMTP.BareNewline,
		TrustedNetworks: Prefixes(c.SMTP.TrustedNetworks),
		ProxyFrom:       Prefixes(c.SMTP.ProxyProtocolFrom),
		Tenants:         func(name string) string { return s.tenant(name).Audience },
		Refuse:          s.refuse,
		Submit:          s.submit,
		Spool:           s.store.Spool,
		Budget:          intake.NewBudget(intake.DefaultBudget),
		MaxHold:         longestHold,
		Log:             s.log,
	}
	if s.cert.Load() != nil {
		s.smtp.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.cert.Load(), nil }}
	}
	s.smtp.SetCredentials(credentials(c))
	for _, address := range c.SMTP.Listen {
		if err := s.listen("smtp.listen", address, "SMTP submission", s.smtp.Serve); err != nil {
			return err
		}
	}
	for _, address := range c.SMTP.ListenTLS {
		if err := s.listen("smtp.listen_tls", address, "SMTP submission over TLS", s.smtp.ServeTLS); err != nil {
			return err
		}
	}
	return nil
}

// refuse answers RCPT for somebody to whom nothing may be sent, not even a code,
// where policy.suppressed says so. Opt-outs depend on the mail, and are no refusals.
func (s *server) refuse(ctx context.Context, tenant, audience, canonical string) error {
	if !s.rulesFor(tenant).RejectSuppressed {
		return nil
	}
	entries, err := s.gateway.EntriesOf(ctx, canonical)
	if err != nil {
		return nil // what cannot be read now is asked again before the mail leaves
	}
	q := suppression.Query{Now: time.Now(), Tenant: tenant, Audience: audience, Transactional: true}
	if e, stopped := suppression.Match(entries, q); stopped {
		return &gateway.Reply{Code: 550, Status: "5.7.1", Text: "this address is suppressed: " + string(e.Reason)}
	}
	return nil
}

// submit accepts a message and measures how long its client waits.
func (s *server) submit(ctx context.Context, m *gateway.Submission) (gateway.ID, error) {
	start := time.Now()
	id, err := s.gateway.Accept(ctx, m)
	s.admin.Accepting().Observe(time.Since(start).Seconds())
	return id, err
}

// loadCertificate reads the certificate anew; connections made from now on get
// it.
func (s *server) loadCertificate(c *Config) error {
	if c.SMTP.Certificate == "" {
		return nil
	}
	cert, err := tls.LoadX509KeyPair(c.SMTP.Certificate, c.SMTP.Key)
	if err != nil {
		return fmt.Errorf("smtp.certificate and smtp.key: %w", err)
	}
	s.cert.Store(&cert)
	return nil
}
