package admin

import (
	"fmt"

	"tidepost/gateway"
)

// pastDoc is what an import of history left for reports.
type pastDoc struct {
	gateway.PastReport
	MedianHours int      `json:"median_hours"` // by which the moved mails moved
	MostHours   int      `json:"most_hours"`   // nine of ten of them by no more
	Sentences   []string `json:"sentences"`
}

// pasts are the imports of history of a tenant, or of all.
func (s *Server) pasts(tenant string) []pastDoc {
	kept, ok := s.Store.(gateway.Settings)
	if !ok {
		return nil
	}
	var docs []pastDoc
	for _, r := range gateway.Pasts(kept, tenant) {
		d := pastDoc{PastReport: r, MedianHours: r.Quantile(.5), MostHours: r.Quantile(.9)}
		d.sayLooked()
		docs = append(docs, d)
	}
	return docs
}

func (d *pastDoc) say(format string, args ...any) {
	d.Sentences = append(d.Sentences, fmt.Sprintf(format, args...))
}

// sayLooked says what live would have done with the mail of the history, and what
// that does not mean.
func (d *pastDoc) sayLooked() {
	d.say("From %s of %s, brought in on %s: %s, from %s to %s.", d.Format, d.Tenant, at(d.At), plural(int64(d.Rows), "row", "rows"), at(d.First), at(d.Last))
	if d.Looked == 0 {
		d.say("It has no bulk mail: what live would have done cannot be said.")
		return
	}
	d.say("Each of its %s was looked at with what was known of the reader before it left, as if it had waited here live.", plural(int64(d.Looked), "bulk mail", "bulk mails"))
	if d.Moved == 0 {
		d.say("The model would have moved none.")
	} else {
		d.say("The model would have moved %d of them (%s) to a later hour, half of these by at most %d hours and nine of ten by at most %d.",
			d.Moved, inPercent(d.Moved, d.Looked), d.MedianHours, d.MostHours)
	}
	if d.Read > 0 {
		d.say("%d of the moved were followed by a read within a week; the hour chosen lay closer to it than the hour at which the mail left for %s.", d.Read, inPercent(d.Closer, d.Read))
	}
	d.say("Quiet hours would have held %d, the minimum gap %d, the weekly cap %d; %d would have cost more than they brought.", d.Quiet, d.Gap, d.Cap, d.Dropped)
	d.say("By its end the own hours of %s of %s are known well enough to be used.", inPercent(d.Own, d.Readers), plural(int64(d.Readers), "reader", "readers"))
	if d.Late > 0 {
		d.say("%s older than what was known of their mailboxes and taught nothing.", were(int64(d.Late), "row", "rows"))
	}
	d.say("This is no forecast of more reads: who reads at an hour may have read because mail came then. Only an experiment tells (`tidepost experiments`).")
}

func inPercent(part, whole int) string {
	if whole == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.0f %%", 100*float64(part)/float64(whole))
}
