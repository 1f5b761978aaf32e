package local

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/suppression"
)

// TestListFaults makes the N-th operation fail, or takes the power away at it,
// while a list is staged and published over another: afterwards the one or the
// other is live, whole.
func TestListFaults(t *testing.T) {
	for _, what := range []string{"EIO", "ENOSPC", "power"} {
		step := 1 + rand.Int64N(4) // a short look; over many runs all of them
		if os.Getenv("TIDEPOST_ROUNDS") != "" {
			step = 1
		}
		for n := 1 + rand.Int64N(step); listFaultAt(t, what, n); n += step {
		}
	}
}

// listFaultAt reports whether there was an N-th operation.
func listFaultAt(t *testing.T, what string, n int64) bool {
	t.Helper()
	d := newFakeDisk()
	o := testOptions(t.TempDir())
	o.disk, o.runEntries, o.retainEvery, o.CheckpointEvery = d, 40, 3*time.Millisecond, 2*time.Millisecond
	s := mustOpenUnmanaged(t, o)
	mustPublish(t, s, "list", testList(0, 50, "old"))
	var count atomic.Int64
	d.setFault(func(op, path string) error {
		if !strings.Contains(path, "/lists") || count.Add(1) != n {
			return nil
		}
		switch what {
		case "EIO":
			return syscall.EIO
		case "ENOSPC":
			return syscall.ENOSPC
		}
		d.dead.Store(true)
		return errDead
	})
	_, err := s.Stage(ctx, "list", 0, slices.Values(testList(0, 100, "new")), nil)
	if err == nil {
		err = s.Publish(ctx, "list", "ann")
	}
	if what == "power" && count.Load() >= n {
		d.dead.Store(true)
		s.kill()
		d.crash()
	} else {
		s.Close()
	}
	o.disk = nil
	s = mustOpenUnmanaged(t, o)
	defer s.Close()
	want := note(t, s, 0)
	if err == nil && want != "new" || want != "new" && want != "old" {
		t.Errorf("%s at %d: the list is %q, publishing gave %v", what, n, want, err)
	}
	for i := range 100 {
		if got := note(t, s, i); got != want && !(want == "old" && i >= 50 && got == "-") {
			t.Errorf("%s at %d: entry %d is %q beside %q", what, n, i, got, want)
		}
	}
	for _, l := range s.AllLists() {
		if l.Damaged != "" {
			t.Errorf("%s at %d: %+v", what, n, l)
		}
	}
	mustPublish(t, s, "list", testList(0, 10, "last"))
	if note(t, s, 0) != "last" || suppressed(s) != 10 {
		t.Errorf("%s at %d: afterwards nothing can be published", what, n)
	}
	return count.Load() >= n
}

// TestListDamage flips bytes of a live list: never a wrong answer, a start at
// all times, and an error where it matters.
func TestListDamage(t *testing.T) {
	o := testOptions(t.TempDir())
	s := mustOpen(t, o)
	mustPublish(t, s, "list", testList(0, 2000, "x"))
	path := s.listPath(1)
	s.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	errs := 0
	for i := range 40 {
		b := slices.Clone(whole)
		if i%4 == 0 {
			b = b[:rng.IntN(len(b))]
		} else {
			b[rng.IntN(len(b))] ^= byte(1 << rng.IntN(8))
		}
		os.WriteFile(path, b, 0o600)
		s := mustOpenUnmanaged(t, o)
		for n := range 2000 {
			list, err := s.Entries(ctx, testAddress(n))
			if err != nil && !errors.Is(err, gateway.ErrDamaged) || err == nil && (len(list) != 1 || list[0].Note != "x") {
				t.Fatalf("flip %d: entry %d is %+v, %v", i, n, list, err)
			}
			if err != nil {
				errs++
			}
		}
		for n := 2000; n < 2100; n++ {
			if list, err := s.Entries(ctx, testAddress(n)); err == nil && len(list) > 0 {
				t.Fatalf("flip %d: an absent entry is %+v", i, list)
			}
		}
		put(t, s, testEntry(1, "x")) // changes go on
		s.Close()
	}
	if errs == 0 {
		t.Error("no flip was ever noticed: the test is blind")
	}
	s = mustOpen(t, o)
	if err := s.Discard(ctx, "list", "ann"); err != nil || note(t, s, 0) != "-" || note(t, s, 1) != "x" {
		t.Errorf("discarding a damaged list: %v", err)
	}
	s.Close()
	if s = mustOpen(t, o); suppressed(s) != 1 {
		t.Errorf("%d entries are counted without the list", suppressed(s))
	}
}

// TestNoRoomForAList stages on a disk that is nearly full.
func TestNoRoomForAList(t *testing.T) {
	d := newFakeDisk()
	o := testOptions(t.TempDir())
	o.Reserve, o.disk, o.runEntries = 64<<20, d, 50
	s := mustOpen(t, o)
	taken := 0
	source := func(yield func(suppression.Entry) bool) {
		for _, e := range testList(0, 200, "x") {
			if taken++; taken == 120 {
				d.space.Store(32 << 20)
			}
			if !yield(e) {
				return
			}
		}
	}
	if _, err := s.Stage(ctx, "list", 0, source, nil); !errors.Is(err, gateway.ErrFull) {
		t.Fatalf("Stage without room: %v", err)
	}
	d.space.Store(0)
	skip := s.AllLists()[0].Lines
	if skip != 100 {
		t.Errorf("%d lines are durable", skip)
	}
	if info, err := s.Stage(ctx, "list", skip, slices.Values(testList(skip, 200, "x")), nil); err != nil || info.Entries != 200 {
		t.Errorf("going on with room: %+v, %v", info, err)
	}
}

// TestDamagedListIsNotPublished: a list is read whole before it counts, and damage
// in another one keeps nobody from publishing.
func TestDamagedListIsNotPublished(t *testing.T) {
	s := mustOpen(t, testOptions(t.TempDir()))
	spoil := func(number uint64) {
		f, err := os.OpenFile(s.listPath(number), os.O_RDWR, 0)
		if err == nil {
			_, err = f.WriteAt([]byte{0xFF}, 3*pageSize+100)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	mustPublish(t, s, "live", testList(0, 1000, "x"))
	if _, err := s.Stage(ctx, "spoilt", 0, slices.Values(testList(0, 1000, "y")), nil); err != nil {
		t.Fatal(err)
	}
	spoil(2)
	if err := s.Publish(ctx, "spoilt", "ann"); !errors.Is(err, gateway.ErrDamaged) || note(t, s, 1) != "x" || suppressed(s) != 1000 {
		t.Errorf("publishing a damaged list: %v, %d are counted", err, suppressed(s))
	}
	spoil(1)
	mustPublish(t, s, "more", testList(1000, 1100, "z"))
	if got := note(t, s, 1050); got != "z" {
		t.Errorf("beside a damaged list an entry is %q", got)
	}
	if err := s.ScanEntries(ctx, "", func(string, suppression.Entry) bool { return true }); !errors.Is(err, gateway.ErrDamaged) {
		t.Errorf("a scan of a damaged list: %v", err)
	}
	if l := s.AllLists()[0]; l.Damaged == "" {
		t.Errorf("the damaged list is %+v", l)
	}
}

func TestListIsBounded(t *testing.T) {
	s := mustOpen(t, testOptions(t.TempDir()))
	var many []suppression.Entry
	for i := range maxOfAddress + 1 {
		e := testEntry(1, "")
		e.Scope.Name = fmt.Sprint(i)
		many = append(many, e)
	}
	if _, err := s.Stage(ctx, "many", 0, slices.Values(many), nil); err == nil {
		t.Error("an address with endless entries was staged")
	}
	mustPublish(t, s, "many", many[1:])
	if list, err := s.Entries(ctx, testAddress(1)); err != nil || len(list) != maxOfAddress {
		t.Errorf("%d entries, %v", len(list), err)
	}
	for _, name := range []string{"", "a\nb", strings.Repeat("x", 256)} {
		if _, err := s.Stage(ctx, name, 0, slices.Values(many), nil); err == nil {
			t.Errorf("the name %.10q was taken", name)
		}
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Stage(gone, "none", 0, slices.Values(many[:0]), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a source that ended because of ctx: %v", err)
	}
}

// FuzzLayer reads a file made of anything: no panic, and of a file whose checks
// are right no entry that was not put in.
func FuzzLayer(f *testing.F) {
	path := filepath.Join(f.TempDir(), "x.list")
	w, err := newLayerWriter(osDisk{}, path, layerMeta{kind: layerList, number: 1, name: "x"}, 300)
	if err != nil {
		f.Fatal(err)
	}
	var all []listed
	for _, e := range testList(0, 300, "note") {
		all = append(all, listed{list: 1, Entry: e})
	}
	slices.SortFunc(all, func(a, b listed) int { return hashText(a.Address).compare(hashText(b.Address)) })
	for _, l := range all {
		w.add(hashText(l.Address), []listed{l})
	}
	if err := w.finish(); err != nil {
		f.Fatal(err)
	}
	whole, _ := os.ReadFile(path)
	f.Add(0, []byte{})
	f.Add(pageSize, []byte{1, 2, 3})
	f.Add(len(whole)-20, []byte{0xFF})
	f.Fuzz(func(t *testing.T, at int, patch []byte) {
		b := slices.Clone(whole)
		if at >= 0 && at < len(b) {
			copy(b[at:], patch)
		}
		path := filepath.Join(t.TempDir(), "x.list")
		os.WriteFile(path, b, 0o600)
		if l, err := openLayer(osDisk{}, path, 1); err == nil {
			for n := range 310 {
				found, err := l.find(hashText(testAddress(n)), testAddress(n), nil)
				if err == nil && n < 300 != (len(found) == 1) {
					t.Errorf("entry %d: %+v", n, found)
				}
			}
			for m := mergeLayers([]*layer{l}, entryHash{}); ; {
				if _, ok := m.peek(); !ok {
					break
				}
				m.take(nil)
			}
			l.Close()
		}
		r := blockReader{d: decoder{b: patch}} // behind a check that is right by chance
		for r.next() {
			r.whole()
		}
	})
}
