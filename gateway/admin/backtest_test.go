package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler"
	"tidepost/suppression/rules"
)

// decided tells that a newsletter was accepted, with the facts of its first plan.
func (p *past) decided(at time.Time, reader string, change func(d *rules.Decision)) *gateway.Delivery {
	d := p.mail(at, reader, nil)
	x := rules.Decision{ID: d.ID.String(), Mailbox: hashOf(d.Mailbox), Propensity: 1}
	x.Facts = rules.Facts{Tenant: "acme", Now: at, Message: rules.Message{Class: "newsletter", Campaign: "spring", Size: 5000}}
	x.Facts.Mailbox.Local, x.Facts.Mailbox.Domain, x.Facts.Mailbox.Provider = reader, "x.test", "other"
	if change != nil {
		change(&x)
	}
	facts, err := x.AppendBinary(nil)
	if err != nil {
		panic(err)
	}
	p.events[len(p.events)-1].Facts = facts
	return d
}

// seen makes clicks of a decision's mailbox observable for so many days.
func seen(days int) func(d *rules.Decision) {
	return func(d *rules.Decision) { d.Facts.Mailbox.ClicksVisible = time.Duration(days) * 24 * time.Hour }
}

func (w *world) backtest(t *testing.T, request map[string]any) backtestDoc {
	t.Helper()
	body, _ := json.Marshal(request)
	return into[backtestDoc](t, w.send(Operator, "POST", "/api/v1/rules/backtest", "", "", string(body), 200))
}

const noClick = "[[rule]]\nname = 'sunset'\nstate = 'shadow'\nwhen = 'mailbox.last_click > days(180)'\nthen = \"drop('sunset')\"\n"

// A fortnight of decisions, and what a rule would have made of it.
func TestBacktest(t *testing.T) {
	w := newRuleWorld(t)
	p := &past{memory: w.store}
	now := time.Now().UTC().Truncate(time.Second)
	day := func(n float64) time.Time { return now.Add(-time.Duration(n * 24 * float64(time.Hour))) }
	old := p.decided(day(20), "old", seen(200)) // before the time asked about
	p.did(gateway.EventOpened, day(19), "old", old, 1)
	ada := p.decided(day(12), "ada", seen(200))
	bob := p.decided(day(11), "bob", func(d *rules.Decision) { seen(200)(d); d.Propensity = 0.5 })
	bob.Decision = (&scheduler.Decision{At: day(11), Propensity: 0.5}).AppendBinary(nil) // drawn by lot, and only watched
	p.then(gateway.EventDelivered, day(11), ada)
	p.did(gateway.EventOpened, day(10), "ada", ada, 0.9)
	p.did(gateway.EventOpened, day(10), "bob", bob, 0.2) // a machine
	p.did(gateway.EventClicked, day(10), "ada", ada, 1)
	p.decided(day(10), "eve", nil)                          // cannot be seen
	p.did(gateway.EventClicked, day(3.5), "bob", bob, 1)    // later than 7 days
	p.did(gateway.EventUnsubscribed, day(9), "eve", nil, 1) // names none
	dan := p.decided(day(2), "dan", seen(30))
	p.then(gateway.EventDropped, day(1), dan)

	request := map[string]any{"text": noClick, "shadows": true, "since": day(14)}
	r := w.backtest(t, request)
	if c := r.Total; r.Decisions != 4 || c.NewlyDropped != (cellDoc{Deliveries: 2, Opened: 1, Clicked: 1}) || c.All.Opened != 1 || r.Unobservable != 2 ||
		r.Delivered != 1 || r.Dropped != 1 || len(r.Examples) != 2 || r.Examples[0].ID != ada.ID.String() {
		t.Errorf("report: %+v", r)
	}
	said(t, r.Sentences, "History reaches back to "+at(day(20)), "4 decisions from ", "tried under no rules", "2 of them (50.0 %) differently: 2 dropped, 0 held",
		"Of the 2 that would be dropped, 1 were opened and 1 clicked", "policy.drop", "Unobservable: 50.0 % of the decisions (2).",
		"1 decision was less than 7 days old", "named no delivery, and are not in these figures: 1.", "No estimate: none of the 2 changed decisions was made by lot")
	if len(r.Groups) == 0 || r.Groups[0].Kind != "campaign" || r.Groups[0].NewlyDropped.Deliveries != 2 {
		t.Errorf("groups: %+v", r.Groups)
	}

	request["since"] = day(40)
	r = w.backtest(t, request)
	said(t, r.Sentences, "History is kept from "+at(day(20))+" on")
	if r.Decisions != 5 {
		t.Errorf("%d decisions in all", r.Decisions)
	}
	request["shadows"] = false
	said(t, w.backtest(t, request).Sentences, "treated none of them differently")
	request["tenant"] = "other"
	said(t, w.backtest(t, request).Sentences, "No decisions were recorded")
	w.send(Operator, "POST", "/api/v1/rules/backtest", "", "", `{"text":"[[rule]]"}`, 400)
	w.send(Operator, "POST", "/api/v1/rules/backtest", "", "", `{"since":"2999-01-01T00:00:00Z"}`, 400)
	w.send(Viewer, "POST", "/api/v1/rules/backtest", "", "", `{}`, 403)
}

// Whoever wants to see how far it is gets lines, of which the last is the result.
func TestBacktestInLines(t *testing.T) {
	w := newRuleWorld(t)
	(&past{memory: w.store}).decided(time.Now().Add(-time.Hour), "ada", nil)
	r := w.request(Operator, "POST", "/api/v1/rules/backtest", `{"shadows":true}`)
	r.Header.Set("Accept", "application/x-ndjson")
	lines := bufio.NewScanner(w.serve(r).Body)
	var last struct{ Result backtestDoc }
	for lines.Scan() {
		if err := json.Unmarshal(lines.Bytes(), &last); err != nil {
			t.Fatalf("%v in %s", err, lines.Text())
		}
	}
	if last.Result.Decisions != 1 {
		t.Errorf("the last line: %+v", last)
	}
}

// Where more decisions wait for their outcome than there is room for, the oldest are
// judged early, and that is said.
func TestBacktestWithoutRoom(t *testing.T) {
	w := newRuleWorld(t)
	p := &past{memory: w.store}
	now := time.Now().UTC()
	var all []*gateway.Delivery
	for i := range 5000 {
		all = append(all, p.decided(now.Add(-time.Hour+time.Duration(i)*time.Millisecond), fmt.Sprint("r", i), seen(200)))
	}
	for i, d := range all {
		p.did(gateway.EventOpened, now, fmt.Sprint("r", i), d, 1)
	}
	set, _, err := w.Gateway.CompileRules("", strings.Replace(noClick, "shadow", "enabled", 1))
	if err != nil {
		t.Fatal(err)
	}
	f := newBacktestFold(rules.NewBacktest(nil, set, false), "", now.Add(-24*time.Hour), now)
	f.waiting.most = 1500
	if err := f.read(t.Context(), w.store, func(float64) {}); err != nil {
		t.Fatal(err)
	}
	r := f.finish(0, set)
	if r.Decisions != 5000 || r.Total.Changed.Opened != 1500 || f.early != 3500 {
		t.Errorf("%d decisions, %d opened, %d early", r.Decisions, r.Total.Changed.Opened, f.early)
	}
	said(t, r.Sentences, "3500 decisions were judged before 7 days were over, as more than 1500 fall into that time")
}

// The queue of pending decisions holds what a map and a list would.
func TestPending(t *testing.T) {
	p := pending{most: 1 << 20}
	lot := rand.New(rand.NewPCG(1, 2))
	marks := map[uint64]uint8{}
	var order []uint64
	for i := range 200_000 {
		switch n := lot.IntN(10); {
		case n < 4:
			id := lot.Uint64()
			p.push(id, int64(i), fmt.Append(nil, id))
			order, marks[id] = append(order, id), 0
		case n < 7 && len(order) > 0:
			id := order[lot.IntN(len(order))]
			p.mark(id, 1<<lot.IntN(7))
			p.mark(lot.Uint64(), 1) // none of ours
		case len(order) > 0:
			d := p.pop()
			if d.id != order[0] || string(d.facts) != fmt.Sprint(order[0]) {
				t.Fatalf("popped %d with %s, want %d", d.id, d.facts, order[0])
			}
			order = order[1:]
		}
		if p.len() != len(order) || len(p.at) != len(order) {
			t.Fatalf("%d wait and %d are indexed, want %d", p.len(), len(p.at), len(order))
		}
	}
}

// synthetic is a journal of decisions, made as it is read.
type synthetic struct {
	*memory
	decisions int
	began     time.Time
	step      time.Duration
	ids       gateway.IDSource
}

// ReadEvents tells of each delivery that it was accepted, delivered and, often,
// opened or clicked.
func (s *synthetic) ReadEvents(_ context.Context, after gateway.Cursor, most int) ([]gateway.Event, gateway.Cursor, error) {
	var events []gateway.Event
	for ; len(events) < most && int(after.Offset) < s.decisions; after.Offset++ {
		i := int(after.Offset)
		at := s.began.Add(time.Duration(i) * s.step)
		d := &gateway.Delivery{ID: gateway.DeliveryID{Message: s.ids.Next(at)}, Rev: 1, Tenant: "acme", Class: gateway.Newsletter}
		d.Mailbox[8], d.Mailbox[9], d.Mailbox[10] = byte(i), byte(i>>8), byte(i>>16)
		x := rules.Decision{ID: d.ID.String(), Mailbox: hashOf(d.Mailbox), Arm: "model", Propensity: 1}
		if i%50 == 0 {
			x.Propensity, x.Arm = 0.02, "random"
		}
		x.Facts = rules.Facts{Tenant: "acme", Now: at, Message: rules.Message{Class: "newsletter", Campaign: fmt.Sprint("campaign-", i%40), List: "news.acme.example",
			Subject: "Twelve things to do this week", Size: 32_000, Value: 1}}
		b := &x.Facts.Mailbox
		b.Local, b.Domain, b.Provider = fmt.Sprint("reader", i), "example.com", "gmail"
		b.Sends, b.ClicksVisible, b.OpensVisible = rules.Counts{D1: uint32(i % 2), D7: uint32(i % 9), D30: 12, D90: 40}, time.Duration(i%400)*24*time.Hour, 200*24*time.Hour
		facts, _ := x.AppendBinary(nil)
		events = append(events, gateway.Event{Kind: gateway.EventAccepted, At: at, Delivery: d, Facts: facts}, gateway.Event{Kind: gateway.EventDelivered, At: at, Delivery: d})
		detail := `{"mailbox":"` + d.Mailbox.String() + `","tenant":"acme","human":1,"delivery":"` + d.ID.String() + `"}`
		for n, kind := range []gateway.EventKind{gateway.EventOpened, gateway.EventClicked} {
			if i%(3+7*n) == 0 {
				events = append(events, gateway.Event{Kind: kind, At: at, Detail: detail})
			}
		}
	}
	return events, after, nil
}

// A million decisions in half a minute is what is aimed at.
func BenchmarkBacktest(b *testing.B) {
	const decisions = 1_000_000
	text, err := rules.New("sunset", rules.Options{})
	if err != nil {
		b.Fatal(err)
	}
	list, err := rules.Parse("", []byte(text))
	if err != nil {
		b.Fatal(err)
	}
	set, err := rules.Compile(list)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		began := time.Now().Add(-14 * 24 * time.Hour)
		s := &synthetic{memory: newMemory(), decisions: decisions, began: began, step: 14 * 24 * time.Hour / decisions}
		f := newBacktestFold(rules.NewBacktest(nil, set, true), "", began.Add(-time.Hour), time.Now())
		if err := f.read(b.Context(), s, func(float64) {}); err != nil {
			b.Fatal(err)
		}
		if r := f.finish(0, set); r.Decisions != decisions || r.Total.Changed.Opened == 0 {
			b.Fatalf("%d decisions, %+v", r.Decisions, r.Total)
		}
	}
	b.ReportMetric(decisions*float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
}
