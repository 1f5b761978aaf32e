package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"tidepost/gateway"
	"tidepost/gateway/smtptest"
)

// refusal is the outcome that Open fails with.
func refusal(t *testing.T, tr *Transport, hosts ...string) gateway.Outcome {
	t.Helper()
	s, err := tr.Open(context.Background(), destination(hosts...))
	var o *gateway.Outcome
	if err == nil {
		s.Close()
		t.Fatal("Open succeeded")
	} else if !errors.As(err, &o) {
		t.Fatalf("%v is no outcome", err)
	}
	if o.Kind != gateway.OutcomeUnsent {
		t.Errorf("kind of %v is not unsent", o)
	}
	return *o
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestHostsInOrder(t *testing.T) {
	first, second := smtptest.Scripted(t, hostile("", smtptest.Step{Reply: "421 4.3.2 full", Then: smtptest.Close})), smtptest.New(t)
	s := open(t, &Transport{}, closedPort(t), first.Addr(), second.Addr())
	want(t, send(s, envelope("a@x")), "delivered 250 2.0.0")
	if len(second.Messages()) != 1 || first.Connections.Load() != 1 {
		t.Error("not the second host's")
	}
}

func TestHostsCapped(t *testing.T) {
	var dials atomic.Int64
	tr := &Transport{Dial: func(context.Context, string, string) (net.Conn, error) {
		dials.Add(1)
		return nil, errors.New("no route")
	}}
	var hosts []string
	for range 200 {
		hosts = append(hosts, "mx.test:25")
	}
	if o := refusal(t, tr, hosts...); !strings.Contains(o.Text, "no route") || dials.Load() != maxAttempts {
		t.Errorf("%v after %d attempts, want %d", o, dials.Load(), maxAttempts)
	}
	refusal(t, tr)
	refusal(t, tr, "no port")
}

func TestHello(t *testing.T) {
	for _, row := range []struct {
		name    string
		answers map[string]string
		want    string // of Send, or of Open
	}{
		{"HELO for a host without EHLO", map[string]string{"EHLO": "502 5.5.1 what"}, "delivered 250 2.0.0"},
		{"both refused", map[string]string{"EHLO": "550 5.7.1 no", "HELO": "550 5.7.1 no"}, "unsent 550 5.7.1"},
		{"EHLO is deferred", map[string]string{"EHLO": "451 4.3.0 later"}, "unsent 451 4.3.0"},
		{"421 to EHLO", map[string]string{"EHLO": "421 4.3.2 too many connections!"}, "unsent 421 4.3.2 busy"},
	} {
		t.Run(row.name, func(t *testing.T) {
			sc := &script{answers: row.answers}
			tr := &Transport{Hostname: "relay.example.com"}
			s, err := tr.Open(context.Background(), destination(smtptest.Scripted(t, sc.step).Addr()))
			var o *gateway.Outcome
			if errors.As(err, &o) {
				want(t, []gateway.Outcome{*o}, row.want)
				return
			}
			defer s.Close()
			want(t, send(s, envelope("a@x")), row.want)
			if sc.seen[1] != "EHLO relay.example.com" || sc.seen[2] != "HELO relay.example.com" {
				t.Errorf("%q", sc.seen)
			}
		})
	}
}

func TestHelloLiteral(t *testing.T) {
	sc := &script{}
	open(t, &Transport{}, smtptest.Scripted(t, sc.step).Addr())
	if sc.seen[1] != "EHLO [127.0.0.1]" {
		t.Errorf("%q", sc.seen)
	}
	for a, want := range map[net.Addr]string{
		&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 1}: "[IPv6:2001:db8::1]",
		&net.UnixAddr{Name: "/x"}:                             "localhost",
	} {
		if got := literal(a); got != want {
			t.Errorf("%v: %q, want %q", a, got, want)
		}
	}
}

func TestCaptured(t *testing.T) {
	d, err := Capture{}.Route(context.Background(), "example.com")
	if err != nil || !d.Capture {
		t.Fatal(d, err)
	}
	s, err := new(Transport).Open(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	want(t, send(s, envelope("a@x", "b@x")), "captured 250 2.0.0, captured 250 2.0.0")
	if !s.Usable() || s.Close() != nil {
		t.Error("not usable")
	}
}

func TestSmarthost(t *testing.T) {
	for in, want := range map[string]string{"relay.test:587": "relay.test:587", "relay.test": "relay.test:25", "::1": "[::1]:25"} {
		d, err := Smarthost{Host: in}.Route(context.Background(), "example.com")
		if err != nil || d.Name != "smarthost" || len(d.Hosts) != 1 || d.Hosts[0] != want {
			t.Errorf("%s: %v %v", in, d, err)
		}
	}
}

// TestDialGuarded has a name that changed to loopback between the routing and
// the dialling.
func TestDialGuarded(t *testing.T) {
	zone := zone{addrs: map[string][]netip.Addr{"mx.test.": addrs("127.0.0.1", "10.0.0.1")}}
	tr := &Transport{Resolver: zone, Guard: &Guard{}, Dial: func(_ context.Context, _, address string) (net.Conn, error) {
		t.Errorf("dialled %s", address)
		return nil, errors.New("no")
	}}
	if o := refusal(t, tr, "mx.test:25"); !strings.Contains(o.Text, "private address") {
		t.Error(o.Text)
	}
	refusal(t, tr, "127.0.0.1:25")
	refusal(t, tr, "nowhere.test:25")
}

// TestDialByAddress connects to the address that the resolver gave, and
// verifies the certificate by the name.
func TestDialByAddress(t *testing.T) {
	cert, pool := smtptest.Certificate(t, "mx.test")
	sink := &smtptest.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
	sink.Start(t)
	_, port, _ := net.SplitHostPort(sink.Addr())
	tr := &Transport{
		Resolver: zone{addrs: map[string][]netip.Addr{"mx.test.": addrs("10.0.0.1", "127.0.0.1")}},
		Guard:    &Guard{AllowLoopback: true},
		TLSMode:  TLSRequired, TLSConfig: &tls.Config{RootCAs: pool},
	}
	want(t, send(open(t, tr, "mx.test:"+port), envelope("a@x")), "delivered 250 2.0.0")
	if m := sink.Messages(); len(m) != 1 || !m[0].TLS {
		t.Error("not over TLS")
	}
}
