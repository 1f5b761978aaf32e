package admin

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/suppression/address"
)

// kept is a store that an earlier process has left settings in.
type kept struct {
	*memory
	values map[string][]byte
}

func (s kept) Settings() map[string][]byte { return s.values }

// Bulk mail goes out and nothing comes back: after a day the status has a hint, which is
// no problem. A restart changes nothing of it, one signal ends it.
func TestStatusHintsAtSilence(t *testing.T) {
	start := time.Now()
	var ahead atomic.Int64 // of the clock
	w := newWorld(t, func(w *world) {
		w.Gateway.Held = false
		w.Gateway.Now = func() time.Time { return start.Add(time.Duration(ahead.Load())) }
		w.Gateway.Store = kept{w.store, map[string][]byte{"signals/heard": fmt.Appendf(nil, `{"last":%q,"since":%q}`,
			start.Add(-40*time.Hour).Format(time.RFC3339Nano), start.Add(-23*time.Hour).Format(time.RFC3339Nano))}}
	})
	if st := w.status(); len(st.Hints) != 0 || !st.Signals.Last.Equal(start.Add(-40*time.Hour)) {
		t.Errorf("after 23 hours: %+v, last signal %v", st.Hints, st.Signals.Last)
	}
	ahead.Store(int64(time.Hour))
	st := w.status()
	if len(st.Hints) != 1 || st.Hints[0].Text != "0 signals in 24 h: three ways to connect them" || len(st.Hints[0].Ways) != 3 || len(st.Problems) != 0 {
		t.Fatalf("after 24 hours: hints %+v, problems %+v", st.Hints, st.Problems)
	}
	for i, want := range []string{"tidepost help tracking", "tidepost help hooks", "tidepost help nats"} {
		if !strings.Contains(st.Hints[0].Ways[i], want) {
			t.Errorf("way %d is %q, want %s", i, st.Hints[0].Ways[i], want)
		}
	}
	ann, err := address.Parse("ann@x.test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Gateway.Learn(t.Context(), gateway.Signal{Kind: gateway.SignalActive, Tenant: "acme", Mailbox: ann.Mailbox(), Human: 1}); err != nil {
		t.Fatal(err)
	}
	ahead.Store(int64(48 * time.Hour))
	if st := w.status(); len(st.Hints) != 0 {
		t.Errorf("after a signal, and no mail since: %+v", st.Hints)
	}
}
