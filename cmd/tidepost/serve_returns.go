package main

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"tidepost/gateway"
	"tidepost/gateway/intake"
	"tidepost/gateway/returns"
	"tidepost/gateway/token"
	"tidepost/gateway/webhook"
)

// returnPaths are the addresses that mail leaves from so that its bounces come back.
type returnPaths struct {
	keys   func() *token.Keys
	domain string
}

func (r returnPaths) Seal(id gateway.DeliveryID, source uint32) string {
	return r.keys().SealReturn(token.Return{Message: id.Message, Ordinal: id.Ordinal, Source: source}) + "@" + r.domain
}

func (r returnPaths) Open(address string) (id gateway.DeliveryID, source uint32, ok bool) {
	if !r.Ours(address) {
		return id, 0, false
	}
	t, ok := r.keys().OpenReturn(address[:strings.LastIndexByte(address, '@')])
	return gateway.DeliveryID{Message: t.Message, Ordinal: t.Ordinal}, t.Source, ok
}

func (r returnPaths) Ours(address string) bool {
	at := strings.LastIndexByte(address, '@') // a quoted local part may have one, too
	return at >= 0 && strings.EqualFold(address[at+1:], r.domain)
}

// returnPath is nil where mail keeps its client's envelope sender.
func (s *server) returnPath() gateway.ReturnPath {
	c := s.config.Load()
	if c.Feedback.ReturnPathDomain == "" {
		return nil
	}
	return returnPaths{s.links.keys.Load, c.Feedback.ReturnPathDomain}
}

// openReturns opens the ports that take bounces and complaints.
func (s *server) openReturns(context.Context) error {
	c := s.config.Load()
	s.desk = returns.NewDesk()
	s.desk.Gateway, s.desk.Path, s.desk.Log = s.gateway, s.gateway.ReturnPath, s.log
	s.desk.Domain = func() string { return c.Feedback.ReturnPathDomain }
	s.desk.Told = s.toldByWebhook
	s.desk.Shelf = &returns.Shelf{Dir: filepath.Join(c.DataDir, "unmatched")}
	s.back = &intake.Server{
		Hostname: c.hostname(), TLS: s.smtp.TLS, Budget: s.smtp.Budget, Log: s.log,
		Limits:    intake.Limits{MaxConnections: returnConnections, MaxPerAddress: returnsPerAddress, DrainTimeout: clientTime},
		ProxyFrom: Prefixes(c.SMTP.ProxyProtocolFrom),
		Inbound:   &intake.Inbound{Recipient: s.desk.Recipient, Deliver: s.takeReturn},
	}
	for _, address := range c.Feedback.ReturnPathListen {
		if err := s.listen("feedback.return_path_listen", address, "bounces and complaints", s.back.Serve); err != nil {
			return err
		}
	}
	return nil
}

// How many connections the world may have to us for what it returns.
const (
	returnConnections = 500
	returnsPerAddress = 50 // a relay in front is one address
)

// takeReturn does what a mail says before its client is told 250.
func (s *server) takeReturn(ctx context.Context, m *intake.Incoming) error {
	_, err := s.desk.Take(ctx, &returns.Mail{To: m.Recipients, Content: m.Content, Client: m.Client, Helo: m.Helo})
	return err
}

// toldByWebhook reports whether a tenant's ESP hears of a kind of event by webhook. One
// that is down hears of it later; one that said that it is gone does not.
func (s *server) toldByWebhook(tenant string, kind gateway.EventKind) bool {
	states := s.webhooks.List()
	return slices.ContainsFunc(s.config.Load().endpoints(), func(e webhook.Endpoint) bool {
		return e.Tenant == tenant && e.Takes(kind) && !slices.ContainsFunc(states, func(w webhook.Status) bool {
			return w.Name == e.Name && w.State == webhook.StateDisabled
		})
	})
}

// returned are the metrics of mail that came back.
func (s *server) returned() []prometheus.Collector {
	m := &s.desk.Metrics
	vec := func(name, help string, of *atomic.Int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(of.Load()) })
	}
	return []prometheus.Collector{
		vec("tidepost_returns_total", "Mails that came back, or were brought back.", &m.Mails),
		vec("tidepost_returns_reports_total", "Bounces and complaints in them that were told to a mailbox.", &m.Reports),
		vec("tidepost_returns_unmatched_total", "Mails that report on something that we do not know; the newest are kept.", &m.Unmatched),
		vec("tidepost_returns_silent_total", "Mails that report nothing.", &m.Silent),
		vec("tidepost_returns_passed_on_total", "Mails that were passed on to the client's own envelope sender.", &m.PassedOn),
		vec("tidepost_returns_refused_total", "Recipients that are no addresses of ours.", &m.Refused),
	}
}

// kept shows the desk to the admin API.
type kept struct{ desk *returns.Desk }

func (k kept) Take(ctx context.Context, mail []byte) (any, error) {
	return k.desk.Take(ctx, &returns.Mail{Content: mail, Trusted: true})
}

func (k kept) Kept() (any, error) {
	all, err := k.desk.Shelf.List()
	if all == nil {
		all = []returns.Kept{}
	}
	return map[string]any{"unmatched": all}, err
}

func (k kept) Mail(id string) ([]byte, error) { return k.desk.Shelf.Mail(id) }
func (k kept) Remove(id string) error         { return k.desk.Shelf.Remove(id) }
