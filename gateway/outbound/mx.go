package outbound

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"

	"tidepost/gateway"
)

// What one Route looks at and returns, whatever a zone holds (attack A19: 200
// MX hosts).
const (
	maxHosts     = 10 // MX hosts considered
	maxAddresses = 20 // of all of them
	routeTime    = 30 * time.Second
)

// MX routes mail to the hosts that a domain names in DNS (RFC 5321 §5.1).
type MX struct {
	Resolver  Resolver // required; a Cache, shared with Transport
	Guard     Guard    // the addresses that are refused
	Hostnames []string // our own names, as other zones' MX records call us
	Port      string   // "": 25
}

var _ gateway.Router = (*MX)(nil)

// Route finds the hosts for a domain. A *gateway.Outcome as error is final
// (null MX, no such domain, no usable host) or temporary (DNS failure).
func (m *MX) Route(ctx context.Context, domain string) (gateway.Destination, error) {
	ctx, cancel := context.WithTimeout(ctx, routeTime)
	defer cancel()
	if strings.HasPrefix(domain, "[") {
		return m.literal(domain)
	}
	name, err := normal(domain)
	if err != nil {
		return gateway.Destination{}, failed(550, "5.1.2", fmt.Sprintf("%q is no domain name", domain))
	}
	records, implicit, err := m.records(ctx, name)
	if err != nil {
		return gateway.Destination{}, err
	}
	records, err = m.usable(ctx, name, records, implicit)
	if err != nil {
		return gateway.Destination{}, err
	}
	hosts := make([]string, len(records))
	for i, r := range records {
		hosts[i] = m.hostport(r.Host)
	}
	return gateway.Destination{Name: rollUp(records), Hosts: hosts}, nil
}

// normal returns a domain in lower case ASCII, without its final dot.
func normal(domain string) (string, error) {
	name := strings.ToLower(strings.TrimSuffix(domain, "."))
	if !ascii(name) {
		var err error
		if name, err = idna.Lookup.ToASCII(name); err != nil {
			return "", err
		}
	}
	if name == "" || len(name) > 253 || strings.ContainsAny(name, " \t\r\n<>@:/[]") {
		return "", fmt.Errorf("no domain name")
	}
	return name, nil
}

// literal routes to an address literal (RFC 5321 §4.1.3).
func (m *MX) literal(domain string) (gateway.Destination, error) {
	text := strings.TrimSuffix(strings.TrimPrefix(domain, "["), "]")
	if len(text) > 5 && strings.EqualFold(text[:5], "IPv6:") {
		text = text[5:]
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return gateway.Destination{}, failed(550, "5.1.2", fmt.Sprintf("%q is no address literal", domain))
	}
	if err := m.Guard.check(a); err != nil {
		return gateway.Destination{}, failed(550, "5.4.4", err.Error())
	}
	return gateway.Destination{Name: a.String(), Hosts: []string{m.hostport(a.String())}}, nil
}

// records returns a domain's MX records by preference, those after our own
// left out; implicit when the domain itself stands in for them.
func (m *MX) records(ctx context.Context, domain string) (list []*net.MX, implicit bool, err error) {
	found, err := m.Resolver.LookupMX(ctx, absolute(domain))
	if err != nil && !missing(err) && len(found) == 0 {
		return nil, false, temporary(domain, err)
	}
	if len(found) == 0 { // RFC 5321 §5.1: "implicit MX"
		return []*net.MX{{Host: domain}}, true, nil
	}
	for _, r := range found {
		if host := strings.ToLower(strings.TrimSuffix(r.Host, ".")); host != "" {
			list = append(list, &net.MX{Host: host, Pref: r.Pref})
		}
	}
	if len(list) == 0 {
		return nil, false, failed(556, "5.1.10", domain+" does not accept mail (null MX, RFC 7505)")
	}
	shuffle(list)
	if list = m.before(list); len(list) == 0 {
		return nil, false, failed(550, "5.4.6", "mail for "+domain+" loops back to us")
	}
	return list[:min(len(list), maxHosts)], false, nil
}

// shuffle orders records by preference, at random among equals.
func shuffle(list []*net.MX) {
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	slices.SortStableFunc(list, func(a, b *net.MX) int { return cmp.Compare(a.Pref, b.Pref) })
}

// before returns the records that are preferred to our own (RFC 5321 §5.1: a
// host must not send to one that is no nearer than itself).
func (m *MX) before(list []*net.MX) []*net.MX {
	for _, r := range list {
		if slices.ContainsFunc(m.Hostnames, func(own string) bool { return strings.EqualFold(strings.TrimSuffix(own, "."), r.Host) }) {
			return preferred(list, r.Pref)
		}
	}
	return list
}

// preferred returns the records of a preference below pref.
func preferred(list []*net.MX, pref uint16) []*net.MX {
	i, _ := slices.BinarySearchFunc(list, pref, func(r *net.MX, p uint16) int { return cmp.Compare(r.Pref, p) })
	return list[:i]
}

// usable returns the hosts that have an address which mail may be sent to, at
// most as many as Transport tries.
func (m *MX) usable(ctx context.Context, domain string, records []*net.MX, implicit bool) ([]*net.MX, error) {
	var chosen []*net.MX
	var trouble *gateway.Outcome
	seen := 0
	for _, r := range records {
		if len(chosen) == maxAttempts || seen >= maxAddresses {
			break
		}
		addrs, err := lookup(ctx, m.Resolver, r.Host)
		if err != nil {
			trouble = worst(trouble, unresolved(domain, r.Host, implicit, err))
			continue
		}
		seen += len(addrs)
		if m.own(addrs) { // we are that host, under a name we did not know of
			trouble = worst(trouble, failed(550, "5.4.6", "mail for "+domain+" loops back to us"))
			chosen = preferred(chosen, r.Pref)
			break
		}
		if err := m.allowed(addrs); err != nil {
			trouble = worst(trouble, failed(550, "5.4.4", r.Host+": "+err.Error()))
			continue
		}
		chosen = append(chosen, r)
	}
	if len(chosen) == 0 {
		return nil, trouble
	}
	return chosen, nil
}

// allowed returns nil when one of the addresses may be used.
func (m *MX) allowed(addrs []netip.Addr) error {
	err := errors.New("no address")
	for _, a := range addrs[:min(len(addrs), maxAddresses)] {
		if err = m.Guard.check(a); err == nil {
			return nil
		}
	}
	return err
}

// own reports whether one of the addresses is ours.
func (m *MX) own(addrs []netip.Addr) bool {
	return slices.ContainsFunc(addrs, m.Guard.own)
}

func (m *MX) hostport(host string) string {
	return net.JoinHostPort(host, cmp.Or(m.Port, "25"))
}

// rollUp is the name by which hosts are limited and listed: the registrable
// domain of the best host, so that all the domains of one provider count as one.
func rollUp(records []*net.MX) string {
	best := records[0].Host
	for _, r := range records {
		if r.Pref == records[0].Pref && r.Host < best {
			best = r.Host // the same one, however equals were shuffled
		}
	}
	if name, err := publicsuffix.EffectiveTLDPlusOne(best); err == nil {
		return name
	}
	return best
}

// unresolved is what it means that a host has no address.
func unresolved(domain, host string, implicit bool, err error) *gateway.Outcome {
	switch {
	case !missing(err):
		return temporary(host, err)
	case implicit:
		return failed(550, "5.1.2", domain+" does not exist, or takes no mail")
	}
	return failed(550, "5.4.4", "the mail host "+host+" of "+domain+" does not exist")
}

// worst chooses the outcome that leaves more hope: where one host's trouble is
// temporary, the domain's is.
func worst(a, b *gateway.Outcome) *gateway.Outcome {
	if a != nil && a.Kind == gateway.OutcomeDeferred {
		return a
	}
	return b
}

func failed(code int, status, text string) *gateway.Outcome {
	return &gateway.Outcome{Kind: gateway.OutcomeFailed, Code: code, Status: status, Text: escape([]byte(text))}
}

func temporary(name string, err error) *gateway.Outcome {
	return &gateway.Outcome{Kind: gateway.OutcomeDeferred, Code: 451, Status: "4.4.3",
		Text: escape([]byte("DNS lookup of " + name + ": " + brief(err)))}
}
