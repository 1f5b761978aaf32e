package evidence

import (
	"cmp"
	"net/netip"
	"slices"
	"sort"
)

// builtinRanges are networks that mail-security companies publish for their
// customers to let through. Clouds are left out: their lists have thousands of
// entries and change weekly, and company networks leave through some of them, so
// an operator who wants them supplies a list of their own.
var builtinRanges = []string{
	"64.235.144.0/20", "209.222.80.0/21", // Barracuda
	"67.231.144.0/20", "148.163.128.0/18", "205.220.160.0/19", "208.84.64.0/22", "208.86.200.0/22", // Proofpoint
	"185.132.180.0/22", "185.183.28.0/22", "91.209.104.0/24", // Proofpoint, Europe
	"63.128.21.0/24", "170.10.128.0/22", "205.139.110.0/23", "207.211.30.0/23", "216.205.24.0/24", // Mimecast
	"91.220.42.0/24", "146.101.78.0/24", "185.58.84.0/22", "195.130.217.0/24", // Mimecast, Europe
}

// builtinRelays sums up the list that Apple publishes of its relays' addresses
// (mask-api.icloud.com/egress-ip-ranges.csv). The networks that other services
// share are left out (Cloudflare 104.28.0.0/16): mail privacy is told by its
// user agent there.
var builtinRelays = []string{
	"172.224.0.0/14", "2a02:26f7::/32", // Akamai
	"140.248.0.0/16", "146.75.0.0/16", "2a04:4e41::/32", // Fastly
}

// ranges are disjoint networks in order.
type ranges []netip.Prefix

// newRanges sorts list, or the built-in one if it is nil. Two networks are
// disjoint or one holds the other: without the latter, one comparison finds the network
// that an address can be in, and a list of thousands costs no more than a few.
func newRanges(list []netip.Prefix, builtin []string) ranges {
	all := make([]netip.Prefix, 0, max(len(list), len(builtin)))
	if list == nil {
		for _, s := range builtin {
			all = append(all, netip.MustParsePrefix(s))
		}
	}
	for _, p := range list {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		if p.IsValid() {
			all = append(all, p.Masked())
		}
	}
	slices.SortFunc(all, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	disjoint := all[:0]
	for _, p := range all {
		if n := len(disjoint); n == 0 || !disjoint[n-1].Contains(p.Addr()) {
			disjoint = append(disjoint, p)
		}
	}
	return disjoint
}

// contain reports whether the address is in one of them.
func (r ranges) contain(a netip.Addr) bool {
	i := sort.Search(len(r), func(i int) bool { return a.Less(r[i].Addr()) })
	return i > 0 && r[i-1].Contains(a)
}
