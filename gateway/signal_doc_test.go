package gateway

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"tidepost/scheduler/evidence"
)

// What is wrong with a signal is named with the field and what to write instead.
func TestSignalDocRefuses(t *testing.T) {
	for _, tt := range []struct{ doc, field string }{
		{`{"kind":"slept","mailbox":"ann@dest.test","tenant":"acme"}`, "kind"},
		{`{"mailbox":"ann@dest.test","tenant":"acme"}`, "kind"},
		{`{"kind":"opened","mailbox":"ann","tenant":"acme","data":null}`, "mailbox"},
		{`{"kind":"opened","mailbox":"ann@dest.test"}`, "tenant"},
		{`{"kind":"opened","mailbox":"ann@dest.test","tenant":"a\nb"}`, "tenant"},
		{`{"kind":"opened","mailbox":"ann@dest.test","tenant":"acme","human":1.5}`, "human"},
		{`{"kind":"opened","mailbox":"ann@dest.test","tenant":"acme","message":"<x@y>"}`, "message"},
		{`{"kind":"opened","mailbox":"ann@dest.test","tenant":"acme","data":[1]}`, "data"},
		{`{"kind":"clicked","mailbox":"ann@dest.test","tenant":"acme","data":{"ip":"here"}}`, "data.ip"},
		{`{"kind":"attributes","mailbox":"ann@dest.test","tenant":"acme","timezone":"Mars"}`, "timezone"},
		{`{"kind":"consent","mailbox":"ann@dest.test","tenant":"acme"}`, "data"},
		{`{"kind":"consent","mailbox":"ann@dest.test","tenant":"acme","data":{"evidence":"some"}}`, "data.evidence"},
		{`{"kind":"consent","mailbox":"ann@dest.test","tenant":"acme","data":{"per_week":99}}`, "data.per_week"},
		{`{"kind":"opened","mailbox":"ann@dest.test","tenant":"acme","id":"` + strings.Repeat("x", 300) + `"}`, "id"},
	} {
		var d SignalDoc
		if err := json.Unmarshal([]byte(tt.doc), &d); err != nil {
			t.Fatal(err)
		}
		_, err := d.Signal()
		var bad *SignalError
		if !errors.As(err, &bad) || bad.Field != tt.field || bad.Remedy == "" {
			t.Errorf("%s: %v, want one about %s", tt.doc, err, tt.field)
		}
	}
}

// Each kind says its own part.
func TestSignalDocReads(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	read := func(doc string) Signal {
		t.Helper()
		var d SignalDoc
		if err := json.Unmarshal([]byte(doc), &d); err != nil {
			t.Fatal(err)
		}
		s, err := d.Signal()
		if err != nil {
			t.Fatalf("%s: %v", doc, err)
		}
		return s
	}
	const who = `"mailbox":"Ann+x@Dest.test","tenant":"acme","at":"2026-11-22T12:00:00Z"`
	if s := read(`{"kind":"unsubscribed",` + who + `,"data":{"list":"news.acme.test"}}`); s.List != "news.acme.test" || !s.At.Equal(at) || s.Human != 1 {
		t.Errorf("an opt-out: %+v", s)
	}
	if s := read(`{"kind":"bounced",` + who + `}`); s.Soft {
		t.Errorf("a bounce is for good unless it says otherwise: %+v", s)
	}
	if s := read(`{"kind":"bounced",` + who + `,"data":{"hard":false}}`); !s.Soft {
		t.Errorf("a soft bounce: %+v", s)
	}
	if s := read(`{"kind":"consent",` + who + `,"data":{"evidence":"none","until":"2026-12-01T00:00:00Z"}}`); s.Wish == nil || s.Wish.Evidence != "none" || s.Wish.Until.Month() != 12 {
		t.Errorf("a wish: %+v", s.Wish)
	}
	if s := read(`{"kind":"attributes",` + who + `,"data":{"timezone":"Asia/Tokyo"}}`); s.Zone != "Asia/Tokyo" {
		t.Errorf("attributes: %+v", s)
	}
	s := read(`{"kind":"clicked",` + who + `,"data":{"link":"https://a.test/","user_agent":"curl/8","ip":"192.0.2.1"}}`)
	if s.Seen == nil || s.Seen.Action != evidence.Click || !s.Seen.Known || s.Link != "https://a.test/" {
		t.Errorf("a click to be judged: %+v", s)
	}
	if s := read(`{"kind":"clicked",` + who + `,"human":0.5,"data":{"user_agent":"curl/8"}}`); s.Seen != nil || s.Human != 0.5 {
		t.Errorf("a click that its bringer judged: %+v", s)
	}
}
