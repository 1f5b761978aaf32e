package local

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"tidepost/gateway"
)

func traceOptions(t testing.TB, each int) (Options, *clock) {
	o, c := testOptions(t.TempDir()), newClock()
	o.Now, o.traceRun, o.retainEvery = c.now, each, time.Hour
	return o, c
}

// testTrace is the n-th test trace; its delivery was accepted at that instant.
func testTrace(at time.Time, n int) gateway.Trace {
	var ids gateway.IDSource
	id := ids.Next(at)
	return gateway.Trace{Delivery: gateway.DeliveryID{Message: id, Ordinal: uint32(n)}, Mailbox: testKey(n)}
}

func sortedFiles(s *Store) int {
	s.traces.mu.RLock()
	defer s.traces.mu.RUnlock()
	return len(s.traces.files)
}

func traced(t testing.TB, s *Store, name string, since time.Time, max int) []gateway.Trace {
	t.Helper()
	got, err := s.Traced(ctx, name, since, max)
	if err != nil {
		t.Fatalf("Traced: %v", err)
	}
	return got
}

// traceOracle is what the traces should know.
type traceOracle map[string][]gateway.Trace

func (o traceOracle) traced(name string, since time.Time, max int) []gateway.Trace {
	var list []gateway.Trace
	for _, t := range o[name] {
		if accepted(t) >= since.UnixMilli() {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b gateway.Trace) int { return b.Delivery.Compare(a.Delivery) })
	list = slices.Compact(list)
	return list[:min(max, len(list))]
}

// TestTracesModel notes names at random, some of them again and again, with the
// store closed or killed in between, and asks for them.
func TestTracesModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	o, clock := traceOptions(t, 150)
	s, model := mustOpen(t, o), traceOracle{}
	start := clock.now()
	name := func() string { return fmt.Sprintf("<%d@acme.test>", int(rng.ExpFloat64()*60)) }
	for step := range 4000 {
		switch n := rng.IntN(100); {
		case n < 60:
			tr := testTrace(clock.now().Add(-time.Duration(rng.IntN(100))*time.Minute), step)
			a, b := name(), name()
			s.Trace(tr, a, "", b)
			model[a], model[b] = append(model[a], tr), append(model[b], tr)
			if rng.IntN(10) == 0 { // delivered again after a crash
				s.Trace(tr, a)
			}
		case n < 95:
			who, max := name(), rng.IntN(5)
			since := start.Add(time.Duration(rng.Int64N(int64(clock.now().Sub(start)) + 1)))
			if rng.IntN(3) == 0 {
				since = time.Time{}
			}
			if got, want := traced(t, s, who, since, max), model.traced(who, since, max); !slices.Equal(got, want) {
				t.Fatalf("step %d: %d of %s since %v are\n%v, want\n%v", step, max, who, since, got, want)
			}
		case n < 98:
			clock.forward(time.Duration(rng.IntN(120)) * time.Minute)
			s.traces.save()
		case n < 99:
			s.traces.save()
			s.kill()
			s = mustOpen(t, o)
		default:
			s.Close()
			s = mustOpen(t, o)
		}
	}
	if n := sortedFiles(s); n < 5 {
		t.Errorf("%d sorted files: the test did not reach them", n)
	}
}

// TestTracesUneven looks for hashes that are as unevenly spread as can be, in
// files of every length up to some pages.
func TestTracesUneven(t *testing.T) {
	o, clock := traceOptions(t, 1<<20)
	s := mustOpen(t, o)
	tr := testTrace(clock.now(), 0)
	page := make([]byte, tracePage)
	for _, n := range []int{1, 2, tracePerPage - 1, tracePerPage, tracePerPage + 1, 5*tracePerPage + 7, 80 * tracePerPage} {
		for story, hashOf := range map[string]func(i int) uint64{
			"all alike":       func(int) uint64 { return 1 << 40 },
			"all small":       func(i int) uint64 { return uint64(2 * i) },
			"all great":       func(i int) uint64 { return ^uint64(2 * i) },
			"two heaps":       func(i int) uint64 { return uint64(i%2)<<63 | uint64(i) },
			"growing apart":   func(i int) uint64 { return 1<<(i%64) + uint64(i/64) },
			"as they come":    func(i int) uint64 { return hashName(fmt.Sprint(i)) },
			"threes of alike": func(i int) uint64 { return uint64(i/3) << 30 },
		} {
			r, counts := &traceRun{number: 7}, map[uint64]int{}
			for i := range n {
				tr.Delivery.Ordinal = uint32(i)
				r.add(hashOf(i), tr)
				counts[hashOf(i)]++
			}
			f, err := s.traces.sortRun(r)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < n; i += max(1, n/200) {
				for _, h := range []uint64{hashOf(i), hashOf(i) + 1, hashOf(i) - 1, 0, ^uint64(0)} {
					got, err := f.find(s.traces, page, h, 0, n)
					if err != nil || len(got) != counts[h] {
						t.Fatalf("%s, %d records: %d under %#x, %v, want %d", story, n, len(got), h, err, counts[h])
					}
				}
			}
			s.traces.removeFile(7)
		}
	}
}

// TestTracesRetention: a file goes when its newest mail is a week older than
// what retention keeps.
func TestTracesRetention(t *testing.T) {
	o, clock := traceOptions(t, 100)
	o.SettledFor = 14 * 24 * time.Hour
	names := noted(t, o, clock)
	s := mustOpen(t, o)
	retain := func() {
		if err := s.retain(ctx); err != nil {
			t.Fatal(err)
		}
	}
	before := s.Usage().Index
	clock.forward(21*24*time.Hour - 90*time.Second)
	retain()
	if got := [3]int{found(t, s, names[0]), found(t, s, names[1]), found(t, s, names[2])}; got != [3]int{0, 100, 50} {
		t.Errorf("21 days after the first file %v names are found", got)
	}
	clock.forward(time.Hour)
	retain()
	if got := found(t, s, slices.Concat(names[:]...)); got != 0 {
		t.Errorf("an hour later %d names are found", got)
	}
	if left, _ := os.ReadDir(filepath.Join(o.Dir, "traces")); len(left) != 0 || s.Usage().Index >= before {
		t.Errorf("on the disk there is %v; the index takes %d bytes, before %d", left, s.Usage().Index, before)
	}
}

// TestTracesAge: little mail is sorted once a day, so that it goes in time.
func TestTracesAge(t *testing.T) {
	o, clock := traceOptions(t, 100)
	s := mustOpen(t, o)
	s.Trace(testTrace(clock.now(), 1), "a")
	clock.forward(23 * time.Hour)
	s.Close()
	s = mustOpen(t, o)
	s.traces.save()
	if n := sortedFiles(s); n != 0 {
		t.Errorf("after 23 hours there are %d sorted files", n)
	}
	clock.forward(time.Hour)
	s.traces.save()
	if n := sortedFiles(s); n != 1 || found(t, s, []string{"a"}) != 1 {
		t.Errorf("after a day there are %d sorted files", n)
	}
}

// TestTracesAtOnce: many note and ask while runs are sorted, saved and dropped.
func TestTracesAtOnce(t *testing.T) {
	o, clock := traceOptions(t, 500)
	s := mustOpen(t, o)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 400 {
				own := fmt.Sprintf("%d of %d", i, g)
				tr := testTrace(clock.now(), i)
				s.Trace(tr, own, "all")
				if got, err := s.Traced(ctx, own, time.Time{}, 3); err != nil || len(got) != 1 || got[0] != tr {
					t.Errorf("%s is %v, %v", own, got, err)
				}
				if i%50 == 0 {
					s.traces.save()
					s.traces.retain(clock.now().Add(-time.Hour))
				}
				s.Traced(ctx, "all", time.Time{}, 2)
			}
		})
	}
	wg.Wait()
	if got := traced(t, s, "all", time.Time{}, 10_000); len(got) != 3200 {
		t.Errorf("%d deliveries under the common name, want 3200", len(got))
	}
}

// TestTracesOneName: a sender who writes one Message-ID into all its mail costs
// others nothing, and gets its latest mail.
func TestTracesOneName(t *testing.T) {
	o, clock := traceOptions(t, 1<<20)
	s := mustOpen(t, o)
	var last gateway.Trace
	for i := range 50_000 {
		last = testTrace(clock.now(), i)
		s.Trace(last, "<id@acme.test>")
		clock.forward(time.Millisecond)
	}
	if got := traced(t, s, "<id@acme.test>", time.Time{}, 2); len(got) != 2 || got[0] != last {
		t.Errorf("the latest of them are %v, want first %v", got, last)
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	s.traces.mu.Lock()
	s.traces.fullLocked()
	s.traces.mu.Unlock()
	s.traces.save()
	if _, err := s.Traced(ctx, "<id@acme.test>", time.Time{}, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("a question given up: %v", err)
	}
}
