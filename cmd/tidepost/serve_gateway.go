package main

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/content"
	"tidepost/gateway/outbound"
	"tidepost/scheduler"
	"tidepost/scheduler/throttle"
)

func (s *server) openGateway(ctx context.Context) error {
	c := s.config.Load()
	hostname := c.hostname()
	signers, err := loadSigners(c)
	if err != nil {
		return err
	}
	router, transport, line, err := s.outbound(c, hostname)
	if err != nil {
		return err
	}
	limits := s.limitsOf
	s.gateway = &gateway.Gateway{
		Store: s.store, Log: s.log, Hostname: hostname,
		Reader:    &content.Reader{Hostname: hostname},
		Composer:  &content.Composer{Hostname: hostname, Signers: signers, Links: s.links.of(c)},
		Reporter:  &content.Reporter{Hostname: hostname},
		Router:    router,
		Transport: transport, ReturnPath: s.returnPath(),
		Throttle: &throttle.Group{Limits: limits},
		Limits:   limits,
		Line:     line,
		Rules:    s.rulesFor,
		Tenant:   s.tenant,
		Tenants:  func() []string { return tenantNames(s.config.Load()) },
		Held:     s.store.Held(),

		GiveUpTransactional: c.Route.GiveUp.Transactional.Duration,
		GiveUpBulk:          c.Route.GiveUp.Bulk.Duration,
	}
	for _, wait := range c.Route.Retry {
		s.gateway.Retry = append(s.gateway.Retry, wait.Duration)
	}
	if s.prepare != nil {
		s.prepare(s.gateway)
	}
	return s.gateway.Open(ctx)
}

// hostname is the name in EHLO, Received and status notifications.
func (c *Config) hostname() string {
	if c.SMTP.Hostname != "" {
		return c.SMTP.Hostname
	}
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "localhost"
}

func loadSigners(c *Config) ([]content.Signer, error) {
	var signers []content.Signer
	for _, k := range c.DKIM {
		key, err := content.LoadKey(k.KeyFile)
		if err != nil {
			return nil, err
		}
		signers = append(signers, content.Signer{Domain: k.Domain, Selector: k.Selector, Key: key})
	}
	return signers, nil
}

// outbound returns where mail goes in the route's mode, and the name of the
// queue that a domain's mail stands in: one for a smarthost, one a domain
// where each domain has its own hosts.
func (s *server) outbound(c *Config, hostname string) (gateway.Router, gateway.Transport, func(string) string, error) {
	mode, err := outbound.ParseTLSMode(c.Route.TLS)
	if err != nil {
		return nil, nil, nil, err
	}
	t := &outbound.Transport{Hostname: hostname, TLSMode: mode, Username: c.Route.Username, Password: c.Route.Password}
	one := func(name string) func(string) string { return func(string) string { return name } }
	switch c.Route.Mode {
	case "smarthost":
		return outbound.Smarthost{Host: c.Route.Smarthost}, t, one("smarthost"), nil
	case "mx":
		cache := &outbound.Cache{}
		guard := outbound.Guard{Own: ownAddresses()}
		t.Resolver, t.Guard = cache, &guard
		return &outbound.MX{Resolver: cache, Guard: guard, Hostnames: []string{hostname}}, t, func(domain string) string { return domain }, nil
	}
	return outbound.Capture{}, t, one("capture"), nil
}

// ownAddresses are this machine's: mail to them would come back.
func ownAddresses() []netip.Addr {
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var own []netip.Addr
	for _, a := range interfaces {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, prefix.Addr().Unmap())
		}
	}
	return own
}

// derived keeps what the configuration says of one name in the form that is
// asked for with every message. A reload forgets it.
type derived[T any] struct {
	mu    sync.RWMutex
	known map[string]T // guarded by mu
}

// derivedMost bounds how many names are kept: destinations are as many as the
// domains that mail goes to.
const derivedMost = 10_000

func (d *derived[T]) of(name string, derive func() T) T {
	d.mu.RLock()
	v, ok := d.known[name]
	d.mu.RUnlock()
	if ok {
		return v
	}
	v = derive()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil || len(d.known) >= derivedMost {
		d.known = map[string]T{}
	}
	d.known[name] = v
	return v
}

func (d *derived[T]) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known = nil
}

func (s *server) rulesFor(tenant string) *gateway.Rules {
	return s.rules.of(tenant, func() *gateway.Rules {
		c := s.config.Load()
		rules := newRules(c.PolicyFor(tenant))
		rules.Experiments = c.ExperimentsFor(tenant)
		rules.ListSees = make(map[string]scheduler.Sees, len(c.Lists))
		for list, l := range c.Lists {
			rules.ListSees[strings.ToLower(list)] = sees(l.Evidence)
		}
		return rules
	})
}

func (s *server) limitsOf(destination string) throttle.Limits {
	return s.limits.of(destination, func() throttle.Limits {
		d := s.config.Load().Destination(destination)
		return throttle.Limits{Connections: d.Connections, MessagesPerConnection: d.MessagesPerConnection,
			Rate: d.Rate.PerSecond, RateMax: d.RateMax.PerSecond}
	})
}

func newRules(p PolicyKeys) *gateway.Rules {
	rules := &gateway.Rules{
		Policy: scheduler.Policy{
			Zone: p.TimeZone.Location, MaxHold: p.MaxHold.Duration, Quiet: p.QuietHours.Quiet,
			MinGap: p.MinGap.Duration, WeeklyCap: p.WeeklyCap, DropAtLimit: p.AtLimit == "drop",
			Jitter: quietJitter,
			Live:   p.Mode == "live", Explore: float32(p.Explore), Momentum: p.Momentum, Aim: aim(p.Aim), Keep: float32(p.Keep),
			Arms: p.Arms.shares(),
		},
		Sees:        sees(p.Evidence),
		Sensitive:   p.Sensitive,
		MaxDrop:     p.MaxDrop,
		HoldInDoubt: p.InDoubt == "hold",
		Tracking:    tracking(p.Tracking),
		Honeypot:    p.Honeypot,

		RejectSuppressed: p.Suppressed == "reject",
		SuppressBounces:  p.Bounces == "suppress",
	}
	for _, class := range p.Drop {
		rules.Drop = append(rules.Drop, class.Class)
	}
	slices.Sort(rules.Drop)
	return rules
}

// aim is what hours are chosen for; the configuration was checked.
func aim(name string) scheduler.Aim {
	a, _ := scheduler.ParseAim(name)
	return a
}

// tracking is what is put into mail; the configuration was checked.
func tracking(name string) gateway.Tracking {
	switch name {
	case "click":
		return gateway.TrackClick
	case "full":
		return gateway.TrackFull
	}
	return gateway.TrackNone
}

// sees is the evidence mode; the configuration was checked.
func sees(evidence string) scheduler.Sees {
	mode, _ := scheduler.ParseSees(evidence)
	return mode
}

func (s *server) tenant(name string) gateway.Tenant {
	t := s.config.Load().Tenant(name)
	return gateway.Tenant{Name: t.Name, Audience: t.Audience, MaxHeld: t.MaxHeld}
}

func credentials(c *Config) []gateway.Credential {
	all := make([]gateway.Credential, 0, len(c.Credentials))
	for i := range c.Credentials {
		all = append(all, c.Credentials[i].Gateway())
	}
	return all
}

// longestHold is the longest HOLDFOR, and the longest X-Tidepost-Window.
const longestHold = 100 * time.Hour

// quietJitter spreads what leaves when quiet hours end, so that a list does
// not arrive on the stroke.
const quietJitter = 20 * time.Minute
