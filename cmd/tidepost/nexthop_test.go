package main

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tidepost/gateway/smtptest"
)

// smarthost is a next hop that wants TLS and a password before MAIL, and
// writes down what it is told.
type smarthost struct {
	*smtptest.Server
	roots string // file with its certificate

	mu      sync.Mutex
	clear   []string // commands before TLS; guarded by mu
	offered bool     // STARTTLS; guarded by mu
	secure  bool     // guarded by mu
	known   bool     // guarded by mu
}

const smarthostPassword = "correct horse"

func newSmarthost(t *testing.T, offered bool) *smarthost {
	t.Helper()
	cert, _ := smtptest.Certificate(t, "127.0.0.1")
	h := &smarthost{Server: &smtptest.Server{}, roots: filepath.Join(t.TempDir(), "roots.pem"), offered: offered}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	if err := os.WriteFile(h.roots, text, 0o600); err != nil {
		t.Fatal(err)
	}
	h.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	h.Script = h.answer
	h.Start(t)
	return h
}

// answer is the script of a test's one connection at a time.
func (h *smarthost) answer(cmd string) smtptest.Step {
	h.mu.Lock()
	defer h.mu.Unlock()
	verb, _, _ := strings.Cut(strings.ToUpper(cmd), " ")
	if cmd == "" {
		h.secure, h.known = false, false
	}
	if !h.secure {
		h.clear = append(h.clear, cmd)
	}
	login := "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00gateway\x00"+smarthostPassword))
	switch {
	case verb == "EHLO" && !h.secure && h.offered:
		return smtptest.Step{Reply: "250-sink.test\r\n250 STARTTLS"}
	case verb == "EHLO" && !h.secure:
		return smtptest.Step{Reply: "250-sink.test\r\n250 AUTH PLAIN LOGIN"}
	case verb == "EHLO":
		return smtptest.Step{Reply: "250-sink.test\r\n250-PIPELINING\r\n250 AUTH PLAIN LOGIN"}
	case verb == "STARTTLS":
		h.secure = true
		return smtptest.Step{Reply: "220 go", Then: smtptest.Encrypt}
	case cmd == login:
		h.known = true
		return smtptest.Step{Reply: "235 2.7.0 welcome"}
	case verb == "AUTH":
		return smtptest.Step{Reply: "535 5.7.8 no"}
	case verb == "MAIL" && !h.secure:
		return smtptest.Step{Reply: "530 5.7.0 STARTTLS first"}
	case verb == "MAIL" && !h.known:
		return smtptest.Step{Reply: "530 5.7.0 log in first"}
	}
	return smtptest.Polite(cmd)
}

// TestSmarthostWithTLS: a password makes TLS required. Mail leaves over TLS and
// logged in; where the certificate is not trusted, TLS is not offered or the
// password is wrong it stays here, and the password never goes out in clear.
func TestSmarthostWithTLS(t *testing.T) {
	t.Parallel()
	stranger := newSmarthost(t, true).roots
	for _, test := range []struct {
		name     string
		offered  bool
		roots    string // "": its own
		password string
		taken    bool
	}{
		{"as it should be", true, "", smarthostPassword, true},
		{"a certificate of somebody else", true, stranger, smarthostPassword, false},
		{"no STARTTLS", false, "", smarthostPassword, false},
		{"a wrong password", true, "", "wrong", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newSmarthost(t, test.offered)
			if test.roots == "" {
				test.roots = h.roots
			}
			password := filepath.Join(t.TempDir(), "password")
			if err := os.WriteFile(password, []byte(test.password+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			p := mustStart(t, setup{dir: t.TempDir(), env: []string{"SSL_CERT_FILE=" + test.roots, "SSL_CERT_DIR=" + t.TempDir()}, sets: []string{
				"route.mode=smarthost", "route.smarthost=" + h.Addr(), "route.username=gateway", "route.password_file=" + password}})
			if err := mustDial(t, p.smtp).send("a@esp.test", "b@dest.test", letter("tls", 1000)); err != nil {
				t.Fatal(err)
			}
			if test.taken {
				h.wantOne(t)
			} else if !eventually(20*time.Second, func() bool { return strings.Contains(p.log.String(), "destination cannot be reached") }) {
				t.Errorf("the log does not say that the next hop cannot be used:\n%s", p.log)
			}
			if n := h.Accepted.Load(); n > 0 != test.taken {
				t.Errorf("the next hop took %d messages", n)
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			for _, cmd := range h.clear {
				if strings.HasPrefix(cmd, "AUTH") || strings.HasPrefix(cmd, "MAIL") {
					t.Errorf("%q was sent in clear", cmd)
				}
			}
			if strings.Contains(p.log.String(), test.password) {
				t.Error("the password is in the log")
			}
		})
	}
}

func (h *smarthost) wantOne(t *testing.T) {
	t.Helper()
	if !eventually(20*time.Second, func() bool { return h.Accepted.Load() > 0 }) {
		t.Error("the message does not leave")
		return
	}
	if m := h.Messages()[0]; !m.TLS || !strings.Contains(string(m.Data), "Message-ID: <tls@esp.test>") {
		t.Errorf("TLS %v, content:\n%s", m.TLS, m.Data)
	}
}
