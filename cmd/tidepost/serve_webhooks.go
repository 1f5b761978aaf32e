package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"tidepost/gateway/admin"
	"tidepost/gateway/webhook"
)

// openWebhooks prepares what tells tenants' own receivers of events.
func (s *server) openWebhooks(context.Context) error {
	s.webhooks = &webhook.Sender{Journal: s.store, Store: s.store, Tell: s.gateway.TellSetting, Log: s.log}
	s.webhooks.Set(s.config.Load().endpoints())
	return nil
}

// webhookAdmin is a Sender as the admin API knows it.
type webhookAdmin struct{ *webhook.Sender }

// List returns how far all webhooks are.
func (a webhookAdmin) List() any { return a.Sender.List() }

// webhookAnswer is what a receiver said to a test.
type webhookAnswer struct {
	Taken  bool   `json:"taken"`
	Status int    `json:"status,omitempty"` // 0: there was no answer
	Error  string `json:"error,omitempty"`
	Answer string `json:"answer,omitempty"` // the beginning of its body
}

// Test sends an event of no mail.
func (a webhookAdmin) Test(ctx context.Context, name string) (any, error) {
	r, err := a.Sender.Test(ctx, name)
	if err != nil {
		return nil, err
	}
	answer := webhookAnswer{Taken: r.Verdict == webhook.Done, Status: r.Status, Answer: r.Excerpt}
	if r.Err != nil {
		answer.Error = r.Err.Error()
	}
	return answer, nil
}

// Redeliver tells a webhook again.
func (a webhookAdmin) Redeliver(ctx context.Context, name string, r admin.Redelivery) (any, error) {
	progress, err := a.Sender.Redeliver(ctx, name, webhook.Redelivery{Since: r.Since, Until: r.Until, Kind: r.Kind, Event: r.Event})
	var bad *webhook.EndpointError
	var stopped *webhook.Stopped
	switch {
	case errors.Is(err, webhook.ErrBusy):
		return nil, &admin.Problem{Status: http.StatusConflict, Detail: err.Error(), Remedy: "wait until it is done; `tidepost webhooks list` shows how far it is"}
	case errors.As(err, &stopped):
		return nil, &admin.Problem{Status: http.StatusBadGateway, Detail: err.Error()}
	case errors.As(err, &bad):
		return nil, &admin.Problem{Status: http.StatusBadRequest, Field: "kind", Detail: bad.Field + " " + bad.Problem, Remedy: bad.Remedy}
	}
	return progress, err
}

// webhookMetrics reads a Sender's counters at the moment they are asked for.
type webhookMetrics struct{ *webhook.Sender }

func webhookDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("tidepost_webhook_"+name, help, []string{"webhook"}, nil)
}

var (
	descWebhookCalls     = webhookDesc("calls_total", "Calls of a webhook that were made.")
	descWebhookFailures  = webhookDesc("failures_total", "Those that were not answered 2xx.")
	descWebhookDelivered = webhookDesc("delivered_total", "Events that a webhook took.")
	descWebhookGivenUp   = webhookDesc("given_up_total", "Events that a webhook did not take for three days.")
	descWebhookSkipped   = webhookDesc("skipped_total", "Events of which a webhook's format has nothing to say.")
	descWebhookLag       = webhookDesc("lag_seconds", "Age of the oldest event that a webhook has not taken.")
	descWebhookDown      = webhookDesc("down", "1 while a webhook takes nothing or is disabled.")
)

// Describe sends nothing: webhooks come and go (an unchecked collector).
func (webhookMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect sends the values as they are now.
func (m webhookMetrics) Collect(out chan<- prometheus.Metric) {
	for _, st := range m.List() {
		for _, c := range []struct {
			desc *prometheus.Desc
			n    int64
		}{
			{descWebhookCalls, st.Calls}, {descWebhookFailures, st.Failures}, {descWebhookDelivered, st.Delivered},
			{descWebhookGivenUp, st.Lost}, {descWebhookSkipped, st.Skipped},
		} {
			out <- prometheus.MustNewConstMetric(c.desc, prometheus.CounterValue, float64(c.n), st.Name)
		}
		down := 0.0
		if st.State != webhook.StateOK {
			down = 1
		}
		out <- prometheus.MustNewConstMetric(descWebhookLag, prometheus.GaugeValue, st.Lag, st.Name)
		out <- prometheus.MustNewConstMetric(descWebhookDown, prometheus.GaugeValue, down, st.Name)
	}
}
