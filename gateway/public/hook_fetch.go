package public

import (
	"context"
	"errors"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// What formats fetch to check signatures is kept for a while, and so is that it could
// not be had: whoever sends reports that are not signed must not make us call others
// for each.
const (
	fetchKept    = time.Hour
	fetchFailed  = 30 * time.Second
	fetchedMany  = 64
	fetchTimeout = 10 * time.Second
)

// fetched is a document, or why there is none.
type fetched struct {
	body  []byte
	err   error
	until time.Time
}

func newFetches() *lru.Cache[string, fetched] {
	c, _ := lru.New[string, fetched](fetchedMany) // fails only for a size below 1
	return c
}

var errNoFetch = errors.New("this server fetches nothing")

// fetch gets a document that may be one of before.
func (s *Server) fetch(ctx context.Context, url string) ([]byte, error) {
	now := s.now()
	if f, ok := s.fetches.Get(url); ok && now.Before(f.until) && f.until.Sub(now) <= fetchKept { // the last: the clock went back
		return f.body, f.err
	}
	body, err := s.fetchNow(ctx, url)
	f := fetched{body, err, now.Add(fetchKept)}
	if err != nil {
		f.until = now.Add(fetchFailed)
	}
	if ctx.Err() == nil { // it was not the request that ended
		s.fetches.Add(url, f)
	}
	return body, err
}

func (s *Server) fetchNow(ctx context.Context, url string) ([]byte, error) {
	if s.Fetch == nil {
		return nil, errNoFetch
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	return s.Fetch(ctx, url)
}
