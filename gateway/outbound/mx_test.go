package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"tidepost/gateway"
)

// zone is a Resolver with fixed answers. What is not in it does not exist;
// names in broken fail for now.
type zone struct {
	mx     map[string][]*net.MX
	addrs  map[string][]netip.Addr
	broken map[string]bool
}

func (z zone) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	if z.broken["MX "+name] {
		return nil, &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
	}
	if list, ok := z.mx[name]; ok {
		return list, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (z zone) LookupNetIP(_ context.Context, _, name string) ([]netip.Addr, error) {
	if z.broken[name] {
		return nil, &net.DNSError{Err: "CNAME loop", Name: name}
	}
	if list, ok := z.addrs[name]; ok {
		return list, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// mx reads "10 a.test, 20 b.test" into records.
func mx(s string) []*net.MX {
	var list []*net.MX
	for part := range strings.SplitSeq(s, ", ") {
		var r net.MX
		fmt.Sscan(part, &r.Pref, &r.Host)
		list = append(list, &r)
	}
	return list
}

func testZone() zone {
	z := zone{mx: map[string][]*net.MX{
		"two.example.":      mx("20 b.mail.test., 10 a.mail.test."),
		"null.example.":     mx("0 ."),
		"nullish.example.":  mx("0 ., 10 a.mail.test."),
		"loop.example.":     mx("10 localhost.test., 20 b.mail.test."),
		"inside.example.":   mx("10 localhost.test., 10 private.test."),
		"us.example.":       mx("10 a.mail.test., 20 Relay.Example.COM., 30 b.mail.test."),
		"onlyus.example.":   mx("10 relay.example.com., 20 b.mail.test."),
		"usbyip.example.":   mx("10 a.mail.test., 20 alias.test., 30 b.mail.test."),
		"gone.example.":     mx("10 gone.test."),
		"halfgone.example.": mx("10 gone.test., 20 b.mail.test."),
		"cname.example.":    mx("10 cname.test."),
		"maybe.example.":    mx("10 cname.test., 20 gone.test."),
		"literal.example.":  mx("10 192.0.2.9."),
		"gmail.example.":    mx("5 alt1.aspmx.l.google.com., 1 aspmx.l.google.com."),
		"uk.example.":       mx("1 mx.provider.co.uk."),
	}, addrs: map[string][]netip.Addr{
		"a.mail.test.":             addrs("192.0.2.1", "2001:db8::1"),
		"b.mail.test.":             addrs("192.0.2.2"),
		"localhost.test.":          addrs("127.0.0.1", "::1"),
		"private.test.":            addrs("10.1.2.3"),
		"alias.test.":              addrs("192.0.2.77"),
		"implicit.example.":        addrs("192.0.2.3"),
		"implicitlocal.example.":   addrs("127.0.0.1"),
		"aspmx.l.google.com.":      addrs("192.0.2.4"),
		"alt1.aspmx.l.google.com.": addrs("192.0.2.5"),
		"mx.provider.co.uk.":       addrs("192.0.2.6"),
		"xn--bcher-kva.example.":   addrs("192.0.2.7"),
	}, broken: map[string]bool{"MX down.example.": true, "cname.test.": true}}
	return z
}

func TestMX(t *testing.T) {
	m := &MX{Resolver: testZone(), Hostnames: []string{"relay.example.com"}, Guard: Guard{Own: addrs("192.0.2.77")}}
	for _, row := range []struct{ domain, want string }{
		{"two.example", "mail.test: a.mail.test:25 b.mail.test:25"},
		{"TWO.Example.", "mail.test: a.mail.test:25 b.mail.test:25"},
		{"null.example", "failed 556 5.1.10"},
		{"nullish.example", "mail.test: a.mail.test:25"},
		{"nowhere.example", "failed 550 5.1.2"},
		{"implicit.example", "implicit.example: implicit.example:25"},
		{"implicitlocal.example", "failed 550 5.4.4"},
		{"down.example", "deferred 451 4.4.3"},
		{"loop.example", "mail.test: b.mail.test:25"},
		{"inside.example", "failed 550 5.4.4"},
		{"us.example", "mail.test: a.mail.test:25"},
		{"onlyus.example", "failed 550 5.4.6"},
		{"usbyip.example", "mail.test: a.mail.test:25"},
		{"gone.example", "failed 550 5.4.4"},
		{"halfgone.example", "mail.test: b.mail.test:25"},
		{"cname.example", "deferred 451 4.4.3"},
		{"maybe.example", "deferred 451 4.4.3"},
		{"literal.example", "192.0.2.9: 192.0.2.9:25"},
		{"gmail.example", "google.com: aspmx.l.google.com:25 alt1.aspmx.l.google.com:25"},
		{"uk.example", "provider.co.uk: mx.provider.co.uk:25"},
		{"bücher.example", "xn--bcher-kva.example: xn--bcher-kva.example:25"},
		{"[192.0.2.8]", "192.0.2.8: 192.0.2.8:25"},
		{"[IPv6:2001:db8::8]", "2001:db8::8: [2001:db8::8]:25"},
		{"[127.0.0.1]", "failed 550 5.4.4"},
		{"[192.0.2.77]", "failed 550 5.4.4"},
		{"[nonsense]", "failed 550 5.1.2"},
		{"", "failed 550 5.1.2"},
		{"a b", "failed 550 5.1.2"},
		{"x@y", "failed 550 5.1.2"},
	} {
		d, err := m.Route(context.Background(), row.domain)
		got := d.Name + ": " + strings.Join(d.Hosts, " ")
		var o *gateway.Outcome
		if errors.As(err, &o) {
			got = kinds([]gateway.Outcome{*o})
		} else if err != nil {
			got = err.Error()
		}
		if got != row.want {
			t.Errorf("%s: %s, want %s (%v)", row.domain, got, row.want, err)
		}
	}
}

func TestMXEqualsAtRandom(t *testing.T) {
	z := zone{mx: map[string][]*net.MX{"x.example.": mx("10 a.test, 10 b.test, 20 c.test")},
		addrs: map[string][]netip.Addr{"a.test.": addrs("192.0.2.1"), "b.test.": addrs("192.0.2.2"), "c.test.": addrs("192.0.2.3")}}
	seen := map[string]int{}
	for range 100 {
		d, err := (&MX{Resolver: z}).Route(context.Background(), "x.example")
		if err != nil || d.Name != "a.test" || len(d.Hosts) != 3 || d.Hosts[2] != "c.test:25" {
			t.Fatal(d, err)
		}
		seen[d.Hosts[0]]++
	}
	if len(seen) != 2 {
		t.Errorf("first hosts %v", seen)
	}
	if z.mx["x.example."][0].Host != "a.test" {
		t.Error("the resolver's answer was changed")
	}
}

// TestMXCapped is A19's 200 hosts: little is asked, little is returned.
func TestMXCapped(t *testing.T) {
	z := zone{mx: map[string][]*net.MX{}, addrs: map[string][]netip.Addr{}}
	for i := range 200 {
		host := fmt.Sprintf("mx%d.test.", i)
		z.mx["big.example."] = append(z.mx["big.example."], &net.MX{Host: host, Pref: uint16(i)})
		z.mx["bad.example."] = append(z.mx["bad.example."], &net.MX{Host: "local" + host, Pref: uint16(i)})
		z.addrs[host], z.addrs["local"+host] = addrs("192.0.2.1"), addrs("127.0.0.1")
	}
	asked := &counting{Resolver: z}
	d, err := (&MX{Resolver: asked}).Route(context.Background(), "big.example")
	if err != nil || len(d.Hosts) != maxAttempts || asked.n != maxAttempts {
		t.Errorf("%d hosts after %d questions, %v", len(d.Hosts), asked.n, err)
	}
	asked.n = 0
	if _, err := (&MX{Resolver: asked}).Route(context.Background(), "bad.example"); err == nil || asked.n != maxHosts {
		t.Errorf("%v after %d questions", err, asked.n)
	}
}

// counting counts questions for addresses.
type counting struct {
	Resolver
	n int
}

func (c *counting) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	c.n++
	return c.Resolver.LookupNetIP(ctx, network, host)
}

func TestGuard(t *testing.T) {
	g := &Guard{Own: addrs("192.0.2.1")}
	for a, ok := range map[string]bool{
		"198.51.100.1": true, "2606:4700::1": true,
		"127.0.0.1": false, "127.9.9.9": false, "::1": false, "::ffff:127.0.0.1": false, "64:ff9b::7f00:1": false,
		"0.0.0.0": false, "0.1.2.3": false, "::": false, "169.254.1.1": false, "fe80::1": false, "fe80::1%eth0": false,
		"224.0.0.1": false, "255.255.255.255": false, "240.0.0.1": false,
		"10.0.0.1": false, "172.16.0.1": false, "192.168.1.1": false, "100.64.0.1": false, "fd00::1": false,
		"192.0.2.1": false, "::ffff:192.0.2.1": false,
	} {
		if err := g.check(netip.MustParseAddr(a)); (err == nil) != ok {
			t.Errorf("%s: %v", a, err)
		}
	}
	open := &Guard{AllowLoopback: true, AllowPrivate: true}
	for _, a := range addrs("127.0.0.1", "10.0.0.1", "fd00::1") {
		if err := open.check(a); err != nil {
			t.Error(err)
		}
	}
	if err := (*Guard)(nil).check(netip.MustParseAddr("127.0.0.1")); err != nil {
		t.Error(err)
	}
}
