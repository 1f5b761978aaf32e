package main

import (
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"
)

type experimentsCmd struct {
	remote
	Tenant string `help:"Only this tenant's." placeholder:"NAME"`
}

// experiments is the answer of GET /api/v1/experiments.
type experiments struct {
	Since, Until time.Time
	OneIn        int `json:"one_in"`
	Mode         string
	Notes        []string
	Tenants      []tenantExperiment
}

type tenantExperiment struct {
	Tenant, Experiment string
	PolicyMode         string `json:"policy_mode"`
	Sentences          []string
	Arms               []struct {
		Arm                                     string
		Mailboxes                               int64
		Weeks                                   int64 `json:"mailbox_weeks"`
		Clicked, Read, Unsubscribed, Complained int64
		Bounced, Mails, Dropped                 int64
		HeldHours                               float64 `json:"held_hours"`
	}
	Comparisons []struct {
		Treatment, Control, Outcome string
		Lift                        lift
	}
	Quarters []struct {
		Quarter, Says string
		Valid         bool
	}
}

// lift is a comparison; numbers of which nothing may be said yet are nil.
type lift struct {
	Verdict   string
	Low, High *float64
	Delta     *float64
	Rate      *float64 `json:"control_rate"`
	P         *float64
	N, Needed float64
}

// Run prints how the arms compare.
func (e *experimentsCmd) Run(a *app) error {
	c, err := e.connect(a)
	if err != nil {
		return err
	}
	query := url.Values{}
	if e.Tenant != "" {
		query.Set("tenant", e.Tenant)
	}
	doc, err := c.slowly(a, "/api/v1/experiments", query)
	if err != nil {
		return err
	}
	var x experiments
	if err := decodeAnswer(doc, &x); err != nil {
		return err
	}
	a.warnCapture(x.Mode, e.JSON)
	if e.JSON {
		return printJSON(a.Stdout, doc)
	}
	return x.print(a.Stdout)
}

func (x *experiments) print(w io.Writer) error {
	if len(x.Tenants) == 0 {
		fmt.Fprintln(w, "No tenant has sent bulk mail: there is nothing to compare.")
	}
	for i := range x.Tenants {
		if err := x.Tenants[i].print(w); err != nil {
			return err
		}
	}
	for _, n := range x.Notes {
		fmt.Fprintln(w, safe(n))
	}
	return nil
}

func (t *tenantExperiment) print(w io.Writer) error {
	title := "Tenant " + t.Tenant
	if t.Experiment != "" {
		title += ", experiment " + t.Experiment
	}
	fmt.Fprintf(w, "%s (%s)\n", safe(title), safe(t.PolicyMode))
	for _, s := range t.Sentences {
		fmt.Fprintln(w, "  "+safe(s))
	}
	fmt.Fprintln(w)
	if len(t.Arms) > 0 {
		arms := newTable(w, "ARM", "MAILBOXES", "WEEKS", "CLICKED", "READ", "UNSUBSCRIBED", "COMPLAINED", "BOUNCED", "MAILS", "DROPPED", "HELD HOURS")
		for _, a := range t.Arms {
			arms.row(a.Arm, a.Mailboxes, a.Weeks, a.Clicked, a.Read, a.Unsubscribed, a.Complained, a.Bounced, a.Mails, a.Dropped, a.HeldHours)
		}
		if err := arms.flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	return t.printLifts(w)
}

func (t *tenantExperiment) printLifts(w io.Writer) error {
	if len(t.Comparisons) == 0 {
		return nil
	}
	lifts := newTable(w, "COMPARED", "BY", "VERDICT", "LIFT", "INTERVAL", "P", "N", "NEEDED")
	for _, c := range t.Comparisons {
		l := &c.Lift
		lifts.row(c.Treatment+" : "+c.Control, c.Outcome, l.Verdict, l.of(l.Delta), l.interval(), l.p(), fmt.Sprintf("%.0f", l.N), l.needed())
	}
	if err := lifts.flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	return nil
}

// of writes a difference relative to control's rate.
func (l *lift) of(delta *float64) string {
	if delta == nil || l.Rate == nil || *l.Rate == 0 {
		return ""
	}
	return fmt.Sprintf("%+.1f %%", 100**delta / *l.Rate)
}

func (l *lift) interval() string {
	if l.of(l.Low) == "" || l.High == nil {
		return ""
	}
	return l.of(l.Low) + " to " + l.of(l.High)
}

func (l *lift) p() string {
	if l.P == nil {
		return ""
	}
	return strconv.FormatFloat(*l.P, 'g', 2, 64)
}

func (l *lift) needed() string {
	if l.Needed == 0 {
		return "not known yet"
	}
	return fmt.Sprintf("%.0f", l.Needed)
}
