package feedback

import (
	"fmt"
	"strings"
	"testing"
)

// A full batch of SendGrid's: what it costs before the gateway hears of it.
func BenchmarkSendGrid(b *testing.B) {
	var events []string
	for i := range 1000 {
		events = append(events, fmt.Sprintf(`{"email":"r%d@example.com","timestamp":1795348009,"event":"open","sg_machine_open":false,"sg_event_id":"sg-%d","sg_message_id":"dkH2l1HnTJ-%d.filterdrecv-7bc.0","useragent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64)","ip":"198.51.100.7","category":["news"]}`, i, i, i))
	}
	r := sent(b, "sendgrid", []byte("["+strings.Join(events, ",")+"]"), then)
	b.SetBytes(int64(len(r.Body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sendgridVerify(b.Context(), r); err != nil {
			b.Fatal(err)
		}
		if p, err := sendgridRead(r.Body); err != nil || len(p.Events) != 1000 {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "events/s")
}
