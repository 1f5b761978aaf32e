package gateway

import (
	"slices"
	"time"

	"tidepost/scheduler"
)

// PastWould is what the model would have done with bulk mail that another service
// sent, had it waited here, live and in the model's arm, in a gateway that knew
// nothing before the first row. Each mail is looked at with what was known before it.
// What readers would have done then nobody knows.
type PastWould struct {
	Looked  int `json:"looked"`  // bulk mails
	Readers int `json:"readers"` // who got them
	Own     int `json:"own"`     // of these, whose own hours are known well enough by the end

	Moved   int            `json:"moved"`   // mails, to a better hour
	Hours   [pastHours]int `json:"hours"`   // by how many, rounded
	Quiet   int            `json:"quiet"`   // held by quiet hours
	Gap     int            `json:"gap"`     // held by the minimum gap
	Cap     int            `json:"cap"`     // held by the weekly cap
	Dropped int            `json:"dropped"` // or held until it is wanted, where policy.drop does not allow it
	Read    int            `json:"read"`    // of the moved, followed by a read within a week
	Closer  int            `json:"closer"`  // of these, nearer to it than the hour at which they left
}

// pastHours is one more than the longest hold, in hours.
const pastHours = 101

func (w *PastWould) add(o *PastWould) {
	for _, n := range [...]struct{ to, from *int }{{&w.Looked, &o.Looked}, {&w.Readers, &o.Readers}, {&w.Own, &o.Own}, {&w.Moved, &o.Moved},
		{&w.Quiet, &o.Quiet}, {&w.Gap, &o.Gap}, {&w.Cap, &o.Cap}, {&w.Dropped, &o.Dropped}, {&w.Read, &o.Read}, {&w.Closer, &o.Closer}} {
		*n.to += *n.from
	}
	for i, n := range o.Hours {
		w.Hours[i] += n
	}
}

// Quantile is by how many hours at most that share of the moved mails moved.
func (w *PastWould) Quantile(share float64) int {
	left := int(share * float64(w.Moved))
	for i, n := range w.Hours {
		if left -= n; left < 0 {
			return i
		}
	}
	return pastHours - 1
}

// PastReport is what is kept of an import.
type PastReport struct {
	Tenant string    `json:"tenant"`
	Format string    `json:"format"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	First  time.Time `json:"first"` // row
	Last   time.Time `json:"last"`
	Rows   int       `json:"rows"`
	PastTaken
	PastWould
}

// movedMail is a mail that the model would have sent later.
type movedMail struct{ left, chosen time.Time }

const pastReadWithin = 7 * 24 * time.Hour

// decide asks the model about a mail that is about to leave.
func (w *pastWalk) decide(r *Past, sees scheduler.Sees) {
	rules := w.im.rules
	policy := w.im.policy
	heed(&policy, w.box)
	request := scheduler.Request{
		Now: r.At, Zone: w.box.Location(), Gates: &w.gates, Mailbox: w.key.draw(), Profile: w.p, Model: w.model, Sees: sees,
		Items: []scheduler.Item{{ID: r.Ref, Accepted: r.At, Droppable: slices.Contains(rules.Drop, r.Class), Weight: uint8(r.Class),
			Topic: pastTopic(r), Pressure: pressure(r.Class), Sensitive: rules.sensitive(r.List), Limited: w.box.Wishes.PerWeek > 0}},
	}
	plan := policy.Plan(&request, 0)
	w.own, w.lately = plan.Decision.Own, true
	w.would.Looked++
	switch {
	case plan.Action == scheduler.Drop || plan.Decision.Would == scheduler.Drop && !plan.Decision.At.IsZero():
		w.would.Dropped++
	case plan.Action != scheduler.Hold:
	case plan.Reason == scheduler.QuietHours:
		w.would.Quiet++
	case plan.Reason == scheduler.MinGap:
		w.would.Gap++
	case plan.Reason == scheduler.WeeklyCap:
		w.would.Cap++
	case plan.Reason.OfModel():
		w.would.Moved++
		hours := plan.At.Sub(r.At).Round(time.Hour) / time.Hour
		w.would.Hours[min(max(int(hours), 0), pastHours-1)]++
		w.moved = append(w.moved, movedMail{r.At, plan.At})
	}
}

// read compares what was moved since the read before with this one.
func (w *pastWalk) read(at time.Time) {
	for _, m := range w.moved {
		waited := at.Sub(m.left)
		if waited > pastReadWithin {
			continue
		}
		w.would.Read++
		if at.Sub(m.chosen).Abs() < waited {
			w.would.Closer++
		}
	}
	w.moved = w.moved[:0]
}

// end counts the reader.
func (w *pastWalk) end() {
	if w.would == nil || !w.lately {
		return
	}
	w.would.Readers++
	if w.own {
		w.would.Own++
	}
}
