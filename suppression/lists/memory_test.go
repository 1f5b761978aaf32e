package lists

import (
	"bytes"
	"io"
	"runtime"
	"testing"

	"tidepost/suppression"
)

// endless gives the same lines until its limit.
type endless struct {
	line []byte
	at   int
}

func (e *endless) Read(p []byte) (n int, err error) {
	for n < len(p) {
		k := copy(p[n:], e.line[e.at:])
		n, e.at = n+k, (e.at+k)%len(e.line)
	}
	return n, nil
}

// A file of 8 MiB is read in the memory of its window.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 8 MiB")
	}
	for _, line := range []string{"reader@example.com\n", "\"a\n", "{\"email\":\"a@x.test\",\"origin\":\"bounce\"}\n"} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var most uint64
		n := 0
		opt := acme(Options{Reason: suppression.Manual})
		if bytes.HasPrefix([]byte(line), []byte{'"'}) {
			opt.Format = Plain
		}
		for range Read(io.LimitReader(&endless{line: []byte(line)}, 8<<20), opt) {
			if n++; n%50_000 == 0 {
				runtime.GC()
				runtime.ReadMemStats(&after)
				most = max(most, after.HeapAlloc-min(after.HeapAlloc, before.HeapAlloc))
			}
		}
		if n < 100_000 || most > 2<<20 {
			t.Errorf("%q: %d rows in %d KiB", line, n, most>>10)
		}
	}
}
