package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"time"

	"tidepost/gateway"
	"tidepost/suppression"
)

const (
	// runEntries are sorted in memory at a time: about 20 MiB.
	runEntries = 1 << 16
	// yieldEvery is how many entries are worked on before others may run.
	yieldEvery = 256
	// maxOfAddress bounds the entries of an address in one list, because they are
	// read together.
	maxOfAddress = 1000
	// stageTold is how many entries lie between two reports of progress.
	stageTold = 10_000
)

// Stage sorts entries into a list that nobody sees yet: sorted pieces first, each
// durable, then one file of them all.
func (s *Store) Stage(ctx context.Context, name string, skip int, entries iter.Seq[suppression.Entry], progress func(lines int)) (gateway.StagedList, error) {
	fail := func(err error) (gateway.StagedList, error) {
		return gateway.StagedList{}, fmt.Errorf("staging list %q: %w", name, err)
	}
	st, err := s.beginStaging(name, skip)
	if err != nil {
		return fail(err)
	}
	defer s.endStaging(name, st.number)
	if progress == nil {
		progress = func(int) {}
	}
	g := &stager{s: s, list: *st, limit: s.opt.runEntries, progress: progress}
	if err := g.all(ctx, entries); err != nil {
		return fail(err)
	}
	ready, err := g.merge(ctx)
	if err != nil {
		return fail(err)
	}
	return ready.StagedList, nil
}

// beginStaging takes the name and returns where staging goes on.
func (s *Store) beginStaging(name string, skip int) (*stagedList, error) {
	if err := checkListName(name); err != nil {
		return nil, err
	}
	if err := s.err(); err != nil {
		return nil, err
	}
	l := s.lists
	l.changing.Lock() // nobody is publishing what is replaced
	defer l.changing.Unlock()
	st, old, err := l.begin(name, skip)
	if err == nil && old != nil {
		if err = s.removeStaged(old); err != nil {
			s.endStaging(name, st.number)
		}
	}
	return st, err
}

// begin takes a name and returns what is staged under it, or in its place what is
// to be staged and old, which goes.
func (l *lists) begin(name string, skip int) (st, old *stagedList, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy[name] {
		return nil, nil, errors.New("it is being staged already")
	}
	st = l.staged[name]
	if skip > 0 && (st == nil || st.Ready || st.Lines != skip) {
		return nil, nil, fmt.Errorf("it cannot go on behind %d entries: begin anew", skip)
	}
	if skip == 0 {
		old = st
		delete(l.staged, name)
		st = &stagedList{StagedList: gateway.StagedList{Name: name}, number: l.next}
		l.next++
	}
	l.busy[name], l.making[st.number] = true, true
	return st, old, nil
}

func (s *Store) endStaging(name string, number uint64) {
	s.lists.mu.Lock()
	defer s.lists.mu.Unlock()
	delete(s.lists.busy, name)
	delete(s.lists.making, number)
}

// stager stages one list.
type stager struct {
	s        *Store
	list     stagedList
	limit    int // entries in a run
	progress func(lines int)

	pace  pacer
	lines int // taken into run
	run   []listed
	order []runKey
}

// runKey is the place of an entry among those of a run.
type runKey struct {
	hash entryHash
	at   uint32
}

// all takes the entries and leaves them in runs.
func (g *stager) all(ctx context.Context, entries iter.Seq[suppression.Entry]) error {
	for e := range entries {
		if g.lines%yieldEvery == 0 {
			if err := g.interrupted(ctx); err != nil {
				return err
			}
		}
		if e.Address == "" {
			return fmt.Errorf("entry %d has no address", g.list.Lines+g.lines+1)
		}
		g.order = append(g.order, runKey{hashText(e.Address), uint32(len(g.run))})
		g.run = append(g.run, listed{list: g.list.number, Entry: e})
		g.lines++
		if (g.list.Lines+g.lines)%stageTold == 0 {
			g.progress(g.list.Lines + g.lines)
		}
		if len(g.run) == g.limit {
			if err := g.flush(); err != nil {
				return err
			}
		}
	}
	if err := g.interrupted(ctx); err != nil { // the source may have ended because of it
		return err
	}
	g.progress(g.list.Lines + g.lines)
	if len(g.run) == 0 && g.list.runs > 0 {
		return nil
	}
	return g.flush()
}

// interrupted reports why staging must end. It lets others run first: mail comes
// first.
func (g *stager) interrupted(ctx context.Context) error {
	g.pace.rest()
	select {
	case <-g.s.quit:
		return gateway.ErrStopped
	default:
	}
	return cmp.Or(ctx.Err(), g.s.err())
}

// pacer rests now and then, so that work on whole lists leaves time to the mail.
type pacer struct{ began time.Time }

const (
	workFor  = 4 * time.Millisecond
	longRest = 20 * time.Millisecond
	// removeRest lies between two files removed: a disk that is told of the room
	// they leave (mount option discard) is slow to sync meanwhile.
	removeRest = 10 * time.Millisecond
)

// rest is called often. It rests half as long as was worked, at least by letting
// others run.
func (p *pacer) rest() {
	runtime.Gosched()
	if p.began.IsZero() {
		p.began = time.Now()
	}
	if worked := time.Since(p.began); worked >= workFor {
		time.Sleep(min(worked/2, longRest))
		p.began = time.Now()
	}
}

// flush writes a run and takes note of it.
func (g *stager) flush() error {
	if err := g.s.guard.room(int64(len(g.run)) * 64); err != nil {
		return err
	}
	slices.SortFunc(g.order, func(a, b runKey) int {
		if c := a.hash.compare(b.hash); c != 0 {
			return c
		}
		if c := compareEntries(&g.run[a.at].Entry, &g.run[b.at].Entry); c != 0 {
			return c
		}
		return cmp.Compare(a.at, b.at)
	})
	path := g.s.runPath(g.list.number, g.list.runs)
	lines := g.list.Lines + g.lines
	meta := layerMeta{kind: layerRun, number: g.list.number, name: g.list.Name, lines: lines, made: g.s.now()}
	w, err := newLayerWriter(g.s.opt.disk, path, meta, int64(len(g.run)))
	if err != nil {
		return err
	}
	if err := g.write(w); err != nil {
		w.discard()
		return err
	}
	g.list.runs++
	g.list.Lines, g.list.At = lines, meta.made
	g.list.Bytes += fileSize(path)
	g.lines = 0
	clear(g.run)
	g.run, g.order = g.run[:0], g.order[:0]
	g.note()
	return nil
}

func (g *stager) write(w *layerWriter) error {
	var group []listed
	for i, k := range g.order {
		if i%yieldEvery == 0 {
			g.pace.rest()
		}
		group = addLast(group, g.run[k.at])
		if i+1 < len(g.order) && g.order[i+1].hash == k.hash {
			continue
		}
		if err := addGroup(w, k.hash, group); err != nil {
			return err
		}
		group = group[:0]
	}
	return w.finish()
}

// addLast appends an entry, in the place of the one before where they are the
// same: of a list the last line counts.
func addLast(group []listed, l listed) []listed {
	if n := len(group); n > 0 && sameEntry(&group[n-1].Entry, &l.Entry) {
		group[n-1] = l
		return group
	}
	return append(group, l)
}

func addGroup(w *layerWriter, h entryHash, group []listed) error {
	if len(group) > maxOfAddress {
		return fmt.Errorf("address %q has more than %d entries", group[0].Address, maxOfAddress)
	}
	return w.add(h, group)
}

// note makes what is staged so far known, as a value of its own.
func (g *stager) note() *stagedList {
	st := g.list
	g.s.lists.mu.Lock()
	defer g.s.lists.mu.Unlock()
	g.s.lists.staged[st.Name] = &st
	return &st
}

// merge makes one file of the runs.
func (g *stager) merge(ctx context.Context) (*stagedList, error) {
	g.run, g.order = nil, nil
	if err := g.s.guard.room(g.list.Bytes); err != nil {
		return nil, err
	}
	var runs []*layer
	defer func() {
		for _, l := range runs {
			l.Close()
		}
	}()
	total := int64(0)
	for i := range g.list.runs {
		l, err := openLayer(g.s.opt.disk, g.s.runPath(g.list.number, i), uint64(i))
		if err != nil {
			return nil, err
		}
		runs = append(runs, l)
		total += l.meta.entries
	}
	meta := layerMeta{kind: layerList, number: g.list.number, name: g.list.Name, lines: g.list.Lines, made: g.s.now()}
	w, err := newLayerWriter(g.s.opt.disk, g.s.listPath(g.list.number), meta, total)
	if err != nil {
		return nil, err
	}
	if err := g.mergeInto(ctx, w, mergeLayers(runs, entryHash{})); err != nil {
		w.discard()
		return nil, err
	}
	whole := g.list
	g.list.Ready, g.list.Entries, g.list.runs = true, w.meta.entries, 0
	g.list.At, g.list.Bytes = meta.made, fileSize(w.path)
	st := g.note()
	for i := range whole.runs {
		g.s.opt.disk.Remove(g.s.runPath(whole.number, i)) // else the next start does
		time.Sleep(g.s.opt.removeRest)
	}
	return st, nil
}

func (g *stager) mergeInto(ctx context.Context, w *layerWriter, m *layerMerge) error {
	var found, group []listed
	for n := 0; ; n++ {
		h, ok := m.peek()
		if !ok {
			break
		}
		if n%yieldEvery == 0 {
			if err := g.interrupted(ctx); err != nil {
				return err
			}
		}
		found, group = m.take(found[:0]), group[:0]
		for i := range found {
			group = addLast(group, found[i])
		}
		if m.err == nil {
			if err := addGroup(w, h, group); err != nil {
				return err
			}
		}
	}
	if m.err != nil {
		return m.err
	}
	return w.finish()
}

// room refuses what would touch the reserve.
func (g *guard) room(size int64) error {
	g.look()
	if free := g.free.Load(); free-size < g.reserve {
		return fmt.Errorf("%w: %d MiB of disk are left, %d MiB are needed and %d MiB kept in reserve", gateway.ErrFull, free>>20, size>>20, g.reserve>>20)
	}
	return nil
}
