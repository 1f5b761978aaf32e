package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tidepost/gateway"
	"tidepost/gateway/content"
	"tidepost/gateway/public"
	"tidepost/gateway/webhook"
)

// openPublic opens what readers and providers reach: links in mail, the reader's
// pages, and webhooks in. Beside it runs what calls senders' own unsubscribe URLs.
func (s *server) openPublic(context.Context) error {
	c := s.config.Load()
	s.public = &public.Server{
		Gateway: s.gateway, Store: s.store, Keys: s.links.keys.Load, OneClick: oneClick,
		Hooks:          s.hook,
		Fetch:          (&webhook.Client{}).Fetch,
		Sender:         s.sender,
		Tenants:        s.knowsTenant,
		TrustedProxies: Prefixes(c.HTTP.TrustedProxies), Log: s.log,
	}
	s.forwarder = &webhook.Forwarder{
		Pending: s.store.Settings, Kick: s.store.Committed, Client: &webhook.Client{}, Log: s.log,
		Done: func(ctx context.Context, name string, value []byte) error {
			return s.store.Commit(ctx, &gateway.Change{Settings: []gateway.Setting{{Name: name, Value: value}}})
		},
	}
	s.took = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "tidepost_signal_seconds", Help: "From a signal's publishing in NATS to the changed plan.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 60, 600},
	}, []string{"lane"})
	return s.listen("http.public", c.HTTP.Public, "public HTTP", s.public.Serve)
}

// oneClick is the sender's own one-click URL in a message's header, "" where there is
// none that we may call.
func oneClick(header []byte) string {
	url := content.OneClick(header)
	if url == "" || webhook.CheckURL(url, false) != nil {
		return ""
	}
	return url
}

// sender is what a tenant's readers know it by: the name that it gives itself, else
// its list, else its own unless nobody chose that.
func (s *server) sender(tenant, list string) string {
	c := s.config.Load()
	switch name := c.Tenant(tenant).Display; {
	case name != "":
		return name
	case tenant != "default":
		return tenant
	case list != "":
		return list
	}
	return strings.TrimPrefix(c.HTTP.PublicURL, "https://")
}

// hook is a [hooks.NAME] as the public server knows it.
func (s *server) hook(name string) (public.Hook, bool) {
	h, ok := s.config.Load().Hooks[name]
	if !ok {
		return public.Hook{}, false
	}
	p, err := h.public()
	return p, err == nil
}

// knowsTenant reports whether the configuration names a tenant, or one has sent.
func (s *server) knowsTenant(name string) bool {
	if slices.Contains(tenantNames(s.config.Load()), name) {
		return true
	}
	_, tenants := s.store.Totals()
	_, ok := tenants[name]
	return ok
}

// observeSignal notes how long a signal took from NATS to the changed plan.
func (s *server) observeSignal(kind gateway.SignalKind, since time.Duration) {
	lane := "evidence"
	if kind.Permission() {
		lane = "permission"
	}
	s.took.WithLabelValues(lane).Observe(since.Seconds())
}

// backup copies the state, with the keys of the links in mail that has left: a
// restored gateway must go on honouring them.
func (s *server) backup(ctx context.Context, dir string) error {
	if err := s.store.Backup(ctx, dir); err != nil {
		return err
	}
	return copyKeys(s.config.Load().DataDir, dir)
}

func copyKeys(from, to string) error {
	text, err := os.ReadFile(filepath.Join(from, linkKeys))
	if errors.Is(err, os.ErrNotExist) {
		return nil // a backup of before there were links
	}
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(to, linkKeys), text, 0o600)
}

// forwarded are the metrics of the calls to senders' own unsubscribe URLs.
func (s *server) forwarded() []prometheus.Collector {
	m := &s.forwarder.Metrics
	counter := func(name, help string, of *atomic.Int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(of.Load()) })
	}
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "tidepost_forward_pending", Help: "Opt-outs that their sender's own URL was not told of yet."},
			func() float64 { return float64(m.Pending.Load()) }),
		counter("tidepost_forward_done_total", "Opt-outs that their sender's own URL took.", &m.Done),
		counter("tidepost_forward_given_up_total", "Opt-outs that their sender's own URL never took.", &m.GivenUp),
	}
}
