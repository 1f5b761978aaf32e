package local

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"tidepost/gateway"
)

// lastSegment returns the path of a log's newest segment and the end of its
// records.
func lastSegment(t *testing.T, s *Store, log *segments, w *writer) (path string, end int64) {
	t.Helper()
	p := place(w.durable.Load())
	return log.path(p.segment()), int64(p.offset())
}

// TestTornTail cuts the journal and the log at every byte of the last record,
// and fills the cut with zeroes or rubbish: everything before it is there.
func TestTornTail(t *testing.T) {
	o := testOptions(t.TempDir())
	o.CheckpointEvery = time.Hour // nothing but the logs
	s := mustOpenUnmanaged(t, o)
	first := accept(t, s, testMessage(1), []byte("first"))[0]
	first = step(t, s, first, gateway.Waiting, gateway.EventPlanned)
	logPath, logBefore := lastSegment(t, s, s.messages, s.log)
	journalPath, journalBefore := lastSegment(t, s, s.history, s.journal)
	accept(t, s, testMessage(2), []byte("second"))
	step(t, s, first, gateway.Delivered, gateway.EventDelivered)
	_, logEnd := lastSegment(t, s, s.messages, s.log)
	_, journalEnd := lastSegment(t, s, s.history, s.journal)
	s.kill()
	log, _ := os.ReadFile(logPath)
	journal, _ := os.ReadFile(journalPath)
	for _, fill := range []byte{0, 0xA5} {
		for cut := logBefore; cut < logEnd; cut++ {
			reopenTorn(t, o.Dir, torn(log, cut, logEnd, fill), journal[:journalBefore], func(s *Store) {
				if got := mailbox(t, s, 1); len(got.Deliveries) != 1 || got.Rev != 1 || body(t, s, got.Deliveries[0].Ref) != "first" {
					t.Errorf("log cut at %d: the first is %+v", cut, got)
				}
				if got := mailbox(t, s, 2); len(got.Deliveries) != 0 {
					t.Errorf("log cut at %d: the second is %+v", cut, got)
				}
			})
		}
		for cut := journalBefore; cut < journalEnd; cut++ {
			reopenTorn(t, o.Dir, log, torn(journal, cut, journalEnd, fill), func(s *Store) {
				if got := mailbox(t, s, 1); len(got.Deliveries) != 1 || got.Rev != 1 {
					t.Errorf("journal cut at %d: the first is %+v", cut, got)
				}
				if got := mailbox(t, s, 2); len(got.Deliveries) != 1 {
					t.Errorf("journal cut at %d: the second is %+v", cut, got)
				}
			})
		}
	}
}

// torn returns b with the bytes from cut to end replaced.
func torn(b []byte, cut, end int64, fill byte) []byte {
	b = append([]byte(nil), b[:end]...)
	for i := cut; i < end; i++ {
		b[i] ^= fill
		if fill == 0 {
			b[i] = 0
		}
	}
	return b
}

// reopenTorn opens a store made of those two segments, checks it, and makes
// sure that what is written next survives.
func reopenTorn(t *testing.T, from string, log, journal []byte, check func(*Store)) {
	t.Helper()
	dir, err := os.MkdirTemp("", "torn")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	o := testOptions(dir)
	o.SegmentBytes = 64 << 10
	for name, b := range map[string][]byte{"log": log, "journal": journal} {
		os.MkdirAll(filepath.Join(dir, name), 0o700)
		os.WriteFile(filepath.Join(dir, name, segmentName(1)), b, 0o600)
	}
	s := mustOpenUnmanaged(t, o)
	defer s.Close()
	if n := s.Usage().Quarantined; n != 0 {
		t.Errorf("a torn tail was put into quarantine (%d)", n)
	}
	check(s)
}

// TestRot flips a bit in every eighth byte of records in the middle: one record
// is lost and reported, its neighbours live.
func TestRot(t *testing.T) {
	o := testOptions(t.TempDir())
	o.CheckpointEvery = time.Hour
	s := mustOpenUnmanaged(t, o)
	var ends []int64
	var path string
	for i := range 5 {
		accept(t, s, testMessage(i), []byte("content"))
		var end int64
		path, end = lastSegment(t, s, s.messages, s.log)
		ends = append(ends, end)
	}
	s.kill()
	whole, _ := os.ReadFile(path)
	for at := ends[1]; at < ends[2]; at += 8 {
		b := append([]byte(nil), whole[:ends[4]]...)
		b[at] ^= 0x10
		reopenRotten(t, b, func(s *Store) {
			for i := range 5 {
				got := mailbox(t, s, i)
				if want := i != 2; (len(got.Deliveries) == 1) != want {
					t.Errorf("flip at %d: mailbox %d holds %d deliveries", at, i, len(got.Deliveries))
				}
				if len(got.Deliveries) == 1 && body(t, s, got.Deliveries[0].Ref) != "content" {
					t.Errorf("flip at %d: content of %d is wrong", at, i)
				}
			}
			if n := s.Usage().Quarantined; n != 1 {
				t.Errorf("flip at %d: %d in quarantine", at, n)
			}
			if names, _ := os.ReadDir(s.dir("quarantine")); len(names) != 1 {
				t.Errorf("flip at %d: %d files in quarantine", at, len(names))
			}
		})
	}
	for at := int64(0); at < segmentHeader; at++ {
		b := append([]byte(nil), whole[:ends[4]]...)
		b[at] ^= 0x10
		reopenRotten(t, b, func(s *Store) {
			if got := mailbox(t, s, 0); len(got.Deliveries) != 1 || body(t, s, got.Deliveries[0].Ref) != "content" {
				t.Errorf("flip at %d of the header: %+v", at, got)
			}
		})
	}
}

func reopenRotten(t *testing.T, log []byte, check func(*Store)) {
	t.Helper()
	dir, err := os.MkdirTemp("", "rot")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	o := testOptions(dir)
	o.SegmentBytes = 64 << 10
	os.MkdirAll(filepath.Join(dir, "log"), 0o700)
	os.WriteFile(filepath.Join(dir, "log", segmentName(1)), log, 0o600)
	s := mustOpenUnmanaged(t, o)
	defer s.Close()
	check(s)
}

// TestRotIsReadAsDamage reads a record that rotted while the store was open.
func TestRotIsReadAsDamage(t *testing.T) {
	s := mustOpen(t, testOptions(t.TempDir()))
	d := accept(t, s, testMessage(1), []byte("content"))[0]
	f, _ := os.OpenFile(s.messages.path(d.Ref.Segment), os.O_RDWR, 0)
	f.WriteAt([]byte{0xFF}, int64(d.Ref.Offset)+40)
	f.Close()
	if _, err := s.Body(ctx, d.Ref); !isDamaged(err) {
		t.Errorf("Body: %v", err)
	}
}
