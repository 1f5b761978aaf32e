package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"tidepost/gateway"
)

// How many addresses one Open tries (attack A19: 200 MX hosts).
const (
	maxAttempts = 5
	maxPerHost  = 2 // of one host's; RFC 5321 §5.1 wants at least two
)

// Transport opens SMTP sessions. Its zero value speaks opportunistic TLS with
// the timeouts of RFC 5321.
type Transport struct {
	Hostname  string      // EHLO name; "": the address literal of our end
	TLSMode   TLSMode     // zero: opportunistic
	TLSConfig *tls.Config // nil: the system's roots; not verified in opportunistic mode
	Username  string      // "": no AUTH
	Password  string
	Timeouts  Timeouts

	// Resolver finds the addresses of hosts, and Guard refuses some of them; both
	// are for mail to MX hosts. nil: Dial resolves, every address is allowed.
	Resolver Resolver
	Guard    *Guard

	// Dial connects; nil means a net.Dialer. Tests replace it.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	once     sync.Once
	sessions tls.ClientSessionCache
}

var _ gateway.Transport = (*Transport)(nil)

// Open connects to the first host that takes us, in order, and makes the
// connection ready for MAIL. At most five addresses are tried. The error is a
// *gateway.Outcome of kind OutcomeUnsent: it tells of the last host tried.
func (t *Transport) Open(ctx context.Context, d gateway.Destination) (gateway.Session, error) {
	if d.Capture {
		return captured{}, nil
	}
	timeouts := t.Timeouts.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, timeouts.Open)
	defer cancel()
	var last error = unsent(d.Name, "connect", errors.New("the destination has no hosts"))
	attempts := maxAttempts
	for _, hostport := range d.Hosts {
		addresses, err := t.addresses(ctx, hostport)
		if err != nil {
			last = err
		}
		for _, address := range addresses {
			if attempts--; attempts < 0 || ctx.Err() != nil {
				return nil, last
			}
			s, err := t.open(ctx, hostport, address, timeouts)
			if err == nil {
				return s, nil
			}
			last = err
		}
	}
	return nil, last
}

// addresses returns what to dial for a host, at most two of its addresses.
func (t *Transport) addresses(ctx context.Context, hostport string) ([]string, error) {
	if t.Resolver == nil {
		return []string{hostport}, nil
	}
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, unsent(hostport, "connect", err)
	}
	addrs, err := lookup(ctx, t.Resolver, host)
	if err != nil {
		return nil, unsent(host, "DNS", err)
	}
	var list []string
	var refused error
	for _, a := range addrs {
		if err := t.Guard.check(a); err != nil {
			refused = unsent(host, "connect", err)
			continue
		}
		if list = append(list, net.JoinHostPort(a.String(), port)); len(list) == maxPerHost {
			break
		}
	}
	if len(list) > 0 {
		refused = nil
	}
	return list, refused
}

// open makes one address ready for MAIL. In opportunistic mode a handshake
// that fails is followed by one connection in clear.
func (t *Transport) open(ctx context.Context, hostport, address string, timeouts Timeouts) (*session, error) {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, unsent(hostport, "connect", err)
	}
	mode := t.TLSMode
	s, err := t.dial(ctx, host, address, mode, timeouts)
	if errors.Is(err, errHandshake) && mode == TLSOpportunistic && ctx.Err() == nil {
		s, err = t.dial(ctx, host, address, TLSNone, timeouts)
	}
	if o := (*gateway.Outcome)(nil); err != nil && !errors.As(err, &o) {
		err = unsent(host, "TLS", err)
	}
	return s, err
}

func (t *Transport) dial(ctx context.Context, host, address string, mode TLSMode, timeouts Timeouts) (*session, error) {
	dial := t.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	dctx, cancel := context.WithTimeout(ctx, timeouts.Connect)
	defer cancel()
	nc, err := dial(dctx, "tcp", address)
	if err != nil {
		return nil, unsent(host, "connect", err)
	}
	s := &session{conn: newConn(nc, host), timeouts: timeouts}
	release := s.watch(ctx, timeouts.Open)
	err = t.prepare(ctx, s, mode)
	if !release() && err == nil {
		err = s.lost("connect", context.Cause(ctx))
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	s.used = time.Now()
	return s, nil
}

// prepare takes a connection from its first byte to where MAIL may follow.
func (t *Transport) prepare(ctx context.Context, s *session, mode TLSMode) error {
	if mode == TLSImplicit {
		if err := s.encrypt(ctx, t.config(s.host)); err != nil {
			return err
		}
	}
	if err := s.read(s.timeouts.Greeting); err != nil {
		return s.lost("greeting", err)
	}
	if !s.reply.ok() {
		return s.reply.unsent(s.host, "greeting")
	}
	if err := s.hello(t.Hostname); err != nil {
		return err
	}
	if mode == TLSOpportunistic || mode == TLSRequired {
		if err := s.startTLS(ctx, t); err != nil {
			return err
		}
	}
	if t.Username != "" {
		return s.login(t)
	}
	return nil
}

// lookup is LookupNetIP that takes an address for itself.
func lookup(ctx context.Context, r Resolver, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	return r.LookupNetIP(ctx, "ip", absolute(host))
}
