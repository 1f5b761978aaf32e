package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/suppression"
)

// entryKey is what one entry replaces another by.
type entryKey struct {
	address string
	scope   suppression.Scope
	reason  suppression.Reason
}

func keyOf(e suppression.Entry) entryKey { return entryKey{e.Address, e.Scope, e.Reason} }

// listModel is the model of a suppression list: what came one by one, and whole
// lists in the order of their publication.
type listModel struct {
	single map[entryKey]suppression.Entry
	hidden map[string]int // address → publications before it was forgotten
	count  int            // publications so far
	live   []modelList
	staged map[string][]suppression.Entry
}

type modelList struct {
	name    string
	number  int
	entries map[entryKey]suppression.Entry
}

func newListModel() *listModel {
	return &listModel{single: make(map[entryKey]suppression.Entry), hidden: make(map[string]int), staged: make(map[string][]suppression.Entry)}
}

func (m *listModel) put(e suppression.Entry) { m.single[keyOf(e)] = e }

func (m *listModel) forget(address string) {
	maps.DeleteFunc(m.single, func(k entryKey, _ suppression.Entry) bool { return k.address == address })
	m.hidden[address] = m.count
}

func (m *listModel) discard(name string) {
	m.live = slices.DeleteFunc(m.live, func(l modelList) bool { return l.name == name })
}

func (m *listModel) publish(name string) {
	m.discard(name)
	m.count++
	l := modelList{name, m.count, make(map[entryKey]suppression.Entry)}
	for _, e := range m.staged[name] {
		l.entries[keyOf(e)] = e
	}
	m.live = append(m.live, l)
	delete(m.staged, name)
}

// inForce returns everything that counts.
func (m *listModel) inForce() map[entryKey]suppression.Entry {
	all := make(map[entryKey]suppression.Entry)
	for _, l := range m.live {
		for k, e := range l.entries {
			if l.number > m.hidden[k.address] {
				all[k] = e
			}
		}
	}
	maps.Copy(all, m.single)
	return all
}

// checkLists holds a store against the model.
func checkLists(t testing.TB, s gateway.Store, m *listModel, addresses []string) {
	t.Helper()
	all := m.inForce()
	byAddress := make(map[string][]suppression.Entry)
	counts := make(map[gateway.SuppressedKind]int64)
	for _, e := range all {
		byAddress[e.Address] = append(byAddress[e.Address], e)
		if e.Removed.IsZero() {
			counts[gateway.SuppressedKind{Reason: e.Reason, Scope: e.Scope.Kind}]++
		}
	}
	for _, a := range addresses {
		got, err := s.(gateway.Entries).Entries(ctx, a)
		if err != nil || !equalEntries(got, byAddress[a]) {
			t.Errorf("%s has\n%+v, %v, want\n%+v", a, got, err, byAddress[a])
		}
	}
	lists := s.(gateway.Lists)
	if got := lists.Suppressed(); !maps.Equal(got, counts) {
		t.Errorf("counts are %v, want %v", got, counts)
	}
	scanned := scanEntries(t, lists, 1+rand.IntN(20))
	if !equalEntries(scanned, slices.Collect(maps.Values(all))) {
		t.Errorf("a scan saw %d entries, want %d", len(scanned), len(all))
	}
	sha, md5 := lists.HasHashed()
	if wantSHA, wantMD5 := hashed(all, "sha256:"), hashed(all, "md5:"); sha != wantSHA || md5 != wantMD5 {
		t.Errorf("hashed are %v %v, want %v %v", sha, md5, wantSHA, wantMD5)
	}
}

func hashed(all map[entryKey]suppression.Entry, prefix string) bool {
	for _, e := range all {
		if e.Removed.IsZero() && strings.HasPrefix(e.Address, prefix) {
			return true
		}
	}
	return false
}

// scanEntries scans all, a page at a time.
func scanEntries(t testing.TB, s gateway.Lists, page int) (all []suppression.Entry) {
	t.Helper()
	cursor, more := "", true
	for more {
		n := 0
		more = false
		err := s.ScanEntries(ctx, cursor, func(c string, e suppression.Entry) bool {
			all, cursor = append(all, e), c
			n++
			more = n == page
			return !more
		})
		if err != nil {
			t.Errorf("scanning: %v", err)
			return all
		}
	}
	return all
}

func equalEntries(a, b []suppression.Entry) bool {
	order := func(a, b suppression.Entry) int {
		return cmp.Or(strings.Compare(a.Address, b.Address), strings.Compare(a.Scope.String(), b.Scope.String()), strings.Compare(string(a.Reason), string(b.Reason)))
	}
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortFunc(a, order)
	slices.SortFunc(b, order)
	return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b)
}

func stage(t testing.TB, s gateway.Store, name string, entries []suppression.Entry) {
	t.Helper()
	info, err := s.(gateway.Lists).Stage(ctx, name, 0, slices.Values(entries), nil)
	if err != nil || !info.Ready || info.Lines != len(entries) {
		t.Fatalf("staging %s: %+v, %v", name, info, err)
	}
}

func testLists(t *testing.T, open Open) {
	dir := t.TempDir()
	s := open(t, dir)
	lists, ok := s.(gateway.Lists)
	if !ok {
		end(s)
		t.Skip("not Lists")
	}
	m := newListModel()
	addresses := []string{addressOf(1), addressOf(2), addressOf(3), "sha256:00ff", "nobody@example.test"}
	digest := entry(1, suppression.Manual, "digest")
	digest.Address = "sha256:00ff"
	first := []suppression.Entry{entry(1, suppression.HardBounce, "a"), entry(2, suppression.Manual, "a"), entry(2, suppression.Manual, "b"), digest}
	check := func(what string) {
		t.Helper()
		checkLists(t, s, m, addresses)
		if t.Failed() {
			t.Fatal("after " + what)
		}
	}
	put := func(e suppression.Entry) {
		commit(t, s, &gateway.Change{Entries: []suppression.Entry{e}})
		m.put(e)
	}
	stage(t, s, "first", first)
	m.staged["first"] = first
	check("staging")
	if err := lists.Publish(ctx, "second", "ann"); !errors.Is(err, gateway.ErrNotFound) {
		t.Errorf("publishing what is not there: %v", err)
	}
	if err := lists.Publish(ctx, "first", "ann"); err != nil {
		t.Fatal(err)
	}
	m.publish("first")
	check("publishing")
	removed := entry(2, suppression.Manual, "back")
	removed.Removed = began.Add(time.Hour)
	put(removed)
	check("removing a listed entry")
	commit(t, s, &gateway.Change{Forget: []string{addressOf(1)}})
	m.forget(addressOf(1))
	check("forgetting a listed address")
	put(entry(1, suppression.Complaint, "new"))
	second := []suppression.Entry{entry(1, suppression.HardBounce, "c"), entry(3, suppression.Unsubscribe, "")}
	stage(t, s, "second", second)
	m.staged["second"] = second
	if err := lists.Publish(ctx, "second", "ann"); err != nil {
		t.Fatal(err)
	}
	m.publish("second")
	check("publishing a second one")
	testKeptLists(t, open, dir, s, m, addresses)
}

// testKeptLists goes on with what testLists published, after opening again.
func testKeptLists(t *testing.T, open Open, dir string, s gateway.Store, m *listModel, addresses []string) {
	end(s)
	s = open(t, dir)
	defer func() { end(s) }()
	lists := s.(gateway.Lists)
	check := func(what string) {
		t.Helper()
		checkLists(t, s, m, addresses)
		if t.Failed() {
			t.Fatal("after " + what)
		}
	}
	check("opening again")
	if all := lists.AllLists(); len(all) != 2 || all[0].Name != "first" || !all[0].Live || all[0].Entries != 3 || all[1].Bytes == 0 {
		t.Errorf("the lists are %+v", all)
	}
	if err := lists.Discard(ctx, "first", "ann"); err != nil {
		t.Fatal(err)
	}
	m.discard("first")
	check("discarding")
	stage(t, s, "second", nil)
	m.staged["second"] = nil
	if err := lists.Publish(ctx, "second", "ann"); err != nil {
		t.Fatal(err)
	}
	m.publish("second")
	check("replacing a live list")
	if err := lists.Discard(ctx, "first", "ann"); !errors.Is(err, gateway.ErrNotFound) {
		t.Errorf("discarding what is not there: %v", err)
	}
}

// testListsResume interrupts staging and goes on where it was.
func testListsResume(t *testing.T, open Open) {
	dir := t.TempDir()
	s := open(t, dir)
	defer func() { end(s) }()
	if _, ok := s.(gateway.Lists); !ok {
		t.Skip("not Lists")
	}
	var source []suppression.Entry
	for i := range 5000 {
		source = append(source, entry(i, suppression.Manual, fmt.Sprint(i)))
	}
	for round := 0; ; round++ {
		skip := 0
		for _, l := range s.(gateway.Lists).AllLists() {
			skip = l.Lines
		}
		cctx, cancel := context.WithCancel(ctx)
		n := 0
		_, err := s.(gateway.Lists).Stage(cctx, "long", skip, func(yield func(suppression.Entry) bool) {
			for _, e := range source[skip:] {
				if n++; n > 2000 && round < 2 {
					cancel()
				}
				if !yield(e) {
					return
				}
			}
		}, nil)
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if _, err := s.(gateway.Lists).Stage(ctx, "long", 1<<20, slices.Values(source), nil); err == nil {
			t.Fatal("it went on behind its end")
		}
		end(s)
		s = open(t, dir)
	}
	if err := s.(gateway.Lists).Publish(ctx, "long", "ann"); err != nil {
		t.Fatal(err)
	}
	m := newListModel()
	m.staged["long"] = source
	m.publish("long")
	checkLists(t, s, m, []string{addressOf(0), addressOf(2500), addressOf(4999), addressOf(5000)})
}
