package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tidepost/gateway"
)

// run runs a Forwarder for a while and checks that it stops within a second.
func run(t *testing.T, f *Forwarder, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- f.Run(ctx) }()
	time.Sleep(d)
	cancel()
	stopped := time.Now()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if took := time.Since(stopped); took > time.Second {
		t.Errorf("it stopped after %v", took)
	}
}

func TestForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, e := &settings{}, &esp{answer: func(*http.Request, int) (int, string, time.Duration) { return 200, "", time.Millisecond }}
		s.owe("1", "https://esp.example.com/u/1", "acme")
		s.done(t.Context(), "pause/tenant/acme", []byte("{}"))
		f, text := forwarder(s, e, false)
		run(t, f, 2*time.Second)
		if len(e.made()) != 1 || s.count() != 1 || f.Metrics.Done.Load() != 1 || f.Metrics.GivenUp.Load() != 0 || f.Metrics.Pending.Load() != 0 || f.Metrics.Calls.Load() != 1 {
			t.Errorf("%v; %d settings; done %d", e.made(), s.count(), f.Metrics.Done.Load())
		}
		if text.String() != "" {
			t.Error(text)
		}
	})
}

// A receiver that is down for good, a gateway that starts anew in the middle: the
// same calls as without, in growing waits over three days.
func TestForwardDownForGood(t *testing.T) {
	for name, answer := range map[string]func(*http.Request, int) (int, string, time.Duration){
		"refuses connections": func(*http.Request, int) (int, string, time.Duration) { return 0, "", 0 },
		"503":                 func(*http.Request, int) (int, string, time.Duration) { return 503, "", time.Second },
		"never answers":       func(*http.Request, int) (int, string, time.Duration) { return 200, "", time.Hour },
	} {
		for _, restarts := range []int{0, 1, 40} {
			t.Run(fmt.Sprint(name, restarts), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { downForGood(t, answer, restarts) })
			})
		}
	}
}

func downForGood(t *testing.T, answer func(*http.Request, int) (int, string, time.Duration), restarts int) {
	s, e := &settings{}, &esp{answer: answer}
	s.owe("1", "https://esp.example.com/u/secret-token", "acme")
	begun := time.Now()
	var logged strings.Builder
	var givenUp int64
	for i := range restarts + 1 {
		f, text := forwarder(s, e, false)
		d := 90 * time.Hour / time.Duration(restarts+1)
		run(t, f, d+time.Duration(i)) // not in the middle of a call
		logged.WriteString(text.String())
		givenUp += f.Metrics.GivenUp.Load()
	}
	made := e.made()
	if len(made) != 19 || s.count() != 0 || givenUp != 1 {
		t.Errorf("%d calls, %d owed, %d given up", len(made), s.count(), givenUp)
	}
	for i := 1; i < len(made); i++ {
		want := min(time.Minute<<max(0, i-2), longWait)
		// A new start may come late by its pause, and the answer takes its time.
		if got := made[i].at.Sub(made[i-1].at); got < want || got > want+want/10+callTimeout+time.Second {
			t.Errorf("call %d after %v, want %v", i+1, got, want)
		}
	}
	if last := made[len(made)-1].at.Sub(begun); last < giveUp || last > 81*time.Hour {
		t.Errorf("given up after %v", last)
	}
	if n := strings.Count(logged.String(), "level=ERROR"); n != 1 || !strings.Contains(logged.String(), "esp.example.com") || strings.Contains(logged.String(), "token") {
		t.Error(logged.String())
	}
}

func TestForwardAfterThreeDaysDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := time.Now().Add(60 * time.Hour)
		s, e := &settings{}, &esp{}
		e.answer = func(*http.Request, int) (int, string, time.Duration) {
			if time.Now().Before(up) {
				return 0, "", 10 * time.Second
			}
			return 200, "", 10 * time.Millisecond
		}
		for i := range 2000 {
			s.owe(fmt.Sprint(i), fmt.Sprintf("https://esp.example.com/u/%d", i), "acme")
		}
		s.owe("other", "https://other.example.com/u", "other")
		f, text := forwarder(s, e, true)
		run(t, f, 75*time.Hour)
		if s.count() != 0 || f.Metrics.Done.Load() != 2001 || f.Metrics.Pending.Load() != 0 || text.String() != "" {
			t.Errorf("%d are still owed, %d done; %s", s.count(), f.Metrics.Done.Load(), text)
		}
		if n := len(e.made()); n > 2001+int(60*time.Hour/downPause)/3 {
			t.Errorf("%d calls for 2001 opt-outs: a host that is down was not left alone", n)
		}
	})
}

// A host that never answers takes its own turns only.
func TestForwardOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, e := &settings{}, &esp{}
		e.answer = func(q *http.Request, _ int) (int, string, time.Duration) {
			if q.URL.Host == "good.example.com" {
				return 200, "", 10 * time.Millisecond
			}
			return 200, "", time.Hour
		}
		for i := range 500 {
			s.owe(fmt.Sprint("slow", i), fmt.Sprintf("https://h%d.evil.example.com/u/%d", i%50, i), "evil")
		}
		for i := range 200 {
			s.owe(fmt.Sprint("good", i), fmt.Sprintf("https://good.example.com/u/%d", i), "acme")
		}
		f, _ := forwarder(s, e, false)
		run(t, f, 10*time.Second)
		if f.Metrics.Done.Load() != 200 {
			t.Errorf("%d of 200 were called beside 50 hosts that hang", f.Metrics.Done.Load())
		}
		if e.most != maxCalls {
			t.Errorf("%d calls at once", e.most)
		}
	})
}

// One URL that always fails does not hold up its neighbours.
func TestForwardPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, e := &settings{}, &esp{}
		e.answer = func(q *http.Request, _ int) (int, string, time.Duration) {
			if strings.HasPrefix(q.URL.Path, "/bad") {
				return 500, "", 0
			}
			return 200, "", 0
		}
		for i := range 5 {
			s.owe(fmt.Sprint("bad", i), fmt.Sprintf("https://esp.example.com/bad/%d", i), "acme")
		}
		f, _ := forwarder(s, e, true)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- f.Run(ctx) }()
		time.Sleep(3 * time.Hour)
		for i := range 20 {
			s.owe(fmt.Sprint("good", i), fmt.Sprintf("https://esp.example.com/good/%d", i), "acme")
			time.Sleep(downPause + 2*time.Second)
			if n := f.Metrics.Done.Load(); n != int64(i+1) {
				t.Errorf("%d of %d done a minute later", n, i+1)
			}
		}
		cancel()
		<-ended
	})
}

func TestForwardRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, e := &settings{}, &esp{}
		e.answer = func(_ *http.Request, n int) (int, string, time.Duration) {
			if n == 1 {
				return 429, "3600", 0
			}
			return 200, "", 0
		}
		s.owe("1", "https://esp.example.com/1", "acme")
		s.owe("2", "https://esp.example.com/2", "acme")
		f, _ := forwarder(s, e, true)
		run(t, f, 59*time.Minute)
		if n := len(e.made()); n != 1 {
			t.Errorf("%d calls although the host asked for an hour", n)
		}
		f, _ = forwarder(s, e, true)
		run(t, f, 10*time.Minute)
		if s.count() != 0 || len(e.made()) != 3 {
			t.Errorf("%d owed after %d calls", s.count(), len(e.made()))
		}
	})
}

func TestForwardEnds(t *testing.T) {
	for status, level := range map[int]string{410: "ERROR", 400: "ERROR", 405: "ERROR"} {
		synctest.Test(t, func(t *testing.T) {
			s, e := &settings{}, &esp{answer: func(*http.Request, int) (int, string, time.Duration) { return status, "", 0 }}
			s.owe("1", "https://esp.example.com/1", "acme")
			s.owe("2", "https://127.0.0.1/inside", "acme")
			f, text := forwarder(s, e, true)
			run(t, f, 10*time.Minute)
			if s.count() != 0 || len(e.made()) != 1 || f.Metrics.GivenUp.Load() != 2 || strings.Count(text.String(), "level="+level) != 2 {
				t.Errorf("%d: %d owed after %d calls\n%s", status, s.count(), len(e.made()), text)
			}
		})
	}
}

// A store that fails does not make us call again, or forget.
func TestForwardStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, e := &settings{}, &esp{answer: func(*http.Request, int) (int, string, time.Duration) { return 200, "", 0 }}
		s.owe("1", "https://esp.example.com/1", "acme")
		s.fail = errors.New("disk full")
		f, _ := forwarder(s, e, false)
		go func() {
			time.Sleep(time.Minute)
			s.mu.Lock()
			s.fail = nil
			s.mu.Unlock()
		}()
		run(t, f, 2*time.Minute)
		if s.count() != 0 || len(e.made()) != 1 || f.Metrics.Done.Load() != 1 {
			t.Errorf("%d owed after %d calls, %d done", s.count(), len(e.made()), f.Metrics.Done.Load())
		}
	})
}

// A value that cannot be read stays, is told of once, and is read when it changes;
// one that somebody removed is called no more.
func TestForwardStrangeValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, e := &settings{}, &esp{answer: func(*http.Request, int) (int, string, time.Duration) { return 503, "", 0 }}
		s.owe("1", "https://esp.example.com/1", "acme")
		s.done(t.Context(), gateway.SettingForward+"2", []byte("not JSON"))
		f, text := forwarder(s, e, true)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- f.Run(ctx) }()
		time.Sleep(30 * time.Second)
		if n := strings.Count(text.String(), "cannot be read"); n != 1 || f.Metrics.Pending.Load() != 2 {
			t.Errorf("told of %d times; %d pending", n, f.Metrics.Pending.Load())
		}
		s.done(ctx, gateway.SettingForward+"1", nil)
		s.owe("2", "https://esp.example.com/2", "acme")
		time.Sleep(time.Hour)
		urls := map[string]int{}
		for _, c := range e.made() {
			urls[c.url]++
		}
		if urls["https://esp.example.com/1"] != 1 || urls["https://esp.example.com/2"] < 5 || f.Metrics.Pending.Load() != 1 {
			t.Errorf("%v, %d pending", urls, f.Metrics.Pending.Load())
		}
		cancel()
		<-ended
	})
}

// The answer came while the gateway stopped: it is stored. A call that was under
// way is no try.
func TestForwardStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, e := &settings{}, &esp{answer: func(*http.Request, int) (int, string, time.Duration) { return 200, "", 10 * time.Second }}
		s.owe("1", "https://esp.example.com/1", "acme")
		before := string(s.pending()[gateway.SettingForward+"1"])
		f, _ := forwarder(s, e, false)
		run(t, f, 5*time.Second)
		if after := string(s.pending()[gateway.SettingForward+"1"]); after != before || len(e.made()) != 1 {
			t.Errorf("%s after %d calls", after, len(e.made()))
		}
		// A store that hangs holds up the end for half a second.
		f, _ = forwarder(s, e, false)
		f.Done = func(ctx context.Context, _ string, _ []byte) error { <-ctx.Done(); return ctx.Err() }
		run(t, f, 15*time.Second)
	})
}

// Jitter only adds, so that Retry-After is kept, and at most a tenth.
func TestForwardJitter(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		waited, after, want time.Duration
	}{
		{0, 0, time.Minute}, {time.Minute, 0, time.Minute}, {2 * time.Minute, 0, 2 * time.Minute}, {10 * time.Hour, 0, 8 * time.Hour},
		{0, time.Hour, time.Hour}, {10 * time.Hour, maxRetryAfter, maxRetryAfter},
	} {
		for _, random := range []float64{0, 0.5, 0.999999} {
			d := debt{waits: waits{Waited: int64(c.waited / time.Second)}}
			if d.postpone(now, &Result{Verdict: Again, After: c.after, Err: errStop}, random) {
				t.Error("it is over")
			}
			if got := d.Next.Sub(now); got < c.want || got > c.want+c.want/10 || (random == 0) != (got == c.want) {
				t.Errorf("after %v, asked for %v, random %v: waits %v", c.waited, c.after, random, got)
			}
			if want := c.waited + c.want; time.Duration(d.Waited)*time.Second != want || d.Last != errStop.Error() {
				t.Errorf("%+v, want %v waited", d, want)
			}
		}
	}
	if d := (debt{waits: waits{Waited: int64(giveUp / time.Second)}}); !d.postpone(now, &Result{}, 0) {
		t.Error("three days, and it is not over")
	}
	if d := (&debt{Forwarding: gateway.Forwarding{URL: "%"}}); d.host() != "" {
		t.Error("a URL that cannot be read has a host")
	}
}

func BenchmarkLook(b *testing.B) {
	s := &settings{}
	for i := range 10_000 {
		s.owe(fmt.Sprint(i), fmt.Sprintf("https://esp.example.com/u/%d", i), "acme")
	}
	f := &Forwarder{Pending: s.pending, Done: s.done}
	k, now := newBook(f), time.Now()
	for b.Loop() {
		k.look(now)
	}
}
