package local

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"tidepost/gateway"
)

// lists are the files in lists/: of lists being staged, staged, live, and of those
// that nobody needs any more.
type lists struct {
	changing sync.Mutex // held while the table changes, from its reading to its commit

	mu     sync.Mutex
	next   uint64                 // guarded by mu: number of the next list or file
	busy   map[string]bool        // guarded by mu: names that are being staged
	making map[uint64]bool        // guarded by mu: files not finished
	staged map[string]*stagedList // guarded by mu: by name, not live
}

// stagedList is a list that is not live. It is never changed once it is ready.
type stagedList struct {
	gateway.StagedList
	number uint64
	runs   int // sorted pieces, until they are one file
}

func newLists() *lists {
	return &lists{next: 1, busy: make(map[string]bool), making: make(map[uint64]bool), staged: make(map[string]*stagedList)}
}

const maxListName = 255

func checkListName(name string) error {
	if name == "" || len(name) > maxListName || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("the name of the list is %.80q: use 1 to %d printable characters", name, maxListName)
	}
	return nil
}

func (s *Store) listPath(number uint64) string {
	return filepath.Join(s.dir("lists"), fmt.Sprintf("%08d.list", number))
}

func (s *Store) runPath(number uint64, run int) string {
	return filepath.Join(s.dir("lists"), fmt.Sprintf("%08d-%05d.run", number, run))
}

// make takes the number of a new file.
func (l *lists) make() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.next
	l.next++
	l.making[n] = true
	return n
}

// made says that a file is finished or given up.
func (l *lists) made(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.making, number)
}

// Publish makes a staged list live.
func (s *Store) Publish(ctx context.Context, name, actor string) error {
	s.lists.changing.Lock()
	defer s.lists.changing.Unlock()
	s.lists.mu.Lock()
	st := s.lists.staged[name]
	s.lists.mu.Unlock()
	if st == nil || !st.Ready {
		return fmt.Errorf("publishing list %q: it is not staged: %w", name, gateway.ErrNotFound)
	}
	t := s.entries.set.Load().table.without(name)
	t.published++
	t.lists = append(t.lists, liveList{
		id: st.number, seq: t.published, file: st.number,
		name: name, entries: st.Entries, at: s.now(), actor: actor,
	})
	if err := s.changeLists(ctx, t, st.number, s.listEvent("published", name, actor, st.Entries)); err != nil {
		return fmt.Errorf("publishing list %q: %w", name, err)
	}
	s.lists.mu.Lock()
	if s.lists.staged[name] == st {
		delete(s.lists.staged, name)
	}
	s.lists.mu.Unlock()
	s.noteMerge()
	return nil
}

// Discard throws away a staged list, else a live one. The file of a live one goes
// when the checkpoint no longer names it.
func (s *Store) Discard(ctx context.Context, name, actor string) error {
	s.lists.changing.Lock()
	defer s.lists.changing.Unlock()
	if found, err := s.discardStaged(name); found || err != nil {
		return err
	}
	set := s.entries.set.Load()
	if !set.table.has(name) {
		return fmt.Errorf("discarding list %q: %w", name, gateway.ErrNotFound)
	}
	entries := int64(0)
	for _, l := range set.table.lists {
		if l.name == name {
			entries += l.entries
		}
	}
	if err := s.changeLists(ctx, set.table.without(name), 0, s.listEvent("discarded", name, actor, entries)); err != nil {
		return fmt.Errorf("discarding list %q: %w", name, err)
	}
	s.noteMerge()
	return nil
}

func (s *Store) discardStaged(name string) (found bool, err error) {
	s.lists.mu.Lock()
	st, busy := s.lists.staged[name], s.lists.busy[name]
	if !busy {
		delete(s.lists.staged, name)
	}
	s.lists.mu.Unlock()
	switch {
	case busy:
		return true, fmt.Errorf("discarding list %q: it is being staged", name)
	case st == nil:
		return false, nil
	}
	return true, s.removeStaged(st)
}

// removeStaged removes the files of a list that is not live, durably: a list that
// came back would be taken for one staged since.
func (s *Store) removeStaged(st *stagedList) error {
	var errs []error
	remove := func(path string) {
		if err := s.opt.disk.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	for i := range st.runs {
		remove(s.runPath(st.number, i))
		time.Sleep(s.opt.removeRest)
	}
	remove(s.listPath(st.number))
	errs = append(errs, s.opt.disk.SyncDir(s.dir("lists")))
	return errors.Join(errs...)
}

// listEvent is told of a change of lists.
func (s *Store) listEvent(what, name, actor string, entries int64) *gateway.Event {
	detail, _ := json.Marshal(map[string]any{"list": name, "entries": entries})
	return &gateway.Event{Kind: gateway.EventEntry, At: s.now(), Name: s.ids.Next(s.now()).String(), Reason: what, Actor: actor, Detail: string(detail)}
}

// changeLists commits another table. fresh is the file that was staged for it: it
// is read whole, and one that is damaged is refused. lists.changing is held.
func (s *Store) changeLists(ctx context.Context, t listTable, fresh uint64, event *gateway.Event) (err error) {
	if err := s.err(); err != nil {
		return err
	}
	from := s.entries.set.Load()
	t.gone = s.goneFiles(from.table, t)
	to, err := s.openSet(t, from)
	if err != nil {
		return err
	}
	step := newTransition(s.entries, from, to)
	s.entries.setPending(step)
	defer s.entries.setPending(nil)
	defer func() {
		if s.entries.set.Load() == to {
			from.closeBut(to)
		} else {
			to.closeBut(from)
		}
	}()
	if err := step.count(ctx, s.entries); err != nil && !errors.Is(err, gateway.ErrDamaged) {
		return err
	}
	if l := to.layer(fresh); l != nil && l.trouble() != nil {
		return l.trouble()
	}
	c := &change{lists: t.append(nil)}
	if event != nil {
		c.events = []gateway.Event{*event}
	}
	if err := s.commitInternal(c); err != nil {
		return err
	}
	s.noteWork()
	return nil
}

func (e *entries) setPending(t *transition) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pending = t
}

// adopt makes a table that was committed the one in force. While replaying, which
// nothing disturbs, it opens and counts what it needs.
func (s *Store) adopt(b []byte) error {
	e := s.entries
	t, err := decodeTable(b)
	if err != nil {
		return fmt.Errorf("the table of suppression lists: %w", err)
	}
	e.mu.Lock()
	step, from := e.pending, e.set.Load()
	if step != nil && bytes.Equal(step.to.table.append(nil), b) {
		e.counts.plus(step.counted)
		e.use(step.to)
		e.mu.Unlock()
		return nil
	}
	e.mu.Unlock()
	if bytes.Equal(from.table.append(nil), b) {
		return nil
	}
	if e.rebuilding {
		e.use(newLayerSet(t, nil))
		return nil
	}
	to, err := s.openSet(t, from)
	if err != nil {
		return err
	}
	step = newTransition(e, from, to)
	if err := step.count(context.Background(), e); err != nil && !errors.Is(err, gateway.ErrDamaged) {
		return err
	}
	e.mu.Lock()
	e.counts.plus(step.counted)
	e.mu.Unlock()
	e.use(to)
	from.closeBut(to)
	return nil
}

// openSet opens the files of a table, those of another set once only. A file that
// cannot be read does not keep the store from starting: it answers with an error.
func (s *Store) openSet(t listTable, open *layerSet) (*layerSet, error) {
	var layers []*layer
	for _, n := range t.files() {
		l := open.layer(n)
		if l == nil {
			var err error
			l, err = openLayer(s.opt.disk, s.listPath(n), n)
			if errors.Is(err, errNewer) {
				return nil, err
			}
			if err != nil {
				s.opt.Log.Error("a suppression list cannot be read: bulk mail waits until it is discarded or restored", "file", s.listPath(n), "error", err)
				l = &layer{path: s.listPath(n), number: n, broken: err}
			}
		}
		layers = append(layers, l)
	}
	return newLayerSet(t, layers), nil
}

// closeBut closes the files that another set does not have.
func (s *layerSet) closeBut(o *layerSet) {
	for _, l := range s.layers {
		if !hasLayer(o.layers, l) && l.file != nil {
			l.Close()
		}
	}
}

// AllLists returns what is staged and what is live.
func (s *Store) AllLists() []gateway.StagedList {
	var all []gateway.StagedList
	set := s.entries.set.Load()
	for _, l := range set.table.lists {
		info := gateway.StagedList{Name: l.name, Entries: l.entries, Ready: true, Live: true, At: l.at}
		if f := set.layer(l.file); f != nil {
			info.Bytes = f.size
			if err := f.trouble(); err != nil {
				info.Damaged = err.Error()
			}
		}
		all = append(all, info)
	}
	s.lists.mu.Lock()
	for _, st := range slices.Collect(maps.Values(s.lists.staged)) {
		all = append(all, st.StagedList)
	}
	s.lists.mu.Unlock()
	slices.SortStableFunc(all, func(a, b gateway.StagedList) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// loadLists finds out what of the files that are not live is staged, wholly or in
// part.
func (s *Store) loadLists() error {
	names, err := os.ReadDir(s.dir("lists"))
	if err != nil {
		return err
	}
	t := s.entries.set.Load().table
	skip := slices.Concat(t.files(), t.gone)
	for _, n := range skip {
		s.lists.next = max(s.lists.next, n+1)
	}
	for _, n := range names {
		stem, ext, _ := strings.Cut(n.Name(), ".")
		first, run, _ := strings.Cut(stem, "-")
		number, err := strconv.ParseUint(first, 10, 64)
		if err != nil {
			continue
		}
		s.lists.next = max(s.lists.next, number+1)
		switch {
		case strings.HasSuffix(ext, "tmp"):
			s.opt.disk.Remove(filepath.Join(s.dir("lists"), n.Name()))
		case slices.Contains(skip, number):
		default:
			ordinal, _ := strconv.Atoi(run)
			s.loadStaged(filepath.Join(s.dir("lists"), n.Name()), number, ordinal)
		}
	}
	return nil
}

// loadStaged takes note of one file. Names come in order: runs one after another,
// and behind them their list, which makes them useless.
func (s *Store) loadStaged(path string, number uint64, run int) {
	l, err := openLayer(s.opt.disk, path, number)
	if err != nil {
		s.opt.Log.Warn("a staged list cannot be read: stage it anew", "file", path, "error", err)
		return
	}
	defer l.Close()
	m := l.meta
	old := s.lists.staged[m.name]
	info := gateway.StagedList{Name: m.name, Lines: m.lines, Bytes: l.size, At: m.made}
	switch {
	case m.kind == layerList && (old == nil || number >= old.number):
		info.Entries, info.Ready = m.entries, true
		st := &stagedList{StagedList: info, number: number}
		if old != nil && old.number == number {
			st.runs = old.runs
		}
		s.lists.staged[m.name] = st
	case m.kind != layerRun || old != nil && old.number == number && old.Ready:
	case run == 0 && (old == nil || number > old.number):
		s.lists.staged[m.name] = &stagedList{StagedList: info, number: number, runs: 1}
	case old != nil && old.number == number && run == old.runs:
		info.Bytes += old.Bytes
		s.lists.staged[m.name] = &stagedList{StagedList: info, number: number, runs: run + 1}
	}
}

// trouble is the first damage that was met.
func (l *layer) trouble() error {
	if p := l.met.Load(); p != nil {
		return *p
	}
	return l.broken
}
