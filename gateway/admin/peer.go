package admin

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// peer is where a request came from.
type peer struct {
	addr  netip.Addr // invalid where it cannot be told
	local bool       // from this machine itself, not handed on by a proxy
}

// peer finds who sent a request. X-Forwarded-For counts only where a trusted
// proxy wrote it, and then the last address that is none of them: what stands
// before that may be made up.
func (g *guard) peer(r *http.Request) peer {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return peer{}
	}
	addr := from.Addr().Unmap()
	forwarded := r.Header.Values("X-Forwarded-For")
	if len(forwarded) == 0 && r.Header.Get("Forwarded") == "" {
		return peer{addr, addr.IsLoopback()}
	}
	if !g.trusted(addr) {
		return peer{addr: addr}
	}
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = hop.Unmap()
		if !g.trusted(addr) {
			break
		}
	}
	return peer{addr: addr}
}

func (g *guard) trusted(a netip.Addr) bool {
	for _, p := range g.proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Of wrong tokens from one address the first ten are answered, then one in six
// seconds.
const (
	failBurst = 10
	failEvery = 6 * time.Second
	failPeers = 10_000 // addresses remembered
)

// limiter counts wrong tokens by address; an IPv6 host counts by its /64. The
// zero value is ready.
type limiter struct {
	mu   sync.Mutex
	full map[netip.Prefix]time.Time // guarded by mu: when an address has its whole burst again
}

// wait returns how long the address has to wait before a wrong token would be
// answered; 0: not at all.
func (l *limiter) wait(now time.Time, a netip.Addr) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	until, ok := l.full[network(a)]
	if !ok {
		return 0
	}
	debt := min(until.Sub(now), failBurst*failEvery) // more: the clock went back
	return max(0, debt-(failBurst-1)*failEvery)
}

// fail notes a wrong token.
func (l *limiter) fail(now time.Time, a netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full == nil {
		l.full = map[netip.Prefix]time.Time{}
	}
	if len(l.full) >= failPeers {
		l.forgetLocked(now)
	}
	k := network(a)
	until := l.full[k]
	if until.Before(now) || until.Sub(now) > failBurst*failEvery {
		until = now
	}
	l.full[k] = until.Add(failEvery)
}

// forgetLocked makes room: what is over goes, and any one where nothing is.
func (l *limiter) forgetLocked(now time.Time) {
	for k, until := range l.full {
		if !until.After(now) {
			delete(l.full, k)
		}
	}
	for k := range l.full {
		if len(l.full) < failPeers {
			return
		}
		delete(l.full, k)
	}
}

func network(a netip.Addr) netip.Prefix {
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits) // the zero prefix where there is no address
	return p
}
