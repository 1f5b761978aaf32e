package local

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"tidepost/gateway"
	"tidepost/suppression"
)

const (
	// maxLayers is how many files a question may have to look into.
	maxLayers = 8
	// mergeSome is how many hashes are merged between two rests, which are as long
	// as the work was: mail comes first.
	mergeSome = 2048
)

// noteMerge says that there may be files to merge.
func (s *Store) noteMerge() {
	select {
	case s.merges <- struct{}{}:
	default:
	}
}

// runMerges merges files while there are too many.
func (s *Store) runMerges() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.running.Go(func() { <-s.quit; cancel() })
	for {
		select {
		case <-s.merges:
		case <-s.quit:
			return
		}
		for {
			some, err := s.mergeLists(ctx)
			if err != nil && ctx.Err() == nil && s.err() == nil {
				s.opt.Log.Error("suppression lists could not be merged", "error", err)
			}
			if err != nil || !some {
				break
			}
		}
	}
}

// mergeable returns the files to be made one: the smallest where there are too
// many; one of which more than half is not live; one that may still hold what was
// forgotten and is as old as history may be. Damaged ones stay as they are.
func (set *layerSet) mergeable(forgot, old time.Time) []*layer {
	whole := slices.DeleteFunc(slices.Clone(set.layers), func(l *layer) bool { return l.trouble() != nil })
	slices.SortFunc(whole, func(a, b *layer) int { return cmp.Compare(a.size, b.size) })
	if over := len(set.layers) - maxLayers; over > 0 && len(whole) > 1 {
		return whole[:min(len(whole), max(2, over+1))]
	}
	for _, l := range whole {
		live := int64(0)
		for _, list := range set.table.lists {
			if list.file == l.number {
				live += list.entries
			}
		}
		if live < l.meta.entries/2 || l.meta.made.Before(forgot) && l.meta.made.Before(old) {
			return []*layer{l}
		}
	}
	return nil
}

// mergeLists makes one file of some, without what is no longer live or was
// forgotten. Entries stay apart by list, so that each can still be discarded.
func (s *Store) mergeLists(ctx context.Context) (some bool, err error) {
	set := s.entries.set.Load()
	s.entries.mu.Lock()
	forgot := s.entries.counts.forgot
	s.entries.mu.Unlock()
	inputs := set.mergeable(forgot, s.now().Add(-s.opt.HistoryFor))
	if inputs == nil {
		return false, nil
	}
	size, total := int64(0), int64(0)
	for _, l := range inputs {
		size += l.size
		total += l.meta.entries
	}
	if err := s.guard.room(size); err != nil {
		return false, err
	}
	number := s.lists.make()
	defer s.lists.made(number)
	meta := layerMeta{kind: layerMerged, number: number, made: s.now()}
	w, err := newLayerWriter(s.opt.disk, s.listPath(number), meta, total)
	if err != nil {
		return false, err
	}
	if err := s.mergeLayers(ctx, w, set, mergeLayers(inputs, entryHash{})); err != nil {
		w.discard()
		if set != s.entries.set.Load() {
			return true, ctx.Err() // a file was discarded under the merge: once more
		}
		return false, err
	}
	return true, s.exchangeFiles(ctx, inputs, number)
}

func (s *Store) mergeLayers(ctx context.Context, w *layerWriter, set *layerSet, m *layerMerge) error {
	base := baseReader{e: s.entries}
	var found []listed
	began := time.Now()
	for n := 1; ; n++ {
		h, ok := m.peek()
		if !ok {
			break
		}
		list, err := base.of(h)
		if err != nil {
			return err
		}
		found = m.take(found[:0])
		found = slices.DeleteFunc(found, func(l listed) bool { return set.seqs[l.list] <= list.hides })
		if len(found) > 0 {
			if err := w.add(h, found); err != nil {
				return err
			}
		}
		if n%mergeSome == 0 {
			time.Sleep(min(time.Since(began), longRest))
			if began = time.Now(); ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return errors.Join(m.err, finishUnless(m.err, w))
}

func finishUnless(err error, w *layerWriter) error {
	if err != nil {
		return nil
	}
	return w.finish()
}

// exchangeFiles commits that lists are in another file now.
func (s *Store) exchangeFiles(ctx context.Context, old []*layer, number uint64) error {
	s.lists.changing.Lock()
	defer s.lists.changing.Unlock()
	t := s.entries.set.Load().table
	t.lists = slices.Clone(t.lists)
	used := false
	for i := range t.lists {
		l := &t.lists[i]
		if slices.ContainsFunc(old, func(o *layer) bool { return o.number == l.file }) {
			l.file, used = number, true
		}
	}
	if !used {
		return s.opt.disk.Remove(s.listPath(number))
	}
	return s.changeLists(ctx, t, number, nil)
}

// goneFiles are the files that an earlier table needed and the next one does not,
// as long as they are there: they are not taken for staged ones.
func (s *Store) goneFiles(from, to listTable) (gone []uint64) {
	keep := to.files()
	for _, n := range slices.Concat(from.gone, from.files()) {
		if _, err := os.Stat(s.listPath(n)); err == nil && !slices.Contains(keep, n) && !slices.Contains(gone, n) {
			gone = append(gone, n)
		}
	}
	return gone
}

// removeLists removes files that neither the table nor the one in the checkpoint
// needs, and that nobody is staging.
func (s *Store) removeLists() error {
	names, err := os.ReadDir(s.dir("lists"))
	if err != nil {
		return err
	}
	var useless []string
	for _, n := range names {
		stem, ext, _ := strings.Cut(n.Name(), ".")
		first, _, _ := strings.Cut(stem, "-")
		number, err := strconv.ParseUint(first, 10, 64)
		if err == nil && (ext == "list" || ext == "run") && !s.needed(number, ext) {
			useless = append(useless, filepath.Join(s.dir("lists"), n.Name()))
		}
	}
	if len(useless) == 0 {
		return nil
	}
	if err := s.checkpoint(); err != nil {
		return err
	}
	for _, path := range useless {
		if err := s.opt.disk.Remove(path); err != nil {
			return err
		}
		time.Sleep(s.opt.removeRest)
	}
	s.noteWork()
	return s.opt.disk.SyncDir(s.dir("lists"))
}

// needed reports whether a file is live, staged or being made. What is being
// published is one of them at any time.
func (s *Store) needed(number uint64, ext string) bool {
	s.lists.changing.Lock()
	defer s.lists.changing.Unlock()
	s.lists.mu.Lock()
	defer s.lists.mu.Unlock()
	if s.lists.making[number] {
		return true
	}
	for _, st := range s.lists.staged {
		if st.number == number {
			return st.Ready == (ext == "list")
		}
	}
	t := s.entries.set.Load().table
	return ext == "list" && slices.Contains(t.files(), number)
}

// recountEntries counts all entries anew, for a checkpoint without counts.
func (s *Store) recountEntries() error {
	counts := newTally()
	counts.forgot = s.now() // it may have been any time
	err := s.entries.scan(context.Background(), entryHash{}, func(_ entryHash, list []suppression.Entry) bool {
		counts.add(list, +1)
		return true
	})
	if err != nil && !errors.Is(err, gateway.ErrDamaged) {
		return err
	}
	s.entries.mu.Lock()
	defer s.entries.mu.Unlock()
	s.entries.counts = counts
	return nil
}
