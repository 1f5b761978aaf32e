package local

import (
	"errors"
	"log/slog"
	"time"
)

// Options say where and how a Store keeps its data. Zero values mean the
// defaults named here.
type Options struct {
	Dir string           // the data directory; it is made when missing
	Log *slog.Logger     // nil: nothing is logged
	Now func() time.Time // nil: time.Now

	SettledFor    time.Duration // how long messages stay after their last delivery; 14 days
	SettledBytes  int64         // and how much of them; 0: no limit
	HistoryFor    time.Duration // how long events stay; 30 days
	HistoryBytes  int64         // and how much of them; 0: no limit
	CapturedFor   time.Duration // how long captured mail stays; 7 days
	CapturedBytes int64         // and how much of it; 1 GiB

	Reserve         int64         // bytes of disk that new mail does not touch; 256 MiB, on small disks 2 %
	CheckpointEvery time.Duration // pause between checkpoints while there are changes; 1 s
	CheckpointBytes int64         // journal that makes one due at once; 64 MiB
	CacheSize       int           // mailbox states kept in memory; 8,192
	SegmentBytes    int64         // size of a segment; 64 MiB, on small disks less

	runEntries  int           // entries of a list sorted in memory at a time
	traceRun    int           // records in a run of traces
	removeRest  time.Duration // see removeRest
	retainEvery time.Duration // pause between looks at what may go; a minute
	moveGrace   time.Duration // how long content stays where it was after compaction; 10 minutes

	disk disk // the real one; tests put another in its place
}

func (o *Options) setDefaults() {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.disk == nil {
		o.disk = osDisk{}
	}
	setDefault(&o.SettledFor, 14*24*time.Hour)
	setDefault(&o.HistoryFor, 30*24*time.Hour)
	setDefault(&o.CapturedFor, 7*24*time.Hour)
	setDefault(&o.CapturedBytes, 1<<30)
	setDefault(&o.CheckpointEvery, time.Second)
	setDefault(&o.CheckpointBytes, 64<<20)
	setDefault(&o.CacheSize, 8192)
	setDefault(&o.runEntries, runEntries)
	setDefault(&o.traceRun, traceRunLen)
	setDefault(&o.removeRest, removeRest)
	setDefault(&o.retainEvery, time.Minute)
	setDefault(&o.moveGrace, 10*time.Minute)
}

func setDefault[T comparable](v *T, value T) {
	if *v == *new(T) {
		*v = value
	}
}

// sizeTo sets what depends on the size of the disk, once the directory exists.
// Up to four segments are allocated at a time, which must be little of it.
func (o *Options) sizeTo(total int64) {
	setDefault(&o.Reserve, min(256<<20, total/50))
	setDefault(&o.SegmentBytes, min(64<<20, max(4<<20, total/64>>20<<20)))
}

var errLocked = errors.New("another process uses it")
