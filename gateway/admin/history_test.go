package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
)

// withHistory gives the world an import that says what it was asked.
func withHistory(asked *HistoryAsk, answer func(in string) (any, error)) func(w *world) {
	return func(w *world) {
		w.Tenants = func() []string { return []string{"acme", "beta"} }
		w.History = func(_ context.Context, in io.Reader, ask HistoryAsk, tell func(any)) (any, error) {
			*asked = ask
			text, err := io.ReadAll(in)
			if err != nil {
				return nil, err
			}
			tell(map[string]int{"lines": 1})
			return answer(string(text))
		}
	}
}

func TestImportHistory(t *testing.T) {
	var asked HistoryAsk
	w := newWorld(t, withHistory(&asked, func(in string) (any, error) {
		switch in {
		case "bad":
			return map[string]int{"bad": 1}, &Problem{Status: 400, Detail: "nothing was changed: line 2", Remedy: "correct it"}
		case "broken":
			return nil, errors.New("the disk is gone")
		}
		return map[string]int{"rows": len(in)}, nil
	}))
	const path = "/api/v1/signals/import?format=csv&tenant=acme"
	rec := w.serve(w.request(Operator, "POST", path+"&dry_run=true&bad=skip&class=promotional&list=news", "four"))
	want := HistoryAsk{Format: "csv", Tenant: "acme", Class: gateway.Promotional, List: "news", DryRun: true, SkipBad: true, By: "the-operator"}
	if rec.Code != 200 || strings.TrimSpace(rec.Body.String()) != `{"rows":4}` || asked != want {
		t.Errorf("%d %s, asked %+v", rec.Code, rec.Body, asked)
	}
	w.ask(Operator, "POST", path, "bad", 400)
	w.ask(Operator, "POST", path, "broken", 500)
	r := w.request(Operator, "POST", path, "bad")
	r.Header.Set("Accept", "application/x-ndjson")
	var last struct {
		Problem, Remedy string
		Report          map[string]int
	}
	if rec := w.serve(r); json.Unmarshal(rec.Body.Bytes(), &last) != nil || !strings.Contains(last.Problem, "line 2") || last.Report["bad"] != 1 {
		t.Errorf("in lines: %s", rec.Body)
	}
	for _, row := range []struct {
		role   Role
		target string
		want   int
	}{
		{Viewer, path, 403},
		{Operator, "/api/v1/signals/import?tenant=acme", 400},
		{Operator, "/api/v1/signals/import?format=csv", 400}, // there are two tenants
		{Operator, "/api/v1/signals/import?format=csv&tenant=nobody", 400},
		{Operator, path + "&class=x", 400},
		{Operator, path + "&bad=x", 400},
		{Operator, path + "&dry_run=x", 400},
		{Operator, path + "&list=" + strings.Repeat("x", 300), 400},
		{Operator, path + "&scope=x", 400},
	} {
		w.ask(row.role, "POST", row.target, "x", row.want)
	}
	w.histories.busy.Lock()
	w.ask(Operator, "POST", path, "x", 409)
	w.histories.busy.Unlock()
	w.History = nil
	w.ask(Operator, "POST", path, "x", 501)
}

// What was brought in is in the report, before there is mail of ours.
func TestReportOfHistory(t *testing.T) {
	var store *listMemory
	w := newWorld(t, func(w *world) { store = newListMemory(w.store); w.Store = store })
	when := time.Date(2026, 6, 1, 8, 0, 0, 0, time.UTC)
	past := gateway.PastReport{Tenant: "acme", Format: "mailgun", At: when, First: when, Last: when, Rows: 9}
	past.Looked, past.Readers, past.Own, past.Moved, past.Read, past.Closer, past.Cap, past.Late = 200, 10, 4, 100, 50, 30, 7, 1
	past.Hours[3], past.Hours[9] = 60, 40
	for name, value := range map[string]gateway.PastReport{"acme/mailgun": past, "beta/csv": {Tenant: "beta", Format: "csv", At: when.Add(time.Hour)}} {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.store.Commit(t.Context(), &gateway.Change{Settings: []gateway.Setting{{Name: gateway.SettingPast + name, Value: text}}}); err != nil {
			t.Fatal(err)
		}
	}
	var r reportDoc
	w.document(Viewer, "/api/v1/report?tenant=acme", &r)
	if len(r.History) != 1 || r.History[0].MedianHours != 3 || r.History[0].MostHours != 9 {
		t.Fatalf("%+v", r.History)
	}
	said(t, r.History[0].Sentences, "From mailgun of acme", "Each of its 200 bulk mails", "would have moved 100 of them (50 %) to a later hour, half of these by at most 3 hours and nine of ten by at most 9",
		"50 of the moved were followed by a read", "for 60 %", "the weekly cap 7", "40 % of 10 readers", "1 row was older", "no forecast")
	w.document(Viewer, "/api/v1/report", &r)
	if len(r.History) != 2 || r.History[0].Tenant != "beta" {
		t.Fatalf("%+v", r.History)
	}
	said(t, r.History[0].Sentences, "It has no bulk mail")
}
