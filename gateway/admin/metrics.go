package admin

import (
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tidepost/gateway"
	"tidepost/scheduler/evidence"
)

// metrics is what Prometheus reads. Counters start at 0 with the process.
type metrics struct {
	registry *prometheus.Registry
	accept   prometheus.Histogram
	handler  http.Handler
	imports  imports
}

func newMetrics(s *Server) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	m.accept = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "tidepost_accept_seconds", Help: "From the end of a message to its 250.",
		Buckets: []float64{.0005, .001, .002, .004, .008, .016, .032, .064, .125, .25, .5, 1, 2, 5, 10},
	})
	m.registry.MustRegister(m.accept, &scrape{s}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.registry.MustRegister(s.Extra...)
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 20 * time.Second})
	return m
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tidepost_"+name, help, labels, nil)
}

var (
	descAccepted    = describe("accepted_total", "Deliveries answered 250.")
	descRefused     = describe("refused_total", "Refusals of intake, by what was wrong.", "reason")
	descDelivered   = describe("delivered_total", "Deliveries that the next hop took.")
	descDeferred    = describe("deferred_total", "Attempts that were answered 4xx.")
	descBounced     = describe("bounced_total", "Deliveries that were refused, or given up.")
	descDropped     = describe("dropped_total", "Deliveries stopped by policy, deadline, suppression or a person.", "reason")
	descCaptured    = describe("captured_total", "Deliveries kept by route mode capture.")
	descDuplicates  = describe("duplicates_total", "Deliveries that repeat one of the last hour.")
	descSignals     = describe("signals_total", "Signals that came in: what readers did.")
	descExcluded    = describe("signals_excluded_total", "Signals of what may not be learned: counted, not kept.")
	descJudged      = describe("signals_judged_total", "Opens and clicks that we saw, by who was behind them.", "verdict")
	descRejected    = describe("signals_rejected_total", "Signals over NATS that could not be read or had no tenant.")
	descPending     = describe("signals_pending", "Signals in NATS that were not looked at yet.")
	descOptOut      = describe("permission_lag_seconds", "Age of the oldest opt-out that is known and not applied.")
	descStood       = describe("signals_stopped", "1 while signals over NATS wait for a person.")
	descInDoubt     = describe("in_doubt_total", "Deliveries that were on the wire when the gateway stopped.")
	descReports     = describe("reports_total", "Delivery status notifications written.")
	descHeld        = describe("held", "Deliveries waiting.")
	descOverdue     = describe("oldest_overdue_seconds", "How late the delivery is that should have left first; 0: none is late.")
	descClosed      = describe("destination_closed", "1 while a destination is closed.", "destination")
	descBusEvents   = describe("bus_lag_events", "Events that NATS does not have yet.")
	descBusSeconds  = describe("event_lag_seconds", "Age of the oldest of them.")
	descFree        = describe("store_free_bytes", "Free space where data_dir is.")
	descUsed        = describe("store_used_bytes", "What the store takes.")
	descStopped     = describe("store_stopped", "1 after a failed sync: nothing is accepted until a new start.")
	descConnections = describe("smtp_connections", "Sessions of clients.")
	descEntries     = describe("suppressions", "Suppressions in force, those that have run out too.", "reason", "scope")
	descLists       = describe("suppression_lists", "Lists of suppressions, by what is the matter with them.", "state")
	descSuppressed  = describe("suppressed_total", "Deliveries that a suppression stopped.")
	descImported    = describe("suppression_import_lines_total", "Lines of imported lists that were read.")
	descAuth        = describe("auth_failures_total", "Wrong passwords and tokens, and users that do not exist.")
)

// scrape reads every value at the moment it is asked for.
type scrape struct{ s *Server }

// Describe sends nothing: labels come and go (an unchecked collector).
func (c *scrape) Describe(chan<- *prometheus.Desc) {}

// Collect sends the values as they are now.
func (c *scrape) Collect(out chan<- prometheus.Metric) {
	s := c.s
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	m := &s.Gateway.Metrics
	for _, counter := range []struct {
		desc  *prometheus.Desc
		value int64
	}{
		{descAccepted, m.Accepted.Load()}, {descDelivered, m.Delivered.Load()}, {descDeferred, m.Deferred.Load()},
		{descBounced, m.Bounced.Load()}, {descCaptured, m.Captured.Load()}, {descDuplicates, m.Duplicates.Load()},
		{descSignals, m.Signals.Load()}, {descExcluded, m.Excluded.Load()}, {descInDoubt, m.InDoubt.Load()}, {descReports, m.Reports.Load()}, {descAuth, s.authFailures()},
		{descSuppressed, m.Suppressed.Load()}, {descImported, s.metrics.imports.lines.Load()},
	} {
		send(counter.desc, prometheus.CounterValue, float64(counter.value))
	}
	sum, bus, disk := s.sum(), s.bus(), s.diskUse()
	for _, gauge := range []struct {
		desc  *prometheus.Desc
		value float64
	}{
		{descHeld, float64(sum.Waiting)}, {descOverdue, s.Gateway.Overdue().Seconds()},
		{descBusEvents, float64(bus.LagEvents)}, {descBusSeconds, bus.LagSeconds},
		{descFree, float64(disk.Free)}, {descUsed, float64(disk.Used)}, {descStopped, s.stopped()}, {descConnections, s.connections()},
	} {
		send(gauge.desc, prometheus.GaugeValue, gauge.value)
	}
	for reason, n := range labelled(sum.Dropped) {
		send(descDropped, prometheus.CounterValue, n, reason)
	}
	for verdict := range m.Judged {
		send(descJudged, prometheus.CounterValue, float64(m.Judged[verdict].Load()), evidence.Verdict(verdict).String())
	}
	if s.Sources.Stream != nil {
		x, stood := s.Sources.Stream(), 0.0
		if x.Stopped != "" {
			stood = 1
		}
		send(descRejected, prometheus.CounterValue, float64(x.Rejected))
		send(descPending, prometheus.GaugeValue, float64(x.Pending))
		send(descOptOut, prometheus.GaugeValue, x.LagSeconds)
		send(descStood, prometheus.GaugeValue, stood)
	}
	if s.Sources.Refused != nil {
		for reason, n := range labelled(s.Sources.Refused()) {
			send(descRefused, prometheus.CounterValue, n, reason)
		}
	}
	for name, n := range s.closedLabels() {
		send(descClosed, prometheus.GaugeValue, n, name)
	}
	s.sendSuppressions(send)
}

// sendSuppressions tells how many suppressions and lists of them there are.
func (s *Server) sendSuppressions(send func(*prometheus.Desc, prometheus.ValueType, float64, ...string)) {
	all, ok := s.Store.(gateway.Lists)
	if !ok {
		return
	}
	for kind, n := range all.Suppressed() {
		send(descEntries, prometheus.GaugeValue, float64(n), label(string(kind.Reason)), kind.Scope.String())
	}
	states := map[string]float64{"live": 0, "staged": 0, "partial": 0, "damaged": 0}
	for _, l := range all.AllLists() {
		states[listState(&l)]++
		if l.Damaged != "" {
			states["damaged"]++
		}
	}
	for state, n := range states {
		send(descLists, prometheus.GaugeValue, n, state)
	}
}

// maxLabels is how many destinations have a value of their own; the others share
// one, so that somebody's mail cannot fill Prometheus.
const maxLabels = 100

func (s *Server) closedLabels() map[string]float64 {
	closed := map[string]float64{}
	for i, d := range s.closed() {
		if i < maxLabels-1 {
			closed[label(d.Dest)] = 1
		} else {
			closed["other"]++
		}
	}
	return closed
}

// labelled adds up what has the same label.
func labelled(values map[string]int64) map[string]float64 {
	sums := map[string]float64{}
	for name, n := range values {
		sums[label(name)] += float64(n)
	}
	return sums
}

// label makes text fit for a label.
func label(s string) string { return mark(shorten(strings.ToValidUTF8(s, "�"), 128)) }

func (s *Server) authFailures() int64 {
	n := s.guard.failed.Load()
	if s.Sources.AuthFailures != nil {
		n += s.Sources.AuthFailures()
	}
	return n
}

func (s *Server) stopped() float64 {
	if s.Sources.Stopped != nil && s.Sources.Stopped() != nil {
		return 1
	}
	return 0
}

func (s *Server) connections() float64 {
	if s.Sources.Connections == nil {
		return 0
	}
	return float64(s.Sources.Connections())
}

// serveMetrics answers this machine without a token, and others with one. To
// anybody else there is nothing here (attacks H11).
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		s.fail(w, r, notFound("there is nothing at this path"))
		return
	}
	if !s.guard.peer(r).local {
		if _, err := s.guard.check(s.now(), r, Viewer); err != nil {
			p := asProblem(err)
			if p.Status != http.StatusTooManyRequests {
				p = notFound("there is nothing at this path")
			}
			s.fail(w, r, p)
			return
		}
	}
	s.metrics.handler.ServeHTTP(w, r)
}
