package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"tidepost/scheduler/replay"
	"tidepost/scheduler/simulate"
)

type simulateCmd struct {
	World    []string `help:"Worlds to play, all if none is named; --list shows them." placeholder:"NAME"`
	Policies []string `help:"Policies to compare; --list shows them." placeholder:"NAME"`
	Seeds    int      `help:"How often each world is played, each time with other people." default:"5"`
	First    uint64   `help:"Seed of the first run." name:"seed"`
	People   int      `help:"People in a world." default:"2000"`
	Weeks    int      `help:"Weeks of campaigns." default:"26"`
	Workers  int      `help:"Runs at a time; one a processor if not given." placeholder:"N"`
	Out      string   `help:"Draw the weeks into this SVG file." placeholder:"FILE.svg"`
	List     bool     `help:"List worlds and policies."`
	JSON     bool     `help:"Print JSON, for programs." name:"json"`
}

// Run lets policies loose on synthetic people and compares them.
func (c *simulateCmd) Run(a *app) error {
	if c.List {
		return c.list(a)
	}
	o, err := c.options(a)
	if err != nil {
		return err
	}
	bar := &progress{w: a.Stderr, shown: isTerminal(a.Stderr)}
	o.Progress = bar.show
	bar.show(0, len(o.Worlds)*o.Seeds)
	report, err := simulate.Run(a.Context, o)
	bar.clear()
	if err != nil {
		return err
	}
	if err := c.draw(report); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a.Stdout, report)
	}
	return report.WriteTable(a.Stdout)
}

func (c *simulateCmd) list(a *app) error {
	t := newTable(a.Stdout, "WORLD", "WHAT IS ASSUMED")
	for _, w := range simulate.Worlds() {
		t.row(w.Name, w.About)
	}
	t.row()
	t.row("POLICY", "WHAT IT DOES")
	names, about := simulate.Policies()
	for i := range names {
		t.row(names[i], about[i])
	}
	return t.flush()
}

func (c *simulateCmd) options(a *app) (simulate.Options, error) {
	o := simulate.Options{Worlds: simulate.Worlds(), Seeds: c.Seeds, First: c.First, People: c.People, Weeks: c.Weeks, Workers: c.Workers}
	if c.Seeds < 1 || c.People < 1 || c.Weeks < 1 || c.Weeks > 52 || c.Workers < 0 {
		return o, usagef("simulate needs at least one seed, one person and one to 52 weeks")
	}
	if len(c.World) > 0 {
		o.Worlds = nil
	}
	for _, name := range c.World {
		w, ok := simulate.WorldByName(name)
		if !ok {
			return o, usagef("no world is called %q; `tidepost simulate --list` shows them", name)
		}
		o.Worlds = append(o.Worlds, w)
	}
	names, _ := simulate.Policies()
	for _, p := range c.Policies {
		if !slices.Contains(names, p) {
			return o, usagef("no policy is called %q%s; `tidepost simulate --list` shows them", p, didYouMean(p, names, " "))
		}
	}
	o.Policies = c.Policies
	return o, c.rules(a, &o.Rules)
}

// rules takes gap, cap and quiet hours from the configuration that was asked for.
// Without one there are none: the model is compared, not the operator's limits.
func (c *simulateCmd) rules(a *app, rules *replay.Rules) error {
	if a.Config == "" && len(a.Sets) == 0 {
		rules.Keep = float32(DefaultConfig().Policy.Keep)
		return nil
	}
	cfg, err := ParseConfig(a.Config, a.Sets, a.Env)
	if err != nil {
		return err
	}
	from := newRules(cfg.PolicyFor("default"))
	rules.Policy, rules.Sees, rules.MaxDrop = from.Policy, from.Sees, from.MaxDrop
	return nil
}

func (c *simulateCmd) draw(report *simulate.Report) error {
	if c.Out == "" {
		return nil
	}
	f, err := os.Create(c.Out)
	if err != nil {
		return err
	}
	if err := report.WriteSVG(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// progress is a bar on a terminal.
type progress struct {
	w     io.Writer
	shown bool
}

func (p *progress) show(done, total int) {
	if !p.shown || total == 0 {
		return
	}
	const wide = 40
	full := done * wide / total
	fmt.Fprintf(p.w, "\r[%s%s] %d of %d runs ", strings.Repeat("#", full), strings.Repeat(".", wide-full), done, total)
}

func (p *progress) clear() {
	if p.shown {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", 72))
	}
}
