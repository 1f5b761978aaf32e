package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"tidepost/gateway"
)

// trace is one of the n-th test mailbox, whose delivery was accepted at an
// instant.
func trace(at time.Time, n int) gateway.Trace {
	var ids gateway.IDSource
	return gateway.Trace{Delivery: gateway.DeliveryID{Message: ids.Next(at), Ordinal: uint32(n)}, Mailbox: key(n)}
}

func testTraces(t *testing.T, open Open) {
	dir := t.TempDir()
	s := open(t, dir)
	defer func() { end(s) }()
	if _, ok := s.(gateway.Traces); !ok {
		t.Skip("not Traces")
	}
	now := time.Now()
	old, younger, youngest := trace(now.Add(-time.Hour), 1), trace(now.Add(-time.Minute), 2), trace(now, 3)
	note := s.(gateway.Traces).Trace
	note(younger, "1@acme.test", "queued as 7")
	note(old, "1@acme.test", "queued as 8", "")
	note(youngest, "1@acme.test")
	note(youngest, "1@acme.test") // delivered again after a crash
	note(trace(now, 4), "2@acme.test")
	for i := range 100 {
		note(trace(now, i), fmt.Sprint("other ", i))
	}
	always := time.Time{}
	for range 2 {
		for _, tt := range []struct {
			story, name string
			since       time.Time
			max         int
			want        []gateway.Trace
		}{
			{"all of a name, latest first", "1@acme.test", always, 9, []gateway.Trace{youngest, younger, old}},
			{"no more than asked for", "1@acme.test", always, 2, []gateway.Trace{youngest, younger}},
			{"none is asked for", "1@acme.test", always, 0, nil},
			{"not from before", "1@acme.test", now.Add(-2 * time.Minute), 9, []gateway.Trace{youngest, younger}},
			{"by its other name", "queued as 7", always, 1, []gateway.Trace{younger}},
			{"too old", "queued as 8", now.Add(-time.Minute), 1, nil},
			{"no name", "", always, 1, nil},
			{"names are told apart by case", "1@ACME.test", always, 1, nil},
			{"never heard of", "3@acme.test", always, 1, nil},
		} {
			got, err := s.(gateway.Traces).Traced(ctx, tt.name, tt.since, tt.max)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("%s: %v, %v, want %v", tt.story, got, err, tt.want)
			}
		}
		end(s)
		s = open(t, dir)
	}
}
