package webhook

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Status is how far an endpoint is, for people.
type Status struct {
	Name    string   `json:"name"`
	Tenant  string   `json:"tenant"`
	Format  string   `json:"format"`
	Host    string   `json:"host"` // with the scheme; what is behind it may be secret
	Kinds   []string `json:"kinds"`
	Headers []string `json:"headers,omitempty"`

	State    string    `json:"state"`                   // ok, down or disabled
	Since    time.Time `json:"since,omitzero"`          // of down and disabled
	Next     time.Time `json:"next,omitzero"`           // when it is asked again
	Events   int       `json:"lag_events"`              // wanted, and not taken; of a long queue those that were counted so far
	Lag      float64   `json:"lag_seconds"`             // age of the oldest of them
	Retrying int       `json:"retrying"`                // refused, and tried again one by one
	GivenUp  int64     `json:"given_up"`                // events, ever
	LastLost string    `json:"last_given_up,omitempty"` // id

	// Since the start.
	Calls       int64     `json:"calls"`
	Failures    int64     `json:"failures"`  // calls that were not answered 2xx
	Delivered   int64     `json:"delivered"` // events
	Skipped     int64     `json:"skipped"`   // events of which the format has nothing to say
	Lost        int64     `json:"-"`         // events given up
	LastSuccess time.Time `json:"last_success,omitzero"`
	LastFailure time.Time `json:"last_failure,omitzero"`
	LastError   string    `json:"last_error,omitempty"`

	Redelivering *Progress `json:"redelivering,omitempty"`
}

// Words of Status.State.
const (
	StateOK       = "ok"
	StateDown     = "down"
	StateDisabled = "disabled"
)

// gauge is what others may see of a lane.
type gauge struct {
	mu       sync.Mutex // guards all below
	state    string
	since    time.Time
	next     time.Time
	events   int
	oldest   time.Time
	retrying int
	givenUp  int64
	lastLost string
	why      string // of down, as far as it was noted
}

// publish shows where the lane is.
func (l *lane) publish() {
	g := &l.gauge
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state, g.since, g.next, g.why = StateOK, time.Time{}, time.Time{}, l.notes.Outage.Last
	switch {
	case l.off():
		g.state, g.since = StateDisabled, l.notes.Disabled
	case l.down():
		g.state, g.since, g.next = StateDown, l.notes.Outage.Since, l.rest()
	}
	g.events, g.oldest = l.ahead, time.Time{}
	for _, p := range l.pages {
		if g.events += len(p.open); g.oldest.IsZero() {
			g.oldest = p.open[0].at
		}
	}
	g.retrying, g.givenUp, g.lastLost = len(l.list), l.notes.GivenUp, l.notes.LastLost
}

// count looks ahead in the journal for events that wait behind those that were read.
// It reads each of them once, however often it is called.
func (l *lane) count(ctx context.Context) {
	if before(l.seen, l.next) {
		l.ahead, l.seen = 0, l.next
	}
	for range 100 {
		if l.more != nil && len(l.pages) == 0 {
			return
		}
		events, next, err := l.s.Journal.ReadEvents(ctx, l.seen, pageEvents)
		if err != nil || len(events) == 0 {
			return
		}
		for i := range events {
			if _, ok := l.wanted(&events[i]); ok {
				l.ahead++
			}
		}
		l.seen = next
	}
}

// List returns how far all endpoints are, by name.
func (s *Sender) List() []Status {
	s.mu.Lock()
	wanted, lanes := slices.Clone(s.wanted), s.lanes
	s.mu.Unlock()
	all := make([]Status, len(wanted))
	for i := range wanted {
		e := &wanted[i]
		all[i] = Status{Name: e.Name, Tenant: e.Tenant, Format: e.Format, Host: origin(e.URL), Kinds: e.Kinds, Headers: e.echoes(), State: StateOK}
		if len(e.Kinds) == 0 {
			all[i].Kinds = formats[e.Format].usual
		}
		s.tally(e.Name).fill(&all[i])
		if l := lanes[e.Name]; l != nil {
			l.gauge.fill(&all[i], s.now())
		}
	}
	slices.SortFunc(all, func(a, b Status) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func origin(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

func (t *tally) fill(st *Status) {
	st.Calls, st.Failures, st.Delivered, st.Skipped, st.Lost = t.calls.Load(), t.failures.Load(), t.delivered.Load(), t.skipped.Load(), t.givenUp.Load()
	t.mu.Lock()
	defer t.mu.Unlock()
	st.LastSuccess, st.LastFailure, st.LastError = t.lastSuccess, t.lastFailure, t.lastError
	if t.again != nil {
		p := *t.again
		st.Redelivering = &p
	}
}

func (g *gauge) fill(st *Status, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == "" {
		return // it has not looked yet
	}
	st.State, st.Since, st.Next = g.state, g.since, g.next
	st.Events, st.Retrying, st.GivenUp, st.LastLost = g.events, g.retrying, g.givenUp, g.lastLost
	if st.LastError == "" {
		st.LastError = g.why
	}
	if g.events > 0 && !g.oldest.IsZero() {
		st.Lag = max(0, now.Sub(g.oldest)).Seconds()
	}
}

// downLong is from when on an endpoint that takes nothing needs a person.
const downLong = 30 * time.Minute

// Problems are sentences about endpoints that need a person.
func (s *Sender) Problems() []string {
	var all []string
	now := s.now()
	for _, st := range s.List() {
		switch {
		case st.State == StateDisabled:
			all = append(all, "Webhook "+st.Name+" said that it is gone and is disabled; `tidepost webhooks enable "+st.Name+"` tries it again.")
		case st.State == StateDown && now.Sub(st.Since) > downLong:
			all = append(all, "Webhook "+st.Name+" takes nothing for "+now.Sub(st.Since).Truncate(time.Second).String()+": "+st.LastError+".")
		}
	}
	return all
}
