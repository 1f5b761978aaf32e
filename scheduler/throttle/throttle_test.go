package throttle

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

var start = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// at is a time so many seconds after start.
func at(seconds float64) time.Time {
	return start.Add(time.Duration(seconds * float64(time.Second)).Round(time.Millisecond))
}

func limited(rate, rateMax float64) *Group {
	return &Group{Limits: func(string) Limits { return Limits{Rate: rate, RateMax: rateMax} }}
}

// rateOf is the destination's rate as the listing shows it.
func rateOf(g *Group, dest string) float64 {
	for _, s := range g.Status(start) {
		if s.Dest == dest {
			return s.Rate
		}
	}
	return 0
}

func TestReserve(t *testing.T) {
	g := limited(2, 2) // one every 500 ms, 100 ms early at most
	for _, tt := range []struct{ at, wait float64 }{
		{0, 0}, {0, .4}, {.399, .001}, {.4, 0}, // early by the tolerance
		{.85, .05}, {.9, 0},
		{10, 0}, {10, .4}, // an idle hour saves nothing up
		{9, 1.4},                // a caller that is late with its time
		{-3600, 0}, {-3600, .4}, // the clock went back
	} {
		if got := g.Reserve(at(tt.at), "a").Round(time.Millisecond).Seconds(); got != tt.wait {
			t.Errorf("at %v s: wait %v s, want %v", tt.at, got, tt.wait)
		}
	}
}

func TestRateIsReached(t *testing.T) {
	g, now, sent := limited(100, 100), start, 0
	for now.Before(at(60)) {
		wait := g.Reserve(now, "a")
		if wait == 0 {
			sent++
		}
		now = now.Add(wait + 2*time.Millisecond) // a worker that always wakes late
	}
	if sent < 5990 || sent > 6011 {
		t.Errorf("sent %d in a minute, want 6000", sent)
	}
}

func TestZeroGroupLimitsNothing(t *testing.T) {
	var g Group
	g.Reopen("a")
	if _, closed, _ := g.Closed(start, "a"); closed || g.Status(start) != nil {
		t.Error("a group that saw nothing knows something")
	}
	for range 1000 {
		if wait := g.Reserve(start, "a"); wait != 0 {
			t.Fatalf("wait %v", wait)
		}
	}
	g.Report(start, "a", Deferred)
	g.Report(start, "a", Clean)
	if rate := rateOf(&g, "a"); rate != 0 {
		t.Errorf("an unlimited rate became %v", rate)
	}
}

func TestRate(t *testing.T) {
	type step struct {
		from, to float64 // seconds; a report each second
		result   Result
		rate     float64 // afterwards
	}
	tests := []struct {
		story string
		steps []step
	}{
		{"doubles per minute of clean replies", []step{{0, 59, Clean, 5}, {60, 60, Clean, 10}, {61, 120, Clean, 20}}},
		{"up to its maximum", []step{{0, 600, Clean, 40}}},
		{"a pause begins the minute anew", []step{{0, 50, Clean, 5}, {200, 259, Clean, 5}, {260, 260, Clean, 10}}},
		{"halves when deferred", []step{{0, 0, Deferred, 2.5}}},
		{"once in ten seconds", []step{{0, 9, Deferred, 2.5}, {10, 19, Deferred, 1.25}}},
		{"a refusal halves too", []step{{0, 0, Busy, 2.5}}},
		{"not below one a minute", []step{{0, 600, Deferred, 1. / 60}}},
		{"a deferral ends the clean minute", []step{{0, 50, Clean, 5}, {51, 51, Deferred, 2.5}, {52, 111, Clean, 2.5}, {112, 112, Clean, 5}}},
		{"a failed connection is no reply", []step{{0, 0, Unreachable, 5}}},
		{"the clock goes back and growth goes on", []step{{0, 50, Clean, 5}, {-3600, -3541, Clean, 5}, {-3540, -3540, Clean, 10}}},
	}
	for _, tt := range tests {
		g := limited(5, 40)
		for _, s := range tt.steps {
			for sec := s.from; sec <= s.to; sec++ {
				g.Report(at(sec), "a", s.result)
			}
			if got := rateOf(g, "a"); math.Abs(got-s.rate) > 1e-9 {
				t.Errorf("%s: after %v s of %v the rate is %v, want %v", tt.story, s.to-s.from, s.result, got, s.rate)
			}
		}
	}
}

func TestLimitsMayChange(t *testing.T) {
	limits := Limits{Rate: 5, RateMax: 100}
	g := &Group{Limits: func(string) Limits { return limits }}
	for _, tt := range []struct {
		limits Limits
		rate   float64
	}{
		{limits, 5},
		{Limits{Rate: 2, RateMax: 3}, 3},
		{Limits{Rate: 4}, 3},
		{Limits{}, 0},
		{Limits{Rate: 7, RateMax: 1}, 7},
		{Limits{Rate: 1. / 3600}, 1. / 3600},
	} {
		limits = tt.limits
		g.Reserve(start, "a")
		if got := rateOf(g, "a"); got != tt.rate {
			t.Errorf("under %+v the rate is %v, want %v", tt.limits, got, tt.rate)
		}
	}
}

// event is one thing that happens to destination "a"; an empty act only looks.
type event struct {
	at     float64
	act    string
	wait   float64 // seconds, of a reserve
	until  float64 // seconds; 0: open
	since  float64
	remark string
}

func TestClosing(t *testing.T) {
	tests := []struct {
		story  string
		events []event
	}{
		{"unreachable: a probe a minute", []event{
			{at: 1, act: "unreachable", until: 61, since: 1},
			{at: 2, act: "unreachable", until: 61, since: 1, remark: "others in flight put nothing off"},
			{at: 31, act: "reserve", wait: 30, until: 61, since: 1},
			{at: 61, remark: "the probe is due"},
			{at: 61, act: "reserve", until: 121, since: 1, remark: "one goes, the others wait for it"},
			{at: 61, act: "reserve", wait: 60, until: 121, since: 1},
			{at: 91, act: "unreachable", until: 121, since: 1, remark: "the probe's failure does not delay the next"},
			{at: 121, act: "reserve", until: 181, since: 1},
			{at: 122, act: "clean", remark: "it works again"},
			{at: 122, act: "reserve"},
			{at: 130, act: "unreachable", until: 190, since: 130},
			{at: 131, act: "reopen"},
			{at: 140, act: "unreachable", until: 200, since: 140},
			{at: 141, act: "deferred", remark: "a 4xx is a reply as well"},
		}},
		{"busy: longer each time", []event{
			{at: 1, act: "busy", until: 16, since: 1},
			{at: 2, act: "busy", until: 16, since: 1, remark: "in flight"},
			{at: 3, act: "clean", until: 16, since: 1, remark: "in flight"},
			{at: 4, act: "unreachable", until: 16, since: 1, remark: "in flight"},
			{at: 16},
			{at: 16, act: "reserve"},
			{at: 17, act: "busy", until: 47, since: 1},
			{at: 47, act: "busy", until: 107, since: 1},
			{at: 107, act: "busy", until: 227, since: 1},
			{at: 227, act: "busy", until: 467, since: 1},
			{at: 467, act: "busy", until: 947, since: 1},
			{at: 947, act: "busy", until: 1907, since: 1},
			{at: 1907, act: "busy", until: 3827, since: 1},
			{at: 3827, act: "busy", until: 7427, since: 1, remark: "an hour at most"},
			{at: 7427, act: "busy", until: 11027, since: 1},
			{at: 11030, act: "clean"},
			{at: 11031, act: "busy", until: 14631, since: 11031, remark: "one clean reply is no recovery"},
			{at: 14631, act: "clean"},
			{at: 14661, act: "clean"},
			{at: 14691, act: "clean", remark: "a minute of them is"},
			{at: 14692, act: "busy", until: 14707, since: 14692},
			{at: 14693, act: "reopen"},
		}},
		{"busy right after a deferral", []event{
			{at: 1, act: "deferred"},
			{at: 2, act: "busy", until: 17, since: 2},
		}},
		{"a probe is told to come back later", []event{
			{at: 1, act: "unreachable", until: 61, since: 1},
			{at: 61, act: "reserve", until: 121, since: 1},
			{at: 62, act: "busy", until: 77, since: 62},
			{at: 80, act: "unreachable", until: 140, since: 80},
		}},
		{"the clock goes back", []event{
			{at: 10000, act: "unreachable", until: 10060, since: 10000},
			{at: 9990, until: 10060, since: 10000, remark: "by a little"},
			{at: 1, remark: "by a lot"},
			{at: 1, act: "unreachable", until: 61, since: 10000},
		}},
	}
	for _, tt := range tests {
		var g Group
		for _, e := range tt.events {
			act(t, &g, e, tt.story)
			until, closed, since := g.Closed(at(e.at), "a")
			want := event{until: e.until, since: e.since}
			var got event
			if closed {
				got = event{until: until.Sub(start).Seconds(), since: since.Sub(start).Seconds()}
			}
			if got != want {
				t.Errorf("%s: %s at %v s: closed until %v since %v, want %v and %v; %s", tt.story, e.act, e.at, got.until, got.since, e.until, e.since, e.remark)
			}
			if _, other, _ := g.Closed(at(e.at), "b"); other {
				t.Errorf("%s: another destination is closed", tt.story)
			}
		}
	}
}

func act(t *testing.T, g *Group, e event, story string) {
	t.Helper()
	now := at(e.at)
	switch e.act {
	case "reserve":
		if wait := g.Reserve(now, "a").Seconds(); wait != e.wait {
			t.Errorf("%s: at %v s: wait %v s, want %v; %s", story, e.at, wait, e.wait, e.remark)
		}
	case "reopen":
		g.Reopen("a")
	default:
		for r := Clean; r <= Unreachable; r++ {
			if r.String() == e.act {
				g.Report(now, "a", r)
			}
		}
	}
}

func TestStatus(t *testing.T) {
	g := limited(5, 10)
	g.Reserve(at(0), "z.example")
	g.Report(at(1), "b.example", Busy)
	g.Report(at(1), "a.example", Clean)
	want := []Status{
		{Dest: "a.example", Rate: 5, Last: Clean, LastAt: at(1)},
		{Dest: "b.example", Rate: 2.5, ClosedUntil: at(16), Since: at(1), Last: Busy, LastAt: at(1)},
		{Dest: "z.example", Rate: 5},
	}
	if got := g.Status(at(2)); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("status is\n%+v, want\n%+v", got, want)
	}
}

func TestIdleDestinationsAreForgotten(t *testing.T) {
	g := Group{Size: 10}
	g.Report(start, "first", Unreachable)
	for i := range 100 {
		g.Reserve(start, fmt.Sprint(i))
	}
	if n := len(g.Status(start)); n != 10 {
		t.Errorf("%d destinations are remembered, want 10", n)
	}
	if _, closed, _ := g.Closed(start, "first"); closed {
		t.Error("the one longest idle is remembered")
	}
}

// Under any replies a wait is bounded, a closure ends, and the rate stays in range.
func TestRandomReplies(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		g, now := limited(5, 100), start
		for range 500 {
			now = now.Add(time.Duration(r.Int64N(int64(100*time.Second))) - 20*time.Second)
			if wait := g.Reserve(now, "a"); wait < 0 || wait > maxBackOff+clockSlack {
				t.Fatalf("wait %v", wait)
			}
			g.Report(now, "a", Result(r.IntN(4)))
			if rate := rateOf(g, "a"); rate < slowest || rate > 100 {
				t.Fatalf("rate %v", rate)
			}
			if until, closed, since := g.Closed(now, "a"); closed && (until.Sub(now) > maxBackOff+clockSlack || since.IsZero()) {
				t.Fatalf("closed until %v since %v at %v", until, since, now)
			}
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	g := limited(1000, 1000)
	var wg sync.WaitGroup
	var mu sync.Mutex
	sent := 0
	for i := range 8 {
		wg.Go(func() {
			for j := range 1000 {
				now := at(float64(j) / 1000)
				if g.Reserve(now, "a") == 0 {
					mu.Lock()
					sent++
					mu.Unlock()
				}
				dest := fmt.Sprint(i)
				g.Report(now, dest, Result(j%4))
				g.Closed(now, dest)
				g.Status(now)
				g.Reopen(dest)
			}
		})
	}
	wg.Wait()
	// One second's worth and what the tolerance lets go early; callers whose times run
	// apart get no more than that.
	if sent > 1000+101 {
		t.Errorf("%d left in a second, want 1000", sent)
	}
}

func TestParseRate(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want float64
	}{{"", 0}, {"5/s", 5}, {"90/m", 1.5}, {"3600/h", 1}, {"0.5/s", .5}, {"1/h", 1. / 3600}} {
		if got, err := ParseRate(tt.in); err != nil || got != tt.want {
			t.Errorf("ParseRate(%q) = %v, %v, want %v", tt.in, got, err, tt.want)
		}
	}
	for _, s := range []string{"5", "/s", "5/", "5/d", "5 /s", "0/s", "-1/s", "NaN/s", "Inf/s", "1e9/s", "1e-9/h", "5/s/s"} {
		if got, err := ParseRate(s); err == nil {
			t.Errorf("ParseRate(%q) = %v, want an error", s, got)
		}
	}
}

func FuzzParseRate(f *testing.F) {
	f.Add("5/s")
	f.Add("1e3/h")
	f.Fuzz(func(t *testing.T, s string) {
		rate, err := ParseRate(s)
		if err == nil && s != "" && !(rate >= minRate && rate <= maxRate) {
			t.Errorf("ParseRate(%q) = %v", s, rate)
		}
	})
}

func BenchmarkReserveAndReport(b *testing.B) {
	g := limited(1e6, 1e6)
	b.ReportAllocs()
	for b.Loop() {
		g.Reserve(start, "mx.example.com")
		g.Report(start, "mx.example.com", Clean)
	}
}
