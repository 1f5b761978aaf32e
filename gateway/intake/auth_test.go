package intake

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"tidepost/gateway"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// dialNobody reaches EHLO over TLS as nobody in particular.
func dialNobody(t *testing.T, srv *Server) *client {
	t.Helper()
	srv.TrustedNetworks, srv.Implicit = nil, true
	c := connect(t, serve(t, srv), implicit)
	c.want("220")
	c.say("EHLO x.test\r\n", "250")
	return c
}

func TestAuth(t *testing.T) {
	ok := "235 2.7.0"
	for _, row := range []struct {
		name  string
		steps []step
	}{
		{"PLAIN", []step{on("AUTH PLAIN "+b64("\x00ann\x00secret")+"\r\n", ok)}},
		{"PLAIN in two", []step{on("auth plain\r\n", "334 \r\n"), on(b64("\x00ann\x00secret")+"\r\n", ok)}},
		{"PLAIN with her own identity", []step{on("AUTH PLAIN "+b64("ann\x00ann\x00secret")+"\r\n", ok)}},
		{"PLAIN with another identity", []step{on("AUTH PLAIN "+b64("bob\x00ann\x00secret")+"\r\n", "535 5.7.8")}},
		{"LOGIN", []step{on("AUTH LOGIN\r\n", "334 VXNlcm5hbWU6"), on(b64("ann")+"\r\n", "334 UGFzc3dvcmQ6"), on(b64("secret")+"\r\n", ok)}},
		{"LOGIN with the name", []step{on("AUTH LOGIN "+b64("ann")+"\r\n", "334 UGFzc3dvcmQ6"), on(b64("secret")+"\r\n", ok)}},
		{"wrong password", []step{on("AUTH PLAIN "+b64("\x00ann\x00Secret")+"\r\n", "535 5.7.8"), on(mail, "530")}},
		{"empty password", []step{on("AUTH PLAIN "+b64("\x00ann\x00")+"\r\n", "535 5.7.8")}},
		{"unknown name", []step{on("AUTH PLAIN "+b64("\x00bob\x00secret")+"\r\n", "535 5.7.8")}},
		{"nothing", []step{on("AUTH PLAIN =\r\n", "535 5.7.8")}},
		{"unknown mechanism", []step{on("AUTH CRAM-MD5\r\n", "504 5.5.4"), on("AUTH\r\n", "504")}},
		{"not base64", []step{on("AUTH PLAIN ***\r\n", "501 5.5.2"), on("AUTH PLAIN YQ\r\n", "501 5.5.2")}},
		{"cancelled", []step{on("AUTH PLAIN\r\n", "334"), on("*\r\n", "501 5.7.0"), on(mail, "530")}},
		{"a bare LF for an answer", []step{on("AUTH LOGIN\r\n", "334"), on(b64("ann")+"\n", "500 5.5.2"), on("\r\n", "500 5.5.2"), on(mail, "530")}},
		{"A5 12,288 bytes", []step{on("AUTH PLAIN "+strings.Repeat("A", 12288-13)+"\r\n", "501 5.5.2"), on("AUTH PLAIN "+b64("\x00ann\x00"+strings.Repeat("x", 9190))+"\r\n", "535 5.7.8")}},
		{"A5 12,289 bytes", []step{on("AUTH PLAIN "+strings.Repeat("A", 12289-13)+"\r\n", "500 5.5.6")}},
		{"A5 an answer of 12,289 bytes", []step{on("AUTH PLAIN\r\n", "334"), on(strings.Repeat("A", 12287)+"\r\n", "500 5.5.6")}},
		{"three tries", []step{
			on("AUTH PLAIN "+b64("\x00ann\x001")+"\r\n", "535"), on("AUTH PLAIN "+b64("\x00ann\x002")+"\r\n", "535"),
			on("AUTH PLAIN "+b64("\x00ann\x003")+"\r\n", "535", "421 4.7.0", closed),
		}},
		{"pipelined", []step{on("AUTH PLAIN "+b64("\x00ann\x00secret")+"\r\n"+mail, "554 5.5.0", closed)}},
	} {
		t.Run(row.name, func(t *testing.T) {
			srv := newServer(authTLS, &outbox{})
			story{steps: row.steps}.tell(dialNobody(t, srv))
		})
	}
}

// A5: not in clear text, unless from a trusted network.
func TestAuthInClear(t *testing.T) {
	srv := newServer(plain, &outbox{})
	c := dial(t, serve(t, srv), plain)
	c.say("AUTH PLAIN "+b64("\x00ann\x00secret")+"\r\n", "235")

	srv = newServer(plain, &outbox{})
	srv.TrustedNetworks = nil
	c = dial(t, serve(t, srv), plain)
	c.say("AUTH PLAIN "+b64("\x00ann\x00secret")+"\r\n", "538 5.7.11")
	c.say(mail, "530")
}

// A credential with a password may also need a network.
func TestAuthNetworks(t *testing.T) {
	for network, want := range map[string]string{"127.0.0.0/8": "235", "192.0.2.0/24": "535 5.7.8"} {
		srv := newServer(authTLS, &outbox{})
		cred := ann()
		cred.Networks = []netip.Prefix{netip.MustParsePrefix(network)}
		srv.SetCredentials([]gateway.Credential{cred})
		c := dialNobody(t, srv)
		c.say("AUTH PLAIN "+b64("\x00ann\x00secret")+"\r\n", want)
	}
}

// A changed password counts at once, though the old one was right a moment ago.
func TestAuthReload(t *testing.T) {
	srv := newServer(authTLS, &outbox{})
	srv.Limits.MaxAuth = -1
	c := dial(t, serve(t, srv), authTLS)
	c.say(mail, "250")
	srv.SetCredentials([]gateway.Credential{{Name: "ann", PasswordHash: HashPassword("new"), Tenant: "acme"}})
	c.say("RCPT TO:<b@x.test>\r\n", "250") // what has begun goes on
	c.say("RSET\r\n", "250")
	c.say(mail, "530 5.7.0")
	d := connect(t, c.raw.RemoteAddr().String(), authTLS)
	d.want("220")
	d.say("EHLO x.test\r\n", "250")
	d.say("AUTH PLAIN "+b64("\x00ann\x00secret")+"\r\n", "535")
	d.say("AUTH PLAIN "+b64("\x00ann\x00new")+"\r\n", "235")
}

func testGate(l Limits) (*gate, *access) {
	l = l.withDefaults()
	return newGate(&l), newAccess([]gateway.Credential{ann()}, nil, gateway.Credential{})
}

func try(g *gate, a *access, from, password string) error {
	_, err := g.login(context.Background(), a, netip.MustParseAddr(from), "ann", password)
	return err
}

// A5: a thousand wrong passwords from one address.
func TestAuthOneAddress(t *testing.T) {
	g, a := testGate(Limits{AuthDelay: time.Nanosecond})
	for i := range 1000 {
		want := replyBadPassword
		if i >= 20 {
			want = errTooManyFailed
		}
		if err := try(g, a, "192.0.2.1", fmt.Sprint(i)); !errors.Is(err, want) {
			t.Fatalf("attempt %d: %v, want %v", i, err, want)
		}
	}
	if err := try(g, a, "192.0.2.2", "secret"); err != nil {
		t.Error("another address:", err)
	}
	if err := try(g, a, "192.0.2.1", "secret"); err != nil {
		t.Error("that address, with what is known to be right:", err)
	}
}

// A5: one wrong password each from a thousand addresses. An IPv6 /64 is one.
func TestAuthOneAccount(t *testing.T) {
	g, a := testGate(Limits{AuthDelay: time.Nanosecond})
	if err := try(g, a, "198.51.100.1", "secret"); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		want := replyBadPassword
		if i >= 100 {
			want = errAccountBusy
		}
		if err := try(g, a, fmt.Sprintf("192.0.%d.%d", i/250, i%250), "x"); !errors.Is(err, want) {
			t.Fatalf("attempt %d: %v, want %v", i, err, want)
		}
	}
	if err := try(g, a, "198.51.100.9", "secret"); err != nil {
		t.Error("who was let in a moment ago is locked out by others:", err)
	}
	g, a = testGate(Limits{AuthDelay: time.Nanosecond, AuthPerAddress: 1})
	try(g, a, "2001:db8::1", "x")
	if err := try(g, a, "2001:db8::2", "x"); !errors.Is(err, errTooManyFailed) {
		t.Error("a second address of the /64:", err)
	}
}

// The delay before the answer grows.
func TestAuthDelayGrows(t *testing.T) {
	g, a := testGate(Limits{AuthDelay: 4 * time.Millisecond})
	start := time.Now()
	for range 6 {
		try(g, a, "192.0.2.1", "x")
	}
	if d := time.Since(start); d < 4*(1+2+4+8+16+16)*time.Millisecond {
		t.Errorf("6 attempts took %v", d)
	}
}

// Failures age.
func TestAuthWindow(t *testing.T) {
	g, a := testGate(Limits{AuthDelay: time.Nanosecond, AuthPerAddress: 1, AuthWindow: 20 * time.Millisecond})
	try(g, a, "192.0.2.1", "x")
	if err := try(g, a, "192.0.2.1", "x"); !errors.Is(err, errTooManyFailed) {
		t.Error(err)
	}
	time.Sleep(30 * time.Millisecond)
	if err := try(g, a, "192.0.2.1", "secret"); err != nil {
		t.Error(err)
	}
}

// Who guesses at names learns nothing from time: a hash of the same cost is
// computed for nobody.
func TestAuthDummy(t *testing.T) {
	_, a := testGate(Limits{})
	real, err := parseHash(annHash())
	if err != nil {
		t.Fatal(err)
	}
	d := a.dummy
	if d.memory != real.memory || d.time != real.time || d.threads != real.threads || len(d.key) != len(real.key) {
		t.Errorf("dummy costs %d KiB × %d, real %d KiB × %d", d.memory, d.time, real.memory, real.time)
	}
	if d.matches("secret") || d.matches("") {
		t.Error("a password matches the dummy")
	}
}

// The cache holds nothing that a password can be read from, and its size is bounded.
func TestAuthCacheBounded(t *testing.T) {
	g, a := testGate(Limits{AuthDelay: time.Nanosecond, AuthPerAddress: -1, AuthPerAccount: -1})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 500 {
				g.login(context.Background(), a, netip.MustParseAddr("192.0.2.1"), fmt.Sprint(w, "-", i), "x")
			}
		})
	}
	wg.Wait()
	if n := g.byAccount.Len(); n > failuresSize {
		t.Errorf("%d accounts remembered", n)
	}
	if n := g.known.Len(); n != 0 {
		t.Errorf("%d passwords known", n)
	}
}

func TestHash(t *testing.T) {
	phc := HashPassword("pa$$word")
	if err := CheckHash(phc); err != nil {
		t.Fatal(phc, err)
	}
	h, _ := parseHash(phc)
	if !h.matches("pa$$word") || h.matches("pa$$worD") || h.matches("") {
		t.Error("hash does not tell passwords apart")
	}
	if phc == HashPassword("pa$$word") {
		t.Error("no salt")
	}
	for _, bad := range []string{"", "secret", "$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$AAAA", "$argon2id$v=18$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=64,t=0,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAA", phc + "$"} {
		if CheckHash(bad) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
