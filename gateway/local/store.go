package local

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"tidepost/gateway"
)

// formatVersion is the version of the data directory's layout.
const formatVersion = 1

// Store keeps all state of one machine. It implements gateway.Store and all of
// its optional powers. Open makes one.
type Store struct {
	opt   Options
	lock  *os.File
	index *index
	ids   gateway.IDSource

	messages, history *segments // the two logs, for reading
	log, journal      *writer   // the same, for writing
	guard             *guard
	compressor        *compressor

	boxes    *mailboxes
	sums     *sums
	entries  *entries
	lists    *lists
	settings *settings
	cursors  *cursors
	traces   *traces
	finder   *finder

	committed announcement
	news      atomic.Bool // events were added that nobody was told of

	// applying is held for reading while a group is stored and applied, for
	// writing while the checkpoint captures its positions.
	applying sync.RWMutex

	// moving is held for reading while a change is computed from a mailbox's
	// state and handed in, for writing while compaction moves content.
	moving sync.RWMutex

	checkpointing sync.Mutex    // one checkpoint at a time
	stored        positions     // guarded by checkpointing: of the last checkpoint
	captured      atomic.Uint64 // place in the log up to which the last one holds everything
	work          chan struct{} // there is something to checkpoint
	merges        chan struct{} // there may be lists to merge
	progress      announcement  // the checkpoint has written something, or could not
	waits         atomic.Bool   // the last checkpoint found no room
	quit          chan struct{}
	running       sync.WaitGroup

	stopped atomic.Pointer[error] // why nothing is taken any more

	retaining         sync.Mutex           // one at a time
	movedAt           map[uint32]time.Time // guarded by retaining: when compaction was done with a segment
	lookedForCaptured time.Time            // guarded by retaining

	claimed    atomic.Bool  // large files got names that are not synced
	alarmed    atomic.Int64 // when damage in a list was reported last
	held       atomic.Bool  // restored or rebuilt, and not confirmed
	recovering bool         // everything is being replayed
}

var (
	_ gateway.Store    = (*Store)(nil)
	_ gateway.Spooler  = (*Store)(nil)
	_ gateway.Entries  = (*Store)(nil)
	_ gateway.Settings = (*Store)(nil)
	_ gateway.Journal  = (*Store)(nil)
	_ gateway.Lists    = (*Store)(nil)
)

// Open opens the store in a directory, making it when it is new, and brings it
// to where it was when it was closed or killed.
func Open(opt Options) (*Store, error) {
	opt.setDefaults()
	s := newStore(opt)
	if err := s.open(); err != nil {
		s.abandon()
		return nil, fmt.Errorf("data directory %s: %w", opt.Dir, err)
	}
	return s, nil
}

func newStore(opt Options) *Store {
	return &Store{
		opt:  opt,
		work: make(chan struct{}, 1), quit: make(chan struct{}),
		merges:     make(chan struct{}, 1),
		sums:       newSums(),
		lists:      newLists(),
		traces:     newTraces(&opt),
		compressor: newCompressor(),
		movedAt:    make(map[uint32]time.Time),
		settings:   &settings{values: make(map[string][]byte), changed: make(map[string]bool)},
		cursors:    &cursors{places: make(map[string]place)},
	}
}

func (s *Store) open() (err error) {
	if err := s.openDir(); err != nil {
		return err
	}
	_, total, err := s.opt.disk.Space(s.opt.Dir)
	if err != nil {
		return err
	}
	s.opt.sizeTo(total)
	s.guard = &guard{disk: s.opt.disk, dir: s.opt.Dir, reserve: s.opt.Reserve}
	s.traces.room = s.guard.mail
	if err := s.openLogs(); err != nil {
		return err
	}
	if s.index, err = openIndex(s.dir("state.db")); err != nil {
		return unreadable(err)
	}
	if err := migrateEntries(s.index); err != nil {
		return unreadable(err)
	}
	s.useIndex()
	from, err := s.load()
	if err == nil {
		err = s.loadEntries()
	}
	if err != nil {
		return unreadable(err)
	}
	ends, err := s.replay(from)
	if err != nil {
		return err
	}
	if err := errors.Join(s.sweepLarge(), s.loadLists()); err != nil {
		return err
	}
	s.traces.load()
	return s.startWriters(from, ends)
}

// unreadable says what to do when state.db is damaged.
func unreadable(err error) error {
	if errors.Is(err, errNewer) {
		return err
	}
	return fmt.Errorf("state.db cannot be read (%w): `tidepost recover` rebuilds it from the logs, with everything held", err)
}

func (s *Store) openLogs() (err error) {
	if s.messages, err = openSegments(s.opt.disk, s.dir("log"), kindLog); err != nil {
		return err
	}
	if s.history, err = openSegments(s.opt.disk, s.dir("journal"), kindJournal); err != nil {
		return err
	}
	s.finder = newFinder(s.messages)
	return s.opt.disk.SyncDir(s.opt.Dir)
}

// useIndex lets what is kept in state.db use it.
func (s *Store) useIndex() {
	s.boxes = newMailboxes(s.index, s.opt.CacheSize)
	s.entries = newEntries(s.index)
	s.entries.alarm, s.entries.now = s.listAlarm, s.now
}

// dir returns the path of one of the store's directories.
func (s *Store) dir(name string) string { return filepath.Join(s.opt.Dir, name) }

func (s *Store) now() time.Time { return s.opt.Now() }

// openDir makes the directories, takes the lock and checks the format.
func (s *Store) openDir() (err error) {
	for _, name := range []string{"", "large", "lists", "quarantine", "traces"} {
		if err := os.MkdirAll(s.dir(name), 0o700); err != nil {
			return err
		}
	}
	if err := s.opt.disk.SyncDir(filepath.Dir(s.opt.Dir)); err != nil {
		return err
	}
	if s.lock, err = os.OpenFile(s.dir("lock"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	if err := lockFile(s.lock); err != nil {
		return err
	}
	text, err := os.ReadFile(s.dir("format"))
	if errors.Is(err, os.ErrNotExist) {
		return writeFile(s.opt.disk, s.dir("format"), fmt.Appendf(nil, "tidepost data, format %d\n", formatVersion))
	}
	if err != nil {
		return err
	}
	return checkFormat(text)
}

func checkFormat(text []byte) error {
	words := strings.Fields(string(text))
	n := 0
	if len(words) == 4 && bytes.HasPrefix(text, []byte("tidepost data, format ")) {
		n, _ = strconv.Atoi(words[3])
	}
	switch {
	case n <= 0:
		return fmt.Errorf("its file named format says %q: this is not a data directory of tidepost", text)
	case n > formatVersion:
		return fmt.Errorf("it was written by a newer version of tidepost (format %d, this one knows up to %d): run that version, or restore a backup", n, formatVersion)
	}
	return nil
}

// load reads all of the checkpoint that is kept in memory whole.
func (s *Store) load() (from positions, err error) {
	err = s.index.view(func(tx *bbolt.Tx) error {
		s.held.Store(tx.Bucket(bucketMeta).Get(metaHeld) != nil)
		if from, err = decodePositions(tx.Bucket(bucketMeta).Get(metaPositions)); err != nil {
			return err
		}
		tx.Bucket(bucketSetting).ForEach(func(k, v []byte) error {
			s.settings.values[string(k)] = append([]byte{}, v...)
			return nil
		})
		tx.Bucket(bucketCursor).ForEach(func(k, v []byte) error {
			d := decoder{b: v}
			s.cursors.places[string(k)] = d.place()
			return nil
		})
		err := tx.Bucket(bucketSegment).ForEach(func(k, v []byte) error {
			use, err := decodeUse(v)
			d := decoder{b: k}
			if n := be32(d.fixed(4)); s.messages.has(n) { // else removed just before a crash
				s.sums.segments[n] = use
			}
			return errors.Join(err, d.finish())
		})
		return errors.Join(err, tx.Bucket(bucketTotals).ForEach(s.sums.loadSum))
	})
	return from, err
}

// be32 reads what segmentKey wrote.
func be32(b []byte) uint32 {
	if len(b) != 4 {
		return 0
	}
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// startWriters begins a new segment in each log and the work in the background.
func (s *Store) startWriters(from, ends positions) (err error) {
	s.log = s.newWriter(s.messages, s.guard.segment)
	s.journal = s.newWriter(s.history, func(int64) error { return nil })
	s.journal.told = s.announce
	if err := s.begin(s.log, s.messages, ends.log); err != nil {
		return err
	}
	if err := s.begin(s.journal, s.history, ends.journal); err != nil {
		return err
	}
	s.stored = from
	s.guard.start()
	s.running.Go(s.runCheckpoints)
	s.running.Go(s.runRetention)
	s.running.Go(s.runMerges)
	s.running.Go(s.runTraces)
	s.noteMerge()
	s.noteWork()
	return nil
}

func (s *Store) newWriter(log *segments, room func(int64) error) *writer {
	return &writer{
		disk: s.opt.disk, dir: log.dir, kind: log.kind, log: s.opt.Log,
		applying: &s.applying, stopped: s.stop, begun: log.add,
		prep: &preparer{disk: s.opt.disk, dir: log.dir, kind: log.kind, size: s.opt.SegmentBytes, room: room, now: s.opt.Now},
	}
}

// begin starts a writer in a segment of its own behind what is there.
func (s *Store) begin(w *writer, log *segments, end place) error {
	number := max(log.last(), end.segment()) + 1
	seg, err := w.prep.make(number, zeroFirst)
	if err != nil {
		return err
	}
	if err := w.adopt(seg); err != nil {
		seg.file.Close()
		return err
	}
	w.applied.Store(w.written.Load())
	w.prep.start(number + 1)
	w.start()
	return nil
}

// Close stores what is in memory and lets the directory go. Calls under way
// finish or fail with ErrStopped.
func (s *Store) Close() error {
	if s.lock == nil {
		return nil
	}
	close(s.quit)
	s.running.Wait()
	s.traces.save()
	s.log.close()
	var err error
	if s.err() == nil {
		err = s.checkpoint()
	}
	s.journal.close()
	s.stop(fmt.Errorf("%w: it was closed", gateway.ErrStopped))
	s.guard.stop()
	s.abandon()
	return err
}

// abandon closes what is open.
func (s *Store) abandon() {
	s.traces.close()
	if s.messages != nil {
		s.messages.close()
	}
	if s.history != nil {
		s.history.close()
	}
	if s.entries != nil {
		s.entries.set.Load().closeBut(newLayerSet(listTable{}, nil))
	}
	if s.index != nil {
		s.index.close()
	}
	if s.lock != nil {
		s.lock.Close()
		s.lock = nil
	}
}

// stop makes every later call fail with err.
func (s *Store) stop(err error) {
	if s.stopped.CompareAndSwap(nil, &err) {
		for _, w := range []*writer{s.log, s.journal} {
			if w != nil { // not while replaying
				w.refuse(err)
			}
		}
		s.progress.make()
	}
}

// stopOn stops the store if err left the disk in an unknown state.
func (s *Store) stopOn(err error) error {
	if isFatal(err) {
		err = fmt.Errorf("%w: %w", gateway.ErrStopped, err)
		s.opt.Log.Error("the store stops: a write failed; restart to recover", "error", err)
		s.stop(err)
	}
	return err
}

// err returns why the store has stopped, nil while it runs.
func (s *Store) err() error {
	if p := s.stopped.Load(); p != nil {
		return *p
	}
	return nil
}
