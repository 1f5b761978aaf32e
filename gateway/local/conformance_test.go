package local

import (
	"math/rand/v2"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/storetest"
)

// mortal is a Store on a disk that can lose power.
type mortal struct {
	*Store
	disk *fakeDisk
	dead bool
}

// Crash turns the power off: whatever is under way fails, and what was not
// synced is partly gone.
func (m *mortal) Crash() {
	m.disk.dead.Store(true)
	m.kill()
	m.disk.crash()
	m.dead = true
}

func (m *mortal) Close() error {
	if m.dead {
		return nil
	}
	return m.Store.Close()
}

// TestConformance runs the suite on a disk that loses power, with segments and
// caches so small that everything happens all the time.
func TestConformance(t *testing.T) {
	storetest.Run(t, func(t testing.TB, dir string) gateway.Store {
		o := testOptions(dir)
		o.SegmentBytes = 256 << 10
		o.CacheSize = 1
		o.runEntries = 1000
		o.CheckpointEvery = time.Duration(1+rand.IntN(30)) * time.Millisecond
		o.SettledFor, o.retainEvery, o.moveGrace = time.Nanosecond, time.Millisecond, time.Millisecond
		d := newFakeDisk()
		o.disk = d
		m := &mortal{Store: mustOpenUnmanaged(t, o), disk: d}
		checkLive(t, m.Store)
		t.Cleanup(func() { m.Close() })
		return m
	})
}

func TestConformanceOnTheRealDisk(t *testing.T) {
	storetest.Run(t, func(t testing.TB, dir string) gateway.Store {
		return mustOpen(t, testOptions(dir))
	})
}
