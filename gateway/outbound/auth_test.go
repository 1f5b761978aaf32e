package outbound

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"tidepost/gateway"
	"tidepost/gateway/smtptest"
)

func TestAuth(t *testing.T) {
	const plain, user, password = "AHUAcA==", "dQ==", "cA=="
	for _, row := range []struct {
		name     string
		answers  map[string]string
		commands string
		want     string // of Open; "": it succeeds
	}{
		{"PLAIN", map[string]string{"EHLO": "250-x\r\n250 AUTH login plain", "AUTH": "235 2.7.0 ok"}, "AUTH PLAIN " + plain, ""},
		{"PLAIN to a host that ignores the initial response", map[string]string{"EHLO": "250-x\r\n250 AUTH=PLAIN", "AUTH": "334 ", plain: "235 ok"}, "AUTH PLAIN " + plain + "|" + plain, ""},
		{"LOGIN", map[string]string{"EHLO": "250-x\r\n250 AUTH LOGIN", "AUTH": "334 VXNlcm5hbWU6", user: "334 UGFzc3dvcmQ6", password: "235 ok"}, "AUTH LOGIN|" + user + "|" + password, ""},
		{"wrong password", map[string]string{"EHLO": "250-x\r\n250 AUTH PLAIN", "AUTH": "535 5.7.8 no"}, "AUTH PLAIN " + plain, "unsent 535 5.7.8"},
		{"challenges without end", map[string]string{"EHLO": "250-x\r\n250 AUTH LOGIN", "": "220 x", "AUTH": "334 ", user: "334 ", password: "334 "}, "AUTH LOGIN|" + user + "|" + password, "unsent 334"},
		{"no mechanism of ours", map[string]string{"EHLO": "250-x\r\n250 AUTH CRAM-MD5"}, "", "unsent 0"},
		{"not offered", map[string]string{"EHLO": "250 x"}, "", "unsent 0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			sc := &script{answers: row.answers}
			sink := smtptest.Scripted(t, sc.step)
			tr := &Transport{TLSMode: TLSNone, Username: "u", Password: "p"}
			if row.want == "" {
				open(t, tr, sink.Addr())
			} else {
				want(t, []gateway.Outcome{refusal(t, tr, sink.Addr())}, row.want)
			}
			if got := sc.commands(); got != row.commands {
				t.Errorf("commands %s, want %s", got, row.commands)
			}
		})
	}
}

// TestAuthNeedsTLS: the password is said under TLS only, or on loopback where
// TLS was switched off on purpose.
func TestAuthNeedsTLS(t *testing.T) {
	sink := &smtptest.Server{Users: map[string]string{"u": "p"}}
	sink.Start(t)
	for _, mode := range []TLSMode{TLSOpportunistic, TLSRequired} {
		refusal(t, &Transport{TLSMode: mode, Username: "u", Password: "p"}, sink.Addr())
	}
	open(t, &Transport{TLSMode: TLSNone, Username: "u", Password: "p"}, sink.Addr())
	refusal(t, &Transport{TLSMode: TLSNone, Username: "u", Password: "wrong"}, sink.Addr())
	if loopback(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}) || !loopback(&net.TCPAddr{IP: net.IPv6loopback}) {
		t.Error("loopback")
	}
}

func TestAuthUnderTLS(t *testing.T) {
	cert, pool := smtptest.Certificate(t, "127.0.0.1")
	sink := &smtptest.Server{Users: map[string]string{"u": "p"}, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
	sink.Start(t)
	tr := &Transport{TLSMode: TLSRequired, TLSConfig: &tls.Config{RootCAs: pool}, Username: "u", Password: "p"}
	want(t, send(open(t, tr, sink.Addr()), envelope("a@x")), "delivered 250 2.0.0")
	tr = &Transport{TLSMode: TLSRequired, TLSConfig: &tls.Config{RootCAs: pool}, Username: "u", Password: "x"}
	if o := refusal(t, tr, sink.Addr()); strings.Contains(o.Text, "x=") {
		t.Errorf("the password is in %q", o.Text)
	}
}
