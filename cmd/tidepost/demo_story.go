package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tidepost/scheduler"
)

// demoFacts are figures over all letters that no command shows.
type demoFacts struct {
	arrived, atOnce, held           int
	reasons                         map[string]int // of holding
	overPromotions, overNewsletters int            // sent beyond the weekly cap
}

func (s *demoSender) facts() *demoFacts {
	f := &demoFacts{reasons: map[string]int{}}
	sends := map[int][]*demoTrack{} // by person
	for i := range s.letters {
		t := &s.letters[i]
		switch {
		case t.letter == nil:
			continue
		case t.held != "":
			f.held++
			f.reasons[string(t.held)]++
		case !t.delivered.IsZero():
			f.atOnce++
		}
		if !t.delivered.IsZero() {
			f.arrived++
			sends[t.letter.Person] = append(sends[t.letter.Person], t)
		}
	}
	for _, all := range sends {
		f.overCap(all)
	}
	return f
}

// overCap counts one person's mails that came when the week was full.
func (f *demoFacts) overCap(all []*demoTrack) {
	slices.SortFunc(all, func(a, b *demoTrack) int {
		if c := a.delivered.Compare(b.delivered); c != 0 {
			return c
		}
		return strings.Compare(b.letter.Class, a.letter.Class) // promotional before newsletter
	})
	for i, t := range all {
		if i < demoCap || t.delivered.Sub(all[i-demoCap].delivered) >= 7*24*time.Hour {
			continue
		}
		if t.letter.Class == "promotional" {
			f.overPromotions++
		} else {
			f.overNewsletters++
		}
	}
}

// stories tells of one mail that was held and of one that was dropped, with what
// explain says of them.
func (p *demoPrinter) stories(s *demoSender) error {
	if err := p.tell(s, "One mail that was held", s.heldWell(), "held"); err != nil {
		return err
	}
	return p.tell(s, "One mail that nobody got", s.droppedWell(), "dropped")
}

// tell tells of the first of some letters whose history is simple enough.
func (p *demoPrinter) tell(s *demoSender, title string, letters []*demoTrack, what string) error {
	for _, t := range letters[:min(len(letters), 50)] {
		var x explanation
		if err := s.ask("/api/v1/explain/"+t.id.String(), &x); err != nil {
			return err
		}
		i := slices.IndexFunc(x.Sentences, func(sentence string) bool { return strings.HasPrefix(sentence, demoSays[what]) })
		if i < 0 || len(x.Events) > 4 {
			continue
		}
		p.heading(title)
		p.timeline(t, &x)
		p.printf("\n`tidepost explain %s`:\n\n", t.id)
		for _, sentence := range x.Sentences[i:] {
			p.text("    ", sentence)
		}
		if what == "held" {
			p.reader(s, t)
		}
		return p.err
	}
	return nil
}

// demoSays is how the sentence begins that tells why.
var demoSays = map[string]string{"held": "Held until", "dropped": "Dropped"}

// timeline is what happened, on the reader's clock.
func (p *demoPrinter) timeline(t *demoTrack, x *explanation) {
	l := t.letter
	where := "whose time zone nobody knows: times are UTC"
	if l.Zone != nil {
		where = "in " + l.Zone.String()
	}
	p.text("", fmt.Sprintf("%s, %s, to %s <%s>, %s:", demoCampaign(l), demoKind(l.Class, l.Tenant), demoName(l.Person), demoAddress(l.Person, l.Domain), where))
	p.printf("\n")
	line := func(at time.Time, what string) {
		p.printf("    %s  %s\n", t.local(at).Format("Mon 2 Jan 15:04"), what)
	}
	line(demoTime(l.At), "handed in; a plain relay would have delivered it now")
	switch {
	case t.delivered.IsZero():
		for _, e := range x.Events {
			switch {
			case e.Kind == "held" && e.Reason == string(scheduler.Fatigue):
				line(e.At, "taken for too much; looked at once more before it is dropped")
			case e.Kind == "dropped":
				line(e.At, "dropped: still too much")
			}
		}
	default:
		line(t.delivered, "delivered, "+plural(int(t.delivered.Sub(demoTime(l.At)).Round(time.Hour)/time.Hour), "hour")+" later")
	}
	if !t.read.IsZero() {
		line(t.read, "read")
	}
}

func demoKind(class, tenant string) string {
	if class == "promotional" {
		return "a promotion of " + tenant
	}
	return "a newsletter of " + tenant
}

// reader says what the gateway has learned of a letter's reader.
func (p *demoPrinter) reader(s *demoSender, t *demoTrack) {
	address := demoAddress(t.letter.Person, t.letter.Domain)
	var x explanation
	if s.ask("/api/v1/explain/"+address, &x) != nil {
		return
	}
	p.printf("\n`tidepost explain %s`, at the end:\n\n", address)
	for _, sentence := range x.Sentences {
		p.text("    ", sentence)
	}
}

// heldWell lists letters that were held for a better hour, the plainest case first:
// read soon, planned on the reader's own habits, for a large gain.
func (s *demoSender) heldWell() []*demoTrack {
	var all []*demoTrack
	for i := range s.letters {
		t := &s.letters[i]
		if t.letter == nil || t.held != scheduler.ReadingHour || t.why.Arm != scheduler.ArmModel || t.delivered.IsZero() || t.read.IsZero() {
			continue
		}
		if wait := t.delivered.Sub(demoTime(t.letter.At)); wait >= 3*time.Hour && t.read.Sub(t.delivered) <= time.Hour {
			all = append(all, t)
		}
	}
	better := func(t *demoTrack) float64 {
		gain := float64(t.why.Reads)
		if t.why.Own {
			gain += 10
		}
		if t.letter.Zone != nil {
			gain += 100
		}
		if h := t.local(demoTime(t.letter.At)).Hour(); h >= 8 && h < 20 { // not in quiet hours or near them
			gain += 50
		}
		return gain
	}
	slices.SortStableFunc(all, func(a, b *demoTrack) int {
		switch x, y := better(a), better(b); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	return all
}

// droppedWell lists letters that the model took for too much, the newest first.
func (s *demoSender) droppedWell() []*demoTrack {
	var all []*demoTrack
	for i := range s.letters {
		if t := &s.letters[i]; t.letter != nil && t.held == scheduler.Fatigue && t.delivered.IsZero() {
			all = append(all, t)
		}
	}
	slices.Reverse(all)
	return all
}
