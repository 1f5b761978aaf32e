package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/admin"
	"tidepost/gateway/local"
	"tidepost/suppression/rules"
)

// pastDecision is the events of one delivery: accepted with its facts, delivered, and
// what its reader did.
func pastDecision(ids *gateway.IDSource, i int, at time.Time) []gateway.Event {
	d := &gateway.Delivery{ID: gateway.DeliveryID{Message: ids.Next(at)}, Rev: 1, Address: fmt.Sprintf("reader%d@example.com", i), Tenant: "acme",
		Campaign: fmt.Sprint("campaign-", i%40), List: "news.acme.example", Class: gateway.Newsletter, Accepted: at, Size: 32_000, Value: 1}
	d.Mailbox[8], d.Mailbox[9], d.Mailbox[10] = byte(i), byte(i>>8), byte(i>>16)
	x := rules.Decision{ID: d.ID.String(), Mailbox: uint64(i), Arm: "model", Propensity: 1}
	x.Facts = rules.Facts{Tenant: "acme", Now: at, Message: rules.Message{Class: "newsletter", Campaign: d.Campaign, List: d.List,
		Subject: "Twelve things to do this week", Size: 32_000, Value: 1}}
	b := &x.Facts.Mailbox
	b.Local, b.Domain, b.Provider = fmt.Sprint("reader", i), "example.com", "gmail"
	b.Sends, b.ClicksVisible = rules.Counts{D1: uint32(i % 2), D7: uint32(i % 9), D30: 12, D90: 40}, time.Duration(i%400)*24*time.Hour
	facts, _ := x.AppendBinary(nil) // its time is of our days
	settled := *d
	settled.Rev, settled.State, settled.Reply = 3, gateway.Delivered, "250 2.0.0 Ok: queued as 4Zx1"
	events := []gateway.Event{{Kind: gateway.EventAccepted, At: at, Delivery: d, Facts: facts}, {Kind: gateway.EventReleased, At: at, Delivery: d, Seq: 1},
		{Kind: gateway.EventDelivered, At: at, Delivery: &settled}}
	for n, kind := range []gateway.EventKind{gateway.EventOpened, gateway.EventClicked} {
		if i%(3+7*n) == 0 {
			events = append(events, gateway.Event{Kind: kind, At: at, Name: fmt.Sprint("signal", i, n),
				Detail: `{"mailbox":"` + d.Mailbox.String() + `","tenant":"acme","human":1,"source":"tracking","delivery":"` + d.ID.String() + `"}`})
		}
	}
	return events
}

// A back-test of a million decisions over the journal of one machine, asked for as
// the command line does; half a minute is what is aimed at.
func BenchmarkBacktestOfAStore(b *testing.B) {
	const decisions = 1_000_000
	store, err := local.Open(local.Options{Dir: b.TempDir(), Log: slog.New(slog.DiscardHandler), HistoryFor: 365 * 24 * time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	began, step := time.Now().Add(-14*24*time.Hour), 14*24*time.Hour/decisions
	var ids gateway.IDSource
	for i := 0; i < decisions; {
		var changes []*gateway.Change
		for ; len(changes) < 5000 && i < decisions; i++ {
			changes = append(changes, &gateway.Change{Relaxed: true, Events: pastDecision(&ids, i, began.Add(time.Duration(i)*step))})
		}
		changes[len(changes)-1].Relaxed = false
		if err := store.Commit(b.Context(), changes...); err != nil {
			b.Fatal(err)
		}
	}
	text, err := rules.New("sunset", rules.Options{})
	if err != nil {
		b.Fatal(err)
	}
	token := admin.NewToken()
	s := &admin.Server{Gateway: &gateway.Gateway{Store: store}, Store: store, Log: slog.New(slog.DiscardHandler),
		Tokens: []admin.Token{{Name: "bench", Hash: admin.HashToken(token), Role: admin.Admin}}}
	handler := s.Handler()
	body, _ := json.Marshal(map[string]any{"text": text, "shadows": true, "since": began.Add(-time.Hour)})
	runtime.GC()
	for b.Loop() {
		r := httptest.NewRequest("POST", "/api/v1/rules/backtest", strings.NewReader(string(body)))
		r.RemoteAddr = "127.0.0.1:5000"
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if !strings.Contains(w.Body.String(), fmt.Sprintf(`"decisions":%d`, decisions)) {
			b.Fatalf("%d %.500s", w.Code, w.Body)
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(decisions*float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
	b.ReportMetric(float64(m.HeapSys)/(1<<20), "MB-heap")
}
