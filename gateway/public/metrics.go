package public

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts since the start of the process. It is a prometheus.Collector.
type Metrics struct {
	Opens, Clicks atomic.Int64 // that were taken in
	Untaught      atomic.Int64 // opens and clicks that were answered and taught nothing: too fast, or they could not be stored
	Unsubscribes  atomic.Int64
	Choices       atomic.Int64 // on the preference page, unsubscribes left out
	Unstored      atomic.Int64 // choices that were answered 503
	Reports       atomic.Int64 // of providers
	Signals       atomic.Int64 // in them
	Ignored       atomic.Int64 // events in them that say nothing to us
	Unmatched     atomic.Int64 // signals of which no mail of ours was found
	Repeated      atomic.Int64 // reports that were known
	Unsigned      atomic.Int64 // reports that were not signed, or too long ago
	Malformed     atomic.Int64 // reports that were signed and of no use
	Forged        atomic.Int64 // links that are none of ours
	Expired       atomic.Int64 // links whose time is over
	Limited       atomic.Int64 // requests answered 429
	Refused       atomic.Int64 // connections that there was no room for
}

var described = prometheus.NewDesc("tidepost_public_total", "What came in at the public address, by what became of it.", []string{"what"}, nil)

// Describe tells Prometheus of the one metric.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) { out <- described }

// Collect sends the values as they are now.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	for _, c := range []struct {
		what  string
		count *atomic.Int64
	}{
		{"open", &m.Opens}, {"click", &m.Clicks}, {"untaught", &m.Untaught}, {"unsubscribe", &m.Unsubscribes}, {"choice", &m.Choices},
		{"unstored", &m.Unstored}, {"report", &m.Reports}, {"signal", &m.Signals}, {"ignored_event", &m.Ignored}, {"unmatched_signal", &m.Unmatched}, {"repeated_report", &m.Repeated},
		{"unsigned_report", &m.Unsigned}, {"malformed_report", &m.Malformed}, {"forged", &m.Forged}, {"expired", &m.Expired},
		{"limited", &m.Limited}, {"refused_connection", &m.Refused},
	} {
		out <- prometheus.MustNewConstMetric(described, prometheus.CounterValue, float64(c.count.Load()), c.what)
	}
}
