package token

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func keys(t testing.TB, names ...string) *Keys {
	t.Helper()
	var secrets [][]byte
	for _, n := range names {
		secrets = append(secrets, bytes.Repeat([]byte(n), 32))
	}
	k, err := NewKeys(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func click() *Token {
	return &Token{Message: [16]byte{1, 2, 3}, Ordinal: 7, Mailbox: [16]byte{9, 8}, Source: 77, Expires: noon.AddDate(1, 0, 0).Truncate(24 * time.Hour).Add(24 * time.Hour),
		Link: 3, Links: 12, Target: "https://shop.example.com/a?b=c&d=%20"}
}

func plain() *Token {
	t := click()
	t.Link, t.Links, t.Target = 0, 0, ""
	return t
}

func TestSealAndOpen(t *testing.T) {
	k := keys(t, "a")
	hiddenLink := click()
	hiddenLink.Hidden = true
	for _, tt := range []struct {
		p    Purpose
		want *Token
	}{{Open, plain()}, {Click, click()}, {Click, hiddenLink}, {Unsubscribe, plain()}, {Preferences, &Token{}}} {
		s := k.Seal(tt.p, tt.want)
		got, err := k.Open(tt.p, s, noon)
		if err != nil || *got != *tt.want {
			t.Errorf("%c: opened %+v, %v; want %+v", tt.p, got, err, tt.want)
		}
		if tt.p != Click && len(s) > 100 {
			t.Errorf("%c: %d characters", tt.p, len(s))
		}
		if again := k.Seal(tt.p, tt.want); again != s {
			t.Errorf("%c: a retry would carry another link", tt.p)
		}
	}
}

// A token opens for its own purpose alone, and with any bit changed for none
// (attacks H4).
func TestForgedTokens(t *testing.T) {
	k := keys(t, "a")
	s := k.Seal(Click, click())
	for _, p := range []Purpose{Open, Unsubscribe, Preferences} {
		if _, err := k.Open(p, s, noon); !errors.Is(err, ErrForged) {
			t.Errorf("a click opens as %c: %v", p, err)
		}
	}
	for i := range s {
		for _, c := range []byte("Ab0_") {
			if s[i] == c {
				continue
			}
			if _, err := k.Open(Click, s[:i]+string(c)+s[i+1:], noon); !errors.Is(err, ErrForged) {
				t.Fatalf("byte %d changed to %c: %v", i, c, err)
			}
		}
		if _, err := k.Open(Click, s[:i], noon); !errors.Is(err, ErrForged) {
			t.Fatalf("cut after %d: %v", i, err)
		}
	}
	for _, bad := range []string{"", "!", s + "A", s + "=", " " + s, strings.Repeat("A", MaxLen+100)} {
		if _, err := k.Open(Click, bad, noon); !errors.Is(err, ErrForged) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
	if _, err := keys(t, "b").Open(Click, s, noon); !errors.Is(err, ErrForged) {
		t.Errorf("another installation opens it: %v", err)
	}
}

func TestRotation(t *testing.T) {
	old, both, later := keys(t, "a"), keys(t, "b", "a"), keys(t, "b")
	s := old.Seal(Unsubscribe, plain())
	if _, err := both.Open(Unsubscribe, s, noon); err != nil {
		t.Errorf("during the overlap: %v", err)
	}
	if _, err := later.Open(Unsubscribe, s, noon); !errors.Is(err, ErrForged) {
		t.Errorf("after it: %v", err)
	}
	if _, err := later.Open(Unsubscribe, both.Seal(Unsubscribe, plain()), noon); err != nil {
		t.Errorf("the newest seals: %v", err)
	}
}

func TestExpiry(t *testing.T) {
	k := keys(t, "a")
	tok := plain()
	s := k.Seal(Open, tok)
	if _, err := k.Open(Open, s, tok.Expires); err != nil {
		t.Errorf("on its last day: %v", err)
	}
	if got, err := k.Open(Open, s, tok.Expires.Add(48*time.Hour)); !errors.Is(err, ErrExpired) || got.Source != tok.Source {
		t.Errorf("two days later: %v, %v", got, err)
	}
}

func TestNewKeysRefuses(t *testing.T) {
	if _, err := NewKeys(); err == nil {
		t.Error("no secret is taken")
	}
	if _, err := NewKeys([]byte("short")); err == nil {
		t.Error("a short secret is taken")
	}
}

func FuzzOpen(f *testing.F) {
	k := keys(f, "a", "b")
	f.Add(k.Seal(Click, click()))
	f.Add(k.Seal(Open, plain()))
	f.Fuzz(func(t *testing.T, s string) {
		for _, p := range []Purpose{Open, Click, Unsubscribe, Preferences} {
			if tok, err := k.Open(p, s, noon); err == nil && k.Seal(p, tok) != s {
				t.Errorf("%q opens as %+v, which seals otherwise", s, tok)
			}
		}
	})
}

func BenchmarkSealClick(b *testing.B) {
	k, t := keys(b, "a"), click()
	b.ReportAllocs()
	for b.Loop() {
		k.Seal(Click, t)
	}
}
