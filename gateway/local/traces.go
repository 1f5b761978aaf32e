package local

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"tidepost/gateway"
)

var _ gateway.Traces = (*Store)(nil)

// traces keeps under which names others know our deliveries: a Message-ID, the
// id in a next hop's reply. Nothing of the mail depends on it, so it costs the
// hot path no write and no sync: a name is noted in the run in memory, which is
// written to a log of its own each second. A full run is sorted into a file in
// which a question reads a few pages, and its log goes.
//
// What a crash of the process loses is the last second's, what a crash of the
// machine loses is what the kernel had not written. What cannot be read any more
// is dropped with a line in the log. A backup holds no traces: they would tell of
// mail that was sent after it.
type traces struct {
	disk disk
	dir  string
	log  *slog.Logger
	now  func() time.Time
	room func() error // asks the disk guard; nil before it is there
	each int          // records in a run
	wake chan struct{}
	open *lru.Cache[uint32, file] // sorted files, by number

	saving sync.Mutex // held by whoever writes or removes files; before mu

	mu    sync.RWMutex
	grows *traceRun    // guarded by mu: takes the names; nil: none yet
	full  []*traceRun  // guarded by mu: to be sorted, oldest first
	files []*traceFile // guarded by mu: oldest first; replaced, never changed
	next  uint32       // guarded by mu: number of the next run
	lost  int          // guarded by mu: names not noted since the last save
}

const (
	traceRunLen = 256 << 10      // records in a run: 14 MiB in memory, 11 MiB on disk
	traceRunAge = 24 * time.Hour // after which one that is not full is sorted too
	traceEvery  = time.Second    // between writes to the log
	traceFiles  = 256            // kept open

	// tracesBehind is how many full runs may wait for a slow disk. While more would,
	// names are not noted, and counted.
	tracesBehind = 2

	// traceGrace is how long traces outlive the messages they lead to.
	traceGrace = 7 * 24 * time.Hour
)

func newTraces(o *Options) *traces {
	t := &traces{
		disk: o.disk, dir: filepath.Join(o.Dir, "traces"), log: o.Log, now: o.Now, each: o.traceRun,
		wake: make(chan struct{}, 1), next: 1,
	}
	t.open, _ = lru.NewWithEvict(traceFiles, func(_ uint32, f file) { f.Close() }) // fails only for a size below 1
	return t
}

// Trace notes names of a delivery.
func (s *Store) Trace(t gateway.Trace, names ...string) { s.traces.note(t, names) }

// Traced returns the deliveries noted under a name, latest first. Deliveries
// accepted before since are left out.
func (s *Store) Traced(ctx context.Context, name string, since time.Time, max int) ([]gateway.Trace, error) {
	return s.traces.find(ctx, hashName(name), since.UnixMilli(), max)
}

// hashName is what stands for a name.
func hashName(name string) uint64 {
	h := sha256.Sum256([]byte(name))
	return binary.BigEndian.Uint64(h[:])
}

func (t *traces) note(tr gateway.Trace, names []string) {
	var few [4]uint64
	hashes := few[:0]
	for _, name := range names {
		if name != "" {
			hashes = append(hashes, hashName(name))
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range hashes {
		if r := t.runLocked(); r != nil {
			r.add(h, tr)
		}
	}
}

// runLocked returns the run that takes the next name; nil when too many wait.
func (t *traces) runLocked() *traceRun {
	if t.grows != nil && t.grows.n >= t.each {
		if len(t.full) >= tracesBehind {
			t.lost++
			return nil
		}
		t.fullLocked()
	}
	if t.grows == nil {
		t.grows = &traceRun{number: t.next, began: t.now()}
		t.next++
	}
	return t.grows
}

// fullLocked hands the run that grows over to be sorted.
func (t *traces) fullLocked() {
	t.full = append(slices.Clip(t.full), t.grows)
	t.grows = nil
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// find returns up to limit traces of a name, latest first by when their
// deliveries were accepted.
func (t *traces) find(ctx context.Context, hash uint64, since int64, limit int) (found []gateway.Trace, err error) {
	if limit <= 0 {
		return nil, nil
	}
	t.mu.RLock()
	for _, r := range append(slices.Clip(t.full), t.grows) {
		if r != nil {
			found = r.find(found, hash, since)
		}
	}
	files := t.files
	t.mu.RUnlock()
	found = latest(found, limit)
	page := make([]byte, tracePage)
	for _, f := range slices.Backward(files) {
		if f.max < since || len(found) == limit && f.max < accepted(found[limit-1]) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		more, err := t.search(f, page, hash, since, limit)
		if err != nil {
			return nil, err
		}
		found = latest(append(found, more...), limit)
	}
	return found, nil
}

// search looks into one file. One that is damaged is dropped, one that retention
// has removed meanwhile holds nothing.
func (t *traces) search(f *traceFile, page []byte, hash uint64, since int64, limit int) ([]gateway.Trace, error) {
	found, err := f.find(t, page, hash, since, limit)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil
	case errors.Is(err, gateway.ErrDamaged):
		t.saving.Lock()
		defer t.saving.Unlock()
		t.dropFile(f, err)
		return nil, nil
	}
	return found, err
}

// accepted is when a trace's delivery was accepted, in ms.
func accepted(t gateway.Trace) int64 { return t.Delivery.Message.Time().UnixMilli() }

// latest orders traces, the latest first, without repetitions, and cuts them to
// limit.
func latest(list []gateway.Trace, limit int) []gateway.Trace {
	slices.SortFunc(list, func(a, b gateway.Trace) int {
		return cmp.Or(b.Delivery.Compare(a.Delivery), slices.Compare(a.Mailbox[:], b.Mailbox[:]))
	})
	list = slices.Compact(list)
	return list[:min(len(list), limit)]
}

// runTraces saves what was noted, each second and when a run is full.
func (s *Store) runTraces() {
	tick := time.NewTicker(traceEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.traces.wake:
		case <-s.quit:
			return
		}
		s.traces.save()
	}
}
