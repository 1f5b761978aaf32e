package outbound

import (
	"fmt"
	"net/netip"
	"slices"
)

// Guard says which addresses mail to MX hosts may be sent to. The zero value
// allows public addresses only. It is asked when mail is routed and again when
// an address is dialled, so a name that changes in between does not slip by.
type Guard struct {
	Own           []netip.Addr // our addresses: mail to them would come back
	AllowLoopback bool         // for tests
	AllowPrivate  bool         // RFC 1918, RFC 4193, RFC 6598: MX hosts inside one's own network
}

var (
	nat64   = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	private = []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10")}
	never   = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("240.0.0.0/4")}
)

// check returns why an address is refused, or nil. A nil Guard allows all.
func (g *Guard) check(a netip.Addr) error {
	if g == nil {
		return nil
	}
	a = a.Unmap().WithZone("")
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	switch {
	case g.own(a):
		return fmt.Errorf("%s is our own address", a)
	case !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() || within(never, a):
		return fmt.Errorf("%s is no address for mail", a)
	case a.IsLoopback() && !g.AllowLoopback:
		return fmt.Errorf("%s is a loopback address", a)
	case (a.IsPrivate() || within(private, a)) && !g.AllowPrivate:
		return fmt.Errorf("%s is a private address", a)
	}
	return nil
}

// own reports whether an address is ours.
func (g *Guard) own(a netip.Addr) bool {
	return slices.ContainsFunc(g.Own, func(o netip.Addr) bool { return o.Unmap().WithZone("") == a.Unmap().WithZone("") })
}

func within(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
