package local

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"tidepost/gateway"
	"tidepost/suppression"
	"tidepost/suppression/address"
)

func testEntry(n int, note string) suppression.Entry {
	return suppression.Entry{
		Address: testAddress(n), Scope: suppression.Scope{Kind: suppression.Tenant, Name: "acme"},
		Reason: suppression.Unsubscribe, Source: "import", Note: note, Created: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
	}
}

func testList(from, to int, note string) (list []suppression.Entry) {
	for n := from; n < to; n++ {
		list = append(list, testEntry(n, note))
	}
	return list
}

func mustPublish(t testing.TB, s *Store, name string, list []suppression.Entry) {
	t.Helper()
	if _, err := s.Stage(ctx, name, 0, slices.Values(list), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(ctx, name, "ann"); err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, s *Store, list ...suppression.Entry) {
	t.Helper()
	if err := s.Commit(ctx, &gateway.Change{Entries: list}); err != nil {
		t.Fatal(err)
	}
}

// note returns the note of an address's only entry, "-" where it has none.
func note(t testing.TB, s *Store, n int) string {
	t.Helper()
	list, err := s.Entries(ctx, testAddress(n))
	switch {
	case err != nil || len(list) > 1:
		t.Fatalf("entries of %d are %+v, %v", n, list, err)
	case len(list) == 0:
		return "-"
	}
	return list[0].Note
}

func suppressed(s *Store) (n int64) {
	for _, count := range s.Suppressed() {
		n += count
	}
	return n
}

func TestHashIsTheMailboxs(t *testing.T) {
	a, err := address.Parse("Ann+x@Example.test")
	if err != nil {
		t.Fatal(err)
	}
	if m := a.Mailbox(); m.Hash() != [16]byte(hashText(m.String())) {
		t.Error("the hash of an entry is not that of its mailbox")
	}
}

// TestMigration opens a database in which an earlier version kept entries by the
// text of their address, once after an interruption.
func TestMigration(t *testing.T) {
	for _, cut := range []bool{false, true} {
		o := testOptions(t.TempDir())
		mustOpenUnmanaged(t, o).Close()
		x, err := openIndex(filepath.Join(o.Dir, "state.db"))
		if err != nil {
			t.Fatal(err)
		}
		const n = 2*migrateStep + 10
		err = x.update(func(tx *bbolt.Tx) error {
			old, err := tx.CreateBucket(bucketEntryText)
			for i := range n {
				e := testEntry(i, "old")
				err = errors.Join(err, old.Put([]byte(e.Address), suppression.AppendEntry(nil, &e)))
			}
			return errors.Join(err, tx.Bucket(bucketMeta).Delete(metaTally), tx.Bucket(bucketMeta).Delete(metaLists))
		})
		if cut && err == nil {
			err = x.update(func(tx *bbolt.Tx) error { _, err := migrateSome(tx); return err })
		}
		if err = errors.Join(err, x.close()); err != nil {
			t.Fatal(err)
		}
		s := mustOpen(t, o)
		for i := range n {
			if got := note(t, s, i); got != "old" {
				t.Fatalf("entry %d is %q", i, got)
			}
		}
		if got := suppressed(s); got != n {
			t.Errorf("%d entries are counted, want %d", got, n)
		}
		s.index.view(func(tx *bbolt.Tx) error {
			if tx.Bucket(bucketEntryText) != nil {
				t.Error("the old entries are still there")
			}
			return nil
		})
	}
}

// TestSameHash has two addresses under one hash.
func TestSameHash(t *testing.T) {
	s := mustOpen(t, testOptions(t.TempDir()))
	put(t, s, testEntry(1, "one"))
	h := hashText(testAddress(1))
	s.entries.part(h).mu.Lock()
	s.entries.part(h).changed[h] = &entryList{list: []suppression.Entry{testEntry(2, "two"), testEntry(1, "one")}}
	s.entries.part(h).mu.Unlock()
	if got := note(t, s, 1); got != "one" {
		t.Errorf("the first is %q", got)
	}
	if list, err := s.entries.read(h, testAddress(2)); err != nil || len(list) != 1 || list[0].Note != "two" {
		t.Errorf("the second is %+v, %v", list, err)
	}
	if err := s.Commit(ctx, &gateway.Change{Forget: []string{testAddress(1)}}); err != nil {
		t.Fatal(err)
	}
	if l, _ := s.entries.base(h); len(l.list) != 1 || l.list[0].Note != "two" {
		t.Errorf("forgetting one left %+v", l.list)
	}
}

// TestListsAreKept takes lists, what stands over them and their counts through a
// backup, a recovery and the removal of the journal that told of them.
func TestListsAreKept(t *testing.T) {
	c := newClock()
	o := keepOptions(t, c)
	s := mustOpen(t, o)
	mustPublish(t, s, "a", testList(0, 300, "a"))
	mustPublish(t, s, "b", testList(200, 500, "b"))
	put(t, s, testEntry(250, "single"), testEntry(600, "single"))
	if err := s.Commit(ctx, &gateway.Change{Forget: []string{testAddress(3)}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stage(ctx, "waits", 0, slices.Values(testList(0, 9, "w")), nil); err != nil {
		t.Fatal(err)
	}
	check := func(what string, s *Store) {
		t.Helper()
		for n, want := range map[int]string{0: "a", 3: "-", 199: "a", 200: "b", 250: "single", 499: "b", 500: "-", 600: "single"} {
			if got := note(t, s, n); got != want {
				t.Errorf("%s: entry %d is %q, want %q", what, n, got, want)
			}
		}
		if got := suppressed(s); got != 500 {
			t.Errorf("%s: %d are counted", what, got)
		}
		if all := s.AllLists(); len(all) != 3 || !all[0].Live || !all[2].Ready || all[2].Live {
			t.Errorf("%s: the lists are %+v", what, all)
		}
	}
	check("at first", s)
	backup := filepath.Join(t.TempDir(), "backup")
	if err := s.Backup(ctx, backup); err != nil {
		t.Fatal(err)
	}
	churn(t, s, c)
	c.forward(31 * day)
	churn(t, s, c)
	mustRetain(t, s)
	if s.history.list()[0] == 1 {
		t.Fatal("the journal is still whole")
	}
	check("without the old journal", s)
	s.Close()
	if err := Recover(o); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, o)
	check("recovered", s)
	s.Close()
	restored := o
	restored.Dir = filepath.Join(t.TempDir(), "restored")
	if err := Restore(backup, restored.Dir); err != nil {
		t.Fatal(err)
	}
	check("restored", mustOpen(t, restored))
}

// TestMerge publishes more lists than a question looks into.
func TestMerge(t *testing.T) {
	o := testOptions(t.TempDir())
	o.retainEvery = time.Hour
	s := mustOpen(t, o)
	for i := range 3 * maxLayers {
		mustPublish(t, s, fmt.Sprint(i), testList(100*i, 100*i+150, fmt.Sprint(i)))
	}
	if err := s.Commit(ctx, &gateway.Change{Forget: []string{testAddress(0)}}); err != nil {
		t.Fatal(err)
	}
	for range 3 * maxLayers {
		for more := true; more; {
			var err error
			if more, err = s.mergeLists(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(s.entries.set.Load().layers); n > maxLayers {
			t.Fatalf("there are %d files", n)
		}
	}
	for i := range 3*maxLayers - 1 {
		for n, want := range map[int]string{100*i + 60: fmt.Sprint(i), 100*i + 120: fmt.Sprint(i + 1)} {
			if got := note(t, s, n); got != want {
				t.Fatalf("entry %d is %q, want %q", n, got, want)
			}
		}
	}
	if err := s.Discard(ctx, "5", "ann"); err != nil {
		t.Fatal(err)
	}
	if a, b, c := note(t, s, 520), note(t, s, 560), note(t, s, 620); a != "4" || b != "-" || c != "6" {
		t.Errorf("without the sixth: %q %q %q", a, b, c)
	}
	mustRetain(t, s)
	files, _ := os.ReadDir(s.dir("lists"))
	if len(files) > maxLayers+1 {
		t.Errorf("%d files are left", len(files))
	}
	before := suppressed(s)
	s.Close()
	s = mustOpen(t, o)
	if err := s.recountEntries(); err != nil || suppressed(s) != before {
		t.Errorf("%d were counted, %d are there, %v", before, suppressed(s), err)
	}
	if got := len(s.AllLists()); got != 3*maxLayers-1 {
		t.Errorf("%d lists", got)
	}
}

// TestForgottenLeavesTheFiles: what was erased is hidden at once and leaves the
// files when history does.
func TestForgottenLeavesTheFiles(t *testing.T) {
	c := newClock()
	s := mustOpen(t, keepOptions(t, c))
	mustPublish(t, s, "a", testList(0, 100, "a"))
	mustPublish(t, s, "b", testList(0, 100, "b"))
	merge := func() (n int) {
		for {
			some, err := s.mergeLists(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if !some {
				return n
			}
			n++
		}
	}
	c.forward(31 * day)
	if n := merge(); n > 0 {
		t.Errorf("%d files were written anew without need", n)
	}
	if err := s.Commit(ctx, &gateway.Change{Forget: []string{testAddress(7)}}); err != nil {
		t.Fatal(err)
	}
	merge()
	mustRetain(t, s)
	files, _ := filepath.Glob(filepath.Join(s.dir("lists"), "*"))
	for _, path := range files {
		b, _ := os.ReadFile(path)
		if strings.Contains(string(b), testAddress(7)) || !strings.Contains(string(b), testAddress(8)) {
			t.Errorf("the forgotten address is still in %s", path)
		}
	}
	if len(files) != 2 || note(t, s, 7) != "-" || note(t, s, 8) != "b" || suppressed(s) != 99 {
		t.Errorf("entries are wrong after the exchange; the files are %v", files)
	}
}

// TestCountsBesideChanges publishes and discards while entries come and go.
func TestCountsBesideChanges(t *testing.T) {
	s := mustOpen(t, testOptions(t.TempDir()))
	mustPublish(t, s, "base", testList(1000, 6000, "base"))
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		rng := rand.New(rand.NewPCG(1, 2))
		for {
			select {
			case <-stop:
				return
			default:
			}
			e := testEntry(rng.IntN(8000), "x")
			if rng.IntN(2) == 0 {
				e.Removed = e.Created
			}
			c := &gateway.Change{Entries: []suppression.Entry{e}}
			if rng.IntN(4) == 0 {
				c = &gateway.Change{Forget: []string{e.Address}}
			}
			if err := s.Commit(ctx, c); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for i := range 6 {
		mustPublish(t, s, "moving", testList(500*i, 500*i+3000, "m"))
		if i%2 > 0 {
			if err := s.Discard(ctx, "moving", "ann"); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(stop)
	<-done
	counted := s.Suppressed()
	if err := s.recountEntries(); err != nil || !maps.Equal(counted, s.Suppressed()) {
		t.Errorf("%v were counted, %v are there, %v", counted, s.Suppressed(), err)
	}
}
