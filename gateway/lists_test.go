package gateway

import (
	"encoding/hex"
	"testing"
	"testing/synctest"
	"time"

	"tidepost/suppression"
	"tidepost/suppression/lists"
)

// hashedMemory has entries under hashes, and says so.
type hashedMemory struct {
	*memory
	Lists       // none of it is used but what follows
	sha256, md5 bool
}

func (s *hashedMemory) HasHashed() (sha256, md5 bool) { return s.sha256, s.md5 }

// An address is found under its hash, of the kinds that there are.
func TestEntriesUnderHashes(t *testing.T) {
	store := newMemory()
	hash := func(kind, address string) string { return kind + ":" + hex.EncodeToString(lists.Hash(kind, address)) }
	for address, reason := range map[string]suppression.Reason{
		hash(lists.SHA256, "Ann@dest.test"): suppression.HardBounce,
		hash(lists.MD5, "ann@dest.test"):    suppression.Manual,
		hash(lists.MD5, "bob@dest.test"):    suppression.Manual,
	} {
		store.entries[address] = []suppression.Entry{{Address: address, Reason: reason, Created: time.Now()}}
	}
	for _, c := range []struct {
		sha256, md5 bool
		address     string
		want        int
	}{
		{false, false, "ann@dest.test", 0}, {true, false, "ann@dest.test", 1}, {true, true, "ann@dest.test", 2},
		{true, false, "bob@dest.test", 0}, {true, true, "bob@dest.test", 1}, {true, true, "eve@dest.test", 0}, {true, true, "no address", 0},
	} {
		g := &Gateway{Store: &hashedMemory{memory: store, sha256: c.sha256, md5: c.md5}}
		if got, err := g.EntriesOf(t.Context(), c.address); err != nil || len(got) != c.want {
			t.Errorf("%s with sha256 %v and md5 %v: %v, %v; want %d", c.address, c.sha256, c.md5, got, err, c.want)
		}
	}
}

// An entry of a hashed list can be taken back, though nobody can tell whose it is.
func TestHashedEntryIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		text := lists.SHA256 + ":" + hex.EncodeToString(lists.Hash(lists.SHA256, "ann@dest.test"))
		w := newWorld(t, store, nil)
		e := suppression.Entry{Address: text, Reason: suppression.Manual, Created: time.Now(), Removed: time.Now()}
		if err := w.Observe(t.Context(), e, "ops"); err != nil {
			t.Fatal(err)
		}
		if got, _ := store.Entries(t.Context(), text); len(got) != 1 || got[0].Removed.IsZero() {
			t.Errorf("stored %+v", got)
		}
		e.Address = "no address"
		if err := w.Observe(t.Context(), e, "ops"); err == nil {
			t.Error("what is neither address nor hash is taken")
		}
	})
}
