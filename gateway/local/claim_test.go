package local

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestClaimDuringACheckpoint: the name of a large file is durable before a
// checkpoint holds its record, also when one syncs names while it is given.
func TestClaimDuringACheckpoint(t *testing.T) {
	o := testOptions(t.TempDir())
	d := newFakeDisk()
	o.disk = d
	s := mustOpenUnmanaged(t, o)
	d.setFault(func(op, path string) error {
		if op == "rename" && filepath.Base(filepath.Dir(path)) == "large" && !strings.HasSuffix(path, ".new") {
			return s.syncClaims() // as a checkpoint under way would
		}
		return nil
	})
	ds := acceptLarge(t, s, looseMessage(1), strings.Repeat("x", 2<<20))
	d.setFault(nil)
	if err := s.checkpoint(); err != nil {
		t.Fatal(err)
	}
	d.dead.Store(true)
	s.kill()
	for i := len(d.pending) - 1; i >= 0; i-- {
		d.pending[i].undo()
	}
	d.pending = nil
	d.dead.Store(false)
	s = mustOpen(t, o)
	if got := body(t, s, ds[0].Ref); len(got) != 2<<20 {
		t.Errorf("the content has %d bytes", len(got))
	}
}
