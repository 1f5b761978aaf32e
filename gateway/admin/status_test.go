package admin

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tidepost/gateway"
	"tidepost/scheduler/throttle"
)

func (w *world) status() (doc statusDoc) {
	w.t.Helper()
	rec := w.serve(w.request(Viewer, "GET", "/api/v1/status", ""))
	if err := json.Unmarshal(rec.Body.Bytes(), &doc); err != nil || rec.Code != 200 {
		w.t.Fatalf("status: %d, %v: %s", rec.Code, err, rec.Body)
	}
	return doc
}

func TestStatusAllWell(t *testing.T) {
	w := newWorld(t, func(w *world) { w.Gateway.Held = false })
	w.store.usage = gateway.Usage{Log: 10, Journal: 20, Index: 30, Free: 1 << 40}
	w.submit(mail{to: []string{"ann@x.test"}, notBefore: tomorrow()})
	st := w.status()
	if !st.Accepting || st.Held != 1 || st.Disk.Used != 60 || !st.Bus.Connected || len(st.Problems)+len(st.Paused)+len(st.Closed) != 0 {
		t.Errorf("%+v", st)
	}
	if st.Overdue != 0 || st.Disk.HoursLeft != nil {
		t.Errorf("overdue %v, hours %v", st.Overdue, st.Disk.HoursLeft)
	}
}

func TestStatusNeedsAPerson(t *testing.T) {
	start := time.Now()
	var ahead atomic.Int64 // of the clock; the gateway reads it too
	now := func() time.Time { return start.Add(time.Duration(ahead.Load())) }
	var bus Bus
	var ready, stopped error
	w := newWorld(t, func(w *world) {
		w.Gateway.Now = now
		w.Ready = func() error { return ready }
		w.Sources = Sources{Bus: func() Bus { return bus }, Stopped: func() error { return stopped }}
	})
	names := func() string {
		var list []string
		for _, p := range w.status().Problems {
			list = append(list, strings.TrimPrefix(p.Runbook, "runbook#"))
		}
		return strings.Join(list, " ")
	}
	bus.Connected = true
	want := func(story, want string) {
		t.Helper()
		if got := names(); got != want {
			t.Errorf("%s: problems %q, want %q", story, got, want)
		}
	}
	want("restored", "mail-late")
	if p := w.status().Paused; len(p) != 1 || p[0].By != "restore" {
		t.Errorf("paused %+v", p)
	}
	w.confirmed.Store(true)
	want("confirmed", "")
	bus.Connected = false
	want("no bus", "bus-behind")
	bus = Bus{Connected: true, LagSeconds: 301}
	want("a slow bus", "bus-behind")
	bus = Bus{Connected: true}
	ready = errors.New("storage is low")
	want("a full disk", "refusing-mail")
	stopped = errors.New("sync failed")
	want("a failed sync", "store-stopped")
	ready, stopped = nil, nil
	w.store.usage = gateway.Usage{Quarantined: 1}
	want("damage", "store-stopped")
	w.store.usage = gateway.Usage{Log: 100, Free: 1000}
	w.disk.note(now(), 0)
	ahead.Add(int64(30 * time.Minute))
	want("a disk that fills up", "disk-filling")
	if h := w.status().Disk.HoursLeft; h == nil || *h != 5 {
		t.Errorf("hours left %v, want 5", h)
	}
	w.store.usage = gateway.Usage{}
	for range 40 {
		w.Gateway.Throttle.Report(now(), "far.test", throttle.Unreachable)
		ahead.Add(int64(time.Minute))
	}
	ahead.Add(int64(-30 * time.Second))
	want("a destination that is down", "destination-closed")
}

func TestDisk(t *testing.T) {
	var d disk
	now := time.Unix(1e9, 0)
	u := gateway.Usage{Log: 100, Free: 100}
	if d.hoursLeft(now, u) != nil {
		t.Error("an estimate from nothing")
	}
	d.note(now, 50)
	if d.hoursLeft(now.Add(time.Minute), u) != nil {
		t.Error("an estimate from a minute")
	}
	if h := d.hoursLeft(now.Add(time.Hour), u); h == nil || *h != 2 {
		t.Errorf("%v hours left, want 2", h)
	}
	for i := range 1000 {
		d.note(now.Add(time.Duration(i)*time.Minute), 100)
	}
	if n := len(d.samples); n > 62 {
		t.Errorf("%d samples", n)
	}
	d.note(now.Add(-time.Hour), 1)
	if len(d.samples) != 1 {
		t.Error("samples from the future stay")
	}
}

func TestReady(t *testing.T) {
	var why error
	w := newWorld(t, func(w *world) { w.Ready = func() error { return why } })
	if rec := w.serve(w.request(0, "GET", "/readyz", "")); rec.Code != 200 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	why = errors.New("storage is low")
	if rec := w.serve(w.request(0, "GET", "/readyz", "")); rec.Code != 503 || rec.Body.String() != "storage is low\n" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := w.serve(w.request(0, "GET", "/healthz", "")); rec.Code != 200 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestDestinations(t *testing.T) {
	w := newWorld(t, nil)
	for _, name := range []string{"c.test", "a.test", "b.test"} {
		w.Gateway.Throttle.Report(time.Now(), name, throttle.Clean)
	}
	w.Gateway.Throttle.Report(time.Now(), "b.test", throttle.Busy)
	p := w.get("/api/v1/destinations?limit=2")
	if len(p.Items) != 2 || p.Items[0].Name != "a.test" || p.Items[0].Closed || !p.Items[1].Closed || p.Items[1].Reason == "" {
		t.Errorf("first page %+v", p.Items)
	}
	if p = w.get("/api/v1/destinations?limit=2&cursor=" + p.Next); len(p.Items) != 1 || p.Items[0].Name != "c.test" || p.Next != "" {
		t.Errorf("second page %+v", p.Items)
	}
}

func TestMetrics(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.Sources = Sources{
			Bus:         func() Bus { return Bus{Connected: true, LagEvents: 3, LagSeconds: 1.5} },
			Refused:     func() map[string]int64 { return map[string]int64{"size": 2} },
			Connections: func() int64 { return 4 }, AuthFailures: func() int64 { return 5 }, Stopped: func() error { return errors.New("x") },
		}
		w.Extra = []prometheus.Collector{prometheus.NewGauge(prometheus.GaugeOpts{Name: "tidepost_extra", Help: "x"})}
	})
	w.store.usage.Free = 7
	w.submit(mail{campaign: "spring", to: []string{"ann@x.test", "bob@x.test"}, notBefore: tomorrow()})
	w.ask(Operator, "POST", actions, `{"action":"drop","filter":{"mailbox":"bob@x.test"}}`, 200)
	for i := range 150 {
		w.Gateway.Throttle.Report(time.Now(), "closed"+string(rune('a'+i%26))+string(rune('a'+i/26))+".test", throttle.Unreachable)
	}
	w.Accepting().Observe(.003)
	text := w.serve(w.request(0, "GET", "/metrics", "")).Body.String()
	for _, want := range []string{
		"tidepost_accepted_total 2", `tidepost_refused_total{reason="size"} 2`, "tidepost_delivered_total 0", "tidepost_deferred_total 0",
		"tidepost_bounced_total 0", `tidepost_dropped_total{reason="admin"} 1`, "tidepost_held 1", "tidepost_oldest_overdue_seconds 0",
		`tidepost_destination_closed{destination="closedaa.test"} 1`, `tidepost_destination_closed{destination="other"} 51`,
		"tidepost_bus_lag_events 3", "tidepost_event_lag_seconds 1.5", "tidepost_store_free_bytes 7", "tidepost_store_stopped 1",
		"tidepost_smtp_connections 4", "tidepost_accept_seconds_count 1", `tidepost_accept_seconds_bucket{le="0.004"} 1`,
		"tidepost_auth_failures_total 5", "tidepost_extra 0", "go_goroutines ",
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
	if n := strings.Count(text, "\ntidepost_destination_closed{"); n != maxLabels {
		t.Errorf("%d destinations, want %d", n, maxLabels)
	}
}

func TestUpkeep(t *testing.T) {
	dir := t.TempDir()
	confirmed := false
	w := newWorld(t, func(w *world) {
		w.Backup = func(_ context.Context, dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "log"), make([]byte, 123), 0o600))
		}
		w.Compact = func(context.Context) error { w.store.usage.Log = 40; return nil }
		w.Server.Confirm = func(context.Context) error { confirmed = true; return nil }
	})
	w.store.usage.Log = 100
	target := filepath.Join(dir, "monday")
	post := func(path, doc string, code int, want string) {
		t.Helper()
		rec := w.serve(w.request(Admin, "POST", path, doc))
		if rec.Code != code || !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s %s: %d %s", path, doc, rec.Code, rec.Body)
		}
	}
	post("/api/v1/backup", `{"directory":"monday"}`, 400, "absolute")
	post("/api/v1/backup", `{"directory":"`+target+`"}`, 200, `"bytes":123`)
	post("/api/v1/backup", `{"directory":"`+target+`"}`, 409, "there already")
	post("/api/v1/compact", `{}`, 200, `"before_bytes":100,"after_bytes":40`)
	post("/api/v1/compact", ``, 200, `"after_bytes":40`)
	w.upkeep.Lock()
	post("/api/v1/compact", `{}`, 409, "running")
	w.upkeep.Unlock()
	post("/api/v1/confirm", `{}`, 200, `"confirmed":true`)
	post("/api/v1/confirm", `{}`, 409, "nothing waits")
	if !confirmed {
		t.Error("the store was not told")
	}
	w.Backup, w.Compact = nil, nil
	post("/api/v1/backup", `{"directory":"`+target+`2"}`, 501, "")
	post("/api/v1/compact", `{}`, 501, "")
}
