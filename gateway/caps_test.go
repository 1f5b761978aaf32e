package gateway

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"tidepost/scheduler"
	"tidepost/scheduler/experiment"
	"tidepost/scheduler/interest"
)

// ReadEvents makes memory a Journal: a cursor counts events.
func (s *memory) ReadEvents(ctx context.Context, after Cursor, most int) ([]Event, Cursor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.events[after.Offset:]
	events = events[:min(len(events), most)]
	after.Offset += uint32(len(events))
	return events, after, ctx.Err()
}

func (s *memory) Cursor(string) Cursor            { return Cursor{} }
func (s *memory) SaveCursor(string, Cursor) error { return nil }
func (s *memory) Committed() <-chan struct{}      { return nil }

// readers tells in events of weeks of mail to people whose caps are drawn and who
// bear a number of mails a week.
type readers struct {
	*memory
	rng       *rand.Rand
	tolerance float32
}

const (
	trialWeeks = 8
	trialMost  = 4
)

func (r *readers) live(people int) {
	begins := time.Date(2026, 7, 6, 10, 0, 0, 0, time.UTC)
	prior := interest.BuiltIn()
	prior = prior.With(func() interest.Fatigue { f := prior.Fatigue; f.Tolerance = r.tolerance; return f }(), prior.Leaving)
	for i := range people {
		var k Key
		binary.LittleEndian.PutUint64(k[8:], r.rng.Uint64())
		drawn := Drawn{Experiment: "pace", Starts: begins, Cap: []int{2, 3, 4, 4}[i%4], Most: trialMost}
		open := float64(prior.Openness(float32(drawn.Cap) / r.tolerance))
		hazard := float64(prior.Leaving.Unsubscribe) * math.Exp(float64(prior.Leaving.UnsubscribeSlope)*float64(drawn.Cap)/float64(r.tolerance))
		left := false
		for week := range trialWeeks {
			for mail := range trialMost + 1 {
				at := begins.AddDate(0, 0, 7*week+mail)
				d := r.mail(at, k, drawn)
				switch {
				case left || mail >= drawn.Cap:
				case r.rng.Float64() < hazard:
					left = true
					r.did(EventUnsubscribed, at, k, d)
				case r.rng.Float64() < 0.4*open:
					r.did(EventOpened, at, k, d)
					r.did(EventClicked, at, k, d) // of the same mail
				}
			}
		}
	}
}

func (r *readers) mail(at time.Time, k Key, drawn Drawn) *Delivery {
	d := &Delivery{ID: DeliveryID{Message: r.ids.Next(at)}, Mailbox: k, Tenant: "acme", Class: Promotional}
	text, _ := json.Marshal(drawn)
	r.events = append(r.events, Event{Kind: EventAccepted, At: at, Delivery: d, Reason: reasonDrawn, Detail: string(text)})
	return d
}

func (r *readers) did(kind EventKind, at time.Time, k Key, d *Delivery) {
	text, _ := json.Marshal(SignalDetail{Mailbox: k.String(), Tenant: "acme", Delivery: d.ID.String(), Human: 1})
	r.events = append(r.events, Event{Kind: kind, At: at, Detail: string(text)})
}

// learning is a gateway over a history that runs a caps experiment.
func learning(t *testing.T, store *memory) *Gateway {
	t.Helper()
	rules := &Rules{Policy: scheduler.Policy{WeeklyCap: trialMost}, Experiments: []experiment.Experiment{{Name: "pace", Caps: true}}}
	g := &Gateway{Store: store, Rules: func(string) *Rules { return rules }, Line: func(string) string { return "" }, Log: slog.New(slog.DiscardHandler)}
	if err := g.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.model("acme")
	return g
}

// From caps drawn by lot it is learned what people bear, the same every night, and
// the report's list of what is built in becomes shorter.
func TestToleranceIsLearned(t *testing.T) {
	r := &readers{memory: newMemory(), rng: rand.New(rand.NewPCG(1, 2)), tolerance: 1.2}
	r.live(3000)
	g := learning(t, r.memory)
	if got := strings.Join(g.BuiltIn("acme"), "; "); got != "the shared reading hours; how long mail lies unread; how much mail people bear; when they leave" {
		t.Errorf("at first built in: %s", got)
	}
	var nights [2]interest.Fatigue
	for i := range nights {
		if err := g.refitTolerance(t.Context()); err != nil {
			t.Fatal(err)
		}
		nights[i] = g.model("acme").Interest.Fatigue
	}
	t.Logf("tolerance %.2f after %.2f, the truth is %v; power %v", nights[0].Tolerance, g.models.builtIn.Interest.Fatigue.Tolerance, r.tolerance, nights[0].Power)
	if got := nights[0]; !got.Measured || got.Tolerance < 0.8 || got.Tolerance > 1.8 {
		t.Errorf("learned %+v", got)
	}
	if nights[0] != nights[1] {
		t.Errorf("the second night learned %+v from the same", nights[1])
	}
	if got := strings.Join(g.BuiltIn("acme"), "; "); got != "the shared reading hours; how long mail lies unread" {
		t.Errorf("then built in: %s", got)
	}
	if g.model("acme").Version != 0 {
		t.Error("curves are said to be learned")
	}
	if err := g.saveModels(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := learning(t, r.memory); again.model("acme").Interest.Fatigue != nights[1] {
		t.Error("it did not survive a restart")
	}
}

// What foretells people who were kept out of the fit no better is not adopted.
func TestToleranceIsNotAdoptedInVain(t *testing.T) {
	adopted := 0
	for seed := range uint64(2) {
		r := &readers{memory: newMemory(), rng: rand.New(rand.NewPCG(seed, 3)), tolerance: interest.BuiltIn().Fatigue.Tolerance}
		r.live(150) // too few
		g := learning(t, r.memory)
		if err := g.refitTolerance(t.Context()); err != nil || g.model("acme").Interest.Fatigue.Measured {
			t.Errorf("adopted from 150 people, %v", err)
		}
		r.live(400) // as the guess has it: there is nothing to gain
		before := toleranceOf(t, r, g)
		if err := g.refitTolerance(t.Context()); err != nil {
			t.Fatal(err)
		}
		after := toleranceOf(t, r, g)
		t.Logf("%v %v %+v", before, after, g.model("acme").Interest.Fatigue)
		if after > before {
			t.Errorf("seed %d: the loss rose from %v to %v", seed, before, after)
		}
		if g.model("acme").Interest.Fatigue.Measured {
			adopted++
		}
	}
	t.Logf("adopted in %d of 2 runs in which the guess is the truth", adopted)
}

func toleranceOf(t *testing.T, r *readers, g *Gateway) float64 {
	t.Helper()
	found := map[string]*trials{"acme": {}}
	if err := readTrials(t.Context(), r.memory, found); err != nil {
		t.Fatal(err)
	}
	_, out := found["acme"].samples()
	return toleranceLoss(g.model("acme").Interest, out)
}

// A sample goes by what was assigned: mail that its owner's leaving stopped counts.
func TestTrialSample(t *testing.T) {
	var all trials
	r := &readers{memory: newMemory()}
	k := Key{15: 1}
	begins := time.Date(2026, 7, 6, 10, 0, 0, 0, time.UTC)
	for week, mails := range []int{5, 1, 3} { // of at most 4, and of 2 drawn
		for i := range mails {
			at := begins.AddDate(0, 0, 7*week+i)
			d := r.mail(at, k, Drawn{Experiment: "pace", Starts: begins, Cap: 2, Most: 4})
			if i == 0 {
				r.did(EventOpened, at, k, d)
				r.did(EventClicked, at, k, d)
			}
		}
	}
	r.did(EventUnsubscribed, begins.AddDate(0, 0, 20), k, &Delivery{})
	r.did(EventOpened, begins, Key{1}, &Delivery{}) // somebody else
	for i := range r.events {
		all.visit(&r.events[i])
	}
	got, ok := all.of[k].sample()
	want := interest.CapSample{Cap: 5. / 8, Load: 8. / 3, Offered: 8, Reads: 3, Unsubscribes: 1}
	if !ok || got != want || len(all.of) != 1 {
		t.Errorf("got %+v of %d, want %+v", got, len(all.of), want)
	}
}

// However many mailboxes there are, a bounded part is remembered, by hash.
func TestTrialsAreBounded(t *testing.T) {
	var all trials
	for i := range 3 * maxTrials {
		var k Key
		binary.LittleEndian.PutUint64(k[8:], uint64(i))
		d := &Delivery{Mailbox: k, Class: Promotional}
		text, _ := json.Marshal(Drawn{Experiment: "pace", Cap: 2, Most: 4})
		all.visit(&Event{Kind: EventAccepted, Delivery: d, Reason: reasonDrawn, Detail: string(text)})
	}
	if n := len(all.of); n > maxTrials || n < maxTrials/3 {
		t.Errorf("%d are remembered", n)
	}
}
