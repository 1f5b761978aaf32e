package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/suppression"
)

// testListsRandom does anything in any order, with ends and deaths in between, in
// which a store may keep or lose only what was not answered.
func testListsRandom(t *testing.T, open Open) {
	seed := uint64(fromEnv("TIDEPOST_SEED", int(time.Now().UnixNano())))
	t.Logf("TIDEPOST_SEED=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	dir := t.TempDir()
	s := open(t, dir)
	defer func() { end(s) }()
	if _, ok := s.(gateway.Lists); !ok {
		t.Skip("not Lists")
	}
	x := &listTrial{t: t, rng: rng, m: newListModel(), names: []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"}}
	for i := range 40 {
		x.addresses = append(x.addresses, addressOf(i))
	}
	x.addresses = append(x.addresses, "md5:aa", "sha256:bb")
	for range fromEnv("TIDEPOST_ROUNDS", 25) * 10 {
		what := x.act(s)
		if rng.IntN(15) == 0 {
			if c, ok := s.(crasher); ok && rng.IntN(2) > 0 {
				c.Crash()
			} else {
				end(s)
			}
			s = open(t, dir)
			what += ", opening again"
		}
		checkLists(t, s, x.m, x.addresses)
		if t.Failed() {
			t.Fatalf("after %s, TIDEPOST_SEED=%d", what, seed)
		}
	}
}

// listTrial does random things to a store and its model.
type listTrial struct {
	t         testing.TB
	rng       *rand.Rand
	m         *listModel
	names     []string
	addresses []string
}

func (x *listTrial) entry() suppression.Entry {
	e := entry(0, [...]suppression.Reason{suppression.Manual, suppression.HardBounce}[x.rng.IntN(2)], fmt.Sprint(x.rng.Uint64()))
	e.Address = x.addresses[x.rng.IntN(len(x.addresses))]
	if x.rng.IntN(3) == 0 {
		e.Scope = suppression.Scope{}
	}
	if x.rng.IntN(3) == 0 {
		e.Removed = began.Add(time.Minute)
	}
	return e
}

func (x *listTrial) act(s gateway.Store) string {
	lists := s.(gateway.Lists)
	name := x.names[x.rng.IntN(len(x.names))]
	must := func(err error) {
		if err != nil {
			x.t.Error(err)
		}
	}
	switch x.rng.IntN(8) {
	case 0, 1:
		e := x.entry()
		commit(x.t, s, &gateway.Change{Entries: []suppression.Entry{e}})
		x.m.put(e)
		return "adding " + e.Address
	case 2:
		a := x.addresses[x.rng.IntN(len(x.addresses))]
		commit(x.t, s, &gateway.Change{Forget: []string{a}})
		x.m.forget(a)
		return "forgetting " + a
	case 3, 4:
		var list []suppression.Entry
		for range x.rng.IntN(30) {
			list = append(list, x.entry())
		}
		stage(x.t, s, name, list)
		x.m.staged[name] = list
		return "staging " + name
	case 5, 6:
		if _, ok := x.m.staged[name]; !ok {
			return "nothing"
		}
		must(lists.Publish(ctx, name, "ann"))
		x.m.publish(name)
		return "publishing " + name
	}
	if _, ok := x.m.staged[name]; ok {
		must(lists.Discard(ctx, name, "ann"))
		delete(x.m.staged, name)
		return "discarding the staged " + name
	}
	if slices.ContainsFunc(x.m.live, func(l modelList) bool { return l.name == name }) {
		must(lists.Discard(ctx, name, "ann"))
		x.m.discard(name)
	}
	return "discarding " + name
}
