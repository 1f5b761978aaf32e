package intake

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"tidepost/gateway"
)

// gate checks passwords: few at a time, because each takes memory; seldom, because
// ESPs reconnect often; and slower and slower for those who guess.
type gate struct {
	limits *Limits
	slots  chan struct{} // one for each hash being computed
	key    [32]byte      // of the cache, so that it holds nothing worth stealing

	mu        sync.Mutex
	known     *simplelru.LRU[[32]byte, time.Time] // passwords that were right; guarded by mu
	byAddress *simplelru.LRU[string, *failures]   // guarded by mu
	byAccount *simplelru.LRU[string, *failures]   // guarded by mu
}

// failures counts the failed attempts since a time.
type failures struct {
	n     int
	since time.Time
}

const (
	knownSize    = 1024
	knownFor     = 10 * time.Minute
	failuresSize = 20_000
	hashSlots    = 2
	slotWait     = 10 * time.Second
	maxName      = 255
)

var (
	errTooManyFailed = &gateway.Reply{Code: 421, Status: "4.7.0", Text: "too many failed attempts from your address, try again later"}
	errAccountBusy   = &gateway.Reply{Code: 454, Status: "4.7.0", Text: "too many failed attempts for this account, try again later"}
	errGateBusy      = &gateway.Reply{Code: 454, Status: "4.7.0", Text: "busy, try again later"}
)

func newGate(l *Limits) *gate {
	g := &gate{limits: l, slots: make(chan struct{}, hashSlots)}
	rand.Read(g.key[:])
	g.known, _ = simplelru.NewLRU[[32]byte, time.Time](knownSize, nil) // fails only for a size below 1
	g.byAddress, _ = simplelru.NewLRU[string, *failures](failuresSize, nil)
	g.byAccount, _ = simplelru.NewLRU[string, *failures](failuresSize, nil)
	return g
}

// login returns the credential of a name and password used from an address. A
// password that was right a short while ago is not computed again, and is not
// held up by others who guess at the account.
func (g *gate) login(ctx context.Context, a *access, from netip.Addr, name, password string) (*gateway.Credential, error) {
	cred := a.byName[name]
	seen := g.digest(cred, name, password)
	if cred != nil && g.isKnown(seen) && mayUse(cred, from) {
		return cred, nil
	}
	addr, account := addressKey(from), name[:min(len(name), maxName)]
	if err := g.mayTry(addr, account); err != nil {
		return nil, err
	}
	ok, err := g.verify(ctx, a, cred, password)
	if err != nil {
		return nil, err
	}
	if !ok || !mayUse(cred, from) {
		return nil, g.failed(ctx, addr, account)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.known.Add(seen, time.Now())
	return cred, nil
}

func mayUse(cred *gateway.Credential, from netip.Addr) bool {
	return len(cred.Networks) == 0 || contains(cred.Networks, from)
}

// verify computes the hash, of nobody's password where there is no such account,
// so that time does not tell.
func (g *gate) verify(ctx context.Context, a *access, cred *gateway.Credential, password string) (bool, error) {
	t := time.NewTimer(slotWait)
	defer t.Stop()
	select {
	case g.slots <- struct{}{}:
	case <-t.C:
		return false, errGateBusy
	case <-ctx.Done():
		return false, errGateBusy
	}
	defer func() { <-g.slots }()
	h := a.dummy
	if cred != nil {
		parsed, err := parseHash(cred.PasswordHash)
		if err != nil {
			return false, err
		}
		h = parsed
	}
	return h.matches(password) && cred != nil, nil
}

// digest names a password that was right. It covers the hash, so that a changed
// password is not remembered.
func (g *gate) digest(cred *gateway.Credential, name, password string) (d [32]byte) {
	m := hmac.New(sha256.New, g.key[:])
	m.Write([]byte(name))
	m.Write([]byte{0})
	if cred != nil {
		m.Write([]byte(cred.PasswordHash))
	}
	m.Write([]byte{0})
	m.Write([]byte(password))
	m.Sum(d[:0])
	return d
}

func (g *gate) isKnown(d [32]byte) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	at, ok := g.known.Get(d)
	return ok && time.Since(at) < knownFor
}

func (g *gate) mayTry(addr, account string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case over(g.countLocked(g.byAddress, addr)+1, g.limits.AuthPerAddress):
		return errTooManyFailed
	case over(g.countLocked(g.byAccount, account)+1, g.limits.AuthPerAccount):
		return errAccountBusy
	}
	return nil
}

func (g *gate) countLocked(l *simplelru.LRU[string, *failures], key string) int {
	f, ok := l.Get(key)
	if !ok || time.Since(f.since) > g.limits.AuthWindow {
		return 0
	}
	return f.n
}

// failed counts a wrong password and waits before it is told.
func (g *gate) failed(ctx context.Context, addr, account string) error {
	g.mu.Lock()
	n := g.addLocked(g.byAddress, addr)
	g.addLocked(g.byAccount, account)
	g.mu.Unlock()
	t := time.NewTimer(g.limits.AuthDelay << min(n-1, 4))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return replyBadPassword
}

func (g *gate) addLocked(l *simplelru.LRU[string, *failures], key string) int {
	f, ok := l.Get(key)
	if !ok || time.Since(f.since) > g.limits.AuthWindow {
		f = &failures{since: time.Now()}
		l.Add(key, f)
	}
	f.n++
	return f.n
}

// addressKey is what an attacker has many of with difficulty: an IPv4 address, or
// a /64 of IPv6.
func addressKey(a netip.Addr) string {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}
