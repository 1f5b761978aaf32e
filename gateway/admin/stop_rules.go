package admin

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler/experiment"
)

const (
	// stopsEvery is how often the stop rules of running experiments are looked at,
	// besides whenever somebody asks how the arms compare.
	stopsEvery = time.Hour

	// stopRule is who ends an experiment by itself.
	stopRule = "stop rule"
)

// watchExperiments looks at stop rules until the context ends.
func (s *Server) watchExperiments(ctx context.Context) {
	tick := time.NewTicker(stopsEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := s.checkStops(ctx); err != nil && ctx.Err() == nil {
			s.log().Error("the stop rules of experiments could not be looked at; that is tried again in an hour", "error", err)
		}
	}
}

// checkStops counts what is new in history and ends what must not go on.
func (s *Server) checkStops(ctx context.Context) error {
	j, err := s.journal()
	if err != nil || !s.anyRuns() {
		return nil // without a history there is nothing to go by
	}
	s.reports.Lock()
	defer s.reports.Unlock()
	if err := s.countArms(ctx, j, func(float64) {}); err != nil {
		return err
	}
	return s.stopExperiments(ctx, s.counted.fold.tallies())
}

// anyRuns reports whether any tenant has an experiment under way.
func (s *Server) anyRuns() bool {
	return slices.ContainsFunc(s.experimenters(&experiment.Tallies{}), func(tenant string) bool {
		return slices.ContainsFunc(s.Gateway.Rules(tenant).Experiments, func(e experiment.Experiment) bool { return e.Runs(s.now()) })
	})
}

// stopExperiments ends the experiments whose bound is passed.
func (s *Server) stopExperiments(ctx context.Context, t *experiment.Tallies) error {
	for _, tenant := range s.experimenters(t) {
		for _, e := range s.Gateway.Rules(tenant).Experiments {
			if !e.Runs(s.now()) {
				continue
			}
			var whole [experiment.Arms]experiment.Tally
			for _, q := range t.Quarters(tenant, gateway.Label(&e)) {
				for a, tally := range t.Arms(tenant, gateway.Label(&e), q) {
					whole[a].Merge(tally)
				}
			}
			why, hit := e.Stop.Hit(whole, experiment.Rule{})
			if !hit {
				continue
			}
			if err := s.Gateway.EndExperiment(ctx, tenant, e.Name, why, stopRule); err != nil {
				return fmt.Errorf("ending experiment %q of tenant %q: %w", e.Name, tenant, err)
			}
		}
	}
	return nil
}

// namedExperiments are the labels of a tenant's experiments: the standing holdout,
// those that are configured, and those that history tells of.
func (s *Server) namedExperiments(t *experiment.Tallies, tenant string) []string {
	labels := []string{""}
	for _, e := range s.Gateway.Rules(tenant).Experiments {
		labels = append(labels, gateway.Label(&e))
	}
	for _, label := range t.Experiments(tenant) {
		if !slices.Contains(labels, label) {
			labels = append(labels, label)
		}
	}
	return labels
}

// configured is the experiment with a label; nil: the file has it no more.
func configured(rules *gateway.Rules, label string) *experiment.Experiment {
	for i := range rules.Experiments {
		if e := &rules.Experiments[i]; gateway.Label(e) == label {
			return e
		}
	}
	return nil
}

// tellExperiment says what a named experiment is, and whether it goes on.
func (s *Server) tellExperiment(tenant string, e *experiment.Experiment) (out []string) {
	if e == nil {
		return []string{"The configuration has it no more; this is what history tells of it."}
	}
	text := fmt.Sprintf("%.3g %% of the mailboxes take part, from %s to %s; %s answers for it.", e.Size, at(e.Starts), at(e.Ends), mark(e.Owner))
	if e.Caps {
		text += " Caps are drawn in arm model, below policy.weekly_cap."
	}
	out = append(out, text)
	now := s.now()
	for _, x := range s.Gateway.Endings() {
		if x.Tenant == tenant && x.Experiment == e.Name {
			return append(out, fmt.Sprintf("It was ended at %s by the %s: %s.", at(x.At), mark(x.By), mark(x.Why)))
		}
	}
	switch {
	case now.Before(e.Starts):
		out = append(out, "It has not begun.")
	case !e.Runs(now):
		out = append(out, "It is over.")
	default:
		out = append(out, fmt.Sprintf("It ends by itself as soon as it is sure that an arm has over %.3g %% more %s than control.", 100*e.Stop.Excess, e.Stop.Outcome))
	}
	return out
}

// endedDifferences are the experiments that were ended though the file has them go on.
func (s *Server) endedDifferences() (out []Difference) {
	for _, x := range s.Gateway.Endings() {
		out = append(out, Difference{Name: "experiment " + mark(x.Experiment) + gateway.ModeScope{Tenant: x.Tenant}.Suffix(),
			File: "running until " + at(x.Ends), Now: "ended", By: x.By, At: utc(x.At)})
	}
	return out
}

// endedProblems tell people what a stop rule did: somebody has to decide what follows.
func (s *Server) endedProblems() (list []attention) {
	for _, x := range s.Gateway.Endings() {
		if x.By == stopRule {
			list = append(list, attention{fmt.Sprintf("Experiment %s of tenant %s was ended by its stop rule at %s: %s.",
				mark(x.Experiment), mark(x.Tenant), at(x.At), mark(x.Why)), "report#named-experiments"})
		}
	}
	return list
}
