package scheduler

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tidepost/scheduler/interest"
)

const maxProfile = 256

// life is a person's mails and signals in order of time.
type life struct {
	sent []Sent
	seen []Evidence
}

func drawLife(rng *rand.Rand, days int) (l life) {
	at := time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	for k := range days {
		at = at.Add(time.Duration(rng.IntN(72*60)) * time.Minute)
		l.sent = append(l.sent, Sent{At: at, Ref: uint16(k), Topic: uint32(k%7) << 20, Pressure: 1, Observable: true})
		if rng.IntN(2) == 0 {
			l.seen = append(l.seen, Evidence{Kind: Opened, At: at.Add(time.Duration(rng.IntN(60*48)) * time.Minute), Ref: uint16(k), Weight: 1})
		}
		if rng.IntN(5) == 0 {
			l.seen = append(l.seen, Evidence{Kind: Clicked, At: at.Add(time.Duration(rng.IntN(60*48)) * time.Minute), Ref: uint16(k), Weight: 1})
		}
		if rng.IntN(9) == 0 {
			l.seen = append(l.seen, Evidence{Kind: Active, At: at.Add(time.Duration(rng.IntN(60*48)) * time.Minute), Weight: 1})
		}
	}
	slices.SortStableFunc(l.seen, func(a, b Evidence) int { return a.At.Compare(b.At) })
	return l
}

// live tells the profile of a life; after each step it calls check.
func (l life) live(p *Profile, m *Model, zone *time.Location, sees Sees, check func()) {
	s, e := l.sent, l.seen
	for len(s)+len(e) > 0 {
		if len(e) == 0 || len(s) > 0 && s[0].At.Before(e[0].At) {
			s[0].Sees = sees
			p.Sent(m, zone, s[0])
			s = s[1:]
		} else {
			p.Observe(m, zone, sees, e[0])
			e = e[1:]
		}
		check()
	}
}

func TestProfileFits(t *testing.T) {
	m := supportedModel
	largest := 0
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var p Profile
		drawLife(rng, 150).live(&p, m, zoneOf(t, "Asia/Kathmandu"), Sees(seed%4), func() {
			b := p.AppendBinary(nil)
			largest = max(largest, len(b))
			var back Profile
			rest, err := back.UnmarshalBinary(append(b, 1, 2))
			if err != nil || !bytes.Equal(rest, []byte{1, 2}) || !bytes.Equal(back.AppendBinary(nil), b) {
				t.Fatalf("%x came back as %x, %v", b, back.AppendBinary(nil), err)
			}
		})
	}
	if largest > maxProfile {
		t.Errorf("a profile takes %d bytes, want at most %d", largest, maxProfile)
	}
	t.Logf("largest profile: %d bytes", largest)
}

func FuzzProfile(f *testing.F) {
	f.Add(new(Profile).AppendBinary(nil))
	var p Profile
	drawLife(rand.New(rand.NewPCG(3, 4)), 30).live(&p, supportedModel, time.UTC, SeesFull, func() {})
	f.Add(p.AppendBinary(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Profile
		rest, err := p.UnmarshalBinary(b)
		if err != nil {
			if p != (Profile{}) {
				t.Error("an error changed the profile")
			}
			return
		}
		once := p.AppendBinary(nil)
		var back Profile
		if _, err := back.UnmarshalBinary(append(once, rest...)); err != nil || !bytes.Equal(back.AppendBinary(nil), once) {
			t.Fatalf("%x: read, but its own encoding %x is not: %v", b, once, err)
		}
		p.Sent(supportedModel, time.UTC, Sent{At: start, Ref: 1, Pressure: 1, Observable: true})
		p.Observe(supportedModel, time.UTC, SeesFull, Evidence{Kind: Opened, At: start.Add(time.Hour), Ref: 1, Weight: 1})
		p.Facts(supportedModel, start)
	})
}

// TestEvidenceOnce tells everything twice, late and shuffled: it teaches what it
// teaches told once and in order, as far as interest and the experiment go.
func TestEvidenceOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := supportedModel
		at := time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)
		var all []Evidence
		for k := range 3 {
			for range rapid.IntRange(0, 2).Draw(t, "signals") {
				all = append(all, Evidence{Kind: Kind(rapid.IntRange(0, 3).Draw(t, "kind")), Ref: uint16(k), Weight: 1,
					At: at.Add(time.Duration(k)*time.Hour + 4*time.Hour)})
			}
		}
		run := func(all []Evidence) (p Profile, news int) {
			for k := range 3 {
				p.Sent(m, time.UTC, Sent{At: at.Add(time.Duration(k) * time.Hour), Ref: uint16(k), Pressure: 1, Observable: true})
			}
			for _, e := range all {
				if p.Observe(m, time.UTC, SeesFull, e) {
					news++
				}
			}
			return p, news
		}
		once, _ := run(all)
		twice, _ := run(append(slices.Clone(all), all...))
		if once != twice {
			t.Fatalf("told twice, it is\n%+v\ninstead of\n%+v", twice, once)
		}
		for _, e := range all {
			if twice.Observe(m, time.UTC, SeesFull, e) {
				t.Fatalf("%+v is news again", e)
			}
		}
		mixed, _ := run(rapid.Permutation(all).Draw(t, "order"))
		if mixed.Did != once.Did || math.Abs(float64(mixed.Clock.Evidence()-once.Clock.Evidence())) > 1e-3 {
			t.Fatalf("in another order it is\n%+v\ninstead of\n%+v", mixed, once)
		}
	})
}

func TestWhatTeaches(t *testing.T) {
	m := supportedModel
	blind := *m
	blind.Observed = false
	at := time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)
	send := func(m *Model, sees Sees, observable bool) *Profile {
		p := new(Profile)
		p.Sent(m, time.UTC, Sent{At: at, Ref: 1, Pressure: 1, Observable: observable, Sees: sees})
		return p
	}
	next := func(m *Model, p *Profile) *Profile {
		p.Sent(m, time.UTC, Sent{At: at.Add(8 * 24 * time.Hour), Ref: 2, Pressure: 1, Observable: true})
		return p
	}
	opened := Evidence{Kind: Opened, At: at.Add(2 * time.Hour), Ref: 1, Weight: 1}
	with := func(e Evidence, weight float32, kind Kind) Evidence {
		e.Weight, e.Kind = weight, kind
		return e
	}
	tests := []struct {
		story string
		m     *Model
		sees  Sees
		seen  bool
		e     Evidence
		news  bool
		hours float32
		mails int
	}{
		{"an open", m, SeesFull, true, opened, true, 1, 1},
		{"an open before anything was ever seen", &blind, SeesFull, true, opened, true, 1, 1},
		{"silence", m, SeesFull, true, with(opened, 0, Active), false, 0, 1},
		{"silence before anything was ever seen", &blind, SeesFull, true, with(opened, 0, Active), false, 0, 0},
		{"silence of what cannot be seen", m, SeesFull, false, with(opened, 0, Active), false, 0, 0},
		{"a machine that opens", m, SeesFull, true, with(opened, 0, Opened), true, 0, 0},
		{"a machine that clicks", m, SeesFull, true, with(opened, 0, Clicked), false, 0, 1},
		{"a doubtful open teaches some of the hour", m, SeesFull, true, with(opened, .25, Opened), true, .25, 1},
		{"where only clicks count, an open does not", m, SeesClick, true, opened, false, 0, 0},
		{"a click there", m, SeesClick, true, with(opened, 1, Clicked), true, 1, 1},
		{"by the day, an open has no hour", m, SeesDay, true, opened, true, 0, 1},
		{"nothing is to be learned", m, SeesNone, true, opened, false, 0, 0},
	}
	for _, tt := range tests {
		p := send(tt.m, tt.sees, tt.seen)
		news := p.Observe(tt.m, time.UTC, tt.sees, tt.e)
		hours := p.Clock.Evidence()
		next(tt.m, p)
		if news != tt.news || hours != tt.hours || p.Interest.Mails() != tt.mails {
			t.Errorf("%s: news %v, %v hours, %d mails; want %v, %v, %d", tt.story, news, hours, p.Interest.Mails(), tt.news, tt.hours, tt.mails)
		}
	}
}

func TestLateOpens(t *testing.T) {
	m, p := habits(t, 19, 30)
	hours := p.Clock.Evidence()
	at := time.Date(2026, 2, 20, 8, 0, 0, 0, time.UTC)
	old := Evidence{Kind: Opened, At: at, Ref: 3, Weight: 1}
	p.Observe(m, time.UTC, SeesFull, old)
	if p.Observe(m, time.UTC, SeesFull, old) {
		t.Error("an open of a forgotten send is news twice")
	}
	if p.Clock.Evidence() > hours+1e-3 {
		t.Error("an open of a forgotten send taught an hour")
	}
}

func TestResolvedHook(t *testing.T) {
	m := *supportedModel
	type outcome struct{ read, clicked bool }
	var told []outcome
	m.Resolved = func(before *interest.State, mail interest.Mail, read, clicked bool) {
		if before.Mails() != len(told) {
			t.Errorf("told of outcome %d with %d known", len(told), before.Mails())
		}
		told = append(told, outcome{read, clicked})
	}
	p, at := new(Profile), time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)
	for k := range 4 {
		p.Sent(&m, time.UTC, Sent{At: at.Add(time.Duration(k) * time.Hour), Ref: uint16(k), Pressure: 1, Observable: true})
	}
	p.Observe(&m, time.UTC, SeesFull, Evidence{Kind: Opened, At: at.Add(5 * time.Hour), Ref: 0, Weight: 1})
	p.Observe(&m, time.UTC, SeesFull, Evidence{Kind: Clicked, At: at.Add(5 * time.Hour), Ref: 1, Weight: 1})
	p.Sent(&m, time.UTC, Sent{At: at.Add(9 * 24 * time.Hour), Ref: 9, Pressure: 1, Observable: true})
	want := []outcome{{true, true}, {true, false}, {false, false}, {false, false}}
	if !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

// TestZoneBecomesKnown rotates the hours; summer time does not.
func TestZoneBecomesKnown(t *testing.T) {
	m := supportedModel
	berlin, tokyo := zoneOf(t, "Europe/Berlin"), zoneOf(t, "Asia/Tokyo")
	best := func(p *Profile) int { return int(p.Facts(m, start).Hours[0]) % 24 }
	see := func(p *Profile, zone *time.Location, day, hour int) {
		at := time.Date(2026, 1, 5+day, hour, 20, 0, 0, time.UTC)
		p.Observe(m, zone, SeesFull, Evidence{Kind: Active, At: at, Weight: 1})
	}
	p := new(Profile)
	for day := range 60 {
		see(p, nil, day, 18)
	}
	if got := best(p); got != 18 || p.Facts(m, start).Local {
		t.Fatalf("without a zone the best hour is %d UTC", got)
	}
	see(p, berlin, 60, 18)
	if got := best(p); got != 19 || !p.Facts(m, start).Local {
		t.Errorf("in Berlin the best hour is %d, want 19", got)
	}
	see(p, berlin, 100, 17) // summer time, 19:20 on the wall
	if got := best(p); got != 19 {
		t.Errorf("summer time moved the best hour to %d", got)
	}
	see(p, tokyo, 101, 17)
	if got := best(p); got != 2 {
		t.Errorf("in Tokyo the best hour is %d, want 2", got)
	}
}

func TestWeekOfExperiment(t *testing.T) {
	monday := time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)
	if WeekOf(monday) != WeekOf(monday.Add(-time.Second))+1 || WeekOf(monday) != WeekOf(monday.Add(167*time.Hour)) {
		t.Error("weeks do not begin on Monday")
	}
	p := new(Profile)
	see := func(kind Kind, at time.Time) {
		p.Observe(supportedModel, nil, SeesFull, Evidence{Kind: kind, At: at, Ref: 1, Weight: 1})
	}
	p.Sent(supportedModel, nil, Sent{At: monday.Add(-time.Hour), Ref: 1, Observable: true})
	see(Opened, monday.Add(-time.Minute))
	see(Clicked, monday.Add(time.Minute))
	see(Complained, monday.Add(2*time.Minute))
	if p.Week != WeekOf(monday) || p.Did != DidRead|DidClick|DidComplain {
		t.Errorf("in week %d of %d the person did %b", p.Week, WeekOf(monday), p.Did)
	}
	see(Unsubscribed, monday.Add(-time.Hour)) // of the week before, and late
	if p.Did != DidRead|DidClick|DidComplain {
		t.Errorf("what came late was added: %b", p.Did)
	}
}

func TestProfileDoesNotAllocate(t *testing.T) {
	m, p := habits(t, 19, 20)
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	b, back := make([]byte, 0, maxProfile), new(Profile)
	if n := testing.AllocsPerRun(100, func() {
		at = at.Add(20 * time.Hour)
		p.Sent(m, time.UTC, Sent{At: at, Ref: 1, Pressure: 1, Observable: true})
		p.Observe(m, time.UTC, SeesFull, Evidence{Kind: Opened, At: at.Add(time.Hour), Ref: 1, Weight: 1})
		b = p.AppendBinary(b[:0])
		if _, err := back.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Where a mail program opens everything, its opens teach nothing, and the person's
// own, hidden behind them, are not missed.
func TestMachineOpensLeaveClicksAlone(t *testing.T) {
	m := BuiltIn()
	m.Observed = true
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	run := func(machine bool) Profile {
		var p Profile
		for i := range 30 {
			day := at.AddDate(0, 0, 2*i)
			p.Sent(m, time.UTC, Sent{At: day, Ref: uint16(i), Topic: 1, Pressure: 0.6, Observable: true})
			if machine {
				p.Observe(m, time.UTC, SeesFull, Evidence{Kind: Opened, At: day.Add(time.Minute), Ref: uint16(i)})
			}
		}
		return p
	}
	silent, hidden := run(false), run(true)
	now := at.AddDate(0, 0, 61)
	if a, b := silent.Facts(m, now).Read, hidden.Facts(m, now).Read; b < 2*a {
		t.Errorf("a person whose opens cannot be seen is taken to read %.3f of their mail, one who is silent %.3f", b, a)
	}
	if hidden.Observe(m, time.UTC, SeesFull, Evidence{Kind: Opened, At: now, Ref: 29, Weight: 1}) {
		t.Error("an open behind a machine's is news")
	}
	if !hidden.Observe(m, time.UTC, SeesFull, Evidence{Kind: Clicked, At: now, Ref: 29, Weight: 1}) {
		t.Error("a click is no news")
	}
	var back Profile
	if _, err := back.UnmarshalBinary(hidden.AppendBinary(nil)); err != nil || back.robot != hidden.robot {
		t.Errorf("read back as %d (%v), was %d", back.robot, err, hidden.robot)
	}
}

// What the sender of a mail forbids to learn from is not learned from its opens,
// whatever the operator permits.
func TestForbiddenMailTeachesNothing(t *testing.T) {
	m := BuiltIn()
	m.Observed = true
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	var p Profile
	p.Sent(m, time.UTC, Sent{At: at, Ref: 7, Pressure: 0.6, Sees: SeesNone})
	for _, kind := range []Kind{Opened, Clicked} {
		before := p
		if p.Observe(m, time.UTC, SeesFull, Evidence{Kind: kind, At: at.Add(time.Hour), Ref: 7, Weight: 1}) || p.Clock.Evidence() != before.Clock.Evidence() {
			t.Errorf("kind %d of a mail that nothing may be learned from is news, or taught an hour", kind)
		}
	}
	if !p.Observe(m, time.UTC, SeesFull, Evidence{Kind: Unsubscribed, At: at.Add(2 * time.Hour), Ref: 7, Weight: 1}) {
		t.Error("an unsubscribe was not heard")
	}
}
