package templates

import (
	"slices"
	"strings"
	"testing"
)

func TestNegotiate(t *testing.T) {
	for _, tt := range []struct{ accept, want string }{
		{"", "en"},
		{"de", "de"},
		{"DE-at", "de"},
		{"fr", "en"},
		{"fr, de", "de"},
		{"en, de", "en"}, // the first of equals
		{"en;q=0.8, de", "de"},
		{"en;q=0.8,de;q=0.81", "de"},
		{"en;q=0.8,de;q=0.805", "de"},
		{"de;q=0", "en"},
		{"en;q=0, de;q=0.001", "de"},
		{"*", "en"},
		{"*;q=0.5, de;q=0.6", "de"},
		{"de;q=0.4, *;q=0.5", "en"},
		{" de ; q=0.9 , en ; q=0.8", "de"},
		{"de;Q=0.9", "de"},
		{"de;q=2", "en"},
		{"de;q=-1", "en"},
		{"de;q=NaN", "en"},
		{"de;q=1e0", "en"},
		{"de;level=1", "en"},
		{"de;q", "en"},
		{",,;,;q=1,-,--,de", "de"},
		{strings.Repeat("x,", 600) + "de", "en"},
		{"../../etc/passwd", "en"},
	} {
		if got := Negotiate(tt.accept).Language; got != tt.want {
			t.Errorf("%.60q: %s, want %s", tt.accept, got, tt.want)
		}
	}
}

func FuzzNegotiate(f *testing.F) {
	f.Add("de-AT,de;q=0.8,en;q=0.5,*;q=0.1")
	f.Add(";q=,;q=1.0.0,*")
	f.Fuzz(func(t *testing.T, accept string) {
		c := Negotiate(accept)
		if !slices.Contains(Languages(), c.Language) {
			t.Errorf("%q: %s", accept, c.Language)
		}
		if c.Language != Default && !strings.Contains(strings.ToLower(accept), c.Language) {
			t.Errorf("%q: %s was not asked for", accept, c.Language)
		}
	})
}
