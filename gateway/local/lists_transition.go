package local

import (
	"context"
	"errors"
)

// transition is a change from one set of lists to another, with what it does to
// the counts. That is found by walking through the lists that come or go, which
// takes its time; entries that are put meanwhile where the walk has passed are
// counted there and then.
type transition struct {
	from, to *layerSet
	lists    map[uint64]bool // that come or go

	walk   *layerMerge
	others []*layerCursor // all other files of both sets
	base   baseReader
	pace   pacer
	seen   uint64 // entries.changes when base was empty

	counted tally     // guarded by entries.mu
	upTo    entryHash // guarded by entries.mu: the walk has passed all up to here
	any     bool      // guarded by entries.mu: it has passed something
}

// transitionStep is how many hashes are counted at once, while nobody may change
// an entry at worst.
const transitionStep = 128

func newTransition(e *entries, from, to *layerSet) *transition {
	t := &transition{from: from, to: to, lists: make(map[uint64]bool), base: baseReader{e: e}, counted: newTally()}
	for id, seq := range from.seqs {
		t.lists[id] = to.seqs[id] != seq
	}
	for id, seq := range to.seqs {
		t.lists[id] = from.seqs[id] != seq
	}
	var walk []*layer
	for _, set := range []*layerSet{from, to} {
		for _, l := range set.table.lists {
			if layer := set.layer(l.file); t.lists[l.id] && !hasLayer(walk, layer) {
				walk = append(walk, layer)
			}
		}
	}
	t.walk = mergeLayers(walk, entryHash{})
	for _, l := range t.layers() {
		if !hasLayer(walk, l) {
			t.others = append(t.others, l.cursorAt(entryHash{}))
		}
	}
	return t
}

func hasLayer(layers []*layer, l *layer) bool {
	for _, o := range layers {
		if o == l {
			return true
		}
	}
	return false
}

// layers are the files of both sets.
func (t *transition) layers() []*layer {
	all := append([]*layer(nil), t.from.layers...)
	for _, l := range t.to.layers {
		if !hasLayer(all, l) {
			all = append(all, l)
		}
	}
	return all
}

// group is a hash with all that files hold of it.
type group struct {
	hash  entryHash
	found []listed
}

// count walks to the end. While it is under way entries.pending should be t.
// Damage in a file leaves the counts wrong, and must not keep anybody from
// discarding the list; it is returned when all is done.
func (t *transition) count(ctx context.Context, e *entries) error {
	groups := make([]group, transitionStep)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		t.pace.rest()
		n := 0
		for n < len(groups) && t.nextGroup(&groups[n]) {
			n++
		}
		if n == 0 {
			err := t.damage()
			e.mu.Lock()
			e.unsure = e.unsure || err != nil
			e.mu.Unlock()
			return err
		}
		if err := t.step(e, groups[:n]); err != nil {
			return err
		}
	}
}

func (t *transition) damage() error {
	err := t.walk.err
	for _, c := range t.others {
		err = errors.Join(err, c.err)
	}
	return err
}

func (t *transition) nextGroup(g *group) bool {
	for {
		h, ok := t.walk.peek()
		if !ok {
			return false
		}
		g.hash, g.found = h, t.walk.take(g.found[:0])
		concerns := false
		for i := range g.found {
			concerns = concerns || t.lists[g.found[i].list]
		}
		if !concerns {
			continue
		}
		for _, c := range t.others {
			c.seek(h)
			g.found = c.take(h, g.found)
		}
		return true
	}
}

// step counts some groups. It does so without keeping anybody from changing
// entries, and once more under the lock if somebody did.
func (t *transition) step(e *entries, groups []group) error {
	e.mu.Lock()
	changes := e.changes
	e.mu.Unlock()
	if changes != t.seen {
		t.base.valid, t.seen = false, changes
	}
	sum, err := t.sum(groups)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil && e.changes != t.seen {
		t.base.valid, t.seen = false, e.changes
		sum, err = t.sum(groups)
	}
	if err != nil {
		return err
	}
	t.counted.plus(sum)
	t.upTo, t.any = groups[len(groups)-1].hash, true
	return nil
}

func (t *transition) sum(groups []group) (tally, error) {
	sum := newTally()
	for i := range groups {
		base, err := t.base.of(groups[i].hash)
		if err != nil {
			return sum, err
		}
		sum.add(t.from.inForce("", base, groups[i].found), -1)
		sum.add(t.to.inForce("", base, groups[i].found), +1)
	}
	return sum, nil
}

// passed reports whether the walk has counted that hash. entries.mu is held.
func (t *transition) passed(h entryHash) bool { return t.any && h.compare(t.upTo) <= 0 }

// adjust counts what the transition does to an address with those entries.
// entries.mu is held.
func (t *transition) adjust(h entryHash, address string, base *entryList, sign int64) {
	var found []listed
	concerns := false
	for _, l := range t.layers() {
		found, _ = l.find(h, address, found)
	}
	for i := range found {
		concerns = concerns || t.lists[found[i].list]
	}
	if concerns {
		t.counted.add(t.from.inForce(address, base, found), -sign)
		t.counted.add(t.to.inForce(address, base, found), +sign)
	}
}
