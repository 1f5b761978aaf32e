package intake

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"tidepost/gateway"
)

// mode is how a client reaches the server.
type mode string

const (
	plain    mode = "plain"    // from a trusted network, in clear text
	startTLS mode = "starttls" // the same, after STARTTLS
	implicit mode = "tls"      // the same, TLS from the first byte
	authTLS  mode = "auth"     // from nowhere in particular, TLS and AUTH
)

var allModes = []mode{plain, startTLS, implicit, authTLS}

// testCert is a certificate for one test process.
var testCert = sync.OnceValue(func() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mx.test"}, DNSNames: []string{"mx.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	cert := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert, nil }}
})

var clientTLS = &tls.Config{InsecureSkipVerify: true, ServerName: "mx.test"}

// annHash is the hash of ann's password, cheap on purpose.
var annHash = sync.OnceValue(func() string {
	h := hash{memory: 64, time: 1, threads: 1, salt: []byte("saltsaltsaltsalt"), key: make([]byte, 32)}
	h.key = h.derive("secret")
	b64 := base64.RawStdEncoding.EncodeToString
	return "$argon2id$v=19$m=64,t=1,p=1$" + b64(h.salt) + "$" + b64(h.key)
})

func ann() gateway.Credential {
	return gateway.Credential{Name: "ann", PasswordHash: annHash(), Tenant: "acme", BulkClass: gateway.Newsletter}
}

// newServer is a server for tests of a mode, with limits that do not keep them
// waiting.
func newServer(m mode, o *outbox) *Server {
	s := &Server{
		Hostname: "mx.test",
		TLS:      testCert(),
		Implicit: m == implicit || m == authTLS,
		Submit:   o.Submit,
		Spool:    func() (gateway.SpoolFile, error) { return &memoryFile{}, nil },
		MaxHold:  24 * time.Hour,
		Log:      slog.New(slog.DiscardHandler),
		Limits:   Limits{ErrorDelay: time.Millisecond, AuthDelay: time.Millisecond},
	}
	if m != authTLS {
		s.TrustedNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}
	s.SetCredentials([]gateway.Credential{ann()})
	return s
}

// client is the far end of a test's connection.
type client struct {
	t    testing.TB
	conn net.Conn
	raw  net.Conn // below TLS
	r    *bufio.Reader
}

// connect only connects; with TLS where the mode begins with it.
func connect(t testing.TB, addr string, m mode) *client {
	t.Helper()
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, conn: raw, raw: raw}
	if m == implicit || m == authTLS {
		c.conn = tls.Client(raw, clientTLS)
	}
	c.r = bufio.NewReader(c.conn)
	t.Cleanup(func() { c.conn.Close() })
	return c
}

// dial connects and comes to where MAIL may be said.
func dial(t testing.TB, addr string, m mode) *client {
	t.Helper()
	c := connect(t, addr, m)
	c.want("220 mx.test")
	if m == startTLS {
		c.say("EHLO client.test\r\n", "250")
		c.say("STARTTLS\r\n", "220 2.0.0")
		c.conn = tls.Client(c.raw, clientTLS)
		c.r = bufio.NewReader(c.conn)
	}
	c.say("EHLO client.test\r\n", "250")
	if m == authTLS {
		c.say("AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00ann\x00secret"))+"\r\n", "235 2.7.0")
	}
	return c
}

func (c *client) send(s string) {
	c.t.Helper()
	c.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(c.conn, s); err != nil {
		c.t.Logf("writing %.60q: %v", s, err) // the server may have hung up already
	}
}

// reply reads one reply, whose lines are joined.
func (c *client) reply() (string, error) {
	c.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	var all strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return all.String(), err
		}
		all.WriteString(line)
		if text, ok := strings.CutSuffix(line, "\r\n"); !ok || len(line) > 512 || strings.ContainsFunc(text, unprintable) {
			c.t.Errorf("reply line %q", line)
		}
		if len(line) < 4 || line[3] != '-' {
			return all.String(), nil
		}
	}
}

func unprintable(r rune) bool { return r < ' ' || r > '~' }

// closed, as a reply that is wanted, is the end of the connection.
const closed = "closed"

// want reads replies that begin as said.
func (c *client) want(prefixes ...string) {
	c.t.Helper()
	for _, p := range prefixes {
		got, err := c.reply()
		switch {
		case p == closed && err == nil:
			c.t.Fatalf("got %q, want the connection closed", got)
		case p == closed && isTimeout(err):
			c.t.Fatal("the connection stays open")
		case p == closed:
		case err != nil:
			c.t.Fatalf("got %q and %v, want %q", got, err, p)
		case !strings.HasPrefix(got, p):
			c.t.Fatalf("got %q, want %q", got, p)
		}
	}
}

// until reads replies through one that begins so.
func (c *client) until(prefix string) {
	c.t.Helper()
	for {
		got, err := c.reply()
		if err != nil {
			c.t.Fatalf("%v, want %q", err, prefix)
		}
		if strings.HasPrefix(got, prefix) {
			return
		}
	}
}

func (c *client) say(s string, want ...string) {
	c.t.Helper()
	c.send(s)
	c.want(want...)
}

// quiet checks that nothing comes that was not asked for, and that both sides
// agree where they are.
func (c *client) quiet() {
	c.t.Helper()
	c.say("NOOP\r\n", "250 2.0.0 Ok")
	if n := c.r.Buffered(); n > 0 {
		b, _ := c.r.Peek(n)
		c.t.Fatalf("an answer too many: %q", b)
	}
}

// gone waits for the connection's end, whatever is said before.
func (c *client) gone() (last string) {
	c.t.Helper()
	for {
		got, err := c.reply()
		if err == nil {
			last = got
			continue
		}
		if isTimeout(err) {
			c.t.Fatal("the connection stays open")
		}
		if !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
			c.t.Logf("ended with %v", err)
		}
		return last
	}
}

// step is what a client sends in one write, and the replies it must get.
type step struct {
	send string
	want []string
}

func on(send string, want ...string) step { return step{send, want} }

// story is one row of attacks.md: a client that is past EHLO (and STARTTLS, and
// AUTH) sends the steps.
type story struct {
	id     string
	steps  []step
	stored int
	body   string // of the one stored
	modes  []mode // nil: all
	server func(*Server)
}

const envelope = "MAIL FROM:<a@client.test>\r\nRCPT TO:<b@there.test>\r\n"

// toData is an envelope through DATA.
func toData() step { return on(envelope+"DATA\r\n", "250 2.1.0", "250 2.1.5", "354") }

func (s story) run(t *testing.T) {
	modes := s.modes
	if modes == nil {
		modes = allModes
	}
	for _, m := range modes {
		t.Run(s.id+"/"+string(m), func(t *testing.T) {
			t.Parallel()
			o := &outbox{}
			srv := newServer(m, o)
			if s.server != nil {
				s.server(srv)
			}
			c := dial(t, serve(t, srv), m)
			s.tell(c)
			s.check(t, o)
		})
	}
}

func (s story) tell(c *client) {
	c.t.Helper()
	for _, st := range s.steps {
		c.say(st.send, st.want...)
	}
	if last := s.steps[len(s.steps)-1].want; len(last) == 0 || last[len(last)-1] != closed {
		c.quiet()
	}
}

// check looks for the messages that were stored, and that nothing else was.
func (s story) check(t *testing.T, o *outbox) {
	t.Helper()
	all := o.all()
	if len(all) != s.stored {
		for _, a := range all {
			t.Logf("%.300q", a.Body)
		}
		t.Fatalf("%d messages were stored, want %d", len(all), s.stored)
	}
	if s.body != "" && all[0].Body != s.body {
		t.Errorf("stored %q, want %q", all[0].Body, s.body)
	}
}
