package bus

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tidepost/gateway"
)

// signalSchema is as much of JSON Schema as schema/signal.json uses.
type signalSchema struct {
	Type        string                   `json:"type"`
	Description string                   `json:"description"`
	Properties  map[string]*signalSchema `json:"properties"`
	Enum        []string                 `json:"enum"`
	MaxLength   int                      `json:"maxLength"`
	Const       string                   `json:"const"`
	Ref         string                   `json:"$ref"`
	If, Then    *signalSchema
	AllOf       []*signalSchema          `json:"allOf"`
	Defs        map[string]*signalSchema `json:"$defs"`
}

func readSignalSchema(t *testing.T) *signalSchema {
	t.Helper()
	var s signalSchema
	if err := json.Unmarshal([]byte(SignalSchema), &s); err != nil {
		t.Fatalf("schema/signal.json: %v", err)
	}
	return &s
}

// The schema, the document and the kinds name the same things.
func TestSignalSchemaIsComplete(t *testing.T) {
	s := readSignalSchema(t)
	fields := reflect.TypeFor[gateway.SignalDoc]()
	for i := range fields.NumField() {
		name, _, _ := strings.Cut(fields.Field(i).Tag.Get("json"), ",")
		if p := s.Properties[name]; p == nil || p.Description == "" || p.Type == "" {
			t.Errorf("the schema does not describe %s", name)
		}
	}
	if len(s.Properties) != fields.NumField() {
		t.Errorf("the schema has %d fields, a signal %d", len(s.Properties), fields.NumField())
	}
	var kinds []string
	for _, k := range gateway.SignalKinds() {
		kinds = append(kinds, string(k))
	}
	is := slices.Clone(s.Properties["kind"].Enum)
	slices.Sort(is)
	slices.Sort(kinds)
	if !slices.Equal(is, kinds) {
		t.Errorf("the schema has the kinds %v, the gateway %v", is, kinds)
	}
	if len(s.AllOf) != len(s.Defs) {
		t.Errorf("%d kinds have data, %d are chosen", len(s.Defs), len(s.AllOf))
	}
	for _, c := range s.AllOf {
		kind, ref := c.If.Properties["kind"].Const, c.Then.Properties["data"].Ref
		if s.Defs[kind] == nil || ref != "#/$defs/"+kind {
			t.Errorf("the data of %q is %q", kind, ref)
		}
	}
}

// What the schema says that a kind's data may hold, the gateway reads: a value of
// another type is refused, one of the right type is not.
func TestSignalSchemaOfData(t *testing.T) {
	s := readSignalSchema(t)
	fit := map[string]string{"link": `"x"`, "user_agent": `"Mozilla/5.0"`, "ip": `"192.0.2.1"`, "method": `"GET"`, "list": `"news.example.com"`, "hard": `false`,
		"timezone": `"Europe/Berlin"`, "evidence": `"click"`, "until": `"2026-12-24T00:00:00Z"`, "per_week": `3`, "resume": `true`,
		"status": `"5.1.1"`, "code": `"550"`, "group": `"no_such_user"`, "text": `"no such user"`, "feedback": `"abuse"`, "match": `"token"`, "why": `"often"`}
	given := map[string]string{"consent.list": `"why":"often",`} // without why it says nothing
	seen := map[string]bool{}
	for kind, def := range s.Defs {
		for name, p := range def.Properties {
			if p.Description == "" {
				t.Errorf("%s.%s is not described", kind, name)
			}
			if seen[name] = true; fit[name] == "" {
				t.Errorf("%s.%s: no value to try", kind, name)
			}
			doc := func(value string) []byte {
				return []byte(`{"mailbox":"a@example.com","tenant":"acme","data":{"timezone":"UTC",` + given[kind+"."+name] + `"` + name + `":` + value + `}}`)
			}
			if _, wrong := parse(SignalSubject+kind, doc(fit[name]), nil); wrong != nil {
				t.Errorf("%s.%s %s is refused: %v", kind, name, fit[name], wrong)
			}
			if _, wrong := parse(SignalSubject+kind, doc(`[1]`), nil); wrong == nil || wrong.Field != "data" {
				t.Errorf("%s.%s may be an array: the gateway does not know it", kind, name)
			}
			if p.MaxLength > 0 {
				if _, wrong := parse(SignalSubject+kind, doc(`"`+strings.Repeat("x", p.MaxLength+1)+`"`), nil); wrong == nil {
					t.Errorf("%s.%s may be longer than the schema says", kind, name)
				}
			}
		}
	}
	if len(seen) != len(fit) {
		t.Errorf("the schema's data has %d fields, the test %d", len(seen), len(fit))
	}
	for name, most := range map[string]int{"id": s.Properties["id"].MaxLength, "tenant": s.Properties["tenant"].MaxLength, "source": s.Properties["source"].MaxLength} {
		for extra := range 2 {
			doc := map[string]string{"mailbox": "a@example.com", "tenant": "acme"}
			doc[name] = strings.Repeat("x", most+extra)
			text, _ := json.Marshal(doc)
			if _, wrong := parse(SignalSubject+"active", text, nil); (wrong != nil) != (extra > 0) {
				t.Errorf("%s with %d characters: %v", name, most+extra, wrong)
			}
		}
	}
}

// A tenant's own account speaks for its own readers; the gateway's for everybody's.
func TestWhoSpeaks(t *testing.T) {
	doc := []byte(`{"mailbox":"a@example.com","tenant":"acme"}`)
	for subject, own := range map[string]bool{SignalSubject + "bounced": false, fromTenant + "acme" + signalOf + "bounced": true} {
		s, wrong := parse(subject, doc, nil)
		if wrong != nil || s.Own != own {
			t.Errorf("%s: own %t, %v; want %t", subject, s.Own, wrong, own)
		}
	}
}
