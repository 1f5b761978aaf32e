package local

import (
	"context"
	"fmt"
	"time"

	"tidepost/gateway"
)

// Work for the checkpoint is bounded, because it is kept in memory until then:
// above dirtyStart states a checkpoint begins at once, above dirtyLimit new
// mail waits for it, above twice as many changes do. Changes do not wait for a
// checkpoint without room on the disk: delivering is what makes room.
const (
	dirtyStart = 8_000
	dirtyLimit = 20_000
)

// noteWork says that there is something to checkpoint.
func (s *Store) noteWork() {
	select {
	case s.work <- struct{}{}:
	default:
	}
}

// rested says that the checkpoint has written something.
func (s *Store) rested() { s.progress.make() }

// awaitMail is for new mail: it waits while too much is kept for the
// checkpoint, and refuses when the checkpoint has no room.
func (s *Store) awaitMail(ctx context.Context) error {
	if err := s.awaitCheckpoint(ctx, dirtyLimit); err != nil {
		return err
	}
	if s.waits.Load() && s.boxes.dirty.Load() > dirtyLimit {
		return fmt.Errorf("%w: there is no room for the checkpoint", gateway.ErrFull)
	}
	return nil
}

// awaitCheckpoint waits while more than limit states are kept for a checkpoint
// that makes progress.
func (s *Store) awaitCheckpoint(ctx context.Context, limit int64) error {
	for s.boxes.dirty.Load() > limit && !s.waits.Load() {
		progress := s.progress.wait()
		if s.boxes.dirty.Load() <= limit || s.waits.Load() {
			break
		}
		if err := s.err(); err != nil {
			return err
		}
		s.noteWork()
		select {
		case <-progress:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// runCheckpoints makes a checkpoint whenever there is something for it and the
// last one is CheckpointEvery ago, or when much has come together.
func (s *Store) runCheckpoints() {
	look := time.NewTicker(max(s.opt.CheckpointEvery/10, time.Millisecond))
	defer look.Stop()
	var last time.Time
	for {
		select {
		case <-s.work:
		case <-s.quit:
			return
		}
		for !s.checkpointDue(last) {
			select {
			case <-look.C:
			case <-s.quit:
				return
			}
		}
		if s.checkpoint() != nil {
			if s.err() != nil || s.pause(time.Second) {
				return
			}
			s.noteWork() // the same work again
		}
		last = time.Now()
	}
}

// pause waits and reports whether the store is closing.
func (s *Store) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return false
	case <-s.quit:
		return true
	}
}

func (s *Store) checkpointDue(last time.Time) bool {
	if time.Since(last) >= s.opt.CheckpointEvery || s.boxes.dirty.Load() > dirtyStart {
		return true
	}
	s.checkpointing.Lock()
	from := s.stored.journal
	s.checkpointing.Unlock()
	at := place(s.journal.applied.Load())
	return at.segment() != from.segment() && s.opt.SegmentBytes >= s.opt.CheckpointBytes ||
		at.segment() == from.segment() && int64(at.offset()-from.offset()) >= s.opt.CheckpointBytes
}
