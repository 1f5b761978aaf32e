package webhook

import (
	"fmt"
	"net/netip"
	"slices"
)

func prefixes(list ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(list))
	for i, p := range list {
		all[i] = netip.MustParsePrefix(p)
	}
	return all
}

var (
	nat64  = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052: the last 32 bits are an IPv4 address
	global = netip.MustParsePrefix("2000::/3")     // all of IPv6 that is given out for the world

	// private are the networks where somebody's own services stand.
	private = prefixes("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")

	// metadata is where clouds hand out credentials: to whoever asks from the
	// machine. Some of these lie in private or in public networks.
	metadata = prefixes("169.254.169.254/32", "fd00:ec2::/32", "fd20:ce::254/128", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32")

	// never are the other networks of IANA's special-purpose registries (RFC 6890)
	// in which no receiver of webhooks can be.
	never = prefixes("0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"2001::/23", // Teredo, benchmarking, ORCHID and what else the IETF reserved
		"2001:db8::/32",
		"2002::/16", // 6to4: an IPv4 address is inside, and no relays are left
		"3fff::/20")
)

// plain is the address that packets to a really go to: an IPv4 address in an IPv6
// coat is taken out of it.
func plain(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if nat64.Contains(a) {
		b := a.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a
}

// checkAddr returns why an address is refused, or nil. allow are networks that are
// meant whatever they are; refuse are more networks to keep away from.
func checkAddr(a netip.Addr, allowPrivate bool, allow, refuse []netip.Prefix) error {
	if !a.IsValid() {
		return fmt.Errorf("that is no address")
	}
	full := a.Unmap().WithZone("")
	a = plain(a)
	switch {
	case within(refuse, a) || within(refuse, full):
		return fmt.Errorf("%s is in a network that is refused", a)
	case within(allow, a):
		return nil
	case within(metadata, a):
		return fmt.Errorf("%s is an address where clouds keep credentials", a)
	case within(private, a) && a.IsLoopback() && !allowPrivate:
		return fmt.Errorf("%s is this machine", a)
	case within(private, a):
		if !allowPrivate {
			return fmt.Errorf("%s is a private address", a)
		}
	case within(never, a) || a.Is6() && !global.Contains(a):
		return fmt.Errorf("%s is no public address", a)
	}
	return nil
}

func within(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}
