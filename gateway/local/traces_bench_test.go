package local

import (
	"fmt"
	"testing"
	"time"

	"tidepost/gateway"
)

// benchTraces is a store with a million names, in sorted files and in memory.
func benchTraces(b *testing.B) *Store {
	o := benchOptions(b)
	s := mustOpen(b, o)
	for i := range 1_000_000 {
		s.Trace(testTrace(time.Now(), i&1023), fmt.Sprintf("<%d@acme.test>", i))
		if i%200_000 == 0 {
			s.traces.save()
		}
	}
	s.traces.save()
	return s
}

func BenchmarkTraced(b *testing.B) {
	s := benchTraces(b)
	for _, bb := range []struct {
		story string
		name  func(i int) string
	}{
		{"hit", func(i int) string { return fmt.Sprintf("<%d@acme.test>", i*7919%1_000_000) }},
		{"miss", func(i int) string { return fmt.Sprintf("<%d@elsewhere.test>", i) }},
	} {
		b.Run(bb.story, func(b *testing.B) {
			want := 0
			if bb.story == "hit" {
				want = 1
			}
			for i := range b.N {
				if got, err := s.Traced(ctx, bb.name(i), time.Time{}, 2); err != nil || len(got) != want {
					b.Fatal(got, err)
				}
			}
		})
	}
}

// BenchmarkTrace notes two names of each delivery, as a settled one has.
func BenchmarkTrace(b *testing.B) {
	s := mustOpen(b, benchOptions(b))
	tr := gateway.Trace{Delivery: testTrace(time.Now(), 1).Delivery, Mailbox: testKey(1)}
	names := make([]string, 4096)
	for i := range names {
		names[i] = fmt.Sprintf("<%d@acme.test>", i)
	}
	for i := range b.N {
		tr.Delivery.Ordinal = uint32(i)
		s.Trace(tr, names[i&4095], names[i*7&4095])
		if i%(traceRunLen/2) == 0 {
			s.traces.save() // so that sorting counts
		}
	}
}
