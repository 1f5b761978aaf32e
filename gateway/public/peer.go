package public

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// peer finds who sent a request. X-Forwarded-For counts only where a trusted proxy
// wrote it, and then the last address that is none of them: what stands before that
// may be made up (attacks H11). The zero address is nobody known.
func (s *Server) peer(r *http.Request) netip.Addr {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := from.Addr().Unmap()
	forwarded := r.Header.Values("X-Forwarded-For")
	if !s.trusted(addr) {
		if len(forwarded) > 0 && addr.IsLoopback() {
			s.warned.Do(func() {
				s.log().Warn("a proxy on this machine hands requests on, and http.trusted_proxies does not name it: all readers look like one to limits and to the filter of machines")
			})
		}
		return addr
	}
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return netip.Addr{} // the proxy's own says nothing about the reader
		}
		if addr = hop.Unmap().WithZone(""); !s.trusted(addr) {
			break
		}
	}
	return addr
}

func (s *Server) trusted(a netip.Addr) bool {
	for _, p := range s.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func addressOf(a net.Addr) netip.Addr {
	if a == nil {
		return netip.Addr{}
	}
	from, _ := netip.ParseAddrPort(a.String()) // the zero one of a listener without addresses
	return from.Addr().Unmap()
}
