package intake

import (
	"net/netip"
	"slices"

	"tidepost/gateway"
)

// access says who may submit. It is never changed, only replaced.
type access struct {
	trusted  []netip.Prefix
	fallback *gateway.Credential // of trusted networks
	byName   map[string]*gateway.Credential
	networks []network // credentials without a password
	dummy    hash      // verified where there is no such account
}

// network is a range of addresses that is a credential.
type network struct {
	prefix netip.Prefix
	cred   *gateway.Credential
}

// newAccess compiles the lists. A credential whose hash cannot be read lets nobody
// in; CheckHash tells in advance.
func newAccess(creds []gateway.Credential, trusted []netip.Prefix, fallback gateway.Credential) *access {
	a := &access{trusted: masked(trusted), fallback: &fallback, byName: map[string]*gateway.Credential{}, dummy: dummyHash}
	for i := range creds {
		c := creds[i]
		c.Networks = masked(c.Networks)
		if c.PasswordHash == "" {
			for _, p := range c.Networks {
				a.networks = append(a.networks, network{p, &c})
			}
			continue
		}
		if h, err := parseHash(c.PasswordHash); err == nil && len(a.byName) == 0 {
			a.dummy = h.like()
		}
		a.byName[c.Name] = &c
	}
	// The narrowest network decides.
	slices.SortStableFunc(a.networks, func(x, y network) int { return y.prefix.Bits() - x.prefix.Bits() })
	return a
}

func masked(list []netip.Prefix) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, p := range list {
		out[i] = netip.PrefixFrom(p.Addr().Unmap(), unmapBits(p)).Masked()
	}
	return out
}

// unmapBits returns the prefix length that belongs to the unmapped address.
func unmapBits(p netip.Prefix) int {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return p.Bits() - 96
	}
	return p.Bits()
}

// of returns what an address is without authentication: a credential of its own,
// the one of trusted networks, or nobody (nil).
func (a *access) of(addr netip.Addr) *gateway.Credential {
	for _, n := range a.networks {
		if n.prefix.Contains(addr) {
			return n.cred
		}
	}
	if a.trusts(addr) {
		return a.fallback
	}
	return nil
}

func (a *access) trusts(addr netip.Addr) bool { return contains(a.trusted, addr) }

func contains(list []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// SetCredentials replaces the credentials. Sessions that run already are held to
// them from their next MAIL on.
func (s *Server) SetCredentials(creds []gateway.Credential) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.credentials = slices.Clone(creds)
	s.compileLocked()
}

// SetTrustedNetworks replaces TrustedNetworks while the server runs.
func (s *Server) SetTrustedNetworks(nets []netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.TrustedNetworks = slices.Clone(nets)
	s.compileLocked()
}

func (s *Server) compileLocked() {
	fallback := s.Default
	if fallback.Tenant == "" {
		fallback.Tenant = "default"
	}
	if fallback.BulkClass == 0 {
		fallback.BulkClass = gateway.Newsletter
	}
	s.access.Store(newAccess(s.credentials, s.TrustedNetworks, fallback))
}

func (s *Server) isTrusted(addr netip.Addr) bool { return s.access.Load().trusts(addr) }
