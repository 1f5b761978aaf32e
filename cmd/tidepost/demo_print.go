package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"tidepost/scheduler/experiment"
	"tidepost/scheduler/simulate"
)

// demoPrinter tells what happened. The same seed makes the same bytes.
type demoPrinter struct {
	w     io.Writer
	quiet bool
	begun bool // something is printed above
	err   error
}

func (p *demoPrinter) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(p.w, format, args...); err != nil && p.err == nil {
		p.err = err
	}
}

const demoIntro = `%d readers, %d senders and %d campaigns in %s (seed %d).

The senders hand in their mail over SMTP, mostly at ten in the morning, to everybody at once, as
they do. The gateway is what ` + "`tidepost serve`" + ` runs, in live mode: it decides for each reader when a
mail leaves, and whether, and passes it on over SMTP to a mail server at the end of the demo. The
readers are simulated: they look into their inbox at times of their own, tire of too much mail and
leave. What they open and click is told to the gateway, which knows nothing else of them. The clock
is simulated too; it begins on %s.

Its policy: nothing between 22:00 and 07:00 on the reader's clock; %d mails a week from all senders
together; promotions may be dropped, newsletters may not. One reader in ten is in the control group,
whose mail leaves as soon as these rules let it.

`

func (p *demoPrinter) intro(c *demoCmd, stage *simulate.Stage) {
	if !p.quiet {
		p.printf(demoIntro, c.People, len(simulate.Tenants()), stage.Campaigns(), plural(c.Weeks, "week"), c.Seed,
			demoTime(stage.Begins()).Format("Monday, 2 January 2006"), demoCap)
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func orNone(n int) string {
	if n == 0 {
		return "none"
	}
	return strconv.Itoa(n)
}

// week is a line of the table of weeks.
func (p *demoPrinter) week(w *demoWeek) error {
	if p.quiet {
		return nil
	}
	if !p.begun {
		p.printf("%-8s %6s %6s %6s %8s %6s %8s %6s  %s\n", "", "IN", "HELD", "OUT", "WAITING", "READ", "CLICKED", "LEFT", "DROPPED")
		p.begun = true
	}
	name := fmt.Sprintf("week %d", w.number)
	if w.after {
		name = "after"
	}
	p.printf("%-8s %6d %6d %6d %8d %6d %8d %6d  %s\n", name, w.in, w.held, w.out, w.waiting, w.read, w.clicked, w.unsubscribed+w.complained,
		counted(w.dropped, demoDropped))
	return p.err
}

// demoDropped says why mail was dropped.
var demoDropped = map[string]string{
	"limit": "over the cap", "fatigue": "too much for the reader", "suppressed": "opted out meanwhile", "deadline": "too late",
}

// demoHeld says why mail was held.
var demoHeld = map[string]string{
	"reading_hour": "for a better hour", "quiet_hours": "until morning", "weekly_cap": "by the cap", "window_end": "by the cap, to the end of its window",
	"explored": "to a random hour, to keep learning", "min_gap": "for the gap between two mails", "max_drop": "because too many were dropped",
	"fatigue": "as too much for the reader, to look again before dropping",
}

// counted is "12 over the cap, 3 too late", the most first.
func counted(n map[string]int, names map[string]string) string {
	reasons := slices.SortedFunc(maps.Keys(n), func(a, b string) int {
		if n[a] != n[b] {
			return n[b] - n[a]
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, r := range reasons {
		parts = append(parts, fmt.Sprintf("%d %s", n[r], firstOf(names[r], r)))
	}
	if parts == nil {
		return "-"
	}
	return strings.Join(parts, ", ")
}

// end tells what the weeks came to.
func (p *demoPrinter) end(s *demoSender, ours, relay simulate.Week) error {
	if !p.quiet {
		p.printf("\nHeld: did not leave at once. Waiting: at the end of the week. Left: people who unsubscribed or\ncomplained.\n")
	}
	p.heading("Where it all went")
	p.accounts(s)
	if !p.quiet {
		if err := p.stories(s); err != nil {
			return err
		}
	}
	p.heading("Is it the model?")
	if err := p.arms(s); err != nil {
		return err
	}
	p.heading("Beside a plain relay")
	p.compare(s, ours, relay)
	if !p.quiet {
		p.printf("\n")
		p.text("", "Look around in the gateway with `tidepost demo --linger`. The manual has a page on this: `tidepost help demo`.")
	}
	return p.err
}

func (p *demoPrinter) heading(title string) {
	p.printf("\n%s\n%s\n\n", title, strings.Repeat("-", len(title)))
}

// text prints a paragraph in lines of a readable length, each after the indent.
func (p *demoPrinter) text(indent, paragraph string) {
	const wide = 98
	line := ""
	for _, word := range strings.Fields(safe(paragraph)) {
		if line != "" && len(indent)+len(line)+1+len(word) > wide {
			p.printf("%s%s\n", indent, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	p.printf("%s%s\n", indent, line)
}

// accounts adds up every mail.
func (p *demoPrinter) accounts(s *demoSender) {
	sums := &s.sums
	parts := []string{fmt.Sprintf("%d delivered", sums.delivered), fmt.Sprintf("%d waiting", sums.waiting)}
	if sums.others > 0 {
		parts = append(parts, fmt.Sprintf("%d others", sums.others))
	}
	if len(sums.dropped) > 0 {
		parts = append(parts, strings.ReplaceAll(counted(sums.dropped, demoDropped), ", ", " + "))
	}
	p.text("", fmt.Sprintf("%d accepted = %s.", sums.accepted, strings.Join(parts, " + ")))
	f := s.facts()
	p.text("", fmt.Sprintf("The mail server got %d. Of all that was handed in, %d left at once; %d were held: %s.",
		f.arrived, f.atOnce, f.held, counted(f.reasons, demoHeld)))
	beyond := fmt.Sprintf("Promotions beyond the cap of %d mails in 7 days: %s. Newsletters beyond it: %s", demoCap, orNone(f.overPromotions), orNone(f.overNewsletters))
	if f.overNewsletters > 0 {
		beyond += ", because they may not be dropped and leave when their window ends"
	}
	p.text("", beyond+".")
}

// arms says whether the experiment can tell anything yet.
func (p *demoPrinter) arms(s *demoSender) error {
	var x experiments
	if err := s.ask("/api/v1/experiments", &x); err != nil {
		return err
	}
	p.text("", "`tidepost experiments` compares the readers whose mail the model plans with the control group, for each sender:")
	p.printf("\n")
	t := newTable(p.w, "SENDER", "MODEL", "CONTROL", "READS", "CLICKS", "UNSUBSCRIBES")
	sure := false
	for i := range x.Tenants {
		e := &x.Tenants[i]
		if len(e.Arms) == 0 {
			continue
		}
		people := map[string]int64{}
		for _, a := range e.Arms {
			people[a.Arm] = a.Mailboxes
		}
		verdict := map[string]string{}
		for _, c := range e.Comparisons {
			verdict[c.Outcome] = c.Lift.Verdict
			if c.Lift.Verdict != experiment.TooFew.String() {
				sure = true
				verdict[c.Outcome] = strings.TrimSpace(c.Lift.Verdict + " " + c.Lift.of(c.Lift.Delta))
			}
		}
		t.row(e.Tenant, plural(int(people["model"]), "reader"), plural(int(people["control"]), "reader"),
			verdict["reads"], verdict["clicks"], verdict["unsubscribes"])
	}
	if err := t.flush(); err != nil {
		return err
	}
	if !sure {
		p.printf("\n")
		p.text("", "Nothing is claimed before the control group is large enough to tell a difference from luck. With real lists that takes "+
			"thousands of readers, or months.")
	}
	return nil
}

// compare puts a relay beside the gateway.
func (p *demoPrinter) compare(s *demoSender, ours, relay simulate.Week) {
	p.text("", "The same readers, the same mail and the same luck, through a relay that sends at once and knows no rules. Part of the "+
		"difference is the rules', part the model's:")
	p.printf("\n%-28s %9s %9s\n", "", "RELAY", "TIDEPOST")
	count := func(name string, of func(*simulate.Week) float64) {
		p.printf("%-28s %9.0f %9.0f\n", name, of(&relay), of(&ours))
	}
	rate := func(name string, of func(*simulate.Week) float64) {
		p.printf("%-28s %9.1f %9.1f\n", name, of(&relay), of(&ours))
	}
	count("mails handed in", func(w *simulate.Week) float64 { return w.Accepted })
	count("mails delivered", func(w *simulate.Week) float64 { return w.Sent + w.Suppressed })
	count("reads by people", func(w *simulate.Week) float64 { return w.Reads })
	rate("  for 100 mails delivered", func(w *simulate.Week) float64 { return 100 * w.Reads / max(1, w.Sent+w.Suppressed) })
	count("  within an hour", func(w *simulate.Week) float64 { return w.Soon })
	count("clicks", func(w *simulate.Week) float64 { return w.Clicks })
	count("unsubscribes", func(w *simulate.Week) float64 { return w.Unsubscribes })
	count("complaints", func(w *simulate.Week) float64 { return w.Complaints })
	rate("hours held, on average", func(w *simulate.Week) float64 { return w.Held / max(1, w.Sent) })
	p.printf("\n")
	p.text("", "One small run is an anecdote, and its readers are simulated: another --seed gives other figures. `tidepost simulate` plays "+
		"many, longer, beside other policies, and gives intervals.")
}

// local is a time on the clock of a letter's reader.
func (t *demoTrack) local(at time.Time) time.Time {
	if t.letter.Zone != nil {
		return at.In(t.letter.Zone)
	}
	return at.In(time.UTC)
}
