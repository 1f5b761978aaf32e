package simulate

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
)

// Estimate is a mean over seeds with the half width of its 95 % interval; 0 where
// there is one seed.
type Estimate struct {
	Mean  float64 `json:"mean"`
	Width float64 `json:"width"`
}

// Report compares policies by world.
type Report struct {
	People int `json:"people"`
	Weeks  int `json:"weeks"`
	Seeds  int `json:"seeds"`
	From   int `json:"judged_from_week"` // counted from 1

	Worlds []WorldReport `json:"worlds"`
}

// WorldReport compares policies in one world.
type WorldReport struct {
	Name     string         `json:"name"`
	About    string         `json:"about"`
	Policies []PolicyReport `json:"policies"`
}

// PolicyReport says how one policy fared in one world, in the weeks that are
// judged. Shares are of what the plain relay has on the same stage.
type PolicyReport struct {
	Name    string   `json:"name"`
	PerMail Estimate `json:"reads_per_mail"`
	Score   Estimate `json:"score"` // of PerMail: 0 the plain relay, 1 the oracle; both 0 without an oracle
	Sent    Estimate `json:"sent_share"`
	Reads   Estimate `json:"reads_share"`
	Clicks  Estimate `json:"clicks_share"`
	Lost    Estimate `json:"lost_share"` // unsubscribes and complaints
	Soon    Estimate `json:"read_within_hour_share"`
	Held    Estimate `json:"mean_hold_hours"`
	Wait    Estimate `json:"mean_hours_to_read"` // from delivery, of mail that is read

	Total  Week     `json:"total"`  // means over seeds
	Weekly []Weekly `json:"weekly"` // of all weeks
}

// Weekly is one week of a policy.
type Weekly struct {
	Sent         Estimate `json:"sent"`
	Reads        Estimate `json:"reads"`
	Clicks       Estimate `json:"clicks"`
	Unsubscribes Estimate `json:"unsubscribes"`
	Complaints   Estimate `json:"complaints"`
	PerMail      Estimate `json:"reads_per_mail"`
	Regret       Estimate `json:"regret"` // reads per mail that the oracle has more
}

// Enough reports whether the policy keeps the reads that it must.
func (p *PolicyReport) Enough() bool { return p.Reads.Mean >= floor }

// Policy finds a policy's figures; nil where it was not played.
func (w *WorldReport) Policy(name string) *PolicyReport {
	for i := range w.Policies {
		if w.Policies[i].Name == name {
			return &w.Policies[i]
		}
	}
	return nil
}

// World finds a world's figures; nil where it was not played.
func (r *Report) World(name string) *WorldReport {
	for i := range r.Worlds {
		if r.Worlds[i].Name == name {
			return &r.Worlds[i]
		}
	}
	return nil
}

func (o *Options) report(runs []runResult) *Report {
	r := &Report{People: o.People, Weeks: o.Weeks, Seeds: o.Seeds, From: o.from() + 1}
	for w := range o.Worlds {
		world := WorldReport{Name: o.Worlds[w].Name, About: o.Worlds[w].About}
		for _, p := range policies {
			if slices.Contains(o.Policies, p.name) {
				world.Policies = append(world.Policies, o.compare(p.name, runs[w*o.Seeds:(w+1)*o.Seeds]))
			}
		}
		r.Worlds = append(r.Worlds, world)
	}
	return r
}

// compare sets one policy beside the plain relay and the oracle, run by run.
func (o *Options) compare(name string, runs []runResult) PolicyReport {
	of := func(figure func(own, relay, best *Week) float64) Estimate {
		values := make([]float64, len(runs))
		for i, r := range runs {
			own, relay, best := o.judged(r[name]), o.judged(r[Immediate]), Week{}
			if r[Oracle] != nil {
				best = o.judged(r[Oracle])
			}
			values[i] = figure(&own, &relay, &best)
		}
		return estimate(values)
	}
	p := PolicyReport{
		Name:    name,
		PerMail: of(func(own, _, _ *Week) float64 { return own.perMail() }),
		Score: of(func(own, relay, best *Week) float64 {
			if best.Sent == 0 {
				return 0
			}
			return ratio(own.perMail()-relay.perMail(), best.perMail()-relay.perMail())
		}),
		Sent:   of(func(own, relay, _ *Week) float64 { return ratio(own.Sent, relay.Sent) }),
		Reads:  of(func(own, relay, _ *Week) float64 { return ratio(own.Reads, relay.Reads) }),
		Clicks: of(func(own, relay, _ *Week) float64 { return ratio(own.Clicks, relay.Clicks) }),
		Lost:   of(func(own, relay, _ *Week) float64 { return ratio(own.lost(), relay.lost()) }),
		Soon:   of(func(own, _, _ *Week) float64 { return ratio(own.Soon, own.Sent) }),
		Held:   of(func(own, _, _ *Week) float64 { return ratio(own.Held, own.Sent) }),
		Wait:   of(func(own, _, _ *Week) float64 { return ratio(own.Wait, own.Reads) }),
		Weekly: o.weekly(name, runs),
	}
	for _, r := range runs {
		p.Total = p.Total.plus(o.judged(r[name]))
	}
	p.Total = p.Total.times(1 / float64(len(runs)))
	return p
}

func (o *Options) weekly(name string, runs []runResult) []Weekly {
	out := make([]Weekly, o.Weeks)
	for week := range out {
		of := func(figure func(*Week) float64) Estimate {
			values := make([]float64, len(runs))
			for i, r := range runs {
				values[i] = figure(&r[name][week])
			}
			return estimate(values)
		}
		out[week] = Weekly{
			Sent:         of(func(w *Week) float64 { return w.Sent }),
			Reads:        of(func(w *Week) float64 { return w.Reads }),
			Clicks:       of(func(w *Week) float64 { return w.Clicks }),
			Unsubscribes: of(func(w *Week) float64 { return w.Unsubscribes }),
			Complaints:   of(func(w *Week) float64 { return w.Complaints }),
			PerMail:      of((*Week).perMail),
			Regret:       regret(runs, name, week),
		}
	}
	return out
}

func regret(runs []runResult, name string, week int) Estimate {
	var values []float64
	for _, r := range runs {
		if best := r[Oracle]; best != nil {
			values = append(values, best[week].perMail()-r[name][week].perMail())
		}
	}
	return estimate(values)
}

// estimate is the mean of a few runs with its interval by Student's t.
func estimate(values []float64) Estimate {
	n := float64(len(values))
	if n == 0 {
		return Estimate{}
	}
	var e Estimate
	for _, v := range values {
		e.Mean += v / n
	}
	if n == 1 {
		return e
	}
	squares := 0.0
	for _, v := range values {
		squares += (v - e.Mean) * (v - e.Mean)
	}
	e.Width = student(len(values)-1) * math.Sqrt(squares/(n-1)/n)
	return e
}

// student is the 97.5 % point of the t distribution.
func student(freedom int) float64 {
	table := []float64{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228}
	if freedom <= len(table) {
		return table[freedom-1]
	}
	return 1.96 + 2.6/float64(freedom) // within .01
}

// WriteTable writes the comparison for people.
func (r *Report) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "%d people, %d weeks, weeks %d to %d judged, %d seeds; ± is a 95 %% interval over seeds.\n", r.People, r.Weeks, r.From, r.Weeks, r.Seeds)
	fmt.Fprintf(w, "Sent, reads, clicks and lost (unsubscribes and complaints) are shares of what the plain relay has.\n")
	for i := range r.Worlds {
		world := &r.Worlds[i]
		fmt.Fprintf(w, "\n%s: %s\n", world.Name, world.About)
		t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		fmt.Fprintln(t, "POLICY\tSENT\tREADS\tCLICKS\tLOST\tUNSUBSCRIBES\tCOMPLAINTS\tREADS PER MAIL\tWITHIN 1H\tHELD\tSCORE")
		for j := range world.Policies {
			world.Policies[j].writeRow(t)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\nScore: of reads per mail sent, 0 is the plain relay and 1 the oracle; * where fewer than %.0f %% of its reads are left.\n", floor*100)
	return err
}

func (p *PolicyReport) writeRow(w io.Writer) {
	mark := ""
	if !p.Enough() {
		mark = " *"
	}
	fmt.Fprintf(w, "%s\t%.3f\t%s\t%s\t%s\t%.0f\t%.0f\t%.4f\t%.3f\t%.1fh\t%s%s\n", p.Name, p.Sent.Mean,
		p.Reads, p.Clicks, p.Lost, p.Total.Unsubscribes, p.Total.Complaints,
		p.PerMail.Mean, p.Soon.Mean, p.Held.Mean, p.Score, mark)
}

// String is the mean and its interval.
func (e Estimate) String() string { return fmt.Sprintf("%.3f ±%.3f", e.Mean, e.Width) }
