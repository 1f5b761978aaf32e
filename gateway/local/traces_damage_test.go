package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// noted returns a directory in which 100 names are in a sorted file, 100 more in
// another, and 50 in a log, with the names of each.
func noted(t *testing.T, o Options, clock *clock) (names [3][]string) {
	t.Helper()
	s := mustOpen(t, o)
	for i := range 250 {
		name := fmt.Sprintf("name %d", i)
		names[i/100] = append(names[i/100], name)
		s.Trace(testTrace(clock.now(), i), name)
		if i%100 == 99 {
			clock.forward(time.Minute)
		}
	}
	s.Close()
	return names
}

func found(t *testing.T, s *Store, names []string) (n int) {
	t.Helper()
	for _, name := range names {
		n += len(traced(t, s, name, time.Time{}, 9))
	}
	return n
}

// TestTracesDamage: what is damaged is dropped, all else is found, and the start
// never fails.
func TestTracesDamage(t *testing.T) {
	rewrite := func(name string, change func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, "traces", name)
			b, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, change(b), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	flip := func(off int) func([]byte) []byte {
		return func(b []byte) []byte { b[(off+len(b))%len(b)] ^= 1; return b }
	}
	cut := func(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:n] } }
	for _, tt := range []struct {
		story  string
		damage func(t *testing.T, dir string)
		want   [3]int
	}{
		{"nothing", func(*testing.T, string) {}, [3]int{100, 100, 50}},
		{"a bit of a sorted file's header", rewrite("00000001.idx", flip(20)), [3]int{0, 100, 50}},
		{"a bit of a record", rewrite("00000001.idx", flip(tracePage+40)), [3]int{-1, 100, 50}},
		{"a bit of the last page's sum", rewrite("00000002.idx", flip(-1)), [3]int{100, -1, 50}},
		{"a sorted file is cut", rewrite("00000002.idx", cut(tracePage+1)), [3]int{100, 0, 50}},
		{"a sorted file is empty", rewrite("00000002.idx", cut(0)), [3]int{100, 0, 50}},
		{"a sorted file is gone", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "traces", "00000001.idx")) }, [3]int{0, 100, 50}},
		{"the log is torn", rewrite("00000003.log", func(b []byte) []byte { return append(b, "\x00\x00\x00\x01xxxx and a half"...) }), [3]int{100, 100, 50}},
		{"the log ends in zeroes", rewrite("00000003.log", func(b []byte) []byte { return append(b, make([]byte, 4096)...) }), [3]int{100, 100, 50}},
		{"a bit of the log", rewrite("00000003.log", flip(100)), [3]int{100, 100, 0}},
		{"a bit of the log's header", rewrite("00000003.log", flip(0)), [3]int{100, 100, 0}},
		{"the log is empty", rewrite("00000003.log", cut(0)), [3]int{100, 100, 0}},
		{"a crash left a log beside its sorted file", func(t *testing.T, dir string) {
			os.WriteFile(filepath.Join(dir, "traces", "00000001.log"), []byte("old"), 0o600)
			os.WriteFile(filepath.Join(dir, "traces", "00000004.tmp"), []byte("half"), 0o600)
		}, [3]int{100, 100, 50}},
		{"strange files", func(t *testing.T, dir string) {
			os.WriteFile(filepath.Join(dir, "traces", "notes.txt"), []byte("?"), 0o600)
			os.WriteFile(filepath.Join(dir, "traces", "1.idx"), []byte("?"), 0o600)
		}, [3]int{100, 100, 50}},
	} {
		t.Run(tt.story, func(t *testing.T) {
			o, clock := traceOptions(t, 100)
			names := noted(t, o, clock)
			tt.damage(t, o.Dir)
			for range 2 { // and once more with what is left
				s := mustOpen(t, o)
				for i, want := range tt.want {
					if got := found(t, s, names[i]); got != want && want >= 0 {
						t.Errorf("of file %d %d names are found, want %d", i+1, got, want)
					}
					if n := found(t, s, names[i]); want < 0 && n != 0 {
						t.Errorf("the damaged file %d was met and still tells %d names", i+1, n)
					}
				}
				s.Trace(testTrace(clock.now(), 1), "after it")
				if found(t, s, []string{"after it"}) == 0 {
					t.Error("a name noted after the damage is not found")
				}
				s.Close()
			}
			left, _ := filepath.Glob(filepath.Join(o.Dir, "traces", "*.tmp"))
			if logs, _ := filepath.Glob(filepath.Join(o.Dir, "traces", "*.log")); len(left) > 0 || len(logs) > 1 {
				t.Errorf("left behind: %v, %v", left, logs)
			}
		})
	}
}

// TestTracesFaults: a disk that fails or is full costs no more than names.
func TestTracesFaults(t *testing.T) {
	ofTraces := func(op, path string) bool { return strings.Contains(path, string(filepath.Separator)+"traces") }
	for _, tt := range []struct {
		story string
		fault func(op, path string) error
		keeps bool // what was noted meanwhile is found later
	}{
		{"no log can be made", func(op, path string) error {
			if ofTraces(op, path) && strings.HasSuffix(path, ".log") {
				return errors.New("no")
			}
			return nil
		}, true},
		{"nothing can be written", func(op, path string) error {
			if ofTraces(op, path) {
				return errors.New("no")
			}
			return nil
		}, false},
	} {
		t.Run(tt.story, func(t *testing.T) {
			o, clock := traceOptions(t, 10)
			d := newFakeDisk()
			o.disk = d
			s := mustOpen(t, o)
			d.setFault(tt.fault)
			var names []string
			for i := range 15 {
				names = append(names, fmt.Sprint("name ", i))
				s.Trace(testTrace(clock.now(), i), names[i])
			}
			s.traces.save()
			if got := found(t, s, names[10:]); got != 5 {
				t.Errorf("%d of the latest names are found", got)
			}
			d.setFault(nil)
			if got := found(t, s, names[:10]); tt.keeps != (got == 10) {
				t.Errorf("%d of the names in the full run are found", got)
			}
			s.Trace(testTrace(clock.now(), 1), "later")
			s.traces.save()
			if accept(t, s, testMessage(1), []byte("mail")); found(t, s, []string{"later"}) != 1 {
				t.Error("afterwards nothing is noted")
			}
		})
	}
	t.Run("the disk is full", func(t *testing.T) {
		o, clock := traceOptions(t, 10)
		d := newFakeDisk()
		o.disk, o.Reserve = d, 1<<20
		s := mustOpen(t, o)
		d.space.Store(1)
		s.guard.look()
		var names []string
		for i := range 50 {
			names = append(names, fmt.Sprint("name ", i))
			s.Trace(testTrace(clock.now(), i), names[i])
		}
		s.traces.save()
		if got := found(t, s, names); got != 30 || dirSize(s.dir("traces")) != 0 {
			t.Errorf("%d of 50 names are found, want what three runs hold; %d bytes were written", got, dirSize(s.dir("traces")))
		}
		d.space.Store(0)
		s.guard.look()
		s.traces.save()
		s.Trace(testTrace(clock.now(), 1), "later")
		if got := found(t, s, append(names, "later")); got != 31 {
			t.Errorf("with room again %d names are found", got)
		}
	})
}
