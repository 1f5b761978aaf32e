package bus

import (
	"syscall"
	"testing"
	"time"
)

// BenchmarkRelay relays 10,000 events from a journal in memory to the embedded
// server, which syncs; one operation is one such backlog.
func BenchmarkRelay(b *testing.B) {
	events := history(10_000, 500)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		r := newRig(b, newJournal(events...))
		r.nats()
		before := cpu()
		b.StartTimer()
		r.start()
		for r.journal.saved() < len(events) {
			time.Sleep(time.Millisecond)
		}
		b.StopTimer()
		r.stop()
		b.ReportMetric(float64(cpu()-before)/float64(len(events))/1e3, "cpu-µs/event")
		b.StartTimer()
	}
	b.ReportMetric(float64(len(events)*b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkSignals drains 50,000 signals of evidence from the embedded server, as
// fast as it goes, into a gateway that does nothing; one operation is one such queue.
func BenchmarkSignals(b *testing.B) {
	const n = 50_000
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		r := newRig(b, nil)
		r.signalStream()
		r.publish(signals("clicked", 0, n)...)
		before := cpu()
		b.StartTimer()
		s, stop := r.listen(newEar(), func(s *Signals) { s.Rate = 10 * n })
		for s.Lag().Evidence.Applied < n {
			time.Sleep(time.Millisecond)
		}
		b.StopTimer()
		stop()
		b.ReportMetric(float64(cpu()-before)/n/1e3, "cpu-µs/signal")
		b.StartTimer()
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "signals/s")
}

func BenchmarkParse(b *testing.B) {
	m := signal("clicked", 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, wrong := parse(m.Subject, m.Data, nil); wrong != nil {
			b.Fatal(wrong)
		}
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkEncode(b *testing.B) {
	e := history(1, 1)[0]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := encode(&e); err != nil {
			b.Fatal(err)
		}
	}
}
