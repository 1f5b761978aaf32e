package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tidepost/gateway"
)

// same checks that the stream has exactly the journal's events, in its order.
func (r *rig) same() {
	r.t.Helper()
	got, want := storedIDs(r.stored()), r.journal.ids()
	if len(got) != len(want) {
		r.t.Fatalf("the stream has %d events, the journal %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			r.t.Fatalf("event %d of the stream is %s, of the journal %s", i, got[i], want[i])
		}
	}
}

func (r *rig) caughtUp() {
	r.t.Helper()
	eventually(r.t, "the relay has caught up", func() bool { return r.journal.saved() == len(r.journal.ids()) })
}

func TestRelayKeepsOrder(t *testing.T) {
	r := newRig(t, newJournal(history(120, 37)...))
	r.journal.change = 3
	r.start()
	for _, e := range slices.Collect(slices.Chunk(history(2000, 37)[120:], 7)) {
		r.journal.commit(e...)
	}
	r.caughtUp()
	r.same()
	for _, m := range r.stored() {
		var e gateway.EventDoc
		if err := json.Unmarshal(m.Data, &e); err != nil {
			t.Fatal(err)
		}
		if m.Subject != EventSubject+e.Kind || m.Header.Get(nats.MsgIdHdr) != e.ID {
			t.Fatalf("%s with id %s tells of %s %s", m.Subject, m.Header.Get(nats.MsgIdHdr), e.Kind, e.ID)
		}
	}
	eventually(t, "the lag is gone", func() bool { l := r.relay.Lag(); return l.Events == 0 && l.Age == 0 && !l.More })
	if got := r.relay.Lag().Published; got != 2000 {
		t.Errorf("%d events counted as published, want 2000", got)
	}
	if r.journal.most > 500 {
		t.Errorf("the journal was asked for %d events at once, want at most 500", r.journal.most)
	}
}

// A relay that dies after the stream's acknowledgement and before its cursor
// was saved finds its place again by the stream's last event. Where that is
// another gateway's, it publishes again and the stream refuses what it has.
func TestRelayAfterCrash(t *testing.T) {
	for _, foreign := range []bool{false, true} {
		for _, kept := range []int{0, 50, 130, 250} { // where the old cursor was found
			t.Run(fmt.Sprint(foreign, kept), func(t *testing.T) { crash(t, foreign, kept, 1) })
		}
	}
	// The 250 events end in the midst of a change of 20.
	t.Run("change", func(t *testing.T) { crash(t, false, 40, 20) })
}

func crash(t *testing.T, foreign bool, kept, change int) {
	r := newRig(t, newJournal(history(250, 9)...))
	r.journal.forgetful, r.journal.change = true, change
	relay := r.start()
	eventually(t, "everything is published", func() bool { return relay.Lag().Published == 250 })
	r.stop()
	if foreign {
		if _, err := r.js().Publish(t.Context(), EventSubject+"accepted", []byte("{}"), jetstream.WithMsgID("another's")); err != nil {
			t.Fatal(err)
		}
	}
	r.journal.set(func(j *journal) {
		j.forgetful = false
		j.cursors[Reader] = gateway.Cursor{Segment: 1, Offset: uint32(kept)}
	})
	r.journal.commit(history(260, 9)[250:]...)
	relay = r.start()
	r.caughtUp()

	got := slices.DeleteFunc(storedIDs(r.stored()), func(id string) bool { return id == "another's" })
	if !slices.Equal(got, r.journal.ids()) {
		t.Errorf("the stream has %d events, the journal %d, or in another order", len(got), len(r.journal.ids()))
	}
	if again := relay.Lag().Published - 10; !foreign && again > 0 {
		t.Errorf("%d events were published again", again)
	}
}

func TestRelayThroughOutage(t *testing.T) {
	r := newRig(t, newJournal())
	r.start()
	all := history(3000, 50)
	for i, part := range slices.Collect(slices.Chunk(all, 600)) {
		if i%2 == 0 {
			r.journal.commit(part...)
			if i == 2 { // a server that goes while events are on their way
				r.restart(func() {})
			}
			continue
		}
		r.caughtUp()
		r.restart(func() {
			r.journal.commit(part...)
			eventually(t, "the relay notices", func() bool { return r.relay.Lag().Err != "" && r.relay.Lag().Events == len(part) })
			if l := r.relay.Lag(); l.Age <= 0 || l.More {
				t.Errorf("lag in the outage: %+v", l)
			}
		})
	}
	r.caughtUp()
	r.same()
	eventually(t, "the lag is gone", func() bool { l := r.relay.Lag(); return l.Events == 0 && l.Err == "" })
}

// restart stops the server, calls during and starts it again.
func (r *rig) restart(during func()) {
	r.t.Helper()
	if err := r.server.Shutdown(context.Background()); err != nil {
		r.t.Fatal(err)
	}
	during()
	if err := r.server.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

func TestRelayStartsBeforeItsServer(t *testing.T) {
	r := newRig(t, newJournal(history(12_000, 50)...))
	r.restart(func() {
		r.start()
		// 12,000 events are counted although none can leave.
		eventually(t, "the backlog is counted", func() bool { return r.relay.Lag().Events == 12_000 })
	})
	r.caughtUp()
	r.same()
}

// An operator's stream that refuses when it is full keeps its own limits; the
// relay waits until there is room.
func TestRelayWaitsForAFullStream(t *testing.T) {
	r := newRig(t, newJournal(history(300, 10)...))
	full := jetstream.StreamConfig{Name: EventStream, Subjects: []string{"tidepost.event.>"}, MaxMsgs: 150, Discard: jetstream.DiscardNew, Duplicates: time.Minute}
	js := r.js()
	if _, err := js.CreateStream(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	relay := r.start()
	eventually(t, "the relay stalls", func() bool { return strings.Contains(relay.Lag().Err, "maximum messages exceeded") })
	info, err := js.Stream(t.Context(), EventStream)
	if err != nil {
		t.Fatal(err)
	}
	c := info.CachedInfo().Config
	if c.MaxMsgs != 150 || c.Discard != jetstream.DiscardNew || c.Duplicates != time.Minute || !c.AllowAtomicPublish {
		t.Errorf("the operator's stream became %+v", c)
	}
	c.MaxMsgs = -1
	if _, err := js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	r.caughtUp()
	r.same()
}

// What the stream can never take is left out and counted; all else arrives.
func TestRelaySkipsTheImpossible(t *testing.T) {
	events := history(80, 5)
	events[7].Kind = "exploded"
	events[20].Detail = strings.Repeat("x", 20_000)
	r := newRig(t, newJournal(events...))
	if _, err := r.js().CreateStream(t.Context(), jetstream.StreamConfig{Name: EventStream, Subjects: []string{allEvents}, MaxMsgSize: 8000}); err != nil {
		t.Fatal(err)
	}
	relay := r.start()
	r.caughtUp()
	if l := relay.Lag(); l.Skipped != 2 {
		t.Errorf("lag %+v, want 2 skipped", l)
	}
	want := slices.Delete(slices.Delete(r.journal.ids(), 20, 21), 7, 8)
	if got := storedIDs(r.stored()); !slices.Equal(got, want) {
		t.Errorf("the stream has %d events, want %d", len(got), len(want))
	}
}

func TestRelayOutlivesTheJournalsErrors(t *testing.T) {
	r := newRig(t, newJournal(history(10, 2)...))
	r.journal.failing = true
	relay := r.start()
	eventually(t, "the relay says why", func() bool { return strings.Contains(relay.Lag().Err, errJournal.Error()) })
	r.journal.set(func(j *journal) { j.failing = false })
	r.caughtUp()
	r.same()
}

func TestRelayWithoutBatches(t *testing.T) {
	r := newRig(t, newJournal(history(60, 4)...))
	c := (Stream{}).fresh(eventShape)
	c.AllowAtomicPublish = false
	if _, err := r.js().CreateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	nc := r.nats()
	p := &publisher{nc: nc, batches: true, timeout: ackTimeout}
	var msgs []*nats.Msg
	for _, e := range r.journal.events {
		m, err := encode(&e)
		if err != nil {
			t.Fatal(err)
		}
		msgs = append(msgs, m)
	}
	if n, err := p.publish(t.Context(), msgs); n != 60 || err != nil || p.batches {
		t.Fatalf("published %d, %v; batches %v, want 60 without batches", n, err, p.batches)
	}
	r.same()
}

func TestRelayNeedsItsParts(t *testing.T) {
	if err := (&Relay{}).Run(t.Context()); err == nil {
		t.Error("a relay without journal and connection runs")
	}
}

func TestStreamAsCreated(t *testing.T) {
	r := newRig(t, newJournal())
	nc := r.nats()
	s := Stream{MaxAge: time.Hour, MaxBytes: 1 << 20}
	for _, want := range []Stream{{time.Hour, 1 << 20, DefaultDuplicates, 1}, {2 * time.Hour, 1 << 20, 20 * time.Minute, 1}} {
		made, err := s.ensure(t.Context(), nc, eventShape, logger(nil))
		if err != nil {
			t.Fatal(err)
		}
		c := made.CachedInfo().Config
		if got := (Stream{c.MaxAge, c.MaxBytes, c.Duplicates, c.Replicas}); got != want || c.Storage != jetstream.FileStorage || !c.AllowAtomicPublish {
			t.Errorf("stream %+v on %v, want %+v on disk, with batches", got, c.Storage, want)
		}
		s = Stream{MaxAge: 2 * time.Hour, Duplicates: 20 * time.Minute} // bytes stay
	}
}

// A slow answer is no reason to restart the embedded server; none at all is.
func TestRelaySuspectsASilentServer(t *testing.T) {
	r := newRig(t, newJournal(history(10, 2)...))
	r.server.suspected = make(chan struct{}, 1)
	r.nats()
	relay := &Relay{Journal: r.journal, Conn: r.conn}
	for try := 1; try <= manySilences+1; try++ {
		relay.stall(t.Context(), fmt.Errorf("publishing events: %w", context.DeadlineExceeded))
		if got, want := len(r.server.suspected) == 1, try >= manySilences; got != want {
			t.Errorf("after %d tries without an answer the server is suspected: %v", try, got)
		}
	}
}
