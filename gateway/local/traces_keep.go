package local

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"tidepost/gateway"
)

// load takes up what is on disk. Nothing of it stops the start.
func (t *traces) load() {
	names, err := os.ReadDir(t.dir)
	if err != nil {
		t.log.Warn("traces cannot be read: webhooks and bounces of earlier mail may find no delivery", "error", err)
	}
	var runs []*traceRun
	for _, n := range names {
		stem, ext, _ := strings.Cut(n.Name(), ".")
		number, err := strconv.ParseUint(stem, 10, 32)
		if err != nil || n.Name() != traceName(uint32(number), ext) {
			continue
		}
		t.next = max(t.next, uint32(number)+1)
		switch ext {
		case "tmp":
			t.disk.Remove(t.path(uint32(number), ext))
		case "idx": // before its log, in the order of names
			f, err := t.openFile(uint32(number))
			if err != nil {
				t.drop(uint32(number), ext, err)
				continue
			}
			t.files = append(t.files, f)
		case "log":
			if r := t.loadLog(uint32(number)); r != nil {
				runs = append(runs, r)
			}
		}
	}
	if n := len(runs); n > 0 {
		t.full, t.grows = runs[:n-1], runs[n-1]
	}
}

// loadLog reads the log of a run, cuts what is torn, and lets it go on.
func (t *traces) loadLog(number uint32) *traceRun {
	if slices.ContainsFunc(t.files, func(f *traceFile) bool { return f.number == number }) {
		t.disk.Remove(t.path(number, "log")) // it was sorted just before a crash
		return nil
	}
	r, torn, err := readTraceLog(t.path(number, "log"), number)
	if err == nil {
		r.log, err = t.disk.Open(t.path(number, "log"))
	}
	if err == nil && torn > 0 {
		t.log.Warn("the end of a log of traces is torn and was cut", "number", number, "bytes", torn)
		if err = r.log.Truncate(r.off); err != nil {
			r.log.Close()
		}
	}
	if err != nil {
		t.drop(number, "log", err)
		return nil
	}
	return r
}

// drop leaves out what cannot be used, for good when it is damaged.
func (t *traces) drop(number uint32, ext string, cause error) {
	t.log.Warn("a file of traces was dropped: webhooks and bounces of its mail may find no delivery", "file", traceName(number, ext), "error", cause)
	if errors.Is(cause, gateway.ErrDamaged) {
		t.disk.Remove(t.path(number, ext))
	}
}

// save brings what was noted to the disk.
func (t *traces) save() {
	t.saving.Lock()
	defer t.saving.Unlock()
	t.mu.Lock()
	if t.grows != nil && t.now().Sub(t.grows.began) >= traceRunAge {
		t.fullLocked()
	}
	full, lost := t.full, t.lost
	t.lost = 0
	t.mu.Unlock()
	if lost > 0 {
		t.log.Warn("the disk is too slow for traces: names of deliveries were not noted", "names", lost)
	}
	if t.room != nil && t.room() != nil {
		return // what is in memory waits until there is room
	}
	for _, r := range full {
		t.sort(r)
	}
	t.saveLog()
}

// sort makes a full run a sorted file. A run that cannot be written is given up.
func (t *traces) sort(r *traceRun) {
	f, err := t.sortRun(r)
	t.mu.Lock()
	t.full = slices.Delete(slices.Clone(t.full), 0, 1)
	if err == nil {
		t.files = append(slices.Clip(t.files), f)
	}
	t.mu.Unlock()
	if err != nil {
		t.log.Warn("traces could not be written and are lost", "names", r.n, "error", err)
	}
	t.endLog(r)
}

// endLog removes the log of a run that needs it no more.
func (t *traces) endLog(r *traceRun) {
	if r.log != nil {
		r.log.Close()
		r.log = nil
		t.disk.Remove(t.path(r.number, "log"))
	}
}

// saveLog appends what was noted lately to the log of the run that grows.
func (t *traces) saveLog() {
	t.mu.RLock()
	r := t.grows
	if r == nil || r.broken || r.n == r.saved {
		t.mu.RUnlock()
		return
	}
	chunks, n := r.chunks, r.n
	t.mu.RUnlock()
	if err := r.write(t.disk, t.path(r.number, "log"), chunks, n); err != nil {
		r.broken = true
		t.endLog(r)
		t.log.Warn("traces cannot be written: until they are sorted they are in memory alone", "error", err)
	}
}

// retain removes the files of which no delivery was accepted since old.
func (t *traces) retain(old time.Time) {
	t.saving.Lock()
	defer t.saving.Unlock()
	t.mu.Lock()
	gone, kept := []*traceFile{}, []*traceFile{}
	for _, f := range t.files {
		if f.max < old.UnixMilli() {
			gone = append(gone, f)
		} else {
			kept = append(kept, f)
		}
	}
	t.files = kept
	r := t.grows
	if r != nil && r.max < old.UnixMilli() {
		t.grows = nil
	} else {
		r = nil
	}
	t.mu.Unlock()
	for _, f := range gone {
		t.removeFile(f.number)
	}
	if r != nil {
		t.endLog(r)
	}
}

// dropFile removes a damaged file, unless another question has.
func (t *traces) dropFile(f *traceFile, cause error) {
	t.mu.Lock()
	i := slices.Index(t.files, f)
	if i >= 0 {
		t.files = slices.Delete(slices.Clone(t.files), i, i+1)
	}
	t.mu.Unlock()
	if i >= 0 {
		t.open.Remove(f.number)
		t.drop(f.number, "idx", cause)
	}
}

func (t *traces) removeFile(number uint32) {
	t.open.Remove(number)
	if err := t.disk.Remove(t.path(number, "idx")); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.log.Warn("old traces could not be removed", "file", traceName(number, "idx"), "error", err)
	}
}

// close lets the files go. What was not saved is lost.
func (t *traces) close() {
	t.saving.Lock()
	defer t.saving.Unlock()
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, r := range append(slices.Clip(t.full), t.grows) {
		if r != nil && r.log != nil {
			r.log.Close()
			r.log = nil
			r.broken = true
		}
	}
	t.open.Purge()
}
