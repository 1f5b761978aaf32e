package bus

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"tidepost/gateway"
)

// schema is as much of JSON Schema as schema/event.json uses.
type schema struct {
	Type       string             `json:"type"`
	Required   []string           `json:"required"`
	Properties map[string]*schema `json:"properties"`
	Enum       []string           `json:"enum"`
	Pattern    string             `json:"pattern"`
	Format     string             `json:"format"`
	MinLength  int                `json:"minLength"`
	Minimum    float64            `json:"minimum"`
}

func readSchema(t *testing.T) *schema {
	t.Helper()
	var s schema
	if err := json.Unmarshal([]byte(EventSchema), &s); err != nil {
		t.Fatalf("schema/event.json: %v", err)
	}
	return &s
}

func (s *schema) check(at string, v any) error {
	switch v := v.(type) {
	case string:
		return s.checkString(at, v)
	case bool:
		return s.is(at, "boolean")
	case float64:
		if v < s.Minimum || v != float64(int64(v)) {
			return fmt.Errorf("%s: %v is no integer from %v on", at, v, s.Minimum)
		}
		return s.is(at, "integer")
	case map[string]any:
		return s.checkObject(at, v)
	}
	return fmt.Errorf("%s: a %T", at, v)
}

func (s *schema) is(at, kind string) error {
	if s.Type != kind {
		return fmt.Errorf("%s: %s, want %s", at, kind, s.Type)
	}
	return nil
}

func (s *schema) checkString(at, v string) error {
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
		return fmt.Errorf("%s: %q is none of %v", at, v, s.Enum)
	}
	if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) {
		return fmt.Errorf("%s: %q does not match %s", at, v, s.Pattern)
	}
	if len(v) < s.MinLength {
		return fmt.Errorf("%s: %q is too short", at, v)
	}
	if s.Format == "date-time" {
		if u, err := time.Parse("2006-01-02T15:04:05.000Z", v); err != nil {
			return fmt.Errorf("%s: %v, %w", at, u, err)
		}
	}
	return s.is(at, "string")
}

func (s *schema) checkObject(at string, v map[string]any) error {
	for _, r := range s.Required {
		if _, ok := v[r]; !ok {
			return fmt.Errorf("%s: no %s", at, r)
		}
	}
	for name, field := range v {
		p := s.Properties[name]
		if p == nil && s.Properties == nil {
			continue
		}
		if p == nil {
			return fmt.Errorf("%s: the schema knows no %s", at, name)
		}
		if err := p.check(at+"."+name, field); err != nil {
			return err
		}
	}
	return s.is(at, "object")
}

func full() gateway.Event {
	d := delivery(7, 3)
	d.Deadline = t0.Add(48 * time.Hour)
	return gateway.Event{Kind: gateway.EventDeferred, At: t0, Delivery: d, Seq: 1, Reason: "retry", Detail: "the next hop is closed", Actor: "ops"}
}

func TestEventsObeyTheSchema(t *testing.T) {
	s := readSchema(t)
	bare := gateway.Event{Kind: gateway.EventSetting, At: t0, Name: "01JDKQ0000000000000000000A", Reason: "paused", Detail: "pause/acme", Actor: "ops"}
	entry := gateway.Event{Kind: gateway.EventEntry, At: t0, Name: "01JDKQ0000000000000000000B", Reason: "added", Detail: `{"Address":"a@example.com"}`}
	damaged := full()
	damaged.Delivery.Address, damaged.Detail = "caf\xe9@example.com", "x\x00\xff\u2028"
	long := full()
	long.Detail = strings.Repeat("x", gateway.MaxEventDetail+1)
	for _, e := range append(history(8, 1), full(), bare, entry, damaged, long) {
		m, err := encode(&e)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(m.Data, &v); err != nil {
			t.Fatalf("%s: %v", m.Data, err)
		}
		if err := s.check("event", v); err != nil {
			t.Errorf("%s: %v", m.Data, err)
		}
	}
}

func TestEventAsPublished(t *testing.T) {
	e := full()
	m, err := encode(&e)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"1G60R30C1G60R30C1G60R30C1Q.1.3-1","kind":"deferred","at":"2026-11-20T08:30:00.123Z","delivery":"1G60R30C1G60R30C1G60R30C1Q.1",` +
		`"message":"1G60R30C1G60R30C1G60R30C1Q","mailbox":"01020700000000000000000000000000","address":"reader7@example.com","tenant":"acme",` +
		`"campaign":"c-2026-11","list":"news.example.com","class":"newsletter","state":"waiting","reason":"retry","detail":"the next hop is closed",` +
		`"reply":"451 4.7.1 <reader@example.com>: greylisted, try again later","attempts":3,"accepted":"2026-11-20T08:30:00.123Z",` +
		`"due":"2026-11-20T09:30:00.123Z","deadline":"2026-11-22T08:30:00.123Z","actor":"ops"}`
	if string(m.Data) != want {
		t.Errorf("got  %s\nwant %s", m.Data, want)
	}
	if m.Subject != "tidepost.event.deferred" || m.Header.Get(nats.MsgIdHdr) != e.ID() {
		t.Errorf("published on %s with %v", m.Subject, m.Header)
	}
}

// The schema, the struct and the gateway name the same things.
func TestSchemaIsComplete(t *testing.T) {
	s := readSchema(t)
	fields := reflect.TypeFor[gateway.EventDoc]()
	for i := range fields.NumField() {
		name, _, _ := strings.Cut(fields.Field(i).Tag.Get("json"), ",")
		if s.Properties[name] == nil {
			t.Errorf("the schema has no %s", name)
		}
	}
	if len(s.Properties) != fields.NumField() {
		t.Errorf("the schema has %d fields, an event %d", len(s.Properties), fields.NumField())
	}
	kinds := kindsOf(t, "../event.go")
	for _, k := range kinds {
		if !known[gateway.EventKind(k)] || !slices.Contains(s.Properties["kind"].Enum, k) {
			t.Errorf("gateway has the kind %q; known and the schema should, too", k)
		}
	}
	if len(known) != len(kinds) || len(s.Properties["kind"].Enum) != len(kinds) {
		t.Errorf("gateway has %d kinds, the relay %d, the schema %d", len(kinds), len(known), len(s.Properties["kind"].Enum))
	}
}

// kindsOf reads the values of the constants of type EventKind.
func kindsOf(t *testing.T, file string) (kinds []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := v.Type.(*ast.Ident); ok && typ.Name == "EventKind" {
			kind, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			kinds = append(kinds, kind)
		}
		return true
	})
	return kinds
}
