package local

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"go.etcd.io/bbolt"

	"tidepost/suppression"
)

// entries is the suppression list. What came one by one is in the checkpoint
// under the hash of its address, with what changed since in memory over it; what
// came as whole lists is in files of its own (layer), below both. Recent answers
// are kept, those that nothing is known among them: that is nearly all of them.
//
// Its parts are divided by the first bits of the hash, so that a part is a range
// of the checkpoint's keys and readers seldom meet.
type entries struct {
	index *index
	parts [entryParts]entryPart
	set   atomic.Pointer[layerSet] // the lists that are live

	mu      sync.Mutex  // held while entries or lists change
	changes uint64      // guarded by mu: counts what was put or forgotten
	counts  tally       // guarded by mu: of all entries in force
	unsure  bool        // guarded by mu: damage kept something from being counted; the next start counts anew
	pending *transition // guarded by mu: the change of lists under way, if any

	rebuilding bool              // everything is replayed: files may be missing, counts come after
	alarm      func(cause error) // told of damage that a question met
	now        func() time.Time
}

const (
	entryParts  = 64
	partAnswers = 512 // answers kept in a part, at about 200 bytes each: 6 MiB in all
	keptEntries = 16  // an address with more entries than that is read anew each time
)

// entryPart is what is known of a range of hashes without asking a file.
type entryPart struct {
	mu      sync.Mutex
	changed map[entryHash]*entryList          // guarded by mu: not in the checkpoint yet
	answers *simplelru.LRU[entryHash, answer] // guarded by mu
	version uint64                            // guarded by mu: counts what makes answers old
}

// answer is what was last asked under a hash. A nil list is one too.
type answer struct {
	address string
	list    []suppression.Entry // never changed
}

func newEntries(x *index) *entries {
	e := &entries{index: x, counts: newTally(), alarm: func(error) {}, now: time.Now}
	e.set.Store(newLayerSet(listTable{}, nil))
	for i := range e.parts {
		e.parts[i].changed = make(map[entryHash]*entryList)
		e.parts[i].answers, _ = simplelru.NewLRU[entryHash, answer](partAnswers, nil)
	}
	return e
}

func (e *entries) part(h entryHash) *entryPart { return &e.parts[h[0]>>2] }

// Entries returns all entries of a canonical address, tombstones too.
func (s *Store) Entries(_ context.Context, canonical string) ([]suppression.Entry, error) {
	return s.entries.get(canonical)
}

// get answers from memory where it can. An answer is kept only if nothing
// changed while it was put together.
func (e *entries) get(address string) ([]suppression.Entry, error) {
	h := hashText(address)
	p := e.part(h)
	p.mu.Lock()
	if a, ok := p.answers.Get(h); ok && a.address == address {
		p.mu.Unlock()
		return slices.Clone(a.list), nil
	}
	version := p.version
	p.mu.Unlock()
	list, err := e.read(h, address)
	if err != nil {
		return nil, err
	}
	if len(list) <= keptEntries {
		p.mu.Lock()
		if p.version == version {
			p.answers.Add(h, answer{strings.Clone(address), list})
		}
		p.mu.Unlock()
	}
	return slices.Clone(list), nil
}

// read puts together what the checkpoint and the lists say of an address.
func (e *entries) read(h entryHash, address string) ([]suppression.Entry, error) {
	for {
		set := e.set.Load()
		base, err := e.base(h)
		if err != nil {
			return nil, err
		}
		found, err := set.find(h, address, nil)
		if err == nil {
			return set.inForce(address, base, found), nil
		}
		if set == e.set.Load() { // else its files may have been closed meanwhile
			e.alarm(err)
			return nil, err
		}
	}
}

// base returns what came one by one under a hash.
func (e *entries) base(h entryHash) (*entryList, error) {
	p := e.part(h)
	p.mu.Lock()
	l, ok := p.changed[h]
	p.mu.Unlock()
	if ok {
		return l, nil
	}
	l = &noEntries
	err := e.index.view(func(tx *bbolt.Tx) (err error) {
		if v := tx.Bucket(bucketEntries).Get(h[:]); v != nil {
			l, err = decodeEntryList(v)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("suppression entries in state.db: %w", err)
	}
	return l, nil
}

// put adds entries or replaces those of the same address, scope and reason.
func (e *entries) put(added []suppression.Entry) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range added {
		h := hashText(a.Address)
		old, err := e.base(h)
		if err != nil {
			return err
		}
		list := slices.Clone(old.list)
		if i := slices.IndexFunc(list, func(o suppression.Entry) bool { return sameEntry(&o, &a) }); i >= 0 {
			list[i] = a
		} else {
			list = append(list, a)
		}
		e.replaceLocked(h, a.Address, old, &entryList{hides: old.hides, list: list})
	}
	return nil
}

// forget drops all entries of addresses. Those of lists cannot be taken out of
// their files at once; a mark hides them until the files are written anew.
func (e *entries) forget(addresses []string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(addresses) > 0 && e.set.Load().last() > 0 {
		e.counts.forgot = e.now()
	}
	for _, a := range addresses {
		h := hashText(a)
		old, err := e.base(h)
		if err != nil {
			return err
		}
		kept := slices.DeleteFunc(slices.Clone(old.list), func(o suppression.Entry) bool { return o.Address == a })
		e.replaceLocked(h, a, old, &entryList{hides: max(old.hides, e.set.Load().last()), list: kept})
	}
	return nil
}

// hide brings back marks that forget made, from the journal. Only when everything
// is replayed do they say what forget did not; the counts come after that.
func (e *entries) hide(marks []entryMark) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range marks {
		old, err := e.base(m.hash)
		if err != nil {
			return err
		}
		if m.hides > old.hides {
			e.replaceLocked(m.hash, "", old, &entryList{hides: m.hides, list: old.list})
		}
	}
	return nil
}

// replaceLocked puts a new value under a hash, of which only what concerns one
// address is different.
func (e *entries) replaceLocked(h entryHash, address string, old, next *entryList) {
	e.recountLocked(h, address, old, next)
	e.changes++
	p := e.part(h)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changed[h] = next
	p.version++
	p.answers.Remove(h)
}

// recountLocked counts a change of one address. A file that cannot be read
// leaves the counts a little wrong, and must not stop the change.
func (e *entries) recountLocked(h entryHash, address string, old, next *entryList) {
	if e.rebuilding {
		return
	}
	set := e.set.Load()
	found, err := set.find(h, address, nil)
	if err != nil {
		e.unsure = true
		e.alarm(err)
	}
	e.counts.add(set.inForce(address, old, found), -1)
	e.counts.add(set.inForce(address, next, found), +1)
	if p := e.pending; p != nil && p.passed(h) {
		p.adjust(h, address, old, -1)
		p.adjust(h, address, next, +1)
	}
}

// use makes another set of lists the one that answers.
func (e *entries) use(set *layerSet) {
	e.set.Store(set)
	for i := range e.parts {
		p := &e.parts[i]
		p.mu.Lock()
		p.version++
		p.answers.Purge()
		p.mu.Unlock()
	}
}

// capture notes what the checkpoint must store as it is now.
func (e *entries) capture(c *capture) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c.entries = e.dirty()
	c.lists = e.set.Load().table.append(nil)
	if !e.unsure {
		c.tally = appendTally(nil, e.counts)
	}
}

// dirty returns what is not in the checkpoint.
func (e *entries) dirty() map[entryHash]*entryList {
	all := make(map[entryHash]*entryList)
	for i := range e.parts {
		p := &e.parts[i]
		p.mu.Lock()
		maps.Copy(all, p.changed)
		p.mu.Unlock()
	}
	return all
}

// written forgets lists that are in the checkpoint and have not changed again.
func (e *entries) written(lists map[entryHash]*entryList) {
	for h, l := range lists {
		p := e.part(h)
		p.mu.Lock()
		if p.changed[h] == l {
			delete(p.changed, h)
		}
		p.mu.Unlock()
	}
}
