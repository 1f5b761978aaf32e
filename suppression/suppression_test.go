package suppression

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func entry(reason Reason, scope string) Entry {
	s, err := ParseScope(scope)
	if err != nil {
		panic(err)
	}
	return Entry{Address: "ann@example.com", Scope: s, Reason: reason, Source: "test", Created: noon}
}

func TestMatch(t *testing.T) {
	news := Query{Now: noon.Add(time.Hour), Tenant: "acme", Audience: "shop", List: "news.acme.example", Category: "sale", Class: "newsletter"}
	code := Query{Now: news.Now, Tenant: "acme", Audience: "shop", Class: "transactional", Transactional: true}
	expired := entry(Unsubscribe, "tenant:acme")
	expired.Expires = noon.Add(time.Minute)
	lasting := entry(Unsubscribe, "tenant:acme")
	lasting.Expires = noon.Add(24 * time.Hour)
	removed := entry(Unsubscribe, "tenant:acme")
	removed.Removed = noon.Add(time.Minute)
	future := entry(Unsubscribe, "tenant:acme")
	future.Created = noon.Add(48 * time.Hour)

	tests := []struct {
		story   string
		entries []Entry
		q       Query
		want    string // reason and scope of the entry, empty: the mail may go
	}{
		{"nobody objects", nil, news, ""},
		{"the mailbox is gone", []Entry{entry(HardBounce, "global")}, news, "hard_bounce global"},
		{"the mailbox is gone, for codes too", []Entry{entry(HardBounce, "global")}, code, "hard_bounce global"},
		{"the address cannot exist", []Entry{entry(Invalid, "global")}, code, "invalid global"},
		{"opted out of this tenant", []Entry{entry(Unsubscribe, "tenant:acme")}, news, "unsubscribe tenant:acme"},
		{"opted out of another tenant", []Entry{entry(Unsubscribe, "tenant:bolt")}, news, ""},
		{"opted out of the audience", []Entry{entry(Unsubscribe, "audience:shop")}, news, "unsubscribe audience:shop"},
		{"opted out of this list, whatever its case", []Entry{entry(Unsubscribe, "list:News.Acme.example")}, news, "unsubscribe list:News.Acme.example"},
		{"opted out of another list", []Entry{entry(Unsubscribe, "list:jobs.acme.example")}, news, ""},
		{"opted out of this topic", []Entry{entry(Unsubscribe, "category:sale")}, news, "unsubscribe category:sale"},
		{"opted out of this class", []Entry{entry(Unsubscribe, "class:newsletter")}, news, "unsubscribe class:newsletter"},
		{"an opt-out does not stop a code", []Entry{entry(Unsubscribe, "tenant:acme")}, code, ""},
		{"nor does a fatigue rule", []Entry{entry(Rule, "tenant:acme")}, code, ""},
		{"nor a role account", []Entry{entry(Role, "global")}, code, ""},
		{"nor a complaint about other mail", []Entry{entry(Complaint, "tenant:acme"), entry(Complaint, "class:newsletter")}, code, ""},
		{"a complaint about codes does", []Entry{entry(Complaint, "class:transactional")}, code, "complaint class:transactional"},
		{"an operator's word does", []Entry{entry(Manual, "tenant:acme")}, code, "manual tenant:acme"},
		{"the opt-out has run out", []Entry{expired}, news, ""},
		{"the opt-out still runs", []Entry{lasting}, news, "unsubscribe tenant:acme"},
		{"the opt-out was taken back", []Entry{removed}, news, ""},
		{"the clock went back before the opt-out", []Entry{future}, news, "unsubscribe tenant:acme"},
		{"a mail without a list is under no list's entry", []Entry{entry(Unsubscribe, "list:news.acme.example")}, Query{Now: noon, Tenant: "acme"}, ""},
		{"the hard reason is reported", []Entry{entry(Unsubscribe, "tenant:acme"), entry(Complaint, "tenant:acme"), entry(HardBounce, "tenant:acme")}, news, "hard_bounce tenant:acme"},
		{"of one reason the widest scope", []Entry{entry(Manual, "list:news.acme.example"), entry(Manual, "global"), entry(Manual, "tenant:acme")}, news, "manual global"},
		{"a reason from a later version stops bulk", []Entry{entry("moved", "tenant:acme")}, news, "moved tenant:acme"},
		{"but no code", []Entry{entry("moved", "tenant:acme")}, code, ""},
		{"a scope from a later version covers nothing", []Entry{{Scope: Scope{Kind: 99}, Reason: HardBounce}}, news, ""},
	}
	for _, tt := range tests {
		got := ""
		if e, ok := Match(tt.entries, tt.q); ok {
			got = string(e.Reason) + " " + e.Scope.String()
		}
		if got != tt.want {
			t.Errorf("%s: stopped by %q, want %q", tt.story, got, tt.want)
		}
	}
}

func TestScope(t *testing.T) {
	for _, s := range []string{"global", "audience:a", "tenant:acme", "list:news.example.com", "category:a:b", "class:newsletter", "tenant:büro"} {
		scope, err := ParseScope(s)
		if err != nil || scope.String() != s {
			t.Errorf("ParseScope(%q) = %q, %v", s, scope, err)
		}
	}
	for _, s := range []string{"", "Global", "global:", "global:x", "tenant", "tenant:", "planet:x", "tenant:a b", "tenant:a\n", "tenant:\xff", "tenant:a\u202e", "list:" + strings.Repeat("x", 256)} {
		if scope, err := ParseScope(s); err == nil {
			t.Errorf("ParseScope(%q) = %q, want an error", s, scope)
		}
	}
	if got := ScopeKind(99).String(); got != "unknown" {
		t.Errorf("an unknown kind is %q", got)
	}
}

func TestValidate(t *testing.T) {
	tests := []struct {
		change func(*Entry)
		want   string // in the error; empty: valid
	}{
		{func(e *Entry) {}, ""},
		{func(e *Entry) { e.Scope, e.Reason = Scope{}, HardBounce }, ""},
		{func(e *Entry) { e.Scope, e.Reason = Scope{}, Manual }, ""},
		{func(e *Entry) { e.Address = "postmaster" }, ""},
		{func(e *Entry) { e.Note = "two\nlines" }, ""},
		{func(e *Entry) { e.Address = "" }, "address"},
		{func(e *Entry) { e.Address = "Ann+x@example.com" }, `use "ann@example.com"`},
		{func(e *Entry) { e.Scope.Name = "" }, "write tenant:NAME"},
		{func(e *Entry) { e.Scope.Kind = 99 }, "scope kind"},
		{func(e *Entry) { e.Scope.Kind = Global }, "remove it"},
		{func(e *Entry) { e.Scope = Scope{} }, "scope global does not go with reason unsubscribe"},
		{func(e *Entry) { e.Reason = "because" }, "reason"},
		{func(e *Entry) { e.Created = time.Time{} }, "created"},
		{func(e *Entry) { e.Expires = e.Created }, "expires"},
		{func(e *Entry) { e.Removed = e.Created.Add(-1) }, "removed"},
		{func(e *Entry) { e.Source = strings.Repeat("x", 101) }, "source"},
		{func(e *Entry) { e.Evidence = "a\x00" }, "evidence"},
		{func(e *Entry) { e.Note = strings.Repeat("x", 1001) }, "note"},
	}
	for i, tt := range tests {
		e := entry(Unsubscribe, "tenant:acme")
		tt.change(&e)
		err := e.Validate()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("row %d: error %v, want one with %q", i, err, tt.want)
		}
	}
}

func TestReasonValid(t *testing.T) {
	for _, r := range reasons {
		if !r.Valid() {
			t.Errorf("%s is not valid", r)
		}
	}
	if Reason("").Valid() {
		t.Error("the empty reason is valid")
	}
}

func full() Entry {
	e := entry(Complaint, "list:news.example.com")
	e.Evidence, e.Note = "550 5.1.1 gone", "called twice"
	e.Expires, e.Removed = noon.Add(time.Hour), time.UnixMilli(0).UTC()
	return e
}

func TestCodec(t *testing.T) {
	old := full()
	old.Created = time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC)
	for _, want := range []Entry{{}, entry(Manual, "global"), full(), old} {
		got, rest, err := DecodeEntry(append(AppendEntry(nil, &want), "rest"...))
		if err != nil || string(rest) != "rest" || !reflect.DeepEqual(got, want) {
			t.Errorf("decoded %+v, %q, %v, want %+v", got, rest, err, want)
		}
	}
}

func TestDecodeSkipsLaterFields(t *testing.T) {
	want := full()
	b := AppendEntry(nil, &want)
	b = append(b, "new field"...)
	b[1] += 9 // two bytes of length would start at 128
	if len(b) > 120 {
		t.Fatalf("%d bytes need a longer length", len(b))
	}
	got, rest, err := DecodeEntry(b)
	if err != nil || len(rest) != 0 || got != want {
		t.Errorf("decoded %+v, %q, %v", got, rest, err)
	}
}

func TestDecodeRefusesEveryTruncation(t *testing.T) {
	e := full()
	b := AppendEntry(nil, &e)
	for n := range b {
		if got, _, err := DecodeEntry(b[:n]); err == nil {
			t.Errorf("%d of %d bytes decode to %+v", n, len(b), got)
		}
	}
	b[0] = 9
	if _, _, err := DecodeEntry(b); err == nil {
		t.Error("an unknown version decodes")
	}
}

func FuzzDecodeEntry(f *testing.F) {
	e, zero := full(), Entry{}
	f.Add(AppendEntry(nil, &e))
	f.Add(AppendEntry(nil, &zero))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, rest, err := DecodeEntry(b)
		if err != nil {
			return
		}
		if !bytes.HasSuffix(b, rest) {
			t.Errorf("the rest is no end of the input")
		}
		if again, _, err := DecodeEntry(AppendEntry(nil, &e)); err != nil || again != e {
			t.Errorf("%+v became %+v, %v", e, again, err)
		}
	})
}

func FuzzParseScope(f *testing.F) {
	f.Add("global")
	f.Add("list:news.example.com")
	f.Fuzz(func(t *testing.T, s string) {
		scope, err := ParseScope(s)
		if err == nil && scope.String() != s {
			t.Errorf("%q became %q", s, scope)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	b.ReportAllocs()
	entries := []Entry{entry(Unsubscribe, "list:a"), entry(Complaint, "tenant:acme"), entry(HardBounce, "global")}
	q := Query{Now: noon, Tenant: "acme", List: "a"}
	for b.Loop() {
		Match(entries, q)
	}
}
