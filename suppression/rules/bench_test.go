package rules

import "testing"

// Rules as admins write them, one by one, in the case that they do not fire, which
// is nearly every evaluation.
var benchRules = []struct{ name, when string }{
	{"sunset", `mailbox.last_click > days(180) && mailbox.sends_90d >= 5`},
	{"typical", `message.class == 'promotional' && mailbox.sends_7d >= 5 && mailbox.attributes.tier != 'gold'`},
	{"counts", `mailbox.sends_7d > 10 || mailbox.complaints > 0`},
	{"segment", `mailbox.segments.exists(s, s == 'dormant')`},
}

func BenchmarkEvaluate(b *testing.B) {
	for _, r := range benchRules {
		b.Run(r.name, func(b *testing.B) {
			set := one(b, r.when, "drop('x')")
			f := reader()
			f.Message.Class = "promotional"
			b.ReportAllocs()
			for b.Loop() {
				set.Evaluate(&f)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "evaluations/s")
		})
	}
}
