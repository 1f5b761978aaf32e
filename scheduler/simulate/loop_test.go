package simulate

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"tidepost/scheduler"
	"tidepost/scheduler/replay"
)

func simulated(t testing.TB, o Options, worlds ...string) *Report {
	t.Helper()
	for _, name := range worlds {
		w, ok := WorldByName(name)
		if !ok {
			t.Fatalf("no world %s", name)
		}
		o.Worlds = append(o.Worlds, w)
	}
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The plain relay scores 0 and the oracle 1, whatever the world; the oracle keeps
// the reads it must, and no policy without knowledge comes near it.
func TestScale(t *testing.T) {
	r := simulated(t, Options{Seeds: 2, People: 120, Weeks: 12, Policies: []string{Immediate, TenOClock, Histogram, SendTime, Hours, Oracle}},
		"matching", "moves")
	for i := range r.Worlds {
		w := &r.Worlds[i]
		if s := w.Policy(Immediate).Score; s.Mean != 0 || s.Width != 0 {
			t.Errorf("%s: the relay scores %v", w.Name, s)
		}
		best := w.Policy(Oracle)
		if best.Score.Mean != 1 || best.Score.Width != 0 || !best.Enough() {
			t.Errorf("%s: the oracle scores %v with %v of the reads", w.Name, best.Score, best.Reads)
		}
		if hours := w.Policy(Hours); hours.Reads.Mean < 1.1 || hours.Total.Dropped > 0 || hours.Score.Mean > .6 {
			t.Errorf("%s: the oracle's hours alone have %v of the reads and score %v", w.Name, hours.Reads, hours.Score)
		}
		for _, name := range []string{TenOClock, Histogram, SendTime} {
			if p := w.Policy(name); p.Score.Mean > .3 || p.Total.Dropped > 0 || p.Reads.Mean < .9 {
				t.Errorf("%s: %s scores %v with %v of the reads", w.Name, name, p.Score, p.Reads)
			}
		}
	}
}

// The engine beats the plain relay and what sends as little without knowing whom
// to, in the world it expects and in those that break its assumptions.
func TestModelBeatsTheRelay(t *testing.T) {
	o := Options{Seeds: 1, People: 120, Weeks: 12, Policies: []string{Immediate, Random, Model}}
	worlds := []string{"matching", "heavy-tail", "moves"}
	if testing.Short() {
		o.People, worlds = 100, worlds[:1]
	}
	r := simulated(t, o, worlds...)
	for i := range r.Worlds {
		w := &r.Worlds[i]
		relay, model, blind := w.Policy(Immediate), w.Policy(Model), w.Policy(Random)
		if model.PerMail.Mean < 1.15*relay.PerMail.Mean || model.Reads.Mean < .85 || model.Lost.Mean > .8 {
			t.Errorf("%s: %v reads per mail against %v, with %v of the reads and %v of the losses",
				w.Name, model.PerMail, relay.PerMail, model.Reads, model.Lost)
		}
		if model.PerMail.Mean < 1.1*blind.PerMail.Mean || model.Reads.Mean <= blind.Reads.Mean {
			t.Errorf("%s: no better than chance: %v reads per mail against %v", w.Name, model.PerMail, blind.PerMail)
		}
	}
}

// The same options give the same report to the byte, however many runs go at once.
func TestDeterminism(t *testing.T) {
	o := Options{Seeds: 2, People: 30, Weeks: 6}
	var docs [2][]byte
	for i := range docs {
		o.Workers = 1 + 3*i
		r := simulated(t, o, "matching", "capacity")
		doc, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var table, picture bytes.Buffer
		if err := r.WriteTable(&table); err != nil {
			t.Fatal(err)
		}
		if err := r.WriteSVG(&picture); err != nil {
			t.Fatal(err)
		}
		docs[i] = append(append(doc, table.Bytes()...), picture.Bytes()...)
	}
	if !bytes.Equal(docs[0], docs[1]) {
		t.Error("two runs differ")
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{Policies: []string{"x"}}, {Weeks: 53}, {Seeds: -1}} {
		if _, err := Run(context.Background(), o); err == nil {
			t.Errorf("%+v runs", o)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err := Run(ctx, Options{People: 500}); err == nil {
		t.Error("a cancelled run ends well")
	}
	calls := 0
	simulated(t, Options{Seeds: 2, People: 5, Weeks: 3, Policies: []string{Immediate}, Progress: func(done, total int) {
		if calls++; done != calls || total != 2 {
			t.Errorf("progress says %d of %d", done, total)
		}
	}}, "matching")
	if calls != 2 {
		t.Errorf("progress was told %d times", calls)
	}
}

func TestEstimate(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Estimate
	}{
		{nil, Estimate{}},
		{[]float64{3}, Estimate{Mean: 3}},
		{[]float64{2, 2, 2}, Estimate{Mean: 2}},
	} {
		if got := estimate(c.values); got != c.want {
			t.Errorf("%v: %v, want %v", c.values, got, c.want)
		}
	}
	if e := estimate([]float64{1, 2, 3, 4}); e.Mean != 2.5 || e.Width < 2.05 || e.Width > 2.06 {
		t.Errorf("1 to 4: %v", e)
	}
}

func TestWeekFields(t *testing.T) {
	if n := reflect.TypeFor[Week]().NumField(); n != len(new(Week).fields()) {
		t.Errorf("fields has not all of %d", n)
	}
}

// A destination that takes mail slowly delivers it later, and all of it.
func TestCapacity(t *testing.T) {
	r := simulated(t, Options{Seeds: 1, People: 100, Weeks: 4, Policies: []string{Immediate}}, "matching", "capacity")
	fast, slow := r.World("matching").Policy(Immediate), r.World("capacity").Policy(Immediate)
	if fast.Held.Mean > .01 || slow.Held.Mean < 1 || slow.Total.Sent < fast.Total.Sent*.95 {
		t.Errorf("held %v and %v, sent %v and %v", fast.Held, slow.Held, fast.Total.Sent, slow.Total.Sent)
	}
}

func TestPicture(t *testing.T) {
	r := simulated(t, Options{Seeds: 2, People: 20, Weeks: 5}, "matching", "moves")
	var b strings.Builder
	if err := r.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	svg := b.String()
	for what, want := range map[string]int{"<polyline": 2 * len(panels) * 7, "<polygon": 2 * len(panels) * 7, "</svg>": 1, "NaN": 0, "Inf": 0} {
		if got := strings.Count(svg, what); got != want {
			t.Errorf("%d %s, want %d", got, what, want)
		}
	}
	for name := range colours {
		if colours[name] == "" {
			t.Errorf("%s has no colour", name)
		}
	}
	for _, p := range policies {
		if colours[p.name] == "" {
			t.Errorf("%s has no colour", p.name)
		}
	}
}

// BenchmarkWorlds plays every world once and reports how the model did: its score,
// and its reads, clicks, losses and mails as shares of the plain relay's.
func BenchmarkWorlds(b *testing.B) {
	for _, w := range Worlds() {
		b.Run(w.Name, func(b *testing.B) {
			for b.Loop() {
				r, err := Run(context.Background(), Options{Rules: replay.Rules{Policy: scheduler.Policy{Keep: 0.9}}, Worlds: []World{w}, Seeds: 2, People: 800, Policies: []string{Immediate, Model, Oracle}})
				if err != nil {
					b.Fatal(err)
				}
				m := r.Worlds[0].Policy(Model)
				b.ReportMetric(m.Score.Mean, "score")
				b.ReportMetric(m.Reads.Mean, "reads")
				b.ReportMetric(m.Clicks.Mean, "clicks")
				b.ReportMetric(m.Lost.Mean, "lost")
				b.ReportMetric(m.Sent.Mean, "sent")
			}
		})
	}
}
