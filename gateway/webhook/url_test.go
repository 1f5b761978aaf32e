package webhook

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// hostile is row H1 of what attackers try, as far as the text of a URL shows it; a
// URL without a problem is accepted.
var hostile = []struct{ url, problem string }{
	{"https://hooks.example.com/a?b=c", ""},
	{"https://hooks.example.com:8443/", ""},
	{"HTTPS://HOOKS.Example.COM./", ""},
	{"https://8.8.8.8/", ""},
	{"https://[2606:4700::1111]/", ""},
	{"https://[64:ff9b::808:808]/", ""},
	{"https://xn--bcher-kva.example/", ""},
	{"https://0x7f.example.com/", ""},
	{"https://1e100.net/", ""},

	{"", "scheme"},
	{"hooks.example.com/a", "scheme"},
	{"//hooks.example.com/a", "scheme"},
	{"file:///etc/passwd", "scheme"},
	{"gopher://hooks.example.com/_x", "scheme"},
	{"ftp://hooks.example.com/", "scheme"},
	{"javascript:alert(1)", "scheme"},
	{"http://hooks.example.com/", "scheme is http"},
	{"https:hooks.example.com", "no host"},
	{"https:///path", "no host"},
	{"https://:443/", "no host"},
	{"https://user@hooks.example.com/", "user"},
	{"https://hooks.example.com@127.0.0.1/", "user"},
	{"https://a:b@hooks.example.com/", "user"},
	{"https://hooks.example.com\\@127.0.0.1/", "cannot be read"},
	{"https://hooks.example.com/\r\nX: y", "cannot be read"},
	{"https://hooks.example.com:25/", "port 25"},
	{"https://hooks.example.com:22/", "port 22"},
	{"https://hooks.example.com:2525/", "port 2525"},
	{"https://hooks.example.com:4222/", "port 4222"},
	{"https://hooks.example.com:6379/", "port 6379"},
	{"https://hooks.example.com:0/", "port is not"},
	{"https://hooks.example.com:65561/", "port is not"}, // 25 in 16 bits
	{"https://hooks.example.com/" + strings.Repeat("a", maxURL), "longer"},

	{"https://127.0.0.1:4222/", "port 4222"},
	{"https://127.0.0.1/", "this machine"},
	{"https://127.255.255.254/", "this machine"},
	{"https://[::1]/", "this machine"},
	{"https://[::ffff:127.0.0.1]/", "this machine"},
	{"https://[::ffff:7f00:1]/", "this machine"},
	{"https://[64:ff9b::7f00:1]/", "this machine"},
	{"https://[64:ff9b::127.0.0.1]/", "this machine"},
	{"https://0.0.0.0/", "no public"},
	{"https://[::]/", "no public"},
	{"https://[::127.0.0.1]/", "no public"},
	{"https://[::ffff:0:127.0.0.1]/", "no public"},
	{"https://[64:ff9b:1::7f00:1]/", "no public"},
	{"https://2130706433/", "more than one way"},
	{"https://017700000001/", "more than one way"},
	{"https://0x7f000001/", "more than one way"},
	{"https://0x7f.1/", "more than one way"},
	{"https://127.1/", "more than one way"},
	{"https://127.0.1/", "more than one way"},
	{"https://0177.0.0.1/", "more than one way"},
	{"https://127.0.0.1./", "more than one way"},
	{"https://127.0.0.01/", "more than one way"},
	{"https://127.0.0.0x1/", "more than one way"},
	{"https://127.0.0.0x/", "more than one way"},
	{"https://256.256.256.256/", "more than one way"},
	{"https://example.1/", "more than one way"},
	{"https://[fe80::1%25eth0]/", "more than one way"},
	{"https://[v1.fe80]/", "cannot be read"},
	{"https://%31%32%37.0.0.1/", "cannot be read"},
	{"https://１２７.0.0.1/", "more than one way"},
	{"https://127。0。0。1/", "not a name"},
	{"https://①②⑦.example.com/", "not a name"},
	{"https://ｌｏｃａｌｈｏｓｔ/", "not a name"},
	{"https://bücher.example/", "not a name"},
	{"https://a..b/", "not a name"},
	{"https://" + strings.Repeat("a", 64) + ".com/", "not a name"},

	{"https://169.254.169.254/latest/meta-data/", "credentials"},
	{"https://[::ffff:169.254.169.254]/", "credentials"},
	{"https://[fd00:ec2::254]/", "credentials"},
	{"https://168.63.129.16/", "credentials"},
	{"https://169.254.1.1/", "no public"},
	{"https://10.1.2.3/", "private"},
	{"https://172.16.0.1/", "private"},
	{"https://172.31.255.255/", "private"},
	{"https://172.32.0.1/", ""},
	{"https://192.168.1.1/", "private"},
	{"https://100.64.0.1/", "private"},
	{"https://100.127.255.255/", "private"},
	{"https://[fc00::1]/", "private"},
	{"https://[fdff::1]/", "private"},
	{"https://[fe80::1]/", "no public"},
	{"https://[fec0::1]/", "no public"},
	{"https://[ff02::1]/", "no public"},
	{"https://[2001:db8::1]/", "no public"},
	{"https://[2002:7f00:1::]/", "no public"},
	{"https://[2001:0:7f00:1::]/", "no public"},
	{"https://224.0.0.1/", "no public"},
	{"https://255.255.255.255/", "no public"},
	{"https://240.0.0.1/", "no public"},
	{"https://192.0.2.1/", "no public"},
	{"https://198.51.100.1/", "no public"},
	{"https://203.0.113.1/", "no public"},
	{"https://198.18.0.1/", "no public"},
	{"https://192.0.0.8/", "no public"},

	{"https://localhost/", "private network"},
	{"https://LOCALHOST./", "private network"},
	{"https://a.localhost/", "private network"},
	{"https://redis/", "private network"},
	{"https://printer.local/", "private network"},
	{"https://metadata.google.internal/", "private network"},
}

func TestCheckURL(t *testing.T) {
	for _, c := range hostile {
		err := CheckURL(c.url, false)
		var refusal *URLError
		switch {
		case c.problem == "" && err != nil:
			t.Errorf("%s: refused: %v", c.url, err)
		case c.problem != "" && err == nil:
			t.Errorf("%s: accepted", c.url)
		case c.problem != "" && (!errors.As(err, &refusal) || !strings.Contains(refusal.Problem, c.problem) || refusal.Remedy == ""):
			t.Errorf("%s: %v, want %q and a remedy", c.url, err, c.problem)
		}
	}
}

// Where private addresses are meant, that is all that is meant.
func TestCheckURLPrivate(t *testing.T) {
	for url, ok := range map[string]bool{
		"http://listmonk:9000/webhooks/bounce": true, "http://127.0.0.1:9000/": true, "http://10.0.0.1/": true, "http://[::1]/": true,
		"https://[fd00::1]/": true, "http://100.64.0.1/": true, "http://localhost/": true, "https://hooks.example.com/": true,
		"http://169.254.169.254/": false, "http://[fd00:ec2::254]/": false, "http://100.100.100.200/": false, "http://0.0.0.0/": false,
		"http://224.0.0.1/": false, "http://255.255.255.255/": false, "http://[fe80::1]/": false, "http://2130706433/": false,
		"http://127.0.0.1:25/": false, "http://u@127.0.0.1/": false, "ftp://127.0.0.1/": false,
	} {
		if err := CheckURL(url, true); (err == nil) != ok {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestAllowAndRefuse(t *testing.T) {
	allow, refuse := prefixes("10.1.0.0/16", "169.254.169.254/32"), prefixes("10.1.9.0/24", "2a00:1::/32")
	for a, ok := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "10.1.9.1": false, "10.2.0.1": false, "127.0.0.1": false, "169.254.169.254": true,
		"2a00:1::1": false, "2a00:2::1": true,
	} {
		if err := checkAddr(netip.MustParseAddr(a), false, allow, refuse); (err == nil) != ok {
			t.Errorf("%s: %v", a, err)
		}
	}
	if checkAddr(netip.Addr{}, true, nil, nil) == nil {
		t.Error("no address is taken for one")
	}
}

var errStop = errors.New("far enough")

// FuzzCheckURL: a URL that is accepted never leads to an address that is refused,
// even where the resolver reads every number in a name as an address.
func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{"https://hooks.example.com/", "https://8.8.8.8/x", "https://[64:ff9b::7f00:1]/", "http://2130706433/",
		"https://0x7f.1/", "https://[::ffff:127.0.0.1]:443/", "https://127.1./", "https://１２７.0.0.1", "https://a@b", "https://0177.1:8443#x",
		"https://[2606:4700::1]:8443/?q", "https://08.8.8.8/", "https://1.2.3.4.5.example.com"} {
		f.Add(s)
	}
	z := &zone{}
	var dialled []netip.Addr
	c := &Client{Resolver: z.resolver(), dialling: func(a netip.Addr) error {
		dialled = append(dialled, a) // one dial at a time: the resolver gives one address
		return errStop
	}}
	f.Fuzz(func(t *testing.T, raw string) {
		dialled = nil
		err := CheckURL(raw, false)
		r := c.Do(context.Background(), Request{URL: raw})
		if (r.Verdict == Refused) != (err != nil) {
			t.Errorf("check: %v; call: %v", err, r.Err)
		}
		for _, a := range dialled {
			if err != nil || !a.IsGlobalUnicast() || a.IsPrivate() || checkAddr(a, false, nil, nil) != nil {
				t.Errorf("dialled %s", a)
			}
		}
		if err != nil {
			return
		}
		// The text alone is enough: no name reaches DNS that some resolver would read
		// as an address inside.
		u, _ := c.parse(raw)
		if a, ok := literally(u.Hostname()); ok && checkAddr(a, false, nil, nil) != nil {
			t.Errorf("accepted: it can be read as %s", a)
		}
	})
}
