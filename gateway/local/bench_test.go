package local

import (
	"crypto/rand"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tidepost/gateway"
)

func benchOptions(b *testing.B) Options { return Options{Dir: b.TempDir()} }

func cpuTime() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// sessions runs work n times from that many goroutines and reports the rate, the CPU
// time for each and the latency.
func sessions(b *testing.B, goroutines int, work func(i int), finish func()) {
	var next atomic.Int64
	var wg sync.WaitGroup
	latencies := make([][]time.Duration, goroutines)
	b.ResetTimer()
	cpu, began := cpuTime(), time.Now()
	for g := range goroutines {
		wg.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(b.N) {
					return
				}
				t := time.Now()
				work(int(i))
				latencies[g] = append(latencies[g], time.Since(t))
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	finish()
	cpu = cpuTime() - cpu
	b.StopTimer()
	var all []time.Duration
	for _, l := range latencies {
		all = append(all, l...)
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	b.ReportMetric(float64(b.N)/took.Seconds(), "op/s")
	b.ReportMetric(float64(cpu.Microseconds())/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
}

func BenchmarkAccept(b *testing.B) {
	for _, size := range []int{4 << 10, 40 << 10} {
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			s := mustOpen(b, benchOptions(b))
			content := make([]byte, size)
			rand.Read(content)
			sessions(b, 20, func(i int) {
				m := testMessage(i)
				m.Campaign, m.List = "", ""
				accept(b, s, m, content)
			}, func() { s.checkpoint() })
		})
	}
}

// BenchmarkCycle is a message's whole life here: accepted, planned, released,
// settled.
func BenchmarkCycle(b *testing.B) {
	s := mustOpen(b, benchOptions(b))
	content := make([]byte, 4<<10)
	rand.Read(content)
	sessions(b, 20, func(i int) {
		m := testMessage(i)
		m.Campaign, m.List = "", ""
		d := accept(b, s, m, content)[0]
		d = step(b, s, d, gateway.Waiting, gateway.EventPlanned)
		d = step(b, s, d, gateway.Sending, gateway.EventReleased)
		body(b, s, d.Ref)
		step(b, s, d, gateway.Delivered, gateway.EventDelivered)
	}, func() { s.checkpoint() })
}

func BenchmarkCommit(b *testing.B) {
	s := mustOpen(b, benchOptions(b))
	var ds []*gateway.Delivery
	for i := range 1000 {
		ds = append(ds, accept(b, s, testMessage(i), []byte("x"))...)
	}
	var locks [1000]sync.Mutex
	sessions(b, 20, func(i int) {
		n := i % 1000
		locks[n].Lock()
		ds[n] = step(b, s, ds[n], gateway.Waiting, gateway.EventPlanned)
		locks[n].Unlock()
	}, func() { s.checkpoint() })
}

// BenchmarkOpen opens a store with TIDEPOST_HELD held deliveries (default
// 10,000) that was killed under load, until all of them are queued. With
// TIDEPOST_EACH a message has that many recipients, so that millions are held
// sooner.
func BenchmarkOpen(b *testing.B) {
	held, each := 10_000, 1
	if n, err := strconv.Atoi(os.Getenv("TIDEPOST_HELD")); err == nil {
		held = n
	}
	if n, err := strconv.Atoi(os.Getenv("TIDEPOST_EACH")); err == nil {
		each = n
	}
	o := benchOptions(b)
	s := mustOpenUnmanaged(b, o)
	content := []byte(newsletter(1)[:8<<10])
	began := time.Now()
	var wg sync.WaitGroup
	for g := range 20 {
		wg.Go(func() {
			for i := g * each; i < held; i += 20 * each {
				holdSome(b, s, i, each, content)
			}
		})
	}
	wg.Wait()
	b.Logf("%d held in %v: %+v", held, time.Since(began), s.Usage())
	s.kill()
	runtime.GC()
	b.ResetTimer()
	for range b.N {
		began := time.Now()
		s := mustOpenUnmanaged(b, o)
		open := time.Since(began)
		n := 0
		if err := s.Due(ctx, func(gateway.Due) error { n++; return nil }); err != nil || n != held {
			b.Fatalf("%d of %d are due, %v", n, held, err)
		}
		b.ReportMetric(open.Seconds(), "open-s")
		b.ReportMetric(time.Since(began).Seconds(), "ready-s")
		b.ReportMetric(float64(anonymous()>>20), "anonymous-MB")
		s.kill()
	}
}

// anonymous returns the process's anonymous memory.
func anonymous() (bytes int64) {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			fmt.Sscan(rest, &bytes)
		}
	}
	return bytes << 10
}

// holdSome accepts a message for some mailboxes and plans it for each.
func holdSome(b *testing.B, s *Store, from, n int, content []byte) {
	var to []int
	for i := range n {
		to = append(to, from+i)
	}
	var changes []*gateway.Change
	for _, d := range accept(b, s, testMessage(to...), content) {
		next := d.Next()
		next.Due, next.Reason = d.Accepted.Add(time.Hour), "predicted"
		head := &gateway.Mailbox{Profile: content[:200]}
		changes = append(changes, &gateway.Change{Key: d.Mailbox, Relaxed: true, Deliveries: []*gateway.Delivery{next}, Head: head})
	}
	if err := s.Commit(ctx, changes...); err != nil {
		b.Error(err)
	}
}
