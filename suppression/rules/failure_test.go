package rules

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A rule in shadow is reported apart and changes nothing.
func TestShadow(t *testing.T) {
	f := reader()
	v := compileText(t, `[[rule]]
name = "a"
state = "shadow"
when = "mailbox.sends_7d > 1"
then = "drop('x')"
[[rule]]
name = "b"
state = "shadow"
when = "mailbox.attributes.plan == 'x'"
then = "drop('x')"
[[rule]]
name = "c"
then = "tag('live')"`).Evaluate(&f)
	if tell(v) != "none tag live" || len(v.Fired) != 1 || v.Fired[0].Rule != "c" {
		t.Errorf("a shadow rule changed the verdict: %+v", v)
	}
	if len(v.Shadow) != 1 || v.Shadow[0].Rule != "a" || v.Shadow[0].Values[0].Text != "4" {
		t.Errorf("shadow: %+v", v.Shadow)
	}
	if len(v.Undecided) != 1 || !v.Undecided[0].Shadow {
		t.Errorf("undecided: %+v", v.Undecided)
	}
}

// A rule that fails lets the mail go and, failing again and again, stops acting.
func TestFailure(t *testing.T) {
	set := compileText(t, `[[rule]]
name = "broken"
when = "days(message.size) > days(1)"
then = "drop('x')"
[[rule]]
name = "sound"
then = "tag('x')"`)
	f := reader()
	f.Message.Size = 100
	if v := set.Evaluate(&f); v.Kind != Drop {
		t.Fatalf("a small message: %+v", v)
	}
	f.Message.Size = 1e12
	for i := 1; i <= tripFailures+2; i++ {
		v := set.Evaluate(&f)
		if v.Kind != None || len(v.Tags) != 1 || len(v.Failed) != 1 {
			t.Fatalf("failure %d: %+v", i, v)
		}
		if tripped := len(v.Tripped) == 1; tripped != (i == tripFailures) {
			t.Errorf("failure %d: tripped %v", i, v.Tripped)
		}
	}
	f.Message.Size = 100
	if v := set.Evaluate(&f); v.Kind != None || len(v.Shadow) != 1 {
		t.Errorf("after that it still acts: %+v", v)
	}
	if s := set.Stats()[0]; !s.Tripped || s.Failed != tripFailures+2 || s.Fired != 2 {
		t.Errorf("stat %+v", s)
	}
}

// Failures that are rare do not switch a rule off.
func TestRareFailure(t *testing.T) {
	set := one(t, "days(message.size) > days(1)", "tag('x')")
	good, bad := reader(), reader()
	good.Message.Size, bad.Message.Size = 1, 1e12
	for range 3 * tripFailures {
		set.Evaluate(&bad)
		for range tripWithin / 2 {
			set.Evaluate(&good)
		}
	}
	if s := set.Stats()[0]; s.Tripped || s.Failed != 3*tripFailures {
		t.Errorf("stat %+v", s)
	}
}

// Facts larger than foreseen meet the limit at run time and the mail goes.
func TestCostLimit(t *testing.T) {
	f := reader()
	for range 50_000 {
		f.Mailbox.Segments = append(f.Mailbox.Segments, "aaaaaaaaaaaaaaaa")
	}
	f.Message.Tags = f.Mailbox.Segments
	f.Message.Subject = strings.Repeat("a", 10_000_000)
	for _, when := range []string{
		"mailbox.segments.exists(s, s.contains('zz'))",
		"message.tags.exists(t, t == 'zz')",
		"message.subject.matches('b$')",
	} {
		start := time.Now()
		v := one(t, when, "drop('x')").Evaluate(&f)
		if v.Kind != None || len(v.Failed) != 1 || !strings.Contains(v.Failed[0].Error, "cost limit") {
			t.Errorf("%s: got %+v", when, v)
		}
		t.Logf("%s: stopped after %v", when, time.Since(start))
	}
}

// Many goroutines may ask one set, and nothing is counted twice or lost.
func TestConcurrent(t *testing.T) {
	set := compileText(t, `[[rule]]
name = "fails"
when = "days(message.size) > days(1)"
then = "drop('x')"
[[rule]]
name = "fires"
when = "mailbox.sends_7d > 1 && message.tags.exists(t, t == 'fall')"
then = "tag('x')"`)
	const workers, each = 4, 500
	var tripped, tagged atomic.Int64
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			f := reader()
			f.Message.Size = 1e12
			for range each {
				v := set.Evaluate(&f)
				tripped.Add(int64(len(v.Tripped)))
				tagged.Add(int64(len(v.Tags)))
			}
		})
	}
	wait.Wait()
	stats := set.Stats()
	if stats[0].Failed != workers*each || stats[1].Fired != workers*each || tagged.Load() != workers*each || tripped.Load() != 1 {
		t.Errorf("stats %+v, tagged %d, tripped %d times", stats, tagged.Load(), tripped.Load())
	}
}

// A rule in shadow that fails has nowhere to go.
func TestShadowFailure(t *testing.T) {
	set := compileText(t, `[[rule]]
name = "a"
state = "shadow"
when = "days(message.size) > days(1)"
then = "drop('x')"`)
	f := reader()
	f.Message.Size = 1e12
	for range 2 * tripFailures {
		if v := set.Evaluate(&f); len(v.Tripped) != 0 {
			t.Fatalf("tripped %v", v.Tripped)
		}
	}
	if s := set.Stats()[0]; s.Tripped || s.Failed != 2*tripFailures {
		t.Errorf("stat %+v", s)
	}
}
