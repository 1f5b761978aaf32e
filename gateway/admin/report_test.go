package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler"
	"tidepost/scheduler/experiment"
	"tidepost/suppression/address"
)

// ReadEvents makes memory a Journal: a cursor counts events.
func (s *memory) ReadEvents(ctx context.Context, after gateway.Cursor, most int) ([]gateway.Event, gateway.Cursor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.searches++
	events := s.events[after.Offset:]
	events = slices.Clone(events[:min(len(events), most)])
	after.Offset += uint32(len(events))
	return events, after, ctx.Err()
}

func (s *memory) Cursor(string) gateway.Cursor            { return gateway.Cursor{} }
func (s *memory) SaveCursor(string, gateway.Cursor) error { return nil }
func (s *memory) Committed() <-chan struct{}              { return nil }

// past writes the events of a story into a store's journal.
type past struct {
	*memory
	ids  gateway.IDSource
	n    int
	live bool // decided live, not observed
}

func boxOf(reader string) gateway.Key {
	a, err := address.Parse(reader + "@x.test")
	if err != nil {
		panic(err)
	}
	return gateway.MailboxKey("acme", a.Mailbox())
}

// mail tells that a newsletter of acme was accepted, and what the model thought.
func (p *past) mail(at time.Time, reader string, why *scheduler.Decision) *gateway.Delivery {
	d := &gateway.Delivery{ID: gateway.DeliveryID{Message: p.ids.Next(at)}, Rev: 1, Mailbox: boxOf(reader),
		Tenant: "acme", Class: gateway.Newsletter, Accepted: at}
	if why != nil {
		why.At = at
		d.Decision = why.AppendBinary(nil)
	}
	p.events = append(p.events, gateway.Event{Kind: gateway.EventAccepted, At: at, Delivery: d})
	return d
}

func (p *past) then(kind gateway.EventKind, at time.Time, d *gateway.Delivery) {
	p.events = append(p.events, gateway.Event{Kind: kind, At: at, Delivery: d})
}

// did tells what a reader did; d may be nil.
func (p *past) did(kind gateway.EventKind, at time.Time, reader string, d *gateway.Delivery, human float64) {
	p.n++
	detail := fmt.Sprintf(`{"mailbox":%q,"tenant":"acme","human":%v`, boxOf(reader), human)
	if d != nil {
		detail += fmt.Sprintf(`,"delivery":%q`, d.ID)
	}
	p.events = append(p.events, gateway.Event{Kind: kind, At: at, Name: fmt.Sprint("signal", p.n), Detail: detail + "}"})
}

func (w *world) document(role Role, target string, v any) {
	w.t.Helper()
	rec := w.serve(w.request(role, "GET", target, ""))
	if rec.Code != 200 {
		w.t.Fatalf("%s: %d %s", target, rec.Code, rec.Body)
	}
	if err := json.Unmarshal(rec.Body.Bytes(), v); err != nil {
		w.t.Fatalf("%s: %v in %s", target, err, rec.Body)
	}
}

func said(t *testing.T, sentences []string, want ...string) {
	t.Helper()
	all := strings.Join(sentences, "\n")
	for _, w := range want {
		if !strings.Contains(all, w) {
			t.Errorf("not said: %s\nin:\n%s", w, all)
		}
	}
}

// A week of observing, told in events, and what the report makes of it.
func TestReport(t *testing.T) {
	w := newWorld(t, nil)
	p := &past{memory: w.store}
	now := time.Now().UTC().Truncate(time.Second)
	day := func(n float64) time.Time { return now.Add(-time.Duration(n * 24 * float64(time.Hour))) }
	hold := func(at time.Time, press float32) *scheduler.Decision {
		return &scheduler.Decision{Would: scheduler.Hold, WouldAt: at.Add(6 * time.Hour), Reads: 2, Pressure: press, Model: 3, Own: true}
	}
	p.mail(day(20), "early", hold(day(20), 2))
	p.mail(day(9), "bob", hold(day(9), 2)) // before the report, but what bob leaves for
	ada := p.mail(day(5), "ada", hold(day(5), 0.5))
	eve := p.mail(day(5), "eve", hold(day(5), 3))
	p.mail(day(4), "dan", &scheduler.Decision{Would: scheduler.Drop, Pressure: 1.5})
	p.mail(day(3), "joe", &scheduler.Decision{Would: scheduler.Now, Pressure: 0.1})
	p.mail(day(3), "kim", nil)
	night := p.mail(day(3), "lea", &scheduler.Decision{Would: scheduler.Hold, WouldAt: day(3).Add(time.Hour)})
	night.Due = day(3).Add(time.Hour) // by the gates, not by the model
	p.events = append(p.events, gateway.Event{Kind: gateway.EventOpened, At: day(4), Detail: "no JSON"})
	p.did(gateway.EventOpened, day(5).Add(time.Minute), "ada", ada, 0.1) // a machine
	p.did(gateway.EventOpened, day(5).Add(8*time.Hour), "ada", ada, 1)
	p.did(gateway.EventClicked, day(5).Add(9*time.Hour), "ada", ada, 1)
	p.did(gateway.EventOpened, day(5).Add(time.Hour), "eve", eve, 1)
	p.did(gateway.EventUnsubscribed, day(2.5), "bob", nil, 1)
	p.did(gateway.EventUnsubscribed, day(2.5), "joe", nil, 1)
	p.did(gateway.EventComplained, day(1), "dan", nil, 1)
	p.did(gateway.EventUnsubscribed, day(2.5), "early", nil, 1)

	var r reportDoc
	w.document(Viewer, "/api/v1/report", &r)
	want := reportDoc{Planned: 6, Undecided: 1, Held: 2, HeldHours: 6, Better: 2, Likelier: 2, ReadHeld: 2, ReadLater: 1, Dropped: 1, Pressed: 2,
		Unsubscribed: pressedCount{3, 1}, Complained: pressedCount{1, 1}, Own: 2, Model: 3}
	if r.Planned != want.Planned || r.Undecided != want.Undecided || r.Held != want.Held || r.HeldHours != want.HeldHours || r.Better != want.Better ||
		r.Likelier != want.Likelier || r.ReadHeld != want.ReadHeld || r.ReadLater != want.ReadLater || r.Dropped != want.Dropped || r.Pressed != want.Pressed ||
		r.Unsubscribed != want.Unsubscribed || r.Complained != want.Complained || r.Own != want.Own || r.Model != want.Model || r.Signals.Read != 3 {
		t.Errorf("got  %+v\nwant %+v", r, want)
	}
	said(t, r.Sentences, "6 deliveries were planned as bulk mail since", "The model only observed",
		"It would have held 2 of them, by 6.0 hours on average, 2 for an hour at which a read is likelier, 2.0 times on average.",
		"Of the held, 2 deliveries were read; 1 of these only after", "It would have dropped 1,",
		"2 mails went to people over their pace.", "1 of the 3 unsubscribes were among them.", "1 of the 1 complaint was among them.", "version 3")
	if len(r.Days) != 3 {
		t.Errorf("days: %+v", r.Days)
	}

	since := now.Add(-4*24*time.Hour - time.Hour).Format(time.RFC3339)
	w.document(Viewer, "/api/v1/report?since="+since+"&tenant=acme", &r)
	if r.Planned != 4 || r.Held != 0 {
		t.Errorf("since %s: %+v", since, r)
	}
	said(t, r.Sentences, "It would have held none.", "The built-in model is in force",
		"Built in, not learned from this audience: the shared reading hours, how long mail lies unread, how much mail people bear, when they leave.")
	w.document(Viewer, "/api/v1/report?tenant=other", &r)
	said(t, r.Sentences, "No bulk mail was planned since", "No signal has ever come")
}

// What the model decides in live is not what it would have done.
func TestReportLive(t *testing.T) {
	w := newWorld(t, nil)
	p := &past{memory: w.store}
	now := time.Now().UTC()
	why := scheduler.Decision{Would: scheduler.Hold, WouldAt: now}
	live := why
	live.Live = true
	p.mail(now.Add(-3*time.Hour), "ada", &why)
	p.mail(now.Add(-time.Hour), "bob", &live).Reason = string(scheduler.ReadingHour)
	p.mail(now.Add(-time.Hour), "eve", &live).Reason = string(scheduler.QuietHours) // the gates hold it
	live.Arm = scheduler.ArmControl
	p.mail(now.Add(-time.Hour), "dan", &live).Reason = string(scheduler.QuietHours)
	var r reportDoc
	w.document(Viewer, "/api/v1/report", &r)
	if r.Live != 3 || r.Others != 1 || r.Held != 2 {
		t.Errorf("live %d, in other arms %d, held %d, want 3, 1, 2", r.Live, r.Others, r.Held)
	}
	said(t, r.Sentences, "3 of them were decided live; the model only observed 1.", "Of these, 1 delivery was in another arm", "It held 2 of them")
}

func TestReportOfNothing(t *testing.T) {
	w := newWorld(t, nil)
	var r reportDoc
	w.document(Viewer, "/api/v1/report", &r)
	said(t, r.Sentences, "There is no history yet.", "No bulk mail was planned", "No signal has ever come")
	for _, row := range []struct {
		target string
		want   int
	}{
		{"/api/v1/report?since=7d", 400},
		{"/api/v1/report?since=2999-01-01T00:00:00Z", 400},
		{"/api/v1/report?from=x", 400},
		{"/api/v1/experiments?since=x", 400},
	} {
		w.ask(Viewer, "GET", row.target, "", row.want)
	}
	w.ask(0, "GET", "/api/v1/report", "", 401)
	w.reports.Lock()
	w.ask(Viewer, "GET", "/api/v1/report", "", 409)
	w.ask(Viewer, "GET", "/api/v1/experiments?progress=true", "", 409)
	w.reports.Unlock()
	w.ask(Viewer, "GET", "/api/v1/experiments", "", 200)
}

// Progress comes in lines, the last is the result; a client that goes away ends it.
func TestReportProgress(t *testing.T) {
	w := newWorld(t, nil)
	p := &past{memory: w.store}
	for i := range 3 * journalBatch {
		p.mail(time.Now().Add(-time.Hour), fmt.Sprint("reader", i%100), nil)
	}
	rec := w.serve(w.request(Viewer, "GET", "/api/v1/report?progress=true", ""))
	lines := strings.Split(strings.TrimSpace(rec.Body.String()), "\n")
	var last struct{ Result reportDoc }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Result.Planned != 3*journalBatch {
		t.Errorf("%v: %s", err, rec.Body)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rec = httptest.NewRecorder()
	w.handler.ServeHTTP(rec, w.request(Viewer, "GET", "/api/v1/report?progress=true", "").WithContext(ctx))
	if !strings.Contains(rec.Body.String(), `"problem":"the request was interrupted"`) {
		t.Errorf("got %s", rec.Body)
	}
	var r reportDoc
	w.document(Viewer, "/api/v1/report", &r) // the next one is served
}

// What is joined for too many is joined for a part of them that the hash chooses.
func TestSample(t *testing.T) {
	s := sample[int]{most: 1000}
	for i := range uint64(10_000) {
		s.put(i*0x9e3779b97f4a7c15>>7, int(i))
	}
	if len(s.of) > 1000 || len(s.of) < 400 || s.halve < 3 {
		t.Errorf("%d are kept, halved %d times", len(s.of), s.halve)
	}
	for h := range s.of {
		if !s.has(h) {
			t.Errorf("%x does not belong", h)
		}
	}
}

// quarter tells of weeks of live mail to readers in two arms, of whom those in the
// model's click more.
func (p *past) quarter(begins time.Time, readers, weeks int, salt uint64) {
	shares := experiment.Shares{experiment.Model: 50, experiment.Control: 50}
	for week := range weeks {
		at := begins.Add(time.Duration(week)*7*24*time.Hour + 10*time.Hour)
		for i := range readers {
			arm := shares.Of(salt, uint64(i), begins)
			name := fmt.Sprint("reader", i)
			d := p.mail(at, name, &scheduler.Decision{Live: p.live, Arm: scheduler.Arm(arm), Model: 1})
			p.then(gateway.EventDelivered, at.Add(time.Hour), d)
			often := 5
			if arm == experiment.Model {
				often = 3
			}
			if (i*7+week*3)%often == 0 {
				p.did(gateway.EventClicked, at.Add(2*time.Hour), name, d, 1)
			}
		}
	}
}

func experimentsOf(w *world) tenantExperiments {
	w.t.Helper()
	var sent struct {
		Tenants []struct{ Tenant string }
		Notes   []string
	}
	w.document(Viewer, "/api/v1/experiments?tenant=acme", &sent)
	if len(sent.Tenants) != 1 || sent.Tenants[0].Tenant != "acme" || len(sent.Notes) == 0 {
		w.t.Errorf("sent: %+v", sent)
	}
	// A lift is written for others to read; here its value is looked at.
	f := w.counted.fold
	return w.tenantExperiments(f.tallies(), "acme", f.signals["acme"])[0]
}

func TestExperiments(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.rules.Live = true
		w.rules.Arms = experiment.Shares{experiment.Model: 50, experiment.Control: 50}
	})
	p := &past{memory: w.store, live: true}
	begins := time.Date(2026, 7, 6, 0, 0, 0, 0, time.UTC)
	p.quarter(begins, 2000, 4, 1)
	e := experimentsOf(w)
	if len(e.Arms) != 2 || e.Arms[0].Weeks+e.Arms[1].Weeks != 8000 || e.Arms[0].Mailboxes+e.Arms[1].Mailboxes != 2000 || e.Arms[1].Mails != e.Arms[1].Weeks {
		t.Errorf("arms: %+v", e.Arms)
	}
	if l := e.Comparisons[0].Lift; l.Verdict == experiment.Invalid || !l.Known || l.Low <= 0 {
		t.Errorf("clicks: %+v", l)
	}
	said(t, e.Sentences, "Clicks, model against control: ")

	// The second request goes on where the first ended.
	before := w.store.searches
	if again := experimentsOf(w); again.Arms[0] != e.Arms[0] || w.store.searches != before+1 {
		t.Errorf("counted again: %+v, %d reads", again.Arms, w.store.searches-before)
	}
	p.quarter(begins.AddDate(0, 0, 28), 2000, 1, 1)
	if more := experimentsOf(w); more.Arms[0].Weeks+more.Arms[1].Weeks != 10_000 {
		t.Errorf("a week later: %+v", more.Arms)
	}
}

// What is lost unevenly makes the whole invalid, and no number is shown.
func TestExperimentsLoseMailboxes(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.rules.Live = true
		w.rules.Arms = experiment.Shares{experiment.Model: 90, experiment.Control: 10}
	})
	(&past{memory: w.store, live: true}).quarter(time.Date(2026, 7, 6, 0, 0, 0, 0, time.UTC), 500, 1, 1) // drawn 50 : 50
	e := experimentsOf(w)
	said(t, e.Sentences, "2026-Q3 is left out", "No result is shown")
	if len(e.Comparisons) > 0 {
		t.Errorf("shown: %+v", e.Comparisons)
	}
}

// Where there is nothing to say, that is said.
func TestExperimentsSayNothing(t *testing.T) {
	w := newWorld(t, func(w *world) { w.Tenants = func() []string { return []string{"acme"} } })
	e := experimentsOf(w)
	said(t, e.Sentences, "The mode is observe", "No click or read has come back", "There is nothing to compare")
	w.rules.Live = true
	said(t, experimentsOf(w).Sentences, "Randomisation is off")

	// Observed mail counts in no arm, though its decision names one.
	w.rules.Live = false
	(&past{memory: w.store}).quarter(time.Date(2026, 7, 6, 0, 0, 0, 0, time.UTC), 50, 2, 1)
	e = experimentsOf(w)
	if len(e.Arms) != 0 {
		t.Errorf("arms: %+v", e.Arms)
	}
}

// A mailbox that left goes on counting where it entered, and a mail that a
// suppression stops enters nobody.
func TestExperimentsCountThoseWhoLeft(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.rules.Live = true
		w.rules.Arms = experiment.Shares{experiment.Model: 50, experiment.Control: 50}
	})
	p := &past{memory: w.store}
	at := time.Date(2026, 7, 7, 10, 0, 0, 0, time.UTC)
	d := p.mail(at, "ada", &scheduler.Decision{Live: true, Arm: scheduler.ArmControl})
	p.did(gateway.EventUnsubscribed, at.Add(time.Hour), "ada", d, 1)
	for _, reader := range []string{"ada", "bob"} {
		d := p.mail(at.AddDate(0, 0, 7), reader, nil)
		d.State, d.Reason = gateway.Dropped, "suppressed"
		p.then(gateway.EventSuppressed, at.AddDate(0, 0, 7), d)
	}
	b := p.mail(at, "eve", &scheduler.Decision{Live: true})
	p.then(gateway.EventBounced, at, b)
	e := experimentsOf(w)
	if len(e.Arms) != 2 {
		t.Fatalf("arms: %+v", e.Arms)
	}
	if c := e.Arms[1]; c.Arm != "control" || c.Mailboxes != 1 || c.Weeks != 2 || c.Unsubscribed != 1 || c.Dropped != 1 {
		t.Errorf("control: %+v", c)
	}
	if m := e.Arms[0]; m.Mailboxes != 1 || m.Bounced != 1 {
		t.Errorf("model: %+v", m)
	}
}

// Too many mailboxes leave a part of them, in all arms alike.
func TestExperimentsAreBounded(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.rules.Live = true
		w.rules.Arms = experiment.Shares{experiment.Model: 50, experiment.Control: 50}
	})
	(&past{memory: w.store, live: true}).quarter(time.Date(2026, 7, 6, 0, 0, 0, 0, time.UTC), 4000, 2, 1)
	f := newExperimentFold(w.Gateway.Rules)
	f.most = 1000
	for i := range w.store.events {
		f.visit(&w.store.events[i])
	}
	if f.known > 1000 || f.known < 300 || f.oneIn() < 4 {
		t.Errorf("%d mailboxes are known, 1 in %d", f.known, f.oneIn())
	}
	arms := f.tallies().Arms("acme", "", experiment.QuarterOf(time.Date(2026, 7, 7, 0, 0, 0, 0, time.UTC)))
	if n := arms[experiment.Model].Mailboxes + arms[experiment.Control].Mailboxes; n != uint64(f.known) {
		t.Errorf("%d mailboxes are counted, %d known", n, f.known)
	}
	if r := experiment.CheckRatio(arms); !r.Valid {
		t.Errorf("%+v", r)
	}
	doc := &experimentsDoc{OneIn: f.oneIn()}
	doc.note(f)
	said(t, doc.Notes, "is counted, chosen by hash")
}

func BenchmarkReport(b *testing.B) {
	p := &past{memory: newMemory()}
	for i := range 10_000 {
		d := p.mail(time.Now().Add(-time.Hour), fmt.Sprint("reader", i), &scheduler.Decision{Would: scheduler.Hold})
		p.did(gateway.EventClicked, time.Now(), fmt.Sprint("reader", i), d, 1)
	}
	rules := func(string) *gateway.Rules { return &gateway.Rules{} }
	b.ReportAllocs()
	for b.Loop() {
		f := newReportFold("", time.Now().Add(-usualReport), time.Now())
		x := newExperimentFold(rules)
		for i := range p.events {
			f.visit(&p.events[i])
			x.visit(&p.events[i])
		}
	}
	b.ReportMetric(float64(b.N*len(p.events))/b.Elapsed().Seconds(), "events/s")
}

// The flow itself tells all that is counted: who was drawn into which arm, and what
// readers did.
func TestExperimentsOfTheFlow(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.rules.Live = true
		w.rules.Arms = experiment.Shares{experiment.Model: 50, experiment.Control: 50}
	})
	var signals []string
	for i := range 40 {
		to := fmt.Sprintf("reader%d@x.test", i)
		d := w.submit(mail{class: gateway.Newsletter, to: []string{to}})[0]
		if i%4 == 0 {
			signals = append(signals, fmt.Sprintf(`{"kind":"clicked","mailbox":%q,"tenant":"acme","message":%q}`, to, d.ID))
		}
	}
	w.submit(mail{to: []string{"reader41@x.test"}}) // transactional mail is in no arm
	signals = append(signals, `{"kind":"unsubscribed","mailbox":"reader1@x.test","tenant":"acme"}`)
	w.ask(Operator, "POST", "/api/v1/signals", `{"signals":[`+strings.Join(signals, ",")+`]}`, 200)
	w.ask(Operator, "POST", "/api/v1/signals", `{"signals":[`+strings.Join(signals, ",")+`]}`, 200) // and once more
	e := experimentsOf(w)
	if len(e.Arms) != 2 {
		t.Fatalf("arms: %+v", e.Arms)
	}
	m, c := e.Arms[0], e.Arms[1]
	if m.Mailboxes+c.Mailboxes != 40 || m.Weeks+c.Weeks != 40 || m.Mailboxes < 8 || c.Mailboxes < 8 || m.Clicked+c.Clicked != 10 || m.Unsubscribed+c.Unsubscribed != 1 {
		t.Errorf("model %+v, control %+v", m, c)
	}
	var r reportDoc
	w.document(Viewer, "/api/v1/report", &r)
	if r.Planned != 40 || r.Live != 40 || r.Others != int64(c.Mailboxes) || r.Undecided != 0 || r.Unsubscribed.All != 1 || r.Signals.Read != 10 {
		t.Errorf("report: %+v", r)
	}
}
