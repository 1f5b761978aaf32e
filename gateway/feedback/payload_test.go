package feedback

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
)

func TestSignals(t *testing.T) {
	at := time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		story, body string
		want        []gateway.SignalDoc
		problem     string
	}{
		{"one signal", `{"kind":"opened","mailbox":"a@b.example","id":"7"}`, []gateway.SignalDoc{{Kind: "opened", Mailbox: "a@b.example", ID: "7"}}, ""},
		{"an envelope", `{"type":"signal.clicked","timestamp":"2026-11-22T11:00:00Z","data":{"mailbox":"a@b.example"}}`,
			[]gateway.SignalDoc{{Kind: "clicked", Mailbox: "a@b.example", At: at}}, ""},
		{"an envelope around one that says its time", `{"type":"signal.clicked","timestamp":"2026-11-22T12:00:00Z","data":{"kind":"clicked","at":"2026-11-22T11:00:00Z","mailbox":"a@b.example"}}`,
			[]gateway.SignalDoc{{Kind: "clicked", Mailbox: "a@b.example", At: at}}, ""},
		{"several", ` {"signals":[{"kind":"opened","mailbox":"a"},{"kind":"bounced","mailbox":"b"}]} `,
			[]gateway.SignalDoc{{Kind: "opened", Mailbox: "a"}, {Kind: "bounced", Mailbox: "b"}}, ""},
		{"unknown fields are let be", `{"kind":"opened","mailbox":"a","more":[[1]]}`, []gateway.SignalDoc{{Kind: "opened", Mailbox: "a"}}, ""},
		{"none", `{"signals":[]}`, nil, "at least one"},
		{"not a list", `{"signals":{}}`, nil, "cannot be read"},
		{"a list of numbers", `{"signals":[1]}`, nil, "signals[0] is no object"},
		{"a bare list", `[{"kind":"opened","mailbox":"a"}]`, nil, "cannot be read"},
		{"both forms", `{"signals":[],"type":"signal.opened"}`, nil, "both"},
		{"another type", `{"type":"contact.created","data":{}}`, nil, "type is none of ours"},
		{"no data", `{"type":"signal.opened"}`, nil, "data is missing"},
		{"two kinds", `{"type":"signal.opened","data":{"kind":"bounced"}}`, nil, "another kind"},
		{"a time that is none", `{"kind":"opened","at":"noon"}`, nil, "cannot be read"},
		{"in the middle", `{"signals":[{"kind":"opened","mailbox":"a"},{"kind":[]}]}`, nil, "signals[1] cannot be read"},
		{"one that is too long", `{"signals":[{"kind":"` + strings.Repeat("x", gateway.MaxSignal) + `"}]}`, nil, "signals[0] has"},
		{"null", `null`, nil, "no object"},
		{"nothing", ``, nil, "cut off"},
	} {
		got, err := Signals([]byte(tt.body))
		if text, want := dump(t, got), dump(t, tt.want); err == nil && text != want {
			t.Errorf("%s: %s, want %s", tt.story, text, want)
		}
		var p *PayloadError
		if (err == nil) != (tt.problem == "") || err != nil && (!errors.As(err, &p) || !strings.Contains(err.Error(), tt.problem)) {
			t.Errorf("%s: error %v, want one with %q", tt.story, err, tt.problem)
		}
	}
}

func dump(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestCheck(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	long := func(n int) string { return "[" + strings.Repeat("1,", n-1) + "1]" }
	for _, tt := range []struct {
		body    string
		good    bool
		tooMany bool
	}{
		{deep(32), true, false}, {deep(33), false, false}, {long(1000), true, false}, {long(1001), false, true},
		{`{"a":` + long(1001) + `}`, false, true}, {`{"a":1,"b":{"a":1}}`, true, false}, {`{"a":1,"A":1}`, false, false},
		{`{} {}`, false, false}, {`{`, false, false}, {`{"a"}`, false, false}, {"", false, false}, {"\x00", false, false},
	} {
		err := check([]byte(tt.body))
		var p *PayloadError
		if (err == nil) != tt.good || errors.As(err, &p) && p.TooMany != tt.tooMany {
			t.Errorf("%.30q: %v", tt.body, err)
		}
	}
}

func FuzzSignals(f *testing.F) {
	f.Add(`{"signals":[{"kind":"opened","mailbox":"a@b.example"}]}`)
	f.Add(`{"type":"signal.clicked","timestamp":"2026-11-22T11:00:00Z","data":{"mailbox":"a"}}`)
	f.Add(`{"kind":"consent","mailbox":"a","data":{"resume":true}}`)
	f.Fuzz(func(t *testing.T, body string) {
		docs, err := Signals([]byte(body))
		var p *PayloadError
		if err != nil && !errors.As(err, &p) || err == nil && (len(docs) == 0 || len(docs) > MaxSignals || !json.Valid([]byte(body))) {
			t.Errorf("%d documents, %v", len(docs), err)
		}
	})
}
