package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler"
	"tidepost/scheduler/experiment"
)

// pace is an experiment under way, of everybody.
func pace() experiment.Experiment {
	now := time.Now().UTC().Truncate(time.Second)
	return experiment.Experiment{Name: "pace", Owner: "ops", Starts: now.AddDate(0, 0, -10), Ends: now.AddDate(0, 0, 20), Size: 100,
		Arms: experiment.Shares{experiment.Model: 50, experiment.Control: 50},
		Stop: experiment.Stop{Outcome: experiment.Unsubscribed, Excess: 0.2}}
}

// drawn tells that a newsletter was accepted for a reader in an arm of an experiment.
func (p *past) drawn(at time.Time, reader string, e *experiment.Experiment, arm experiment.Arm) *gateway.Delivery {
	d := p.mail(at, reader, &scheduler.Decision{Live: true, Arm: scheduler.Arm(arm), Model: 1})
	text, _ := json.Marshal(gateway.Drawn{Experiment: e.Name, Starts: e.Starts, Arms: e.Arms})
	last := &p.events[len(p.events)-1]
	last.Reason, last.Detail = "experiment", string(text)
	return d
}

// leavers tells of readers, of whom one in so many of an arm unsubscribes.
func (p *past) leavers(at time.Time, e *experiment.Experiment, readers int, oneIn [2]int) {
	for i := range readers {
		arm := experiment.Arm(i % 2)
		name := fmt.Sprint("reader", i)
		d := p.drawn(at, name, e, arm)
		if i/2%oneIn[arm] == 0 {
			p.did(gateway.EventUnsubscribed, at.Add(time.Hour), name, d, 1)
		}
	}
}

func named(w *world, label string) tenantExperiments {
	w.t.Helper()
	w.get("/api/v1/experiments?tenant=acme")
	f := w.counted.fold
	for _, e := range w.tenantExperiments(f.tallies(), "acme", f.signals["acme"]) {
		if e.Experiment == label {
			return e
		}
	}
	w.t.Fatalf("no experiment %q", label)
	return tenantExperiments{}
}

// A named experiment is counted under its name, apart from the standing holdout, and
// a mailbox brings its past along.
func TestNamedExperimentIsCounted(t *testing.T) {
	e := pace()
	w := newWorld(t, func(w *world) {
		w.rules.Live, w.rules.Arms = true, experiment.Shares{experiment.Model: 90, experiment.Control: 10}
		w.rules.Experiments = []experiment.Experiment{e}
	})
	p := &past{memory: w.store}
	said(t, named(w, gateway.Label(&e)).Sentences, "100 % of the mailboxes take part", "ops answers for it", "It ends by itself", "There is nothing to compare")

	before := e.Starts.AddDate(0, 0, -7)
	d := p.mail(before, "ada", &scheduler.Decision{Live: true, Arm: scheduler.ArmControl})
	p.did(gateway.EventClicked, before.Add(time.Hour), "ada", d, 1)
	at := e.Starts.Add(time.Hour)
	for i, arm := range []experiment.Arm{experiment.Model, experiment.Control, experiment.Control} {
		reader := []string{"ada", "bob", "eve"}[i]
		d := p.drawn(at, reader, &e, arm)
		p.then(gateway.EventDelivered, at.Add(time.Hour), d)
	}
	p.did(gateway.EventClicked, at.Add(2*time.Hour), "bob", nil, 1)

	got, standing := named(w, gateway.Label(&e)), named(w, "")
	if len(got.Arms) != 2 || got.Arms[0].Mailboxes != 1 || got.Arms[1].Mailboxes != 2 || got.Arms[1].Mails != 2 || got.Arms[1].Clicked != 1 || got.Shares["control"] != 50 {
		t.Errorf("the experiment: %+v", got.ArmsOf())
	}
	if len(standing.Arms) != 1 || standing.Arms[0].Arm != "control" || standing.Arms[0].Mailboxes != 1 || standing.Arms[0].Clicked != 1 || standing.Shares["control"] != 10 {
		t.Errorf("the standing holdout: %+v", standing.ArmsOf())
	}
	q := experiment.QuarterOf(at)
	if m := w.counted.fold.tallies().Arms("acme", gateway.Label(&e), q)[experiment.Model]; m.Clicked.T != 1 {
		t.Errorf("the past of the mailbox: %+v", m.Clicked)
	}

	w.rules.Experiments = nil // the file has it no more; history has
	said(t, named(w, gateway.Label(&e)).Sentences, "The configuration has it no more")
}

// ArmsOf is for messages of tests.
func (e *tenantExperiments) ArmsOf() string { return fmt.Sprintf("%+v, shares %v", e.Arms, e.Shares) }

// An experiment that makes readers leave ends by itself, and people are told.
func TestStopRuleEndsAnExperiment(t *testing.T) {
	e := pace()
	w := newWorld(t, func(w *world) {
		w.rules.Live, w.rules.Arms = true, experiment.Shares{experiment.Model: 90, experiment.Control: 10}
		w.rules.Experiments = []experiment.Experiment{e}
		w.Tenants = func() []string { return []string{"acme"} }
	})
	w.submit(mail{to: []string{"ann@x.test"}}) // the gateway runs by now
	p := &past{memory: w.store}
	p.leavers(e.Starts.Add(time.Hour), &e, 2000, [2]int{20, 20})
	if err := w.checkStops(t.Context()); err != nil || len(w.Gateway.Endings()) != 0 {
		t.Fatalf("as many leave in both arms: %v, %+v", err, w.Gateway.Endings())
	}
	p.leavers(e.Starts.AddDate(0, 0, 7), &e, 8000, [2]int{4, 20})
	if err := w.checkStops(t.Context()); err != nil {
		t.Fatal(err)
	}
	x := w.Gateway.Endings()
	if len(x) != 1 || x[0].By != "stop rule" || x[0].Experiment != "pace" || !strings.Contains(x[0].Why, "more unsubscribes than control; the bound is 20 %") {
		t.Fatalf("ended: %+v", x)
	}
	said(t, named(w, gateway.Label(&e)).Sentences, "It was ended at", "by the stop rule: arm model has at least")
	st := w.status()
	if len(st.Differences) != 1 || st.Differences[0].Name != "experiment pace (tenant acme)" || st.Differences[0].Now != "ended" || st.Differences[0].By != "stop rule" {
		t.Errorf("status names %+v", st.Differences)
	}
	if n := len(st.Problems); n == 0 || !strings.Contains(st.Problems[n-1].Text, "Experiment pace of tenant acme was ended by its stop rule") || st.Problems[n-1].Runbook != "report#named-experiments" {
		t.Errorf("status names %+v", st.Problems)
	}

	// Somebody who asks how the arms compare has the rules looked at as well: begun
	// anew it is counted anew.
	for w.Gateway.Replanning() >= 0 {
		time.Sleep(time.Millisecond)
	}
	e.Starts = e.Starts.AddDate(0, 0, 1)
	w.rules.Experiments = []experiment.Experiment{e}
	if len(w.Gateway.Endings()) != 0 {
		t.Error("it has another start and is still ended")
	}
	w.get("/api/v1/experiments")
	if len(w.Gateway.Endings()) != 0 {
		t.Error("it was ended for what happened before its start")
	}
	p.leavers(e.Starts.AddDate(0, 0, 7), &e, 8000, [2]int{4, 20})
	w.get("/api/v1/experiments")
	if len(w.Gateway.Endings()) != 1 {
		t.Error("nobody looked at the stop rule")
	}
}

// Nobody needs to ask: the rules are looked at every hour.
func TestStopRulesAreWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := pace()
		w := newWorld(t, func(w *world) {
			w.rules.Live = true
			w.rules.Experiments = []experiment.Experiment{e}
			w.Tenants = func() []string { return []string{"acme"} }
		})
		(&past{memory: w.store}).leavers(e.Starts.Add(time.Hour), &e, 8000, [2]int{4, 20})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { w.watchExperiments(ctx); close(done) }()
		time.Sleep(stopsEvery - time.Minute)
		if len(w.Gateway.Endings()) != 0 {
			t.Error("it was ended before anybody looked")
		}
		time.Sleep(2 * time.Minute)
		if len(w.Gateway.Endings()) != 1 {
			t.Error("an hour later it goes on")
		}
		stop()
		<-done
	})
}
