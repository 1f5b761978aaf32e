package local

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"tidepost/gateway"
)

// maxGroup bounds what one write takes, so that a flood of large messages does
// not keep the first of them waiting.
const maxGroup = 8 << 20

// relaxedDelay is how long written records that nobody waits for may stay
// unsynced.
const relaxedDelay = 5 * time.Millisecond

// writer appends to one log: one goroutine takes everything that was handed in
// while the last sync ran, writes it with one call, syncs it with one call and
// tells the callers. It syncs whenever the disk is free and there is something
// to sync; it never waits for more. It only lets the goroutines run first that
// are ready to: of those that the last sync woke, most have the next record at
// hand, and one sync for all of them takes a quarter less CPU time than two.
//
// The queue is not bounded: every caller waits for its own submission, so it
// holds at most one a caller.
type writer struct {
	disk     disk
	dir      string
	kind     uint16
	log      *slog.Logger
	prep     *preparer
	applying *sync.RWMutex       // held for reading from write to apply
	stopped  func(error)         // told of the first failed write or sync
	begun    func(number uint32) // told of every new segment
	told     func()              // called when groups were applied or synced; may be nil

	mu     sync.Mutex
	queue  []*submission // guarded by mu
	closed error         // guarded by mu: why nothing is taken any more

	wake chan struct{}
	gone chan struct{} // closed when run has returned

	// Owned by run.
	seg      *openSegment
	unsynced bool
	bufs     [][]byte

	written atomic.Uint64 // place behind the last record written
	durable atomic.Uint64 // place behind the last record synced
	applied atomic.Uint64 // place behind the last record applied
}

func (w *writer) start() {
	w.wake = make(chan struct{}, 1)
	w.gone = make(chan struct{})
	go w.run()
}

// submit hands s in; the answer comes on s.done.
func (w *writer) submit(s *submission) {
	for i := range s.records {
		s.records[i].prepare()
	}
	w.mu.Lock()
	if err := w.closed; err != nil {
		w.mu.Unlock()
		s.done <- err
		return
	}
	w.queue = append(w.queue, s)
	first := len(w.queue) == 1
	w.mu.Unlock()
	if first {
		w.nudge()
	}
}

func (w *writer) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// flush returns when everything handed in before is on disk.
func (w *writer) flush() error {
	s := &submission{done: make(chan error, 1)}
	w.submit(s)
	return <-s.done
}

// close waits until everything handed in is on disk; later submissions get
// ErrStopped.
func (w *writer) close() {
	end := &submission{done: make(chan error, 1), records: []record{{head: make([]byte, recordHeader), typ: recordEnd}}}
	if w.flush() == nil { // so that the end is written when the rest is on disk
		w.submit(end)
		<-end.done
	}
	w.refuse(fmt.Errorf("%w: it was closed", gateway.ErrStopped))
	w.nudge()
	<-w.gone
	w.prep.stop()
	if w.seg != nil {
		w.seg.file.Close()
	}
}

func (w *writer) refuse(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed == nil {
		w.closed = err
	}
}

func (w *writer) run() {
	defer close(w.gone)
	late := time.NewTimer(time.Hour)
	late.Stop()
	armed := false
	var spare []*submission
	for {
		overdue := false
		select {
		case <-w.wake:
		case <-late.C:
			armed, overdue = false, true
		}
		runtime.Gosched()
		w.mu.Lock()
		queue, closed := w.queue, w.closed
		w.queue = spare[:0]
		w.mu.Unlock()
		if !w.groups(queue) {
			return
		}
		clear(queue)
		spare = queue
		if w.unsynced && (overdue || closed != nil) && !w.settle() {
			return
		}
		if closed != nil {
			return
		}
		if w.unsynced && !armed {
			late.Reset(relaxedDelay)
			armed = true
		}
	}
}

// settle syncs what was written without anybody waiting for it.
func (w *writer) settle() bool {
	if err := w.sync(); err != nil {
		w.fail(err, nil)
		return false
	}
	w.tell()
	return true
}

func (w *writer) tell() {
	if w.told != nil {
		w.told()
	}
}

// groups writes the queue in pieces of at most maxGroup bytes.
func (w *writer) groups(queue []*submission) bool {
	for len(queue) > 0 {
		n, size := 1, queue[0].size()
		for n < len(queue) && size+queue[n].size() <= maxGroup {
			size += queue[n].size()
			n++
		}
		if !w.group(queue[:n:n], queue[n:]) {
			return false
		}
		queue = queue[n:]
	}
	return true
}

// group stores one group: write, apply what is relaxed, sync, apply the rest.
// rest is what waits behind it, to be told when the store stops.
func (w *writer) group(group, rest []*submission) bool {
	if len(group) == 0 {
		return true
	}
	w.applying.RLock()
	defer w.applying.RUnlock()
	defer w.tell()
	group, err := w.write(group)
	if err != nil {
		w.fail(err, append(group, rest...))
		return false
	}
	waiting := group[:0:len(group)]
	for _, s := range group {
		if s.relaxed {
			s.finish(nil)
		} else {
			waiting = append(waiting, s)
		}
	}
	if len(waiting) == 0 {
		w.applied.Store(w.written.Load())
		return true
	}
	if err := w.sync(); err != nil {
		w.fail(err, append(waiting, rest...))
		return false
	}
	for _, s := range waiting {
		s.finish(nil)
	}
	w.applied.Store(w.written.Load())
	return true
}

// write places the records of a group and writes them with as few calls as
// there are segments. It returns the submissions that were written; those for
// which there is no room have been told.
func (w *writer) write(group []*submission) ([]*submission, error) {
	kept := group[:0]
	w.bufs = w.bufs[:0]
	start := w.seg.off
	for i, s := range group {
		if w.seg.off+w.seg.needs(s) > w.seg.size {
			if err := w.put(start); err != nil {
				return append(kept, group[i:]...), err
			}
			err := w.roll(s)
			start = w.seg.off
			if isFatal(err) {
				return append(kept, group[i:]...), err
			}
			if err != nil {
				s.finish(err)
				continue
			}
		}
		w.place(s)
		kept = append(kept, s)
	}
	return kept, w.put(start)
}

// place gives the records of s their places behind the last one, with the
// dictionary they need before them.
func (w *writer) place(s *submission) {
	dict := uint32(0)
	if s.dict != nil {
		if dict = w.seg.dicts[s.dict.id]; dict == 0 {
			dict = uint32(w.seg.off)
			w.seg.dicts[s.dict.id] = dict
			copied := s.dict.record
			copied.head = append([]byte(nil), copied.head...)
			w.placeRecord(&copied, 0)
		}
	}
	for i := range s.records {
		w.placeRecord(&s.records[i], dict)
	}
}

func (w *writer) placeRecord(r *record, dict uint32) {
	length := int(r.size()) - recordHeader
	sealRecord(r.head, w.seg.salt, length, r.crc, w.syncedOffset(), dict, r.typ)
	r.at = placeOf(w.seg.number, uint32(w.seg.off))
	w.bufs = append(w.bufs, r.head)
	if len(r.body) > 0 {
		w.bufs = append(w.bufs, r.body)
	}
	w.seg.off += r.size()
}

// syncedOffset returns how much of the segment is on disk.
func (w *writer) syncedOffset() uint32 { return place(w.durable.Load()).offset() }

// put writes the placed records, the first of which lies at start.
func (w *writer) put(start int64) error {
	if len(w.bufs) == 0 {
		return nil
	}
	err := w.seg.file.Writev(start, w.bufs)
	clear(w.bufs)
	w.bufs = w.bufs[:0]
	if err != nil {
		return err
	}
	w.unsynced = true
	w.written.Store(uint64(placeOf(w.seg.number, uint32(w.seg.off))))
	return nil
}

func (w *writer) sync() error {
	if !w.unsynced {
		return nil
	}
	if err := w.seg.file.Sync(); err != nil {
		return err
	}
	w.unsynced = false
	w.durable.Store(w.written.Load())
	return nil
}

// fatal marks an error after which the state of the disk is unknown.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

func isFatal(err error) bool {
	_, ok := err.(fatal)
	return ok
}

// roll ends the segment and goes on in the next one, for a submission that does
// not fit. Any error but a fatal one left everything as it was.
func (w *writer) roll(s *submission) error {
	size := s.size()
	if s.dict != nil {
		size += s.dict.record.size()
	}
	if size > w.prep.size-segmentHeader {
		return fmt.Errorf("a record of %d bytes does not fit into a segment of %d", size, w.prep.size)
	}
	next, err := w.prep.take()
	if err != nil {
		return err
	}
	if err := w.sync(); err != nil {
		next.file.Close()
		return fatal{err}
	}
	if err := w.adopt(next); err != nil {
		return fatal{err}
	}
	return nil
}

// adopt makes a prepared segment the one that grows.
func (w *writer) adopt(next *openSegment) error {
	from := filepath.Join(w.dir, nextName(next.number))
	if err := w.disk.Rename(from, filepath.Join(w.dir, segmentName(next.number))); err != nil {
		return err
	}
	if err := w.disk.SyncDir(w.dir); err != nil {
		return err
	}
	if old := w.seg; old != nil {
		// Only gives the unused end back; what is cut reads as zeroes anyway.
		old.file.Truncate(old.off)
		old.file.Close()
	}
	w.seg = next
	w.begun(next.number)
	w.written.Store(uint64(placeOf(next.number, uint32(next.off))))
	w.durable.Store(w.written.Load())
	return nil
}

// fail stops the store: after a failed write or sync nobody knows what the
// disk holds, so nothing is tried again.
func (w *writer) fail(cause error, group []*submission) {
	err := fmt.Errorf("%w: %w", gateway.ErrStopped, cause)
	w.log.Error("the store stops: a write failed; restart to recover", "dir", w.dir, "error", cause)
	w.stopped(err)
	w.refuse(err)
	w.mu.Lock()
	group = append(group, w.queue...)
	w.queue = nil
	w.mu.Unlock()
	for _, s := range group {
		s.finish(err)
	}
}
