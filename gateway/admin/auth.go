package admin

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// guard decides who a request is from and whether they may make it.
type guard struct {
	proxies []netip.Prefix
	limiter limiter
	slow    chan struct{} // bounds the argon2 computations at a time: each takes 19 MiB
	failed  atomic.Int64

	mu      sync.RWMutex
	tokens  []known               // guarded by mu
	learned map[[32]byte][32]byte // guarded by mu: SHA-256 of a token that passed argon2 → of the hash it passed
}

// known is a token whose hash was read.
type known struct {
	Token
	secret
}

const maxToken = 512 // bytes

func newGuard(tokens []Token, proxies []netip.Prefix) *guard {
	g := &guard{proxies: proxies, slow: make(chan struct{}, 2)}
	g.setTokens(tokens)
	return g
}

// setTokens replaces the tokens. One whose hash cannot be read matches nothing.
func (g *guard) setTokens(tokens []Token) {
	var list []known
	for _, t := range tokens {
		if s, err := parseSecret(t.Hash); err == nil {
			list = append(list, known{t, s})
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tokens, g.learned = list, map[[32]byte][32]byte{}
}

// check returns the token of a request that may be made with role.
func (g *guard) check(now time.Time, r *http.Request, role Role) (*Token, error) {
	token, ok := bearer(r)
	if !ok {
		return nil, &Problem{Status: http.StatusUnauthorized, Detail: "the request has no admin token",
			Remedy: "send Authorization: Bearer with a token of [[admin_token]] or of the file admin.token"}
	}
	peer := g.peer(r).addr
	wait := g.limiter.wait(now, peer)
	t := g.find(r.Context(), token, wait > 0)
	switch {
	case t == nil && wait > 0:
		return nil, &Problem{Status: http.StatusTooManyRequests, Detail: "too many requests from this address had a wrong token",
			Remedy: "wait before the next one", retry: wait}
	case t == nil:
		g.failed.Add(1)
		g.limiter.fail(now, peer)
		return nil, &Problem{Status: http.StatusUnauthorized, Detail: "the gateway does not know this admin token", Remedy: "check TIDEPOST_TOKEN"}
	case t.Role < role:
		return nil, &Problem{Status: http.StatusForbidden, Detail: "token " + t.Name + " is " + t.Role.String() + ", this needs " + role.String(),
			Remedy: "use a token of role " + role.String()}
	}
	return t, nil
}

// bearer returns the token of a request (RFC 6750 §2.1).
func bearer(r *http.Request) (string, bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "Bearer") && token != "" && len(token) <= maxToken
}

// find returns the token that matches, or nil. After too many failures only
// random tokens are looked at, which cannot be guessed; a password could be.
func (g *guard) find(ctx context.Context, token string, limited bool) *Token {
	sum := sha256.Sum256([]byte(token))
	g.mu.RLock()
	tokens := g.tokens
	hash, wasRight := g.learned[sum]
	g.mu.RUnlock()
	var found *Token
	for i := range tokens {
		t := &tokens[i]
		if t.fast() && t.matches(token, sum) {
			found = &t.Token // goes on: how long it takes tells nothing
		}
	}
	if found != nil || limited {
		return found
	}
	for i := range tokens {
		t := &tokens[i]
		if t.fast() {
			continue
		}
		if wasRight && sha256.Sum256([]byte(t.Hash)) == hash || !wasRight && g.slowly(ctx, t, token, sum) {
			return &t.Token
		}
	}
	return nil
}

// slowly asks argon2, and remembers a token that was right.
func (g *guard) slowly(ctx context.Context, t *known, token string, sum [32]byte) bool {
	select {
	case g.slow <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	right := t.matches(token, sum)
	<-g.slow
	if right {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.learned[sum] = sha256.Sum256([]byte(t.Hash))
	}
	return right
}
