package local

import (
	"context"
	"time"
)

// Work for the checkpoint is bounded, because it is kept in memory until then:
// above dirtyStart states a checkpoint begins at once, above dirtyLimit new
// mail waits for it.
const (
	dirtyStart = 16_000
	dirtyLimit = 48_000
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

// awaitCheckpoint waits while too much is kept for the checkpoint.
func (s *Store) awaitCheckpoint(ctx context.Context) error {
	for s.boxes.dirty.Load() > dirtyLimit {
		progress := s.progress.wait()
		if s.boxes.dirty.Load() <= dirtyLimit {
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
		if s.checkpoint() != nil && s.err() != nil {
			return
		}
		last = time.Now()
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
