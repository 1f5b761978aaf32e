package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"tidepost/scheduler"
	"tidepost/scheduler/experiment"
)

// Drawn is what a named experiment drew for a mailbox. The acceptance of a delivery
// tells it, so that who counts where can be read from history alone, whatever
// becomes of the configuration.
type Drawn struct {
	Experiment string            `json:"experiment"`
	Starts     time.Time         `json:"starts"`         // of the experiment: begun anew it is counted anew
	Arms       experiment.Shares `json:"arms"`           // by Arm, in percent
	Cap        int               `json:"cap,omitempty"`  // weekly cap that was drawn; 0: caps are not
	Most       int               `json:"most,omitempty"` // the operator's, which is its ceiling
}

// Label is what the experiment is counted under; "" for none.
func (d *Drawn) Label() string {
	if d.Experiment == "" {
		return ""
	}
	return label(d.Experiment, d.Starts)
}

// Label is what an experiment is counted under.
func Label(e *experiment.Experiment) string { return label(e.Name, e.Starts) }

func label(name string, starts time.Time) string {
	return name + " since " + starts.UTC().Format("2006-01-02 15:04")
}

// reasonDrawn marks the acceptances that carry a Drawn.
const reasonDrawn = "experiment"

// Drawn returns what an experiment drew for the delivery that was accepted.
func (e *Event) Drawn() (Drawn, bool) {
	var d Drawn
	if e.Kind != EventAccepted || e.Reason != reasonDrawn || json.Unmarshal([]byte(e.Detail), &d) != nil {
		return Drawn{}, false
	}
	return d, d.Experiment != ""
}

// accepted is the event of an acceptance, with what was drawn for the mailbox.
func (g *Gateway) accepted(d *Delivery, at time.Time) Event {
	told := Event{Kind: EventAccepted}
	rules := g.Rules(d.Tenant)
	if len(rules.Experiments) == 0 || !d.Class.Bulk() || !g.live(d, rules) {
		return told
	}
	e, place := g.drawn(rules, d.Tenant, d.Mailbox, at)
	if e == nil {
		return told
	}
	drawn := Drawn{Experiment: e.Name, Starts: e.Starts, Arms: e.Arms}
	if weekly := rules.WeeklyCap; e.Caps && place.Arm == experiment.Model && weekly > 0 {
		drawn.Cap, drawn.Most = place.Cap(weekly, weekly), weekly
	}
	text, _ := json.Marshal(drawn) // a struct of plain fields
	told.Reason, told.Detail = reasonDrawn, string(text)
	return told
}

// drawn is the first running experiment that a mailbox takes part in, and its place
// there; nil where it is in none.
func (g *Gateway) drawn(rules *Rules, tenant string, k Key, at time.Time) (*experiment.Experiment, experiment.Place) {
	for i := range rules.Experiments {
		e := &rules.Experiments[i]
		if !e.Runs(at) || g.stoppedBy(tenant, e, at) {
			continue
		}
		if place := e.Assign(g.Salt, k.draw(), at); place.In {
			return e, place
		}
	}
	return nil, experiment.Place{}
}

// randomise changes the policy of live bulk mail where an experiment has its
// mailbox. The operator's cap is the ceiling of every other.
func (g *Gateway) randomise(p *scheduler.Policy, d *Delivery, rules *Rules, at time.Time) {
	if !p.Live || !d.Class.Bulk() || len(rules.Experiments) == 0 {
		return
	}
	e, place := g.drawn(rules, d.Tenant, d.Mailbox, at)
	if e == nil {
		return
	}
	p.Arms = experiment.Shares{}
	p.Arms[place.Arm] = 100
	p.WeeklyCap = place.Cap(p.WeeklyCap, p.WeeklyCap)
}

// PolicyOf is the policy in force now for a tenant's bulk mail to a mailbox, with what
// experiments make of it.
func (g *Gateway) PolicyOf(tenant string, k Key) scheduler.Policy {
	return g.policy(&Delivery{Tenant: tenant, Mailbox: k, Class: Promotional}, g.Rules(tenant), g.now())
}

// Ending is an experiment that was ended at run time. It is over, and the experiment
// runs again, once the configuration gives it other dates.
type Ending struct {
	Tenant     string    `json:"tenant"`
	Experiment string    `json:"experiment"`
	Starts     time.Time `json:"starts"`
	Ends       time.Time `json:"ends"` // as it was planned
	Why        string    `json:"why"`
	By         string    `json:"by"`
	At         time.Time `json:"at"`
}

const settingEnding = "experiment/"

// endings are those of every tenant's experiments, looked up with every plan.
type endings struct {
	of atomic.Pointer[map[tenantExperiment]Ending]
}

type tenantExperiment struct{ tenant, experiment string }

func (x *endings) get(tenant, name string) (Ending, bool) {
	of := x.of.Load()
	if of == nil {
		return Ending{}, false
	}
	e, ok := (*of)[tenantExperiment{tenant, name}]
	return e, ok
}

func (x *endings) put(e Ending) {
	next := map[tenantExperiment]Ending{}
	if of := x.of.Load(); of != nil {
		for k, v := range *of {
			next[k] = v
		}
	}
	next[tenantExperiment{e.Tenant, e.Experiment}] = e
	x.of.Store(&next)
}

// load takes over a stored ending.
func (x *endings) load(value []byte) {
	var e Ending
	if json.Unmarshal(value, &e) == nil {
		x.put(e)
	}
}

// ends reports whether it is this experiment that was ended.
func (x Ending) ends(e *experiment.Experiment) bool {
	return x.Experiment == e.Name && x.Starts.Equal(e.Starts) && x.Ends.Equal(e.Ends)
}

// stoppedBy reports whether an experiment had been ended by then.
func (g *Gateway) stoppedBy(tenant string, e *experiment.Experiment, at time.Time) bool {
	x, ok := g.settings.endings.get(tenant, e.Name)
	return ok && x.ends(e) && !at.Before(x.At)
}

// Endings returns the experiments that were ended at run time and are still
// configured with the same dates.
func (g *Gateway) Endings() []Ending {
	var out []Ending
	if of := g.settings.endings.of.Load(); of != nil {
		for _, x := range *of {
			if slices.ContainsFunc(g.Rules(x.Tenant).Experiments, func(e experiment.Experiment) bool { return x.ends(&e) }) {
				out = append(out, x)
			}
		}
	}
	slices.SortFunc(out, func(a, b Ending) int { return strings.Compare(a.setting(), b.setting()) })
	return out
}

func (x *Ending) setting() string { return settingEnding + x.Tenant + "\x00" + x.Experiment }

// EndExperiment ends a tenant's experiment, stores that with who did it and why, and
// plans anew what waits. One that has ended already is left as it is.
func (g *Gateway) EndExperiment(ctx context.Context, tenant, name, why, actor string) error {
	g.settings.changing.Lock()
	defer g.settings.changing.Unlock()
	experiments := g.Rules(tenant).Experiments
	i := slices.IndexFunc(experiments, func(e experiment.Experiment) bool { return e.Name == name })
	if i < 0 {
		return fmt.Errorf("tenant %q has no experiment %q", tenant, name)
	}
	e, now := &experiments[i], g.now()
	if g.stoppedBy(tenant, e, now) {
		return nil
	}
	x := Ending{Tenant: tenant, Experiment: name, Starts: e.Starts, Ends: e.Ends, Why: why, By: actor, At: now}
	value, err := json.Marshal(x)
	if err != nil {
		return err
	}
	err = g.Store.Commit(ctx, &Change{
		Settings: []Setting{{Name: x.setting(), Value: value}},
		Events: []Event{{Kind: EventSetting, At: now, Name: g.eventName(), Reason: "ended", Actor: actor,
			Detail: strings.ReplaceAll(x.setting(), "\x00", "/") + ": " + why}},
	})
	if err != nil {
		return err
	}
	g.settings.endings.put(x)
	g.log().Error("an experiment was ended", "tenant", tenant, "experiment", name, "by", actor, "why", why)
	g.Replan()
	return nil
}

// TellSetting tells that a value of the configuration that decides what is compared
// has changed. what names it; detail says from what to what.
func (g *Gateway) TellSetting(ctx context.Context, what, detail, actor string) error {
	return g.Store.Commit(ctx, &Change{Events: []Event{{Kind: EventSetting, At: g.now(), Name: g.eventName(),
		Reason: "changed", Actor: actor, Detail: what + ": " + detail}}})
}
