package admin

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"tidepost/gateway"
)

// reportDoc is the answer of GET /api/v1/report: what the model decided about bulk
// mail, or would have decided where it only observed.
type reportDoc struct {
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	Begins time.Time `json:"begins,omitzero"` // of the history that is kept
	Tenant string    `json:"tenant,omitempty"`
	Events int64     `json:"events"` // read

	Planned   int64 `json:"planned"`    // bulk deliveries, each at its first decision
	Live      int64 `json:"live"`       // of them the model decided; about the others it observed
	Others    int64 `json:"other_arms"` // of the live ones, in control or another arm, where the model has no say
	Undecided int64 `json:"undecided"`  // of them the model was not asked: suppressed, or without a model

	Held      int64   `json:"held"`       // of them for a better hour, or so they would have been
	HeldHours float64 `json:"held_hours"` // on average
	Better    int64   `json:"better"`     // of the held, for an hour at which a read is likelier
	Likelier  float64 `json:"likelier"`   // how many times, on average over these
	ReadHeld  int64   `json:"read_held"`  // of the held, those that were read
	ReadLater int64   `json:"read_later"` // of these, not before the hour chosen
	Dropped   int64   `json:"dropped"`
	Pressed   int64   `json:"pressed"` // mails to people over their pace

	Unsubscribed pressedCount `json:"unsubscribed"`
	Complained   pressedCount `json:"complained"`
	Leaving      []leavingDoc `json:"leaving"` // by tenant: who left, and why as far as they said it

	Own     int64  `json:"own"`   // decisions that rest on the reader's own hours
	Model   uint32 `json:"model"` // newest version used; 0 is the built-in one
	Signals struct {
		Ever bool  `json:"ever"` // any, in all the history kept
		Read int64 `json:"read"` // opens and clicks by people, since
	} `json:"signals"`

	BuiltIn map[string][]string `json:"built_in,omitempty"` // by tenant: what was never learned from its audience

	History []pastDoc `json:"history,omitempty"` // what was brought in from elsewhere, latest first

	Days      []*reportDay `json:"days"`
	Sentences []string     `json:"sentences"`
	Mode      string       `json:"mode,omitempty"`
	Warning   string       `json:"warning,omitempty"`
}

// pressedCount counts people, and those of them who had mail over their pace in the
// week before.
type pressedCount struct {
	All     int64 `json:"all"`
	Pressed int64 `json:"pressed"`
}

// reportDay is one day in UTC.
type reportDay struct {
	Date    string `json:"date"`
	Planned int64  `json:"planned"`
	Held    int64  `json:"held"`
	Dropped int64  `json:"dropped"`
	Pressed int64  `json:"pressed"`
}

// usualReport is how far back a report goes.
const usualReport = 7 * 24 * time.Hour

// report answers GET /api/v1/report.
func (s *Server) report(c *call) (any, error) {
	q, err := c.query("since", "tenant", "progress")
	if err != nil {
		return nil, err
	}
	now := s.now()
	since := now.Add(-usualReport)
	if text := q.Get("since"); text != "" {
		if since, err = time.Parse(time.RFC3339, text); err != nil || since.After(now) {
			return nil, invalid("since", strconv.Quote(shorten(text, 40))+" is no time in the past", "write one like 2026-05-01T08:00:00Z")
		}
	}
	return s.long(c, q.Get("progress") == "true", func(tell func(float64)) (any, error) {
		return s.makeReport(c, q.Get("tenant"), since, now, tell)
	})
}

func (s *Server) makeReport(c *call, tenant string, since, now time.Time, tell func(float64)) (any, error) {
	j, err := s.journal()
	if err != nil {
		return nil, err
	}
	f := newReportFold(tenant, since, now)
	if _, err := readJournal(c.Context(), j, gateway.Cursor{}, f.visit, f.progress(tell)); err != nil {
		return nil, err
	}
	f.Mode = s.info().Mode
	f.Warning = warning(f.Mode)
	f.History = s.pasts(tenant)
	doc := f.finish()
	doc.sayBuiltIn(s.builtIn(tenant))
	return doc, nil
}

// progress tells how much of the history is read, going by its times.
func (f *reportFold) progress(tell func(float64)) func(time.Time) {
	return func(at time.Time) { tell(share(at.Sub(f.Begins), f.Until.Sub(f.Begins))) }
}

func share(part, whole time.Duration) float64 {
	if whole <= 0 {
		return 1
	}
	return min(1, max(0, float64(part)/float64(whole)))
}

// long does what takes long, one at a time, and where the client wants it tells of
// progress: then the answer is a line of JSON now and then, and the last is the
// result.
func (s *Server) long(c *call, progress bool, do func(tell func(float64)) (any, error)) (any, error) {
	c.unhurried()
	if !s.reports.TryLock() {
		return nil, &Problem{Status: http.StatusConflict, Detail: "another report is being made", Remedy: "wait until it is done"}
	}
	if !progress {
		defer s.reports.Unlock()
		return do(func(float64) {})
	}
	return body(func(w http.ResponseWriter) error {
		defer s.reports.Unlock()
		w.Header().Set("Content-Type", "application/x-ndjson")
		rc := http.NewResponseController(w)
		told := time.Now()
		v, err := do(func(share float64) {
			if time.Since(told) < time.Second/4 {
				return
			}
			told = time.Now()
			fmt.Fprintf(w, "{\"progress\":%.3f}\n", share)
			rc.Flush() // a writer that cannot tells at the end
		})
		last := map[string]any{"result": v}
		if err != nil {
			p := asProblem(err)
			last = map[string]any{"problem": p.Detail, "remedy": p.Remedy}
		}
		doc, err := json.Marshal(last)
		if err != nil {
			return err
		}
		_, err = w.Write(append(escape(doc), '\n'))
		return err
	}), nil
}

// finish makes averages and sentences of the sums.
func (f *reportFold) finish() *reportDoc {
	r := &f.reportDoc
	if r.Held > 0 {
		r.HeldHours = round1(f.holdTime.Hours() / float64(r.Held))
	}
	if r.Better > 0 {
		r.Likelier = round1(f.better / float64(r.Better))
	}
	r.Days = []*reportDay{}
	for _, date := range slices.Sorted(maps.Keys(f.days)) {
		r.Days = append(r.Days, f.days[date])
	}
	r.Leaving = f.departed.docs()
	r.Sentences = []string{}
	r.sayBounds()
	if r.sayPlanned() {
		r.sayHeld()
		r.sayPressed()
	}
	r.sayLeaving()
	r.sayEvidence()
	return r
}

func round1(x float64) float64 {
	v, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'f', 1, 64), 64)
	return v
}

func (r *reportDoc) say(format string, args ...any) {
	r.Sentences = append(r.Sentences, fmt.Sprintf(format, args...))
}

func (r *reportDoc) sayBounds() {
	switch {
	case r.Begins.IsZero():
		r.say("There is no history yet.")
	case r.Begins.After(r.Since.Add(time.Minute)):
		r.say("The history that is kept begins at %s; nothing before is in this report.", at(r.Begins))
	}
}

// sayPlanned says how much there was, and returns whether there is more to say.
func (r *reportDoc) sayPlanned() bool {
	if r.Planned == 0 {
		r.say("No bulk mail was planned since %s: there is nothing to say of it.", at(r.Since))
		return false
	}
	r.say("%s planned as bulk mail since %s.", were(r.Planned, "delivery", "deliveries"), at(r.Since))
	switch decided := r.Planned - r.Undecided; {
	case decided == 0:
		r.say("The model was asked about none of them: there is nothing to say of it.")
		return false
	case r.Live == 0:
		r.say("The model only observed: everything left as the gates let it. What follows is what live would have done.")
	case r.Live < decided:
		r.say("%d of them were decided live; the model only observed %d.", r.Live, decided-r.Live)
	default:
		r.say("All of them were decided live.")
	}
	if r.Others > 0 {
		r.say("Of these, %s in another arm, which the model has no say in; what follows leaves them out.", were(r.Others, "delivery", "deliveries"))
	}
	return true
}

// would words what was done, or would have been.
func (r *reportDoc) would(live, observed string) string {
	if r.Live > 0 {
		return live
	}
	return observed
}

func (r *reportDoc) sayHeld() {
	if r.Held == 0 {
		r.say("It %s none.", r.would("held", "would have held"))
	} else {
		text := fmt.Sprintf("It %s %d of them, by %.1f hours on average", r.would("held", "would have held"), r.Held, r.HeldHours)
		if r.Better > 0 {
			text += fmt.Sprintf(", %d for an hour at which a read is likelier, %.1f times on average", r.Better, r.Likelier)
		}
		r.say("%s.", text)
	}
	if r.ReadHeld > 0 && r.Live == 0 {
		r.say("Of the held, %s read; %d of these only after the hour that it chose, so that to hold them would have cost nothing.",
			were(r.ReadHeld, "delivery", "deliveries"), r.ReadLater)
	}
	if r.Dropped > 0 {
		r.say("It %s %d, where policy.drop allows it.", r.would("dropped", "would have dropped"), r.Dropped)
	}
}

func (r *reportDoc) sayPressed() {
	r.say("%s to people over their pace.", went(r.Pressed))
	if n := r.Unsubscribed; n.All > 0 {
		r.say("%d of the %s among them.", n.Pressed, were(n.All, "unsubscribe", "unsubscribes"))
	} else {
		r.say("Nobody unsubscribed, as far as we were told.")
	}
	if n := r.Complained; n.All > 0 {
		r.say("%d of the %s among them.", n.Pressed, were(n.All, "complaint", "complaints"))
	}
}

// sayEvidence says what the numbers rest on.
func (r *reportDoc) sayEvidence() {
	if !r.Signals.Ever && len(r.History) == 0 {
		r.say("No signal has ever come: without opens, clicks and unsubscribes the model knows nothing of anybody. " +
			"`tidepost signals import` and POST /api/v1/signals take them.")
	}
	if decided := r.Planned - r.Undecided - r.Others; decided > 0 {
		if r.Model == 0 {
			r.say("The built-in model is in force: nothing was learned from this audience yet.")
		} else {
			r.say("The newest model used is version %d.", r.Model)
		}
		r.say("%d of the decisions rest on the reader's own hours, the others on shared ones.", r.Own)
	}
}

func were(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one + " was"
	}
	return plural(n, one, many) + " were"
}

func went(n int64) string {
	if n == 1 {
		return "1 mail went"
	}
	return plural(n, "mail", "mails") + " went"
}
