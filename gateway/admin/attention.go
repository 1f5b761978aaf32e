package admin

import (
	"fmt"
	"time"
)

// attention is something that needs a person, with where the runbook says what
// to do.
type attention struct {
	Text    string `json:"text"`
	Runbook string `json:"runbook"` // for `tidepost help`
}

// From when on a state of affairs needs a person: the alerts' own thresholds.
const (
	lateAfter    = 15 * time.Minute
	closedAfter  = 30 * time.Minute
	behindEvents = 100_000
	behindTime   = 5 * time.Minute
	diskHours    = 24

	permissionLate = time.Minute // bulk mail waits from then on (design rule 10)
)

// problems lists what needs a person.
func (s *Server) problems(st *statusDoc) []attention {
	list := []attention{}
	add := func(runbook, format string, args ...any) {
		list = append(list, attention{fmt.Sprintf(format, args...), "runbook#" + runbook})
	}
	if s.Sources.Stopped != nil && s.Sources.Stopped() != nil {
		add("store-stopped", "The store has stopped: %s.", st.Why)
	} else if !st.Accepting {
		add("refusing-mail", "Mail is not accepted: %s.", st.Why)
	}
	if s.holding() {
		add("mail-late", "This gateway was restored and sends nothing until `tidepost restore --confirm`.")
	} else if late := time.Duration(st.Overdue * float64(time.Second)); late > lateAfter {
		add("mail-late", "Mail that is due does not leave; the oldest is %s late.", late.Truncate(time.Second))
	}
	for _, d := range st.Closed {
		if since := s.now().Sub(d.Since); since > closedAfter {
			add("destination-closed", "Destination %s is closed for %s: %s.", mark(d.Name), since.Truncate(time.Second), d.Reason)
		}
	}
	switch b := st.Bus; {
	case !b.Connected:
		add("bus-behind", "The event bus is not connected; %d events wait for it.", b.LagEvents)
	case b.LagEvents > behindEvents || b.LagSeconds > behindTime.Seconds():
		add("bus-behind", "The event bus is %d events behind.", b.LagEvents)
	}
	if x := st.Signals.Stream; x != nil {
		s.streamProblems(x, add)
	}
	if h := st.Disk.HoursLeft; h != nil && *h < diskHours {
		add("disk-filling", "The disk is full in %.0f hours.", *h)
	}
	if n := st.Disk.Quarantined; n > 0 {
		add("store-stopped", "%s could not be read and set aside.", plural(int64(n), "damaged record", "damaged records"))
	}
	return append(append(append(list, s.webhookProblems()...), s.endedProblems()...), s.ruleProblems()...)
}

// streamProblems are those of the signals that come over NATS.
func (s *Server) streamProblems(x *Stream, add func(runbook, format string, args ...any)) {
	switch {
	case x.Stopped != "":
		add("signals-stopped", "Signals over NATS stand still: %s.", mark(x.Stopped))
	case x.LagSeconds > permissionLate.Seconds():
		add("signals-stopped", "Opt-outs wait for %.0f s; bulk mail waits for them. %s", x.LagSeconds, mark(x.Why))
	}
	if x.Missed > 0 {
		add("signals-stopped", "%s left NATS before they were applied.", plural(int64(x.Missed), "signal", "signals"))
	}
	if x.Recreated > 0 {
		add("signals-stopped", "The stream of signals was made anew since the start: what it held and was not applied is lost.")
	}
}
