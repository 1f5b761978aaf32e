package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tidepost/scheduler/experiment"
)

// Each row: a change of a sound experiment, and what is said of it.
func TestExperimentErrors(t *testing.T) {
	const sound = `[policy]
weekly_cap = 5
[[experiment]]
name = 'hours'
owner = 'ops'
starts = '2026-09-01'
ends = '2026-11-01'
size = 20
arms = { control = 50, random = 50 }
stop = { outcome = 'unsubscribes', excess = 0.2 }
`
	for _, row := range []struct{ from, to, want string }{
		{"", "", ""},
		{"name = 'hours'", "", `tidepost.toml:3: experiment: "": it needs a name`},
		{"owner = 'ops'", "", `tidepost.toml:3: experiment: "hours": it needs an owner`},
		{"starts = '2026-09-01'", "", `"hours": it needs a start`},
		{"ends = '2026-11-01'", "", `"hours": it needs an end`},
		{"'2026-11-01'", "'2026-08-01'", `"hours": its end must come after its start`},
		{"'2026-11-01'", "'soon'", `tidepost.toml:7: experiment.ends: "soon" is not a time: write it like 2026-09-01`},
		{"'2026-11-01'", "2026-11-01", "tidepost.toml:7: experiment.ends: want text in quotes"},
		{"size = 20", "size = 101", `"hours": its size must be above 0`},
		{"control = 50, random = 50", "control = 50, random = 40", `"hours": the arms' shares add up to 90`},
		{"control = 50, random = 50", "model = 50, random = 50", `"hours": it needs a control arm`},
		{"control = 50, random = 50", "control = 80, none = 20", `tidepost.toml:9: experiment.arms: none drops promotional mail, which policy.drop does not allow`},
		{"control = 50, random = 50", "control = 50, none = 50", `tidepost.toml:9: experiment.arms: none would drop 10 percent of the mail, and policy.max_drop holds what is above 5`},
		{"arms = { control = 50, random = 50 }", "", `"hours": it must randomise something`},
		{"stop = { outcome = 'unsubscribes', excess = 0.2 }", "", `"hours": it needs a stop rule on a guardrail: unsubscribes, complaints or bounces`},
		{"'unsubscribes'", "'clicks'", `"hours": it needs a stop rule on a guardrail`},
		{"excess = 0.2", "excess = 2", `"hours": its stop rule must allow an excess between 0 and 1`},
		{"weekly_cap = 5", "", ""},
		{"size = 20", "size = 20\ncaps = true", ""},
		{"weekly_cap = 5\n[[experiment]]", "[[experiment]]\ncaps = true", "tidepost.toml:3: experiment.caps: draws shares of policy.weekly_cap, which is off"},
		{"size = 20", "sise = 20", "tidepost.toml:8: experiment.sise: no such key; did you mean experiment.size?"},
		{"[[experiment]]", "[[experiment]]\nname = 'hours'\n[[experiment]]", `tidepost.toml:6: experiment.name: "hours" is used twice`},
	} {
		_, _, err := load(t, strings.Replace(sound, row.from, row.to, 1), nil)
		switch {
		case row.want == "" && err != nil:
			t.Errorf("%q for %q: %v", row.to, row.from, err)
		case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
			t.Errorf("%q for %q:\n got %v\nwant %s", row.to, row.from, err, row.want)
		}
	}
}

func TestExperimentsFor(t *testing.T) {
	c := mustLoad(t, exampleConfig, nil)
	acme, other := c.ExperimentsFor("acme"), c.ExperimentsFor("other")
	if len(acme) != 2 || len(other) != 1 || other[0].Name != "pace" || !other[0].Caps {
		t.Fatalf("acme %+v, other %+v", acme, other)
	}
	want := experiment.Experiment{Name: "hours", Owner: "ops@example.com", Size: 20,
		Starts: time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC), Ends: time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC),
		Arms: experiment.Shares{experiment.Control: 25, experiment.Model: 50, experiment.Random: 25},
		Stop: experiment.Stop{Outcome: experiment.Unsubscribed, Excess: 0.2}}
	if acme[0] != want {
		t.Errorf("got  %+v\nwant %+v", acme[0], want)
	}
	for _, e := range acme {
		if err := e.Check(); err != nil {
			t.Error(err)
		}
	}
}

// What is compared may change with a reload; history is told.
func TestComparedDifferently(t *testing.T) {
	before := mustLoad(t, exampleConfig, nil)
	if got := before.comparedDifferently(before); len(got) != 0 {
		t.Errorf("nothing changed: %+v", got)
	}
	next := mustLoad(t, strings.Replace(exampleConfig, "size = 10", "size = 15", 1), []string{"policy.tenants.acme.arms={control=20, model=80}"})
	got := before.comparedDifferently(next)
	want := []settingChange{
		{"policy.tenants.acme.arms", "control 10, model 90 before, control 20, model 80 from now on"},
		{"experiment", `"hours", "pace" before, "hours", "pace" from now on`},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
	if keys := before.Diff(next); !slices.Contains(keys, "experiment") || needsRestart("experiment") || !plans("experiment") {
		t.Errorf("changed: %v", keys)
	}
}

// A running gateway draws in a named experiment, counts it by its name, and takes over
// other dates.
func TestExperimentOfARunningGateway(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "tidepost.toml")
	write := func(ends time.Time, control int) {
		text := fmt.Sprintf(`[policy]
mode = "live"
arms = { control = %d, model = %d }
[[experiment]]
name = "hours"
owner = "ops@example.com"
starts = "%s"
ends = "%s"
size = 100
arms = { control = 50, random = 50 }
stop = { outcome = "unsubscribes" }
`, control, 100-control, time.Now().Add(-24*time.Hour).Format(time.DateOnly), ends.Format(time.DateOnly))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(time.Now().AddDate(0, 1, 0), 10)
	dir := t.TempDir()
	s := &shell{t, mustStart(t, setup{dir: dir, file: file}), dir}
	c := mustDial(t, s.p.smtp)
	for i := range 12 {
		if err := c.send("news@example.com", fmt.Sprintf("reader%d@example.org", i), springMail); err != nil {
			t.Fatal(err)
		}
	}
	since := "Tenant default, experiment hours since " + time.Now().Add(-24*time.Hour).Format(time.DateOnly) + " 00:00 (live)"
	waitFor(t, func() bool {
		_, out := s.run("experiments") // the history is read as far as it is on disk
		_, out, _ = strings.Cut(out, since)
		return strings.Contains(out, "\ncontrol ") && strings.Contains(out, "\nrandom ")
	})
	s.want("experiments", since, "100 % of the mailboxes take part", "ops@example.com answers for it", "It ends by itself")
	s.want("explain reader1@example.org", "arm")

	write(time.Now().AddDate(0, 0, 20), 20)
	r := &reloadable{t: t, p: s.p}
	r.hangup("configuration reloaded")
	s.want("experiments", "to "+time.Now().AddDate(0, 0, 20).Format(time.DateOnly))
	if log := s.p.log.String(); strings.Contains(log, "does not tell") {
		t.Errorf("the change of policy.arms is not told:\n%s", log)
	}
	if err := s.p.terminate(); err != nil {
		t.Errorf("it stopped with %v\n%s", err, s.p.log)
	}
}
