package webhook

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxURL is how long a URL may be, in bytes: many times what links in mail are,
// and short enough to be kept in memory by the thousand.
const maxURL = 4096

// URLError says why a URL is refused and what to do about it.
type URLError struct {
	Problem string // a clause that begins with what is wrong: "the scheme is ftp"
	Remedy  string // what to write instead
}

// Error is the problem with the remedy.
func (e *URLError) Error() string { return e.Problem + "; " + e.Remedy }

func refuse(problem, remedy string) error { return &URLError{problem, remedy} }

// CheckURL refuses what Client.Do would refuse of a URL without asking DNS, so
// that it is told where it is written and not where it is called. allowPrivate is
// for receivers inside one's own network: their private addresses, their names
// without a dot, and http are then taken. The error is a *URLError. A URL that
// passes can still be refused when it is called, where its name leads inside.
func CheckURL(raw string, allowPrivate bool) error {
	_, err := (&Client{AllowPrivate: allowPrivate, AllowHTTP: allowPrivate}).parse(raw)
	return err
}

// parse reads a URL, or returns a *URLError. No error repeats the URL: it can hold
// a reader's token or a receiver's secret.
func (c *Client) parse(raw string) (*url.URL, error) {
	if len(raw) > maxURL {
		return nil, refuse("the URL is longer than "+strconv.Itoa(maxURL)+" bytes", "shorten it")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, refuse("the URL cannot be read", "write it as https://host/path")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, refuse("the scheme is not https", "write the URL as https://host/path")
	case u.Scheme == "http" && !c.AllowHTTP:
		return nil, refuse("the scheme is http, and what is sent would be readable on its way", "use https")
	case u.Opaque != "" || u.Hostname() == "":
		return nil, refuse("the URL has no host", "write it as https://host/path")
	case u.User != nil:
		return nil, refuse("the URL has a user or a password in front of its host", "take the part up to the @ out")
	}
	if err := checkPort(u); err != nil {
		return nil, err
	}
	return u, c.checkHost(u)
}

// checkPort refuses ports on which something else than HTTP listens: it might take
// what we say for its own language.
func checkPort(u *url.URL) error {
	text := u.Port()
	if text == "" {
		return nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return refuse("the port is not one of 1 to 65535", "leave it out for the usual one")
	}
	if _, found := slices.BinarySearch(otherPorts, uint16(port)); found {
		return refuse("port "+text+" is not one for HTTP", "use 443 or another port of your own")
	}
	return nil
}

// otherPorts are the ports that browsers refuse (the bad ports of
// https://fetch.spec.whatwg.org), with those of databases, caches and queues,
// SMTP submission as Tidepost takes it, and NATS; in order.
var otherPorts = []uint16{1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
	110, 111, 113, 115, 117, 119, 123, 135, 137, 138, 139, 143, 161, 179, 389, 427, 445, 465, 512, 513, 514, 515, 526, 530, 531,
	532, 540, 548, 554, 556, 563, 587, 601, 636, 873, 989, 990, 993, 995, 1433, 1521, 1719, 1720, 1723, 1883, 2049, 2181, 2525,
	3306, 3389, 3659, 4045, 4190, 4222, 5060, 5061, 5432, 5672, 5900, 6000, 6222, 6379, 6380, 6566, 6665, 6666, 6667, 6668, 6669,
	6679, 6697, 7422, 9042, 9092, 10080, 11211, 27017}

// insideNames are names that never lead out (RFC 6761, RFC 6762, RFC 8375, and
// the one ICANN set aside for private use).
var insideNames = []string{"localhost", "local", "internal", "home.arpa"}

// checkHost refuses addresses by what they are and names by how they look. The
// names' addresses are looked at when they are dialled.
func (c *Client) checkHost(u *url.URL) error {
	host := u.Hostname()
	if strings.Contains(u.Host, "[") || endsInNumber(host) {
		a, err := netip.ParseAddr(host)
		if err != nil || a.Zone() != "" {
			return refuse("the host is a number that can be read in more than one way", "write a name, or an address as four decimal numbers")
		}
		if err := c.check(a); err != nil {
			return refuse(err.Error(), "use a public one, or allow private addresses where one is meant")
		}
		return nil
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if !isName(host) {
		return refuse("the host is not a name that DNS knows", "write a name in letters, digits and hyphens; others in their xn-- form")
	}
	if c.AllowPrivate || len(c.Allow) > 0 {
		return nil
	}
	inside := func(name string) bool { return host == name || strings.HasSuffix(host, "."+name) }
	if !strings.Contains(host, ".") || slices.ContainsFunc(insideNames, inside) {
		return refuse("the host's name is one of a private network", "use a public one, or allow private addresses where one is meant")
	}
	return nil
}

// endsInNumber reports whether some resolver would read the host as an IPv4
// address: 2130706433, 0x7f.1 and 127.1 are all 127.0.0.1 to the C library
// (https://url.spec.whatwg.org/#ends-in-a-number-checker).
func endsInNumber(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	if hex, found := strings.CutPrefix(strings.ToLower(last), "0x"); found {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// isName reports whether a host in lower case is one as DNS has them. Others are
// refused since the dialer would turn them into something else first: the name of
// full-width digits into an address.
func isName(host string) bool {
	if len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}
