package gateway

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"strconv"
	"strings"
	"sync"
)

// settingSource is where the names behind a source's number are kept.
const settingSource = "source/"

// maxSources bounds how many lists are told apart in links. A sender that gives
// every campaign a List-Id of its own would fill the memory otherwise; what comes
// after that many is unsubscribed from all of its tenant's bulk.
const maxSources = 20_000

// sources are the tenants and lists that links name by a number, so that they
// stay short and work when the mail itself is forgotten.
type sources struct {
	mu sync.RWMutex
	of map[uint32]sourceName // guarded by mu
}

type sourceName struct {
	Tenant string `json:"tenant"`
	List   string `json:"list,omitempty"`
}

func (s *sources) load(name string, value []byte) {
	n, err := strconv.ParseUint(strings.TrimPrefix(name, settingSource), 16, 32)
	var is sourceName
	if err == nil && json.Unmarshal(value, &is) == nil {
		s.of[uint32(n)] = is
	}
}

// SourceOf returns whose mail, and of which list, a source's number stands for;
// false where it was never given.
func (g *Gateway) SourceOf(n uint32) (tenant, list string, ok bool) {
	g.sources.mu.RLock()
	defer g.sources.mu.RUnlock()
	is, ok := g.sources.of[n]
	return is.Tenant, is.List, ok
}

// source returns the number of a tenant's list; it is stored before the first link
// that carries it leaves. List-Ids have no case (RFC 2919 §6).
func (g *Gateway) source(ctx context.Context, tenant, list string) (uint32, error) {
	want := sourceName{tenant, strings.ToLower(list)}
	s := &g.sources
	s.mu.RLock()
	n, known := s.findLocked(want)
	full := len(s.of) >= maxSources
	s.mu.RUnlock()
	if known {
		return n, nil
	}
	if full && want.List != "" {
		return g.source(ctx, tenant, "")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, known = s.findLocked(want); known {
		return n, nil
	}
	value, err := json.Marshal(want)
	if err != nil {
		return 0, err
	}
	name := settingSource + strconv.FormatUint(uint64(n), 16)
	if err := g.Store.Commit(ctx, &Change{Settings: []Setting{{Name: name, Value: value}}}); err != nil {
		return 0, err
	}
	s.of[n] = want
	return n, nil
}

// findLocked returns the number of a source, or the one that it would get: its
// hash, or the next that is free.
func (s *sources) findLocked(want sourceName) (n uint32, known bool) {
	h := fnv.New32a()
	h.Write([]byte(want.Tenant + "\x00" + want.List))
	for n = h.Sum32(); ; n++ {
		is, taken := s.of[n]
		if !taken || is == want {
			return n, taken
		}
	}
}
