package simulate

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"tidepost/scheduler/replay"
)

// Options say what to compare, on whom and for how long. The zero value compares
// every policy in every world, with defaults that take about a minute.
type Options struct {
	Worlds   []World  // none: all built-in ones
	Policies []string // none: all but those for diagnosis
	Seeds    int      // runs of each world; 0: 5
	First    uint64   // seed of the first run
	People   int      // 0: 2000
	Weeks    int      // 0: 26
	Workers  int      // runs at a time; 0: one a processor

	Rules    replay.Rules          // of the model's tenants: gap, cap and quiet hours; live whatever it says
	Progress func(done, total int) // may be nil; called by one goroutine at a time
}

// floor is the share of the relay's reads that a policy has to keep.
const floor = .95

// The policies, in the order they are shown.
const (
	Immediate = "immediate"
	TenOClock = "ten"
	Histogram = "histogram"
	SendTime  = "sto"
	Random    = "random"
	Model     = "model"
	When      = "model-hours"
	Hours     = "oracle-hours"
	Oracle    = "oracle"
)

var policies = []struct{ name, about string }{
	{Immediate, "a plain relay"},
	{TenOClock, "ten in the morning, local time"},
	{Histogram, "the hour in which most of a person's mail was opened"},
	{SendTime, "send-time optimisation as relays sell it"},
	{Random, "any hour; drops as many mails as the model, by lot"},
	{Model, "the engine, live"},
	{When, "the engine where it may drop nothing"},
	{Hours, "an oracle that drops nothing"},
	{Oracle, "knows every true curve, interest and tolerance, not the future"},
}

// Policies lists the names of the policies with what each does.
func Policies() (names, about []string) {
	for _, p := range policies {
		names, about = append(names, p.name), append(about, p.about)
	}
	return names, about
}

func (o *Options) defaults() error {
	if len(o.Worlds) == 0 {
		o.Worlds = Worlds()
	}
	if len(o.Policies) == 0 {
		o.Policies = []string{Immediate, TenOClock, Histogram, SendTime, Random, Model, Oracle}
	}
	names, _ := Policies()
	for _, p := range o.Policies {
		if !slices.Contains(names, p) {
			return fmt.Errorf("no policy is called %q; there are %s", p, strings.Join(names, ", "))
		}
	}
	o.Seeds, o.People, o.Weeks = orDefault(o.Seeds, 5), orDefault(o.People, 2000), orDefault(o.Weeks, 26)
	o.Workers = orDefault(o.Workers, runtime.GOMAXPROCS(0))
	switch {
	case o.Seeds < 0 || o.People < 0 || o.Weeks < 0 || o.Workers < 0:
		return errors.New("seeds, people and weeks must be positive")
	case o.Weeks > 52:
		return errors.New("a run has at most 52 weeks")
	}
	return nil
}

func orDefault(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// from is the first week that is judged, from 0: the policies have learned by then.
func (o *Options) from() int { return min(8, o.Weeks/3) }

// Run plays every policy in every world, each world once for every seed. The same
// options give the same report.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	runs := make([]runResult, len(o.Worlds)*o.Seeds)
	errs := make([]error, len(runs))
	jobs := make(chan int)
	var workers sync.WaitGroup
	var progress sync.Mutex
	done := 0
	for range min(o.Workers, len(runs)) {
		workers.Go(func() {
			for i := range jobs {
				if runs[i], errs[i] = o.run(ctx, i/o.Seeds, i%o.Seeds); errs[i] != nil {
					stop()
				}
				progress.Lock()
				done++
				if o.Progress != nil {
					o.Progress(done, len(runs))
				}
				progress.Unlock()
			}
		})
	}
	for i := range runs {
		jobs <- i
	}
	close(jobs)
	workers.Wait()
	if err := firstError(errs); err != nil {
		return nil, err
	}
	return o.report(runs), nil
}

// firstError prefers what went wrong to what was stopped because of it.
func firstError(errs []error) error {
	var stopped error
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		if err != nil {
			stopped = err
		}
	}
	return stopped
}

// runResult holds the weeks of every policy in one run of a world.
type runResult map[string][]Week

// run plays all policies on one stage.
func (o *Options) run(ctx context.Context, world, seed int) (runResult, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := newStage(&o.Worlds[world], mix(o.First+uint64(seed)), o.People, o.Weeks)
	if err != nil {
		return nil, err
	}
	r := runResult{}
	play := func(name string, start starter) error {
		p, err := s.play(ctx, start)
		if err == nil {
			r[name] = p.weekly
		}
		return err
	}
	for _, simple := range []struct {
		name  string
		start starter
		need  bool // by another policy
	}{
		{Immediate, immediate, true},
		{TenOClock, tenOClock, false},
		{Histogram, ownHistogram, false},
		{SendTime, sendTime, false},
		{Model, plannedBy(o.Rules, true), slices.Contains(o.Policies, Random)},
		{When, plannedBy(o.Rules, false), false},
	} {
		if !simple.need && !slices.Contains(o.Policies, simple.name) {
			continue
		}
		if err := play(simple.name, simple.start); err != nil {
			return nil, err
		}
	}
	if slices.Contains(o.Policies, Random) {
		sum := total(r[Model])
		if err := play(Random, random(ratio(sum.Dropped, sum.Accepted))); err != nil {
			return nil, err
		}
	}
	if !slices.Contains(o.Policies, Oracle) && !slices.Contains(o.Policies, Hours) {
		return r, nil
	}
	return r, o.ask(ctx, s, r, play)
}

// ask plays the oracle at the highest price at which enough is still read.
func (o *Options) ask(ctx context.Context, s *stage, r runResult, play func(string, starter) error) error {
	present, err := foresight(ctx, s)
	if err != nil {
		return err
	}
	const free = -1e9
	if err := play(Hours, oracleAt(free, present)); err != nil || !slices.Contains(o.Policies, Oracle) {
		return err
	}
	r[Oracle] = r[Hours]
	want := floor * o.judged(r[Immediate]).Reads
	low, high := 0.0, .8
	const tries = "trial"
	for range 8 {
		price := (low + high) / 2
		if low == 0 {
			price = high / 8
		}
		if err := play(tries, oracleAt(price, present)); err != nil {
			return err
		}
		if o.judged(r[tries]).Reads >= want {
			low, r[Oracle] = price, r[tries]
		} else {
			high = price
		}
	}
	delete(r, tries)
	return nil
}

// judged is the sum of the weeks that count.
func (o *Options) judged(weeks []Week) Week { return total(weeks[o.from():]) }

func total(weeks []Week) Week {
	var sum Week
	for _, w := range weeks {
		sum = sum.plus(w)
	}
	return sum
}
