package main

import (
	"strings"
	"testing"
	"time"

	"tidepost/gateway/intake"
)

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s": 0, "90s": 90 * time.Second, "14d": 14 * day, "1d12h": 36 * time.Hour, "0d": 0, "1h30m": 90 * time.Minute,
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.Duration != want {
			t.Errorf("%q = %v, %v, want %v", text, d, err, want)
		}
		var again Duration
		if err := again.UnmarshalText([]byte(d.String())); err != nil || again != d {
			t.Errorf("%q prints as %q, which reads as %v, %v", text, d, again, err)
		}
	}
	for _, text := range []string{"", "5", "d", "1.5d", "-1d", "1d-1h", "-5m", "99999d9999999h", "1w", "9999999999d"} {
		if err := new(Duration).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

func TestRate(t *testing.T) {
	for text, want := range map[string]float64{"": 0, "5/s": 5, "300/m": 5, "1800/h": 0.5, "0.5/s": 0.5} {
		var r Rate
		if err := r.UnmarshalText([]byte(text)); err != nil || r.PerSecond != want {
			t.Errorf("%q = %v, %v, want %v", text, r, err, want)
		}
	}
	for _, text := range []string{"5", "0/s", "-1/s", "/s", "5/y", "NaN/s", "Inf/s", "5 / s"} {
		if err := new(Rate).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]Bytes{"0": 0, "25MiB": 25 << 20, "1.5 KiB": 1536, "2GB": 2e9, "7B": 7} {
		var b Bytes
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want {
			t.Errorf("%q = %v, %v, want %v", text, b, err, want)
		}
	}
	for _, text := range []string{"", "-1", "MiB", "1e99", "NaN", "9223372036854775808"} {
		if err := new(Bytes).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

func TestNetwork(t *testing.T) {
	for text, want := range map[string]string{"10.0.0.0/8": "10.0.0.0/8", "192.0.2.1": "192.0.2.1/32", "::1": "::1/128", "::ffff:192.0.2.1": "192.0.2.1/32"} {
		var n Network
		if err := n.UnmarshalText([]byte(text)); err != nil || n.String() != want {
			t.Errorf("%q = %v, %v, want %v", text, n, err, want)
		}
	}
	for _, text := range []string{"", "10.0.0.1/8", "10.0.0.0/33", "fe80::1%eth0", "localhost"} {
		if err := new(Network).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

func TestLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:25": true, "127.9.9.9:25": true, "[::1]:25": true, "localhost:25": true, "[::ffff:127.0.0.1]:25": true,
		":25": false, "0.0.0.0:25": false, "[::]:25": false, "192.0.2.1:25": false, "example.com:25": false, "": false, "127.0.0.1": false,
	} {
		if got := loopback(address); got != want {
			t.Errorf("loopback(%q) = %v", address, got)
		}
	}
}

func TestPasswordHash(t *testing.T) {
	a, b := intake.HashPassword("x"), intake.HashPassword("x")
	if a == b || !passwordHash(a) || !passwordHash(b) {
		t.Errorf("%s and %s: want two good hashes with salts of their own", a, b)
	}
	for _, bad := range []string{"", "x", "$argon2i" + a[9:], strings.Replace(a, "v=19", "v=16", 1), strings.Replace(a, "t=2", "t=0", 1), a[:len(a)-30], a + "$"} {
		if passwordHash(bad) {
			t.Errorf("%q passes for a hash", bad)
		}
	}
}

func TestSafe(t *testing.T) {
	for text, want := range map[string]string{
		"plain": "plain", "grüße 日本": "grüße 日本", "a\tb\nc": `a\x09b\x0ac`, "\x1b[31m": `\x1b[31m`,
		"\u009b": `\x9b`, "\xff": `\xff`, "\u202e\u2066": `\u202e\u2066`, "\x7f": `\x7f`,
	} {
		if got := safe(text); got != want {
			t.Errorf("safe(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, row := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"listen", "lisen", 1}, {"smtp", "smpt", 2}, {"kitten", "sitting", 3}} {
		if got := editDistance(row.a, row.b); got != row.want {
			t.Errorf("%q to %q: %d, want %d", row.a, row.b, got, row.want)
		}
	}
}
