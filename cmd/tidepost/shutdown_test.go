package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tidepost/gateway/intake"
	"tidepost/gateway/smtptest"
)

// TestShutdown: clients that idle are told 421, a transaction that is under
// way finishes and is kept, and the exit status is 0.
func TestShutdown(t *testing.T) {
	t.Parallel()
	sink := smtptest.Scripted(t, smtptest.Polite)
	dir := t.TempDir()
	sets := []string{"route.mode=smarthost", "route.smarthost=" + sink.Addr()}
	p := startProcess(t, dir, nil, sets...)
	greeted, err := greetSMTP(p.smtp)
	if err != nil {
		t.Fatal(err)
	}
	idle, busy := mustDial(t, p.smtp), mustDial(t, p.smtp)
	if err := busy.begin("a@esp.test", "late@dest.test"); err != nil {
		t.Fatal(err)
	}
	text := letter("late", 1000)
	fmt.Fprint(busy.conn, text[:200])
	p.cmd.Process.Signal(syscall.SIGTERM)
	for name, c := range map[string]*smtpClient{"before EHLO": greeted, "after EHLO": idle} {
		if line, err := c.reply("421"); err != nil {
			t.Errorf("a client that idles %s was told %q, %v; want 421", name, line, err)
		}
	}
	if _, err := dialSMTP(p.smtp); err == nil {
		t.Error("a new client is served while the gateway stops")
	}
	if p.ended() {
		t.Fatal("it ended while a transaction was under way")
	}
	if err := busy.do(text[200:]+"\r\n.", "250"); err != nil {
		t.Errorf("the transaction that was under way: %v", err)
	}
	if line, err := busy.reply("421"); err != nil {
		t.Errorf("after its transaction the client was told %q, %v; want 421", line, err)
	}
	if err := p.wait(); err != nil {
		t.Errorf("it stopped with %v\n%s", err, p.log)
	}
	answered := &answers{}
	answered.add("late")
	startProcess(t, dir, nil, sets...)
	if missing := awaitAll(sink, answered); len(missing) > 0 {
		t.Error("the message that was taken while stopping is gone")
	}
}

// TestShutdownWithStuckNextHop: a next hop that says nothing does not hold up
// the stop, and what was on the wire is tried again.
func TestShutdownWithStuckNextHop(t *testing.T) {
	t.Parallel()
	stuck := smtptest.Scripted(t, func(cmd string) smtptest.Step {
		if cmd == "." {
			return smtptest.Step{Then: smtptest.Stall}
		}
		return smtptest.Polite(cmd)
	})
	dir := t.TempDir()
	sets := []string{"route.mode=smarthost"} // in doubt after the stop, so it leaves at once again
	p := startProcess(t, dir, nil, append(sets, "route.smarthost="+stuck.Addr())...)
	c := mustDial(t, p.smtp)
	if err := c.send("a@esp.test", "wire@dest.test", letter("wire", 100)); err != nil {
		t.Fatal(err)
	}
	if !eventually(20*time.Second, func() bool { return stuck.Commands.Load() >= 5 }) {
		t.Fatal("the message does not leave")
	}
	if err := p.terminate(); err != nil { // wait gives it 40 s
		t.Errorf("it stopped with %v\n%s", err, p.log)
	}
	p.kill()
	sink := smtptest.Scripted(t, smtptest.Polite)
	answered := &answers{}
	answered.add("wire")
	startProcess(t, dir, nil, append(sets, "route.smarthost="+sink.Addr())...)
	if missing := awaitAll(sink, answered); len(missing) > 0 {
		t.Error("the message that was on the wire is gone")
	}
}

// reloadable is a configuration with a certificate and a credential.
type reloadable struct {
	t   *testing.T
	dir string
	p   *process
}

// write changes the files: the certificate is for a name, the credential has a
// password.
func (r *reloadable) write(host, password string) {
	r.t.Helper()
	cert, _ := smtptest.Certificate(r.t, host)
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		r.t.Fatal(err)
	}
	r.file("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}))
	r.file("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	r.file("tidepost.toml", fmt.Appendf(nil, `[smtp]
certificate = "cert.pem"
key = "key.pem"
trusted_networks = []
[[credential]]
name = "esp"
password_hash = '%s'
tenant = "acme"
`, intake.HashPassword(password)))
}

func (r *reloadable) file(name string, text []byte) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), text, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// hangup sends SIGHUP and waits for what the log says then.
func (r *reloadable) hangup(want string) {
	r.t.Helper()
	before := len(r.p.log.String())
	r.p.cmd.Process.Signal(syscall.SIGHUP)
	if !eventually(20*time.Second, func() bool { return strings.Contains(r.p.log.String()[before:], want) }) {
		r.t.Errorf("after SIGHUP the log does not say %q:\n%s", want, r.p.log.String()[before:])
	}
}

// check logs in over STARTTLS and compares the certificate's name and what
// AUTH answered.
func (r *reloadable) check(when, host, password, want string) {
	r.t.Helper()
	c := mustDial(r.t, r.p.smtp)
	if err := c.do("STARTTLS", "220"); err != nil {
		r.t.Fatal(err)
	}
	secure := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	if err := secure.Handshake(); err != nil {
		r.t.Fatalf("%s: %v", when, err)
	}
	if got := secure.ConnectionState().PeerCertificates[0].DNSNames[0]; got != host {
		r.t.Errorf("%s: the certificate is for %s, want %s", when, got, host)
	}
	c.conn = secure
	c.r.Reset(secure)
	if err := c.do("EHLO client.test", "250"); err != nil {
		r.t.Fatal(err)
	}
	auth := "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00esp\x00"+password))
	if err := c.do(auth, want); err != nil {
		r.t.Errorf("%s: password %q: %v", when, password, err)
	}
}

// TestHangup: SIGHUP takes over credentials and the certificate, for new
// sessions; of files that are broken nothing is taken over.
func TestHangup(t *testing.T) {
	t.Parallel()
	r := &reloadable{t: t, dir: t.TempDir()}
	r.write("one.test", "first")
	r.p = mustStart(t, setup{dir: t.TempDir(), file: filepath.Join(r.dir, "tidepost.toml"), sets: []string{"smtp.trusted_networks=[]"}})
	r.check("at first", "one.test", "first", "235")

	r.write("two.test", "second")
	r.check("changed but not reloaded", "one.test", "first", "235")
	r.hangup("configuration reloaded")
	r.check("reloaded", "two.test", "second", "235")
	r.check("reloaded", "two.test", "first", "535") // though it was right a moment ago

	r.write("three.test", "third")
	r.file("cert.pem", []byte("no certificate"))
	r.hangup("the old one stays in force")
	r.check("after a broken certificate", "two.test", "second", "235")
	r.check("after a broken certificate", "two.test", "third", "535")

	r.write("three.test", "third")
	r.file("tidepost.toml", []byte("[smtp]\ncertificates = 'x'\n"))
	r.hangup("the old one stays in force")
	r.check("after a broken configuration", "two.test", "second", "235")

	r.write("three.test", "third")
	r.hangup("configuration reloaded")
	r.check("after repair", "three.test", "third", "235")
}

func mustDial(t *testing.T, address string) *smtpClient {
	t.Helper()
	c, err := dialSMTP(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}
