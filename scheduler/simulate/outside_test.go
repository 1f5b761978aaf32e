package simulate

import (
	"slices"
	"testing"
	"time"

	"tidepost/scheduler"
)

// atOnce is a plain relay, seen from outside.
type atOnce struct {
	t     *testing.T
	now   time.Time
	out   []Departure
	heard map[scheduler.Kind]int
}

func (o *atOnce) pass(t time.Time) {
	if t.Before(o.now) {
		o.t.Errorf("time goes back from %v to %v", o.now, t)
	}
	o.now = t
}

func (o *atOnce) Accept(l *Letter) error {
	o.pass(l.At)
	if l.Tenant == "" || l.Class == "" || l.List == "" || l.Window == 0 || l.Value == 0 || l.Domain >= len(destinations) {
		o.t.Errorf("a letter with gaps: %+v", l)
	}
	o.out = append(o.out, Departure{l.ID, l.At})
	return nil
}

func (o *atOnce) Learn(n News) error {
	o.pass(n.Heard)
	if n.Heard.Before(n.At) {
		o.t.Errorf("heard before it happened: %+v", n)
	}
	o.heard[n.Kind]++
	return nil
}

func (o *atOnce) Advance(t time.Time) ([]Departure, error) {
	o.pass(t)
	out := o.out
	o.out = nil
	return out, nil
}

func (o *atOnce) Next() time.Time {
	if len(o.out) > 0 {
		return o.out[0].At
	}
	return time.Time{}
}

// A policy outside that does what the relay does gets what the relay gets, and what
// Run's relay gets with the same seed.
func TestOutside(t *testing.T) {
	const seed, people, weeks = 7, 60, 3
	s, err := NewStage(matching(), seed, people, weeks)
	if err != nil {
		t.Fatal(err)
	}
	o := &atOnce{t: t, heard: map[scheduler.Kind]int{}}
	var reads, clicks, left, complained float64
	got, err := s.Play(t.Context(), o, func(r Reading) {
		for _, c := range []struct {
			at time.Time
			n  *float64
		}{{r.Read, &reads}, {r.Clicked, &clicks}, {r.Left, &left}, {r.Complained, &complained}} {
			if !c.at.IsZero() {
				*c.n++
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	want, err := s.Relay(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("from outside %v\nthe relay  %v", got, want)
	}
	options := Options{Worlds: []World{matching()}, Policies: []string{Immediate}, Seeds: 1, First: seed, People: people, Weeks: weeks}
	run, err := options.run(t.Context(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(run[Immediate], want) {
		t.Errorf("Run's relay %v\nthe stage's %v", run[Immediate], want)
	}
	sum := Total(got)
	if sum.Reads == 0 || sum.Reads != reads || sum.Clicks != clicks || sum.Unsubscribes != left || sum.Complaints != complained {
		t.Errorf("seen were %v reads, %v clicks, %v who left, %v complaints; counted %+v", reads, clicks, left, complained, sum)
	}
	if int(sum.Accepted) > s.Letters() || s.Campaigns() == 0 || !s.Ends().After(s.Begins()) || o.heard[scheduler.Opened] == 0 {
		t.Errorf("%v accepted of %d letters of %d campaigns between %v and %v; heard %v", sum.Accepted, s.Letters(), s.Campaigns(), s.Begins(), s.Ends(), o.heard)
	}
}
