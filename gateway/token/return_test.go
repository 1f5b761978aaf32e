package token

import (
	"strings"
	"testing"
)

func someReturn() Return {
	return Return{Message: [16]byte{1, 147, 0, 255, 9, 15: 77}, Ordinal: 999_999, Source: 0xfeed_beef}
}

func TestReturn(t *testing.T) {
	k := keys(t, "a")
	for _, want := range []Return{{}, someReturn(), {Message: [16]byte{15: 255}, Ordinal: 1<<32 - 1, Source: 1<<32 - 1}} {
		local := k.SealReturn(want)
		if len(local) > 64 || !strings.HasPrefix(local, "b-") || strings.Trim(local[2:], "abcdefghijklmnopqrstuvwxyz234567") != "" {
			t.Errorf("%q is no local part for us", local)
		}
		if again := k.SealReturn(want); again != local {
			t.Errorf("a retry would have another return path: %q, %q", again, local)
		}
		mixed := strings.ToUpper(local[:30]) + local[30:]
		for _, l := range []string{local, strings.ToUpper(local), mixed} {
			if got, ok := k.OpenReturn(l); !ok || got != want || !isReturn(l) {
				t.Errorf("%q opens as %+v, %v, want %+v", l, got, ok, want)
			}
		}
	}
}

// TestForgedReturns: every change of a character but of its case is refused, and
// what was cut or lengthened.
func TestForgedReturns(t *testing.T) {
	k := keys(t, "a")
	local := k.SealReturn(someReturn())
	for i := range local {
		for c := range 256 {
			changed := local[:i] + string([]byte{byte(c)}) + local[i+1:]
			if strings.EqualFold(changed, local) {
				continue
			}
			if r, ok := k.OpenReturn(changed); ok {
				t.Fatalf("character %d changed to %q opens as %+v", i, byte(c), r)
			}
		}
		if _, ok := k.OpenReturn(local[:i]); ok || isReturn(local[:i]) {
			t.Errorf("cut after %d it opens", i)
		}
	}
	for _, bad := range []string{"", "b-", local + "a", " " + local, local + "=", local[:10] + "\n" + local[10:], local[:57] + "\n", local[1:] + "b", local[:56] + "\r\n", "c" + local[1:], local[:55] + "\u212a"} {
		if _, ok := k.OpenReturn(bad); ok {
			t.Errorf("%q opens", bad)
		}
	}
	if _, ok := keys(t, "b").OpenReturn(local); ok {
		t.Error("another installation opens it")
	}
}

func TestReturnRotation(t *testing.T) {
	old, both, later := keys(t, "a"), keys(t, "b", "a"), keys(t, "b")
	local := old.SealReturn(someReturn())
	if r, ok := both.OpenReturn(local); !ok || r != someReturn() {
		t.Error("an old key's does not open beside a new one")
	}
	if _, ok := later.OpenReturn(local); ok {
		t.Error("a key that is gone opens")
	}
	if r, ok := later.OpenReturn(both.SealReturn(someReturn())); !ok || r != someReturn() {
		t.Error("the newest does not seal")
	}
}

func TestFormOfAReturn(t *testing.T) {
	local := keys(t, "a").SealReturn(someReturn())
	for _, tt := range []struct {
		story, local string
		want         bool
	}{
		{"ours", local, true},
		{"ours, folded", strings.ToUpper(local), true},
		{"of the form, but forged", "b-" + strings.Repeat("a", 56), true},
		{"somebody whose name begins so", "b-movies", false},
		{"postmaster", "postmaster", false},
		{"nobody", "", false},
	} {
		if got := isReturn(tt.local); got != tt.want {
			t.Errorf("%s: %v", tt.story, got)
		}
	}
}

// FuzzOpenReturn: what opens is what its content seals to, but for its case.
func FuzzOpenReturn(f *testing.F) {
	k := keys(f, "a")
	local := k.SealReturn(someReturn())
	for _, s := range []string{"", "b-", local, strings.ToUpper(local), local[:57], "b-" + strings.Repeat("7", 56), local[:20] + "\n" + local[21:]} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if r, ok := k.OpenReturn(s); ok && !strings.EqualFold(k.SealReturn(r), s) {
			t.Errorf("%q opens as %+v", s, r)
		}
	})
}
