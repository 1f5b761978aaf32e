package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"tidepost/gateway/intake"
	"tidepost/gateway/smtptest"
)

// runClient runs a foreign SMTP client with a time limit.
func runClient(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	return string(out), err
}

func needClient(t *testing.T, name string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	t.Skip(name + " is not installed")
	return ""
}

// TestSwaks submits with swaks in clear and over STARTTLS, with and without a
// password, pipelined and not.
func TestSwaks(t *testing.T) {
	t.Parallel()
	swaks := needClient(t, "swaks")
	sink := smtptest.Scripted(t, smtptest.Polite)
	dir := t.TempDir()
	cert, _ := smtptest.Certificate(t, "gateway.test")
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"cert.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})),
		"key.pem":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		"tidepost.toml": "[smtp]\ncertificate = 'cert.pem'\nkey = 'key.pem'\n[route]\nmode = 'smarthost'\nsmarthost = '" + sink.Addr() + "'\n" +
			"[[credential]]\nname = 'esp'\npassword_hash = '" + intake.HashPassword("right") + "'\ntenant = 'acme'\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := mustStart(t, setup{dir: filepath.Join(dir, "data"), file: filepath.Join(dir, "tidepost.toml")})
	sent := &answers{}
	for i := range 12 {
		id := fmt.Sprintf("swaks%d", i)
		args := []string{"--server", p.smtp, "--from", "a@esp.test", "--to", id + "@dest.test", "--header", "Message-ID: <" + id + "@esp.test>", "--timeout", "30"}
		args = append(args, [][]string{{}, {"--tls"}, {"--tls", "--tls-protocol", "tlsv1_2"}}[i%3]...)
		if i/3%2 == 1 {
			args = append(args, "--auth", []string{"PLAIN", "LOGIN"}[i%2], "--auth-user", "esp", "--auth-password", "right")
		}
		if i >= 6 {
			args = append(args, "--pipeline")
		}
		out, err := runClient(t, swaks, args...)
		if err != nil || !strings.Contains(out, "queued as") {
			t.Errorf("swaks %s: %v\n%s", strings.Join(args, " "), err, out)
			continue
		}
		sent.add(id)
	}
	if out, err := runClient(t, swaks, "--server", p.smtp, "--from", "a@esp.test", "--to", "b@dest.test", "--tls",
		"--auth", "PLAIN", "--auth-user", "esp", "--auth-password", "wrong"); err == nil || !strings.Contains(out, "535") {
		t.Errorf("swaks with a wrong password: %v\n%s", err, out)
	}
	wantOnce(t, sink, sent)
}

// wantOnce waits until all that was sent has left and checks that it left once.
func wantOnce(t *testing.T, sink *smtptest.Server, sent *answers) {
	t.Helper()
	if missing := awaitAll(sink, sent); len(missing) > 0 {
		t.Errorf("%d of %d messages did not leave, the first is %s", len(missing), sent.len(), missing[0])
	}
	copies := copiesOf(t, sink)
	for id, n := range copies {
		if n != 1 {
			t.Errorf("%s left %d times", id, n)
		}
	}
	if len(copies) != sent.len() {
		t.Errorf("%d messages left, %d were sent", len(copies), sent.len())
	}
}

var messageID = regexp.MustCompile(`(?mi)^Message-ID: *(<\S+>)\r$`)

// TestSMTPSource submits 2,000 messages, or as many as TESTING_SOURCE says,
// with Postfix's smtp-source over 20 connections: each arrives once.
func TestSMTPSource(t *testing.T) {
	t.Parallel()
	source := needClient(t, "smtp-source")
	n := 2000
	if v := os.Getenv("TESTING_SOURCE"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	sink := smtptest.Scripted(t, smtptest.Polite)
	p := startProcess(t, t.TempDir(), nil, "route.mode=smarthost", "route.smarthost="+sink.Addr())
	// -N gives each recipient a number of its own in front.
	out, err := runClient(t, source, "-d", "-N", "-s", "20", "-m", strconv.Itoa(n), "-l", "4096", "-f", "a@esp.test", "-t", "r@dest.test", p.smtp)
	if err != nil {
		t.Fatalf("smtp-source: %v\n%s", err, out)
	}
	eventually(time.Minute, func() bool { return sink.Accepted.Load() >= int64(n) })
	time.Sleep(200 * time.Millisecond) // for one too many
	recipients, ids := map[string]bool{}, map[string]bool{}
	for _, m := range sink.Messages() {
		recipients[m.To[0]] = true
		match := messageID.FindAllSubmatch(m.Data, -1)
		if len(match) != 1 {
			t.Fatalf("%d Message-IDs in a message:\n%.1000s", len(match), m.Data)
		}
		ids[string(match[0][1])] = true
		if m.From != "a@esp.test" || bytes.Count(m.Data, []byte("\nReceived: ")) > 1 {
			t.Fatalf("from %s:\n%.1000s", m.From, m.Data)
		}
	}
	if got := int(sink.Accepted.Load()); got != n || len(recipients) != n || len(ids) != n {
		t.Errorf("%d messages arrived with %d recipients and %d Message-IDs, want %d of each", got, len(recipients), len(ids), n)
	}
}

// TestNodemailer submits through nodemailer's pool, where node has it.
func TestNodemailer(t *testing.T) {
	t.Parallel()
	node := needClient(t, "node")
	if out, err := runClient(t, node, "-e", "require('nodemailer')"); err != nil {
		t.Skipf("node has no nodemailer: %.100s", out)
	}
	sink := smtptest.Scripted(t, smtptest.Polite)
	p := startProcess(t, t.TempDir(), nil, "route.mode=smarthost", "route.smarthost="+sink.Addr())
	const n = 200
	host, port, _ := strings.Cut(p.smtp, ":")
	out, err := runClient(t, node, "-e", fmt.Sprintf(`
const pool = require('nodemailer').createTransport({pool: true, maxConnections: 10, host: '%s', port: %s, tls: {rejectUnauthorized: false}});
const all = [];
for (let i = 0; i < %d; i++) all.push(pool.sendMail({from: 'a@esp.test', to: 'n' + i + '@dest.test', messageId: '<n' + i + '@esp.test>', subject: 'ä', text: 'ö', html: '<p>ö</p>'}));
Promise.all(all).then(() => pool.close(), e => { console.error(e); process.exit(1) });
`, host, port, n))
	if err != nil {
		t.Fatalf("nodemailer: %v\n%s", err, out)
	}
	sent := &answers{}
	for i := range n {
		sent.add(fmt.Sprintf("n%d", i))
	}
	wantOnce(t, sink, sent)
}
