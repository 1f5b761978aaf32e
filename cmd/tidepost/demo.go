package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"tidepost/scheduler/simulate"
)

type demoCmd struct {
	People int    `help:"Simulated readers." default:"300"`
	Weeks  int    `help:"Weeks of campaigns; two more weeks pass after them." default:"4"`
	Seed   uint64 `help:"Another seed makes other people. The same one prints the same." default:"1"`
	Quiet  bool   `help:"Only the figures at the end." short:"q"`
	Keep   bool   `help:"Keep configuration, data and log, and say where they are."`
	Linger bool   `help:"Let the gateway run at the end until interrupted, to look around in it."`
}

// Run plays some weeks of campaigns through a whole gateway.
func (c *demoCmd) Run(a *app) error {
	if c.People < 1 || c.People > 20_000 || c.Weeks < 1 || c.Weeks > 52 {
		return usagef("demo needs one to 20000 people and one to 52 weeks")
	}
	signal.Ignore(syscall.SIGPIPE) // a reader that has seen enough ends the demo in order
	began := time.Now()
	dir, err := os.MkdirTemp("", "tidepost-demo-")
	if err != nil {
		return err
	}
	defer c.tidy(a, dir)
	d, err := openDemo(a.Context, dir, c.Seed)
	if err != nil {
		return err
	}
	err = c.play(a, d)
	if err == nil && c.Linger {
		d.linger(a, dir)
	}
	switch err = errors.Join(err, d.close()); {
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	case errors.Is(err, syscall.EPIPE):
		return errQuiet
	}
	fmt.Fprintf(a.Stderr, "the demo took %s\n", time.Since(began).Round(time.Second/10))
	return err
}

// tidy removes what the demo has written, or says where it is.
func (c *demoCmd) tidy(a *app, dir string) {
	if !c.Keep {
		os.RemoveAll(dir)
		return
	}
	fmt.Fprintf(a.Stderr, "configuration, data and log are in %s\n", dir)
}

// play lets the weeks pass and tells of them.
func (c *demoCmd) play(a *app, d *demo) error {
	world, _ := simulate.WorldByName("matching")
	stage, err := simulate.NewStage(world, c.Seed, c.People, c.Weeks)
	if err != nil {
		return err
	}
	out := &demoPrinter{w: a.Stdout, quiet: c.Quiet}
	out.intro(c, stage)
	s := newDemoSender(d, stage, c.Weeks)
	bar := &demoBar{w: a.Stderr, shown: isTerminal(a.Stderr), begins: stage.Begins(), ends: stage.Ends()}
	defer bar.clear()
	s.passing = bar.show
	s.weekOver = func(w *demoWeek) error { bar.clear(); return out.week(w) }
	weeks, err := stage.Play(d.ctx, s, s.seen)
	if err == nil {
		err = s.finish(stage.Ends())
	}
	if err != nil {
		return d.failure(err)
	}
	relay, err := stage.Relay(d.ctx)
	if err != nil {
		return err
	}
	bar.clear()
	return out.end(s, simulate.Total(weeks), simulate.Total(relay))
}

// demoBar shows on a terminal how much of the weeks has passed.
type demoBar struct {
	w            io.Writer
	shown        bool
	begins, ends time.Time
	told         time.Time
}

func (b *demoBar) show(t time.Time) {
	if !b.shown || time.Since(b.told) < time.Second/10 {
		return
	}
	b.told = time.Now()
	fmt.Fprintf(b.w, "\r%3.0f %%  %s ", 100*float64(t.Sub(b.begins))/float64(b.ends.Sub(b.begins)), t.Add(demoShift).Format("Mon 2 Jan 15:04"))
}

func (b *demoBar) clear() {
	if b.shown {
		fmt.Fprintf(b.w, "\r%40s\r", "")
	}
}
