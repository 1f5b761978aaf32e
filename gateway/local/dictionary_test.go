package local

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"

	"tidepost/gateway"
)

// TestCampaignFromManySessions begins a campaign on 20 sessions at once, over
// several segments, and reads everything back with nothing in memory: each
// segment must hold the dictionary its records need.
func TestCampaignFromManySessions(t *testing.T) {
	o := testOptions(t.TempDir())
	o.SegmentBytes = 128 << 10
	s := mustOpen(t, o)
	const n = 400
	refs := make([]gateway.Ref, n)
	var wg sync.WaitGroup
	for g := range 20 {
		wg.Go(func() {
			for i := g; i < n; i += 20 {
				refs[i] = accept(t, s, testMessage(i), []byte(newsletter(i)))[0].Ref
			}
		})
	}
	wg.Wait()
	small := 0
	for _, r := range refs {
		if r.Length < 2000 {
			small++
		}
	}
	if small < n-20 || len(s.messages.list()) < 3 {
		t.Errorf("%d of %d messages are small, in %d segments", small, n, len(s.messages.list()))
	}
	s.Close()
	s = mustOpen(t, o)
	for i, r := range refs {
		s.compressor = newCompressor()
		if body(t, s, r) != newsletter(i) {
			t.Errorf("content of %d came back changed", i)
		}
	}
}

// TestCampaignWithoutLikeness stores mail of a campaign that has nothing in
// common, and then mail that has.
func TestCampaignWithoutLikeness(t *testing.T) {
	s := mustOpen(t, testOptions(t.TempDir()))
	for i := range 3 * dictionaryMisses {
		b := make([]byte, 8<<10)
		rand.Read(b)
		d := accept(t, s, testMessage(i), b)[0]
		if got := body(t, s, d.Ref); got != string(b) {
			t.Fatalf("content of %d came back changed", i)
		}
	}
	last := gateway.Ref{}
	for i := range 3 * dictionaryMisses {
		last = accept(t, s, testMessage(i), []byte(newsletter(i)))[0].Ref
	}
	if last.Length > 2000 {
		t.Errorf("the last message takes %d bytes: the campaign got no new dictionary", last.Length)
	}
}

// TestEdgeContent stores what is empty, tiny, repetitive and just above the
// limits.
func TestEdgeContent(t *testing.T) {
	s := mustOpen(t, testOptions(t.TempDir()))
	for _, size := range []int{0, 1, dictionaryMin - 1, dictionaryMin, dictionaryMax, dictionaryMax + 1, gateway.MemoryLimit} {
		for i := range 3 {
			b := bytes.Repeat([]byte(fmt.Sprintf("line %d of it\r\n", i)), size/14+1)[:size]
			d := accept(t, s, testMessage(i), b)[0]
			st, err := s.Body(ctx, d.Ref)
			if err != nil {
				t.Fatalf("%d bytes: %v", size, err)
			}
			got := make([]byte, size+1)
			if n, _ := st.ReadAt(got, 0); n != size || !bytes.Equal(got[:n], b) || st.Size != int64(size) {
				t.Errorf("%d bytes came back as %d", size, n)
			}
		}
	}
}

// TestCheckpointWithoutRoom lets a checkpoint fail for lack of space: mail is
// refused only when too much waits for it, and nothing stops.
func TestCheckpointWithoutRoom(t *testing.T) {
	s := mustOpen(t, testOptions(t.TempDir()))
	s.checkpointing.Lock()
	err := s.checkpointFailed(syscall.ENOSPC)
	if err == nil || s.err() != nil || !s.waits.Load() {
		t.Fatalf("a full disk stops the store: %v", s.err())
	}
	d := accept(t, s, testMessage(1), []byte("x"))[0]
	s.boxes.dirty.Add(3 * dirtyLimit)
	if _, err := s.Accept(ctx, testMessage(2), gateway.Content{}); !errors.Is(err, gateway.ErrFull) {
		t.Errorf("Accept: %v", err)
	}
	step(t, s, d, gateway.Delivered, gateway.EventDelivered)
	s.boxes.dirty.Add(-3 * dirtyLimit)
	s.checkpointing.Unlock()
	if err := s.checkpoint(); err != nil || s.waits.Load() {
		t.Errorf("the next checkpoint: %v", err)
	}
}
