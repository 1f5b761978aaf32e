package local

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/suppression"
)

// benchEntries are how many entries the benchmarks' list has.
func benchEntries() int {
	if n, err := strconv.Atoi(os.Getenv("TIDEPOST_ENTRIES")); err == nil {
		return n
	}
	return 1_000_000
}

// benchAddress is the address of the n-th entry, as long as addresses are.
func benchAddress(n int) string {
	return "reader.number" + strconv.Itoa(n*7919%1_000_003) + "." + strconv.Itoa(n) + "@mail" + strconv.Itoa(n%97) + ".example.com"
}

// benchSource yields n entries, made as they are asked for.
func benchSource(n int) func(func(suppression.Entry) bool) {
	e := suppression.Entry{
		Scope: suppression.Scope{Kind: suppression.Tenant, Name: "acme"}, Reason: suppression.Unsubscribe,
		Source: "import", Created: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	return func(yield func(suppression.Entry) bool) {
		for i := range n {
			e.Address = benchAddress(i)
			e.Created = e.Created.Add(time.Second)
			if !yield(e) {
				return
			}
		}
	}
}

// entriesStore has a list of benchEntries entries and a tenth of that one by one.
func entriesStore(b *testing.B) (*Store, int) {
	b.Helper()
	o := benchOptions(b)
	s := mustOpen(b, o)
	n := benchEntries()
	if _, err := s.Stage(ctx, "list", 0, benchSource(n), nil); err != nil {
		b.Fatal(err)
	}
	if err := s.Publish(ctx, "list", "bench"); err != nil {
		b.Fatal(err)
	}
	var some []suppression.Entry
	for e := range benchSource(n / 10) {
		e.Address = "single." + e.Address
		if some = append(some, e); len(some) == 1000 {
			put(b, s, some...)
			some = some[:0]
		}
	}
	if err := s.checkpoint(); err != nil {
		b.Fatal(err)
	}
	return s, n
}

// ask runs questions from one and from sixteen goroutines.
func ask(b *testing.B, question func(i int) error) {
	for _, goroutines := range []int{1, 16} {
		b.Run(fmt.Sprintf("%dgoroutines", goroutines), func(b *testing.B) {
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for range goroutines {
				wg.Go(func() {
					for i := next.Add(100); i-100 < int64(b.N); i = next.Add(100) {
						for j := range 100 {
							if err := question(int(i) + j); err != nil {
								b.Error(err)
								return
							}
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// BenchmarkEntriesWarm asks what was asked before, mostly for nothing.
func BenchmarkEntriesWarm(b *testing.B) {
	s, _ := entriesStore(b)
	var addresses []string
	for i := range 8192 {
		addresses = append(addresses, benchAddress(i)[i%8:]) // one in eight has an entry
	}
	ask(b, func(i int) error { _, err := s.Entries(ctx, addresses[i%len(addresses)]); return err })
}

// BenchmarkEntriesCached asks for entries that are in the page cache only.
func BenchmarkEntriesCached(b *testing.B) {
	s, n := entriesStore(b)
	for _, kind := range []string{"", "single."} {
		b.Run(map[string]string{"": "list", "single.": "single"}[kind], func(b *testing.B) {
			size := n
			if kind != "" {
				size = n / 10
			}
			ask(b, func(i int) error {
				a := kind + benchAddress(i*104_729%size)
				list, err := s.entries.read(hashText(a), a)
				if err == nil && len(list) != 1 {
					err = fmt.Errorf("%s has %d entries", a, len(list))
				}
				return err
			})
		})
	}
}

// BenchmarkEntriesMiss asks for addresses without entries, each once, with the
// filter and without.
func BenchmarkEntriesMiss(b *testing.B) {
	s, _ := entriesStore(b)
	miss := func(i int) error { a := "no." + benchAddress(i); _, err := s.entries.read(hashText(a), a); return err }
	b.Run("filter", func(b *testing.B) { ask(b, miss) })
	l := s.entries.set.Load().layers[0]
	passed := 0
	for i := range 100_000 {
		if l.filter.has(hashText("no." + benchAddress(i))) {
			passed++
		}
	}
	b.Logf("%d of 100,000 absent addresses pass the filter of %d bytes; the index takes %d", passed, len(l.filter.lines)*lineSize, len(l.index)*indexSize)
	l.filter = nil
	b.Run("none", func(b *testing.B) { ask(b, miss) })
}

// BenchmarkStage stages and publishes a list of TIDEPOST_ENTRIES entries.
func BenchmarkStage(b *testing.B) {
	for range b.N {
		o := benchOptions(b)
		s := mustOpenUnmanaged(b, o)
		n := benchEntries()
		peak := watchHeap()
		began := time.Now()
		info, err := s.Stage(ctx, "list", 0, benchSource(n), nil)
		staged := time.Since(began)
		if err == nil {
			err = s.Publish(ctx, "list", "bench")
		}
		if err != nil {
			b.Fatal(err)
		}
		took := time.Since(began)
		b.ReportMetric(float64(n)/took.Seconds(), "lines/s")
		b.ReportMetric(staged.Seconds(), "stage-s")
		b.ReportMetric((took - staged).Seconds(), "publish-s")
		b.ReportMetric(float64(info.Bytes)/float64(n), "B/entry")
		b.ReportMetric(float64(peak())/(1<<20), "peak-heap-MB")
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "heap-after-MB")
		s.Close()
		began = time.Now()
		s = mustOpenUnmanaged(b, o)
		b.ReportMetric(time.Since(began).Seconds(), "open-s")
		s.Close()
	}
}

// watchHeap samples the heap until its result is called, which returns the peak.
func watchHeap() func() uint64 {
	quit, done := make(chan struct{}), make(chan uint64)
	go func() {
		var m runtime.MemStats
		peak := uint64(0)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
			select {
			case <-tick.C:
			case <-quit:
				done <- peak
				return
			}
		}
	}()
	return func() uint64 { close(quit); return <-done }
}

// BenchmarkAcceptBesideImport accepts at an even rate, alone and beside an import,
// and reports how long an Accept and a Commit of an entry take.
func BenchmarkAcceptBesideImport(b *testing.B) {
	for _, beside := range []bool{false, true} {
		b.Run(map[bool]string{false: "alone", true: "beside"}[beside], func(b *testing.B) {
			s := mustOpen(b, benchOptions(b))
			cctx, cancel := context.WithCancel(ctx)
			defer cancel()
			var wg sync.WaitGroup
			if beside {
				wg.Go(func() {
					for i := 0; cctx.Err() == nil; i++ {
						name := fmt.Sprint(i % 3)
						if _, err := s.Stage(cctx, name, 0, benchSource(400_000), nil); err != nil {
							return // the measurement is over
						}
						if err := s.Publish(cctx, name, "bench"); err != nil && cctx.Err() == nil {
							b.Error(err)
						}
					}
				})
			}
			accepts, puts := paced(b, s)
			cancel()
			wg.Wait()
			for what, l := range map[string][]time.Duration{"accept": accepts, "entry": puts} {
				slices.Sort(l)
				b.ReportMetric(l[len(l)/2].Seconds()*1000, what+"-p50-ms")
				b.ReportMetric(l[len(l)*99/100].Seconds()*1000, what+"-p99-ms")
				b.ReportMetric(l[len(l)-1].Seconds()*1000, what+"-max-ms")
			}
		})
	}
}

// paced accepts 200 messages and puts 50 entries a second for twenty seconds.
func paced(b *testing.B, s *Store) (accepts, puts []time.Duration) {
	content := []byte(strings.Repeat("x", 4000))
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i := range 4000 {
		<-tick.C
		began := time.Now()
		accept(b, s, looseMessage(i), content)
		accepts = append(accepts, time.Since(began))
		if i%4 > 0 {
			continue
		}
		began = time.Now()
		if err := s.Commit(ctx, &gateway.Change{Entries: []suppression.Entry{testEntry(i, "x")}}); err != nil {
			b.Fatal(err)
		}
		puts = append(puts, time.Since(began))
	}
	return accepts, puts
}
