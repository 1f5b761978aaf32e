package admin

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/argon2"

	"tidepost/gateway"
)

// slowHash is what `tidepost hash-password` prints, at a cost for tests.
func slowHash(password string) string {
	salt := []byte("0123456789abcdef")
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=19$m=64,t=1,p=1$%s$%s", b64(salt), b64(argon2.IDKey([]byte(password), salt, 1, 64, 1, 32)))
}

func TestRoles(t *testing.T) {
	w := newWorld(t, nil)
	for _, r := range w.routes() {
		path := strings.NewReplacer("{id}", "x", "{tenant}", "acme", "{name...}", "spring", "{subject...}", "x").Replace(r.path)
		if code := w.serve(w.request(0, r.method, path, "")).Code; code != 401 {
			t.Errorf("%s %s without a token: %d", r.method, path, code)
		}
		for _, role := range []Role{Viewer, Operator, Admin} {
			code := w.serve(w.request(role, r.method, path, "")).Code
			if forbidden := code == 403; forbidden != (role < r.role) {
				t.Errorf("%s %s as %s: %d", r.method, path, role, code)
			}
		}
	}
}

// TestHostileRequests are the requests of attacks.md H11.
func TestHostileRequests(t *testing.T) {
	w := newWorld(t, nil)
	outside := func(r *http.Request) { r.RemoteAddr = "203.0.113.9:4000" }
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	tests := []struct {
		story        string
		role         Role
		method, path string
		change       func(r *http.Request)
		want         int
	}{
		{"no token", 0, "GET", "/api/v1/status", nil, 401},
		{"an empty token", 0, "GET", "/api/v1/status", header("Authorization", "Bearer "), 401},
		{"a password", 0, "GET", "/api/v1/status", header("Authorization", "Basic YTpi"), 401},
		{"a token without end", 0, "GET", "/api/v1/status", header("Authorization", "Bearer "+strings.Repeat("x", 10_000)), 401},
		{"a wrong token", 0, "GET", "/api/v1/status", header("Authorization", "Bearer "+NewToken()), 401},
		{"the wrong role", Viewer, "POST", "/api/v1/queue/pause", nil, 403},
		{"a form of another site", Operator, "POST", "/api/v1/queue/pause", header("Sec-Fetch-Site", "cross-site"), 403},
		{"an old browser's", Operator, "POST", "/api/v1/queue/pause", header("Origin", "https://evil.test"), 403},
		{"the wrong method", Admin, "PUT", "/api/v1/status", nil, 405},
		{"a path that climbs", Admin, "GET", "/api/v1/../../etc/passwd", nil, 404},
		{"and escaped", Admin, "GET", "/api/v1/messages/..%2f..%2fetc", nil, 404},
		{"doubled slashes", Admin, "GET", "//api/v1/status", nil, 404},
		{"a slash behind", Admin, "GET", "/api/v1/status/", nil, 404},
		{"pprof", Admin, "GET", "/debug/pprof/", nil, 404},
		{"nothing there", 0, "GET", "/admin.php", nil, 404},
		{"somebody else's campaign", Admin, "GET", "/api/v1/campaigns/zoo/spring", nil, 404},
		{"metrics from here", 0, "GET", "/metrics", nil, 200},
		{"metrics from outside", 0, "GET", "/metrics", outside, 404},
		{"metrics from outside that claims to be here", 0, "GET", "/metrics", func(r *http.Request) {
			outside(r)
			r.Header.Set("X-Forwarded-For", "127.0.0.1")
		}, 404},
		{"metrics through a proxy on this machine", 0, "GET", "/metrics", header("X-Forwarded-For", "203.0.113.9"), 404},
		{"metrics from outside with a token", Viewer, "GET", "/metrics", outside, 200},
		{"posting metrics", 0, "POST", "/metrics", nil, 404},
		{"health from outside", 0, "GET", "/healthz", outside, 200},
		{"readiness from outside", 0, "GET", "/readyz", outside, 200},
		{"the root", 0, "GET", "/", outside, 200},
		{"the status itself", Viewer, "GET", "/api/v1/status", outside, 200},
		{"only its head", Viewer, "HEAD", "/api/v1/status", nil, 200},
	}
	for _, tt := range tests {
		r := w.request(tt.role, tt.method, tt.path, "")
		if tt.change != nil {
			tt.change(r)
		}
		rec := w.serve(r)
		if rec.Code != tt.want {
			t.Errorf("%s: %d, want %d", tt.story, rec.Code, tt.want)
		}
		h := rec.Header()
		if h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: headers %v", tt.story, h)
		}
		if kind := h.Get("Content-Type"); tt.want >= 400 && kind != "application/problem+json" {
			t.Errorf("%s: a refusal of type %q", tt.story, kind)
		}
		if tt.want == 401 && h.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no challenge", tt.story)
		}
	}
}

func TestThousandLogins(t *testing.T) {
	now := time.Date(2026, 5, 1, 3, 0, 0, 0, time.UTC)
	w := newWorld(t, func(w *world) {
		w.Gateway.Now = func() time.Time { return now }
		w.Tokens = append(w.Tokens, Token{"ops", slowHash("correct horse"), Viewer})
	})
	try := func(token, from string) int {
		r := w.request(0, "GET", "/api/v1/status", "")
		r.RemoteAddr = from
		r.Header.Set("Authorization", "Bearer "+token)
		return w.serve(r).Code
	}
	const guesser, other = "203.0.113.9:4000", "203.0.113.10:4000"
	answered := 0
	for i := range 1000 {
		switch code := try(fmt.Sprint("guess", i), guesser); code {
		case 401:
			answered++
		case 429:
		default:
			t.Fatalf("guess %d: %d", i, code)
		}
	}
	if answered != failBurst {
		t.Errorf("%d of 1000 guesses were answered, want %d", answered, failBurst)
	}
	steps := []struct {
		story, token, from string
		want               int
	}{
		{"the password is not told from a guess any more", "correct horse", guesser, 429},
		{"a random token passes", w.tokens[Viewer], guesser, 200},
		{"others are not touched", "correct horse", other, 200},
		{"and again, from memory", "correct horse", other, 200},
		{"memory is no way around the limit", "correct horse", guesser, 429},
	}
	for _, st := range steps {
		if code := try(st.token, st.from); code != st.want {
			t.Errorf("%s: %d, want %d", st.story, code, st.want)
		}
	}
	now = now.Add(failEvery)
	if a, b := try("guess", guesser), try("guess", guesser); a != 401 || b != 429 {
		t.Errorf("after a while: %d, %d, want 401, 429", a, b)
	}
	now = now.Add(-time.Hour)
	if code := try("correct horse", other); code != 200 {
		t.Errorf("after the clock went back: %d", code)
	}
	w.SetTokens(nil)
	if code := try("correct horse", other); code != 401 {
		t.Errorf("a token that was taken away: %d", code)
	}
}

func TestPeer(t *testing.T) {
	g := newGuard(nil, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8")})
	tests := []struct {
		from, forwarded, want string
		local                 bool
	}{
		{"127.0.0.1:1", "", "127.0.0.1", true},
		{"[::1]:1", "", "::1", true},
		{"[::ffff:127.0.0.1]:1", "", "127.0.0.1", true},
		{"192.0.2.1:1", "", "192.0.2.1", false},
		{"192.0.2.1:1", "127.0.0.1", "192.0.2.1", false},
		{"10.0.0.1:1", "192.0.2.7", "192.0.2.7", false},
		{"10.0.0.1:1", "127.0.0.1, 192.0.2.7, 10.0.0.9", "192.0.2.7", false},
		{"127.0.0.1:1", "192.0.2.7", "192.0.2.7", false},
		{"10.0.0.1:1", "nonsense", "10.0.0.1", false},
		{"10.0.0.1:1", "nonsense, 192.0.2.7", "192.0.2.7", false},
		{"@", "", "invalid IP", false},
	}
	for _, tt := range tests {
		r := &http.Request{RemoteAddr: tt.from, Header: http.Header{}}
		if tt.forwarded != "" {
			r.Header.Set("X-Forwarded-For", tt.forwarded)
		}
		if p := g.peer(r); p.addr.String() != tt.want || p.local != tt.local {
			t.Errorf("%s, %q: %s, local %v", tt.from, tt.forwarded, p.addr, p.local)
		}
	}
}

func TestLimiterForgets(t *testing.T) {
	var l limiter
	now := time.Unix(1e9, 0)
	for i := range failPeers + 100 {
		l.fail(now, netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	if n := len(l.full); n > failPeers {
		t.Errorf("%d addresses are remembered", n)
	}
	l.fail(now.Add(time.Hour), netip.MustParseAddr("2001:db8::1"))
	if n := len(l.full); n != 1 {
		t.Errorf("%d addresses are remembered after an hour", n)
	}
	for range failBurst {
		l.fail(now.Add(time.Hour), netip.MustParseAddr("2001:db8::2"))
	}
	if l.wait(now.Add(time.Hour), netip.MustParseAddr("2001:db8::3")) == 0 {
		t.Errorf("an IPv6 host changes its address and goes on")
	}
}

func TestHashes(t *testing.T) {
	token := NewToken()
	if token == NewToken() || len(token) != len(tokenPrefix)+43 {
		t.Errorf("token %q", token)
	}
	good := map[string]string{HashToken(token): token, slowHash("x"): "x"}
	for hash, token := range good {
		s, err := parseSecret(hash)
		if err != nil {
			t.Fatalf("%s: %v", hash, err)
		}
		g := newGuard([]Token{{"a", hash, Viewer}}, nil)
		if g.find(t.Context(), token, false) == nil || g.find(t.Context(), token+"x", false) != nil || g.find(t.Context(), "", false) != nil {
			t.Errorf("%s does not tell tokens apart (%v)", hash, s.fast())
		}
	}
	for _, hash := range []string{"", "x", "sha256:", "sha256:00", "sha256:zz", "$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5",
		"$argon2id$v=16$m=64,t=1,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5", "$argon2id$v=19$m=4000000000,t=1,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5",
		"$argon2id$v=19$m=64,t=0,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5", "$argon2id$v=19$m=64,t=1,p=1$!$a2V5a2V5a2V5a2V5a2V5", "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$a2V5",
		"$argon2id$v=19$m=64,t=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5", token} {
		if _, err := parseSecret(hash); err == nil {
			t.Errorf("%q is taken for a hash", hash)
		}
	}
	for _, r := range []Role{Viewer, Operator, Admin} {
		if got, err := ParseRole(r.String()); got != r || err != nil {
			t.Errorf("%s reads as %s, %v", r, got, err)
		}
	}
	if _, err := ParseRole(""); err == nil {
		t.Error("the empty role is one")
	}
}

// TestSlowHeader closes a client that drips its request (H11, A8), and stops.
func TestSlowHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		s := &Server{Gateway: &gateway.Gateway{}, Store: newMemory(), Log: slog.New(slog.DiscardHandler)}
		ctx, stop := contextWithStop(t)
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx, l) }()
		c := l.dial()
		began := time.Now()
		var drip sync.WaitGroup
		defer drip.Wait()
		drip.Go(func() {
			for range 100 {
				if _, err := c.Write([]byte("G")); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		for buf := make([]byte, 1000); ; {
			if _, err := c.Read(buf); err != nil {
				break
			}
		}
		if took := time.Since(began); took > headerTimeout+time.Second {
			t.Errorf("closed after %v", took)
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}
