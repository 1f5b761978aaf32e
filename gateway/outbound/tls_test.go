package outbound

import (
	"crypto/tls"
	"strings"
	"testing"

	"tidepost/gateway"
	"tidepost/gateway/smtptest"
)

const withTLS = "250-sink\r\n250-starttls\r\n250 PIPELINING"

func TestTLS(t *testing.T) {
	cert, pool := smtptest.Certificate(t, "127.0.0.1")
	wrong, _ := smtptest.Certificate(t, "elsewhere.test")
	for _, row := range []struct {
		name        string
		mode        TLSMode
		cert        *tls.Certificate // nil: not offered
		implicit    bool
		want        string // of Send; "": Open fails
		encrypted   bool
		connections int64
	}{
		{"opportunistic, offered", TLSOpportunistic, &cert, false, "delivered 250 2.0.0", true, 1},
		{"opportunistic, certificate of another", TLSOpportunistic, &wrong, false, "delivered 250 2.0.0", true, 1},
		{"opportunistic, not offered", TLSOpportunistic, nil, false, "delivered 250 2.0.0", false, 1},
		{"required, offered", TLSRequired, &cert, false, "delivered 250 2.0.0", true, 1},
		{"required, certificate of another", TLSRequired, &wrong, false, "", false, 1},
		{"required, not offered", TLSRequired, nil, false, "", false, 1},
		{"none, offered", TLSNone, &cert, false, "delivered 250 2.0.0", false, 1},
		{"implicit", TLSImplicit, &cert, true, "delivered 250 2.0.0", true, 1},
		{"implicit, certificate of another", TLSImplicit, &wrong, true, "", false, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			sink := &smtptest.Server{Implicit: row.implicit}
			if row.cert != nil {
				sink.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*row.cert}}
			}
			sink.Start(t)
			tr := &Transport{TLSMode: row.mode, TLSConfig: &tls.Config{RootCAs: pool}}
			if row.want == "" {
				refusal(t, tr, sink.Addr())
			} else {
				s := open(t, tr, sink.Addr())
				want(t, send(s, envelope("a@x")), row.want)
				want(t, send(s, envelope("a@x")), row.want)
				if m := sink.Messages(); len(m) != 2 || m[0].TLS != row.encrypted || string(m[1].Data) != letter {
					t.Errorf("arrived: %+v", m)
				}
			}
			if n := sink.Connections.Load(); n != row.connections {
				t.Errorf("%d connections, want %d", n, row.connections)
			}
		})
	}
}

// TestTLSBroken has a host whose handshake fails: opportunistic mode says the
// message in clear on a second connection, required mode does not say it.
func TestTLSBroken(t *testing.T) {
	for _, row := range []struct {
		name  string
		reply smtptest.Step
	}{
		{"garbage for a ServerHello", smtptest.Step{Reply: "220 go\r\nnot TLS at all, and long enough to be seen as such\r\n"}},
		{"closed", smtptest.Step{Reply: "220 go", Then: smtptest.Close}},
	} {
		t.Run(row.name, func(t *testing.T) {
			sink := smtptest.Scripted(t, func(cmd string) smtptest.Step {
				if strings.HasPrefix(cmd, "EHLO") {
					return smtptest.Step{Reply: withTLS}
				}
				return hostile("STARTTLS", row.reply)(cmd)
			})
			s := open(t, &Transport{}, sink.Addr())
			want(t, send(s, envelope("a@x")), "delivered 250 2.0.0")
			if n := sink.Connections.Load(); n != 2 {
				t.Errorf("%d connections, want 2", n)
			}
			refusal(t, &Transport{TLSMode: TLSRequired}, sink.Addr())
			refusal(t, &Transport{Username: "u", Password: "p"}, sink.Addr())
			if n := len(sink.Messages()); n != 1 {
				t.Errorf("%d messages", n)
			}
		})
	}
}

func TestTLSRefused(t *testing.T) {
	sink := smtptest.Scripted(t, func(cmd string) smtptest.Step {
		if strings.HasPrefix(cmd, "EHLO") {
			return smtptest.Step{Reply: withTLS}
		}
		return hostile("STARTTLS", smtptest.Step{Reply: "454 4.7.0 not now"})(cmd)
	})
	want(t, send(open(t, &Transport{}, sink.Addr()), envelope("a@x")), "delivered 250 2.0.0")
	want(t, []gateway.Outcome{refusal(t, &Transport{TLSMode: TLSRequired}, sink.Addr())}, "unsent 454 4.7.0")
}

// TestTLSInjection is F24: what was said in clear behind the reply to STARTTLS
// is not believed, and EHLO is said again.
func TestTLSInjection(t *testing.T) {
	cert, _ := smtptest.Certificate(t, "127.0.0.1")
	sc := &script{}
	encrypted := false
	sink := &smtptest.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
	sink.Script = func(cmd string) smtptest.Step {
		step := sc.step(cmd)
		switch {
		case strings.HasPrefix(cmd, "EHLO") && !encrypted:
			return smtptest.Step{Reply: withTLS + "\r\n250 AUTH LOGIN PLAIN\r\n"}
		case strings.HasPrefix(cmd, "EHLO"):
			return smtptest.Step{Reply: "250-sink\r\n250 DSN"}
		case cmd == "STARTTLS":
			encrypted = true
			return smtptest.Step{Reply: "220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n", Then: smtptest.Encrypt}
		}
		return step
	}
	sink.Script = pipelinedInjection(sink.Script)
	sink.Start(t)
	s := open(t, &Transport{}, sink.Addr())
	want(t, send(s, envelope("a@x")), "delivered 250 2.0.0")
	f := s.(*session).features
	if f.plain || f.login || f.pipelining || !f.dsn {
		t.Errorf("believed %+v", f)
	}
	hellos := 0
	for _, c := range sc.seen {
		if strings.HasPrefix(c, "EHLO") {
			hellos++
		}
	}
	if m := sink.Messages(); hellos != 2 || len(m) != 1 || !m[0].TLS {
		t.Errorf("%d EHLO, %+v", hellos, m)
	}
}

// pipelinedInjection keeps the reply to the first EHLO well-formed.
func pipelinedInjection(script func(string) smtptest.Step) func(string) smtptest.Step {
	return func(cmd string) smtptest.Step {
		step := script(cmd)
		step.Reply = strings.Replace(step.Reply, "250 PIPELINING\r\n250 AUTH", "250-PIPELINING\r\n250 AUTH", 1)
		return step
	}
}

func TestParseTLSMode(t *testing.T) {
	for in, want := range map[string]TLSMode{"": TLSOpportunistic, "opportunistic": TLSOpportunistic, "required": TLSRequired, "none": TLSNone, "implicit": TLSImplicit} {
		if got, err := ParseTLSMode(in); err != nil || got != want {
			t.Errorf("%q: %v %v", in, got, err)
		}
	}
	if _, err := ParseTLSMode("maybe"); err == nil {
		t.Error("maybe was taken")
	}
}
