package local

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"go.etcd.io/bbolt"

	"tidepost/gateway"
)

const shardCount = 64

// mailboxes holds the states of mailboxes in memory: those that the checkpoint
// does not have yet for as long as it does not, and the ones used last. What is
// in memory wins over what is in the checkpoint.
type mailboxes struct {
	index  *index
	shards [shardCount]shard
	dirty  atomic.Int64 // states that the checkpoint does not have
}

type shard struct {
	mu     sync.Mutex
	pinned map[gateway.Key]*box              // guarded by mu: dirty, or with a change under way
	clean  *simplelru.LRU[gateway.Key, *box] // guarded by mu
}

// box is one mailbox's state with what the store needs beside it. All fields
// are guarded by the shard's lock; the state itself never changes.
type box struct {
	state  *gateway.Mailbox
	next   uint64 // revision after the changes under way
	pins   int    // changes under way
	dirty  bool   // the checkpoint has an older state
	stored bool   // the checkpoint has a state

	fromLog, fromJournal place // of the last records in state
}

func newMailboxes(x *index, cacheSize int) *mailboxes {
	m := &mailboxes{index: x}
	for i := range m.shards {
		s := &m.shards[i]
		s.pinned = make(map[gateway.Key]*box)
		s.clean, _ = simplelru.NewLRU[gateway.Key, *box](max(1, cacheSize/shardCount), nil)
	}
	return m
}

// Mailbox returns the state of a mailbox; one never heard of has Rev 0.
func (s *Store) Mailbox(_ context.Context, k gateway.Key) (*gateway.Mailbox, error) {
	return s.boxes.get(k)
}

func (m *mailboxes) shard(k gateway.Key) *shard { return &m.shards[k[0]%shardCount] }

// get returns the state of a mailbox; one never heard of has Rev 0.
func (m *mailboxes) get(k gateway.Key) (*gateway.Mailbox, error) {
	s := m.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := m.boxLocked(s, k)
	if err != nil {
		return nil, err
	}
	return b.state, nil
}

// boxLocked finds a box in memory or loads it. Loading happens under the
// shard's lock: otherwise a state could be checkpointed, dropped from memory
// and replaced by an older one that was read before.
func (m *mailboxes) boxLocked(s *shard, k gateway.Key) (*box, error) {
	if b, ok := s.pinned[k]; ok {
		return b, nil
	}
	if b, ok := s.clean.Get(k); ok {
		return b, nil
	}
	b, err := m.load(k)
	if err != nil {
		return nil, err
	}
	s.clean.Add(k, b)
	return b, nil
}

func (m *mailboxes) load(k gateway.Key) (b *box, err error) {
	err = m.index.view(func(tx *bbolt.Tx) error {
		v := tx.Bucket(bucketMailbox).Get(k[:])
		if v == nil {
			b = &box{state: &gateway.Mailbox{Key: k}}
			return nil
		}
		if b, err = decodeBox(k, v); err != nil {
			return fmt.Errorf("mailbox %s in state.db: %w", k, err)
		}
		return nil
	})
	return b, err
}

// pinLocked keeps a box in memory until it is clean and nothing is under way.
func (m *mailboxes) pinLocked(s *shard, k gateway.Key, b *box) {
	if _, ok := s.pinned[k]; !ok {
		s.clean.Remove(k)
		s.pinned[k] = b
	}
}

// unpinLocked lets a box go to the clean ones if it may.
func (m *mailboxes) unpinLocked(s *shard, k gateway.Key, b *box) {
	if b.pins == 0 && !b.dirty {
		delete(s.pinned, k)
		s.clean.Add(k, b)
	}
}

// soilLocked notes that the checkpoint is behind.
func (m *mailboxes) soilLocked(b *box) {
	if !b.dirty {
		b.dirty = true
		m.dirty.Add(1)
	}
}

// merge returns the state with deliveries put in place of their earlier states,
// in one copy.
func merge(m *gateway.Mailbox, deliveries ...*gateway.Delivery) *gateway.Mailbox {
	if len(m.Deliveries) == 0 && len(deliveries) == 1 && !deliveries[0].Settled() {
		n := *m
		n.Deliveries = []*gateway.Delivery{deliveries[0]}
		return &n
	}
	return m.With(deliveries...)
}

// keepsNothing reports whether the state is the same as never having heard of
// the mailbox. An empty state of a later revision is kept: if its revisions
// began again, a change computed long ago could pass for a fresh one.
func keepsNothing(m *gateway.Mailbox) bool { return m.Rev == 0 && len(m.Deliveries) == 0 }
