package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tidepost/gateway"
)

// TestFaults makes the N-th write or sync fail, or takes the power away at it,
// for every N: what was acknowledged is there afterwards, whatever was not is
// whole or absent, and a failed sync stops the store.
func TestFaults(t *testing.T) {
	for _, what := range []string{"EIO", "ENOSPC", "power"} {
		for _, op := range []string{"write", "sync", "create", "allocate", "rename", "syncdir"} {
			t.Run(what+" at "+op, func(t *testing.T) {
				last := int64(40)
				if testing.Short() {
					last = 5
				}
				for n := int64(1); n <= last; n++ {
					if !faultAt(t, what, op, n) {
						break // there are no more such operations
					}
				}
			})
		}
	}
}

// faultAt reports whether the operation was reached.
func faultAt(t *testing.T, what, op string, n int64) bool {
	t.Helper()
	dir := t.TempDir()
	d := newFakeDisk()
	o := testOptions(dir)
	o.SegmentBytes, o.CheckpointEvery, o.disk = 64<<10, 5*time.Millisecond, d
	s := mustOpenUnmanaged(t, o)
	var count atomic.Int64
	var hit atomic.Bool
	d.setFault(func(did, path string) error {
		if did != op || count.Add(1) != n {
			return nil
		}
		hit.Store(true)
		switch what {
		case "EIO":
			return syscall.EIO
		case "ENOSPC":
			return syscall.ENOSPC
		}
		d.dead.Store(true)
		return errDead
	})
	var mu sync.Mutex
	acked := make(map[int]*gateway.Delivery) // by mailbox; nil: settled
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := w; i < 60; i += 4 {
				work(s, i, &mu, acked)
			}
		})
	}
	wg.Wait()
	if what == "power" && hit.Load() {
		d.dead.Store(true)
		s.kill()
		d.crash()
	} else {
		s.Close()
	}
	o.disk = nil
	s = mustOpenUnmanaged(t, o)
	defer s.Close()
	for i, d := range acked {
		got := mailbox(t, s, i)
		switch {
		case d == nil && len(got.Deliveries) > 0 && got.Deliveries[0].State != gateway.Sending:
			t.Errorf("%s at %s %d: settled delivery of mailbox %d is back: %+v", what, op, n, i, got.Deliveries[0])
		case d != nil && got.Delivery(d.ID) == nil:
			t.Errorf("%s at %s %d: delivery of mailbox %d is lost", what, op, n, i)
		case d != nil && body(t, s, d.Ref) != content(i):
			t.Errorf("%s at %s %d: content of mailbox %d is wrong", what, op, n, i)
		}
	}
	return hit.Load()
}

func content(i int) string { return strings.Repeat(fmt.Sprintf("mail %d ", i), 300) }

// work accepts a message and settles every third, noting what was acknowledged.
func work(s *Store, i int, mu *sync.Mutex, acked map[int]*gateway.Delivery) {
	ds, err := s.Accept(ctx, testMessage(i), gateway.Content{Bytes: []byte(content(i))})
	if err != nil {
		return
	}
	mu.Lock()
	acked[i] = ds[0]
	mu.Unlock()
	if i%3 > 0 {
		return
	}
	next := ds[0].Next()
	next.State = gateway.Delivered
	err = s.Commit(ctx, &gateway.Change{Key: testKey(i), Deliveries: []*gateway.Delivery{next}})
	mu.Lock()
	defer mu.Unlock()
	if err == nil {
		acked[i] = nil
	} else {
		delete(acked, i) // it may have been stored or not
	}
}

func TestFailedSyncStopsForGood(t *testing.T) {
	d := newFakeDisk()
	o := testOptions(t.TempDir())
	o.disk = d
	s := mustOpen(t, o)
	before := accept(t, s, testMessage(1), []byte("before"))[0]
	d.setFault(func(op, path string) error {
		if op == "sync" && strings.Contains(path, "/log/") {
			return syscall.EIO
		}
		return nil
	})
	if _, err := s.Accept(ctx, testMessage(2), gateway.Content{Bytes: []byte("x")}); !errors.Is(err, gateway.ErrStopped) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("Accept on a failing disk: %v", err)
	}
	d.setFault(nil)
	if _, err := s.Accept(ctx, testMessage(3), gateway.Content{Bytes: []byte("x")}); !errors.Is(err, gateway.ErrStopped) {
		t.Errorf("Accept after it: %v", err)
	}
	if err := s.Commit(ctx, &gateway.Change{Key: testKey(1), Deliveries: []*gateway.Delivery{before.Next()}}); !errors.Is(err, gateway.ErrStopped) {
		t.Errorf("Commit after it: %v", err)
	}
	if _, err := s.Spool(); !errors.Is(err, gateway.ErrStopped) {
		t.Errorf("Spool after it: %v", err)
	}
	if got := body(t, s, before.Ref); got != "before" || len(mailbox(t, s, 1).Deliveries) != 1 {
		t.Errorf("reading does not go on: %q", got)
	}
	if s.Stopped() == nil || s.Ready() == nil {
		t.Error("a stopped store calls itself ready")
	}
}

func TestFullDiskComesBack(t *testing.T) {
	d := newFakeDisk()
	o := testOptions(t.TempDir())
	o.Reserve, o.disk = 64<<20, d
	s := mustOpen(t, o)
	waiting := accept(t, s, testMessage(1), []byte("x"))[0]
	d.space.Store(32 << 20)
	s.guard.look()
	if _, err := s.Accept(ctx, testMessage(2), gateway.Content{Bytes: []byte("x")}); !errors.Is(err, gateway.ErrFull) {
		t.Errorf("Accept with the reserve touched: %v", err)
	}
	if _, err := s.Spool(); !errors.Is(err, gateway.ErrFull) {
		t.Errorf("Spool with the reserve touched: %v", err)
	}
	step(t, s, waiting, gateway.Delivered, gateway.EventDelivered) // delivering goes on
	d.space.Store(0)
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if _, err := s.Accept(ctx, testMessage(3), gateway.Content{Bytes: []byte("x")}); err == nil {
			break
		}
		if time.Since(began) > 5*time.Second {
			t.Fatal("no mail is taken 5 s after there is room again")
		}
	}
}

// TestNoRoomForASegment fills the log up while no further segment can be made.
func TestNoRoomForASegment(t *testing.T) {
	d := newFakeDisk()
	o := testOptions(t.TempDir())
	o.SegmentBytes, o.disk = 64<<10, d
	s := mustOpen(t, o)
	d.setFault(func(op, path string) error {
		if op == "allocate" && strings.Contains(path, "/log/") {
			return syscall.ENOSPC
		}
		return nil
	})
	kept, full := 0, 0
	for i := range 60 {
		switch _, err := s.Accept(ctx, looseMessage(i), gateway.Content{Bytes: make([]byte, 4000)}); {
		case err == nil:
			kept++
		case errors.Is(err, gateway.ErrFull):
			full++
		default:
			t.Fatal(err)
		}
	}
	if kept == 0 || full == 0 {
		t.Fatalf("%d were accepted, %d refused", kept, full)
	}
	d.setFault(nil)
	time.Sleep(1200 * time.Millisecond)
	for i := range 60 {
		accept(t, s, looseMessage(i), make([]byte, 4000))
	}
}

func TestOneProcessOnly(t *testing.T) {
	o := testOptions(t.TempDir())
	mustOpen(t, o)
	if _, err := Open(o); err == nil || !strings.Contains(err.Error(), o.Dir) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second Open: %v", err)
	}
}

func TestFormat(t *testing.T) {
	for text, want := range map[string]string{
		"tidepost data, format 99\n": "newer version",
		"something else":             "not a data directory",
		"":                           "not a data directory",
	} {
		o := testOptions(t.TempDir())
		if err := os.WriteFile(filepath.Join(o.Dir, "format"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("format %q: %v", text, err)
		}
	}
}

func TestDamagedIndexNamesRecover(t *testing.T) {
	for _, damage := range []string{"short", "zeroes"} {
		o := testOptions(t.TempDir())
		s := mustOpen(t, o)
		accept(t, s, testMessage(1), []byte("x"))
		s.Close()
		b := []byte("rubbish")
		if damage == "zeroes" {
			b = make([]byte, 64<<10)
		}
		os.WriteFile(filepath.Join(o.Dir, "state.db"), b, 0o600)
		if _, err := Open(o); err == nil || !strings.Contains(err.Error(), "tidepost recover") {
			t.Fatalf("Open: %v", err)
		}
		if err := Recover(o); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, o)
		if got := mailbox(t, s, 1); len(got.Deliveries) != 1 || !got.Deliveries[0].Paused || !s.Held() {
			t.Errorf("recovered: %+v, held %v", got, s.Held())
		}
	}
}
