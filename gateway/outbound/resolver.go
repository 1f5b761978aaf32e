package outbound

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Resolver is the part of DNS that routing needs; *net.Resolver has it. Names
// are given with their final dot, so that no search list applies. A name that
// does not exist, or has no such records, is a *net.DNSError with IsNotFound;
// every other error is temporary.
type Resolver interface {
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// How long Cache remembers. net.Resolver does not tell TTLs; these are short
// enough for a host that moves and long enough for a campaign.
const (
	cacheEntries = 10_000
	cacheFound   = 10 * time.Minute
	cacheMissing = 5 * time.Minute  // no such name (RFC 2308)
	cacheFailing = 30 * time.Second // the resolver's trouble
)

// Cache is a Resolver that remembers what another one said, refusals and
// failures too, and asks a question once however many wait for the answer. The
// zero value asks Go's own resolver. Share one between MX and Transport.
type Cache struct {
	Resolver Resolver         // nil: net.Resolver in pure Go
	Now      func() time.Time // nil: time.Now

	once  sync.Once
	mx    *lru.Cache[string, *answer[[]*net.MX]]
	addrs *lru.Cache[string, *answer[[]netip.Addr]]
	mu    sync.Mutex // orders the look in a cache and the entry made of it
}

// answer is a question under way until ready is closed, then what was said.
type answer[T any] struct {
	ready   chan struct{}
	value   T
	err     error
	expires time.Time
}

func (c *Cache) init() {
	c.once.Do(func() {
		// New fails only for a size that is not positive.
		c.mx, _ = lru.New[string, *answer[[]*net.MX]](cacheEntries)
		c.addrs, _ = lru.New[string, *answer[[]netip.Addr]](cacheEntries)
	})
}

// LookupMX is Resolver's. The result is shared and must not be changed.
func (c *Cache) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	c.init()
	return ask(ctx, c, c.mx, name, func() ([]*net.MX, error) { return c.resolver().LookupMX(ctx, name) })
}

// LookupNetIP is Resolver's. The result is shared and must not be changed.
func (c *Cache) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	c.init()
	return ask(ctx, c, c.addrs, network+" "+host, func() ([]netip.Addr, error) {
		return c.resolver().LookupNetIP(ctx, network, host)
	})
}

func (c *Cache) resolver() Resolver {
	if c.Resolver != nil {
		return c.Resolver
	}
	return &net.Resolver{PreferGo: true}
}

func (c *Cache) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// ask answers from memory, or waits for who asks already, or asks. An asker
// whose own context ends spoils nothing: the next one asks again.
func ask[T any](ctx context.Context, c *Cache, known *lru.Cache[string, *answer[T]], key string, query func() (T, error)) (T, error) {
	key = strings.ToLower(key)
	for {
		a, mine := enter(c, known, key)
		if mine {
			a.value, a.err = query()
			a.expires = c.now().Add(lifetime(ctx, a.err))
			close(a.ready)
			return a.value, a.err
		}
		select {
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		case <-a.ready:
		}
		if c.now().Before(a.expires) {
			return a.value, a.err
		}
		c.mu.Lock()
		if now, ok := known.Peek(key); ok && now == a {
			known.Remove(key)
		}
		c.mu.Unlock()
	}
}

// enter returns the answer under a key, and whether the caller is to find it.
func enter[T any](c *Cache, known *lru.Cache[string, *answer[T]], key string) (a *answer[T], mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a, ok := known.Get(key); ok {
		return a, false
	}
	a = &answer[T]{ready: make(chan struct{})}
	known.Add(key, a)
	return a, true
}

// lifetime is how long an answer is believed.
func lifetime(ctx context.Context, err error) time.Duration {
	switch {
	case err == nil:
		return cacheFound
	case ctx.Err() != nil:
		return 0
	case missing(err):
		return cacheMissing
	}
	return cacheFailing
}

// missing reports that a name does not exist or has no such records.
func missing(err error) bool {
	var d *net.DNSError
	return errors.As(err, &d) && d.IsNotFound
}

// absolute returns the name with its final dot.
func absolute(name string) string { return strings.TrimSuffix(name, ".") + "." }
