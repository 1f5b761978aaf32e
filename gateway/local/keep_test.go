package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"tidepost/gateway"
	"tidepost/suppression"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time // guarded by mu
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

const day = 24 * time.Hour

// keepOptions are for tests of what is kept how long, which call retain
// themselves.
func keepOptions(t *testing.T, c *clock) Options {
	o := testOptions(t.TempDir())
	o.SegmentBytes = 64 << 10
	o.Now = c.now
	o.CheckpointEvery, o.retainEvery, o.moveGrace = time.Hour, time.Hour, time.Nanosecond
	return o
}

func mustRetain(t *testing.T, s *Store) {
	t.Helper()
	if err := s.checkpoint(); err != nil {
		t.Fatal(err)
	}
	if err := s.retain(ctx); err != nil {
		t.Fatal(err)
	}
}

// fill accepts n messages of 4 KB of no campaign, one for each mailbox.
func fill(t *testing.T, s *Store, c *clock, n int) (ds []*gateway.Delivery) {
	for i := range n {
		m := looseMessage(i)
		m.Received = c.now()
		ds = append(ds, accept(t, s, m, []byte(content4K(i)))...)
	}
	return ds
}

func content4K(i int) string { return fmt.Sprintf("%d ", i) + strings.Repeat("x", 4000) }

func TestSettledSegmentsGo(t *testing.T) {
	c := newClock()
	s := mustOpen(t, keepOptions(t, c))
	ds := fill(t, s, c, 60)
	for _, d := range ds[:40] {
		step(t, s, d, gateway.Delivered, gateway.EventDelivered)
	}
	mustRetain(t, s)
	if _, err := s.Body(ctx, ds[0].Ref); err != nil {
		t.Errorf("settled content is gone at once: %v", err)
	}
	before := s.Usage()
	c.forward(15 * day)
	mustRetain(t, s)
	if after := s.Usage(); after.Log >= before.Log {
		t.Errorf("after 15 days the log takes %d bytes, before %d", after.Log, before.Log)
	}
	if _, err := s.Body(ctx, ds[0].Ref); !errors.Is(err, gateway.ErrNotFound) {
		t.Errorf("content settled 15 days ago: %v", err)
	}
	for _, d := range ds[40:] {
		if got := body(t, s, mailboxOf(t, s, d).Ref); got != content4K(int(d.ID.Ordinal)) && len(got) < 4000 {
			t.Errorf("content of %s is gone", d.ID)
		}
	}
}

func mailboxOf(t *testing.T, s *Store, d *gateway.Delivery) *gateway.Delivery {
	t.Helper()
	m, err := s.Mailbox(ctx, d.Mailbox)
	if err != nil || m.Delivery(d.ID) == nil {
		t.Fatalf("delivery %s is lost: %+v, %v", d.ID, m, err)
	}
	return m.Delivery(d.ID)
}

func TestSettledBytes(t *testing.T) {
	c := newClock()
	o := keepOptions(t, c)
	o.SettledBytes = 150 << 10
	s := mustOpen(t, o)
	for _, d := range fill(t, s, c, 120) {
		step(t, s, d, gateway.Delivered, gateway.EventDelivered)
	}
	mustRetain(t, s)
	var bytes int64
	for _, n := range s.sealedLog() {
		bytes += fileSize(s.messages.path(n))
	}
	if bytes > o.SettledBytes || bytes == 0 {
		t.Errorf("%d bytes of settled messages are kept, the limit is %d", bytes, o.SettledBytes)
	}
}

// TestCompaction keeps one delivery in ten of a campaign, some of it in large files,
// and looks for all of it after compaction, after a kill and after opening.
func TestCompaction(t *testing.T) {
	c := newClock()
	o := keepOptions(t, c)
	s := mustOpenUnmanaged(t, o)
	texts := make(map[gateway.DeliveryID]string)
	var kept []*gateway.Delivery
	for i := range 300 {
		m := testMessage(i, i+1000)
		m.Received = c.now()
		text := newsletter(i)
		ds := accept(t, s, m, []byte(text))
		if i%60 == 7 {
			ds = append(ds, acceptLarge(t, s, looseMessage(i+2000), text)...)
		}
		for j, d := range ds {
			if i%10 == 7 && j != 1 {
				kept, texts[d.ID] = append(kept, d), text
				continue
			}
			step(t, s, d, gateway.Delivered, gateway.EventDelivered)
		}
	}
	fill(t, s, c, 20)
	c.forward(15 * day)
	segments := len(s.messages.list())
	mustRetain(t, s)
	mustRetain(t, s)
	if after := len(s.messages.list()); after >= segments {
		t.Errorf("%d segments, before compaction %d", after, segments)
	}
	check := func() {
		t.Helper()
		for _, d := range kept {
			now := mailboxOf(t, s, d)
			if body(t, s, now.Ref) != texts[d.ID] {
				t.Errorf("content of %s is wrong", d.ID)
			}
		}
		checkLive(t, s)
	}
	check()
	moved := 0
	for _, d := range kept {
		if mailboxOf(t, s, d).Ref != d.Ref {
			moved++
		}
	}
	if moved < len(kept)/2 {
		t.Errorf("%d of %d messages moved", moved, len(kept))
	}
	// A change computed before the move does not bring the old place back.
	stale := kept[0].Next()
	commitOne(t, s, stale)
	if got := mailboxOf(t, s, stale); body(t, s, got.Ref) != texts[got.ID] {
		t.Error("a change brought the old place of the content back")
	}
	s.kill()
	s = mustOpenUnmanaged(t, o)
	check()
	mustRetain(t, s)
	s.Close()
	s = mustOpen(t, o)
	check()
	if _, _, err := s.Message(ctx, kept[0].ID.Message); err != nil {
		t.Errorf("a moved message is not found: %v", err)
	}
}

func commitOne(t *testing.T, s *Store, d *gateway.Delivery) {
	t.Helper()
	m, _ := s.Mailbox(ctx, d.Mailbox)
	if err := s.Commit(ctx, &gateway.Change{Key: d.Mailbox, Expect: m.Rev, Deliveries: []*gateway.Delivery{d}}); err != nil {
		t.Fatal(err)
	}
}

func acceptLarge(t *testing.T, s *Store, m *gateway.Message, text string) []*gateway.Delivery {
	t.Helper()
	f, err := s.Spool()
	if err != nil {
		t.Fatal(err)
	}
	f.Write([]byte(text))
	ds, err := s.Accept(ctx, m, gateway.Content{File: f, Size: int64(len(text))})
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

// checkLive compares the counts of what log segments are needed for with the
// mailboxes, while no mail flows and nothing is moved.
func checkLive(t testing.TB, s *Store) {
	t.Helper()
	s.retaining.Lock()
	defer s.retaining.Unlock()
	live := make(map[uint32]int64)
	err := s.Scan(ctx, gateway.Key{}, func(m *gateway.Mailbox) bool {
		for _, d := range m.Deliveries {
			live[d.Ref.Segment]++
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	s.sums.mu.Lock()
	defer s.sums.mu.Unlock()
	for n, use := range s.sums.segments {
		if use.Live != live[n] {
			t.Errorf("segment %d: %d unsettled deliveries counted, there are %d", n, use.Live, live[n])
		}
		delete(live, n)
	}
	if len(live) > 0 {
		t.Errorf("segments without a count are needed: %v", live)
	}
}

func TestLargeFilesGo(t *testing.T) {
	c := newClock()
	s := mustOpen(t, keepOptions(t, c))
	d := acceptLarge(t, s, testMessage(1), "large")[0]
	stays := acceptLarge(t, s, testMessage(2), "larger")[0]
	fill(t, s, c, 40)
	step(t, s, d, gateway.Delivered, gateway.EventDelivered)
	c.forward(15 * day)
	for i := range 40 {
		step(t, s, mailbox(t, s, i).Deliveries[len(mailbox(t, s, i).Deliveries)-1], gateway.Dropped, gateway.EventDropped)
	}
	c.forward(15 * day)
	mustRetain(t, s)
	mustRetain(t, s)
	names, _ := os.ReadDir(s.dir("large"))
	if len(mailbox(t, s, 2).Deliveries) > 0 && (len(names) != 1 || names[0].Name() != stays.ID.Message.String()) {
		t.Errorf("large/ holds %v, want only %s", names, stays.ID.Message)
	}
}

func TestHistoryGoesButNotOptOuts(t *testing.T) {
	c := newClock()
	o := keepOptions(t, c)
	s := mustOpen(t, o)
	entry := suppression.Entry{Address: "a@example.test", Reason: suppression.Manual, Source: "test", Created: c.now()}
	old := entry
	old.Note = "old"
	for _, e := range []suppression.Entry{old, entry} {
		change := &gateway.Change{Entries: []suppression.Entry{e}, Settings: []gateway.Setting{{Name: "mode", Value: []byte("live")}}}
		if err := s.Commit(ctx, change); err != nil {
			t.Fatal(err)
		}
	}
	s.SaveCursor("slow", gateway.Cursor{Segment: 1, Offset: 32})
	churn(t, s, c)
	c.forward(31 * day)
	churn(t, s, c)
	mustRetain(t, s)
	if first := s.history.list()[0]; first != 1 {
		t.Errorf("history that a reader has not read is gone: the first segment is %d", first)
	}
	_, end, _ := s.ReadEvents(ctx, gateway.Cursor{}, 1<<30)
	s.SaveCursor("slow", end)
	mustRetain(t, s)
	if first := s.history.list()[0]; first == 1 {
		t.Error("old history is still there")
	}
	s.Close()
	if err := Recover(o); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, o)
	list, err := s.Entries(ctx, "a@example.test")
	if err != nil || len(list) != 1 || list[0].Note != "" {
		t.Errorf("after recovery the entries are %+v, %v", list, err)
	}
	if got := s.Cursor("slow"); got != end {
		t.Errorf("after recovery the reader's cursor is %v, want %v", got, end)
	}
	if got := s.Settings()["mode"]; string(got) != "live" {
		t.Errorf("after recovery the setting is %q", got)
	}
}

// churn writes some journal segments.
func churn(t *testing.T, s *Store, c *clock) {
	t.Helper()
	for range 100 {
		e := gateway.Event{Kind: gateway.EventSetting, At: c.now(), Name: "x", Detail: strings.Repeat("y", 2000)}
		if err := s.Commit(ctx, &gateway.Change{Relaxed: true, Events: []gateway.Event{e}}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHistoryBytes(t *testing.T) {
	c := newClock()
	o := keepOptions(t, c)
	o.HistoryBytes = 256 << 10
	s := mustOpen(t, o)
	s.SaveCursor("stuck", gateway.Cursor{Segment: 1, Offset: 32})
	for range 5 {
		churn(t, s, c)
	}
	mustRetain(t, s)
	if u := s.Usage(); u.Journal > o.HistoryBytes {
		t.Errorf("history takes %d bytes, the limit is %d", u.Journal, o.HistoryBytes)
	}
}

func TestCapturedGoes(t *testing.T) {
	c := newClock()
	o := keepOptions(t, c)
	o.CapturedBytes = 10_000
	s := mustOpen(t, o)
	for i := range 4 {
		m := looseMessage(i)
		m.Received, m.Size = c.now(), 4000
		step(t, s, accept(t, s, m, make([]byte, 4000))[0], gateway.Captured, gateway.EventCaptured)
		c.forward(time.Hour)
	}
	left := func() (n int) {
		for i := range 4 {
			n += len(mailbox(t, s, i).Deliveries)
		}
		return n
	}
	mustRetain(t, s)
	if n := left(); n != 2 || len(mailbox(t, s, 3).Deliveries) != 1 {
		t.Errorf("%d captured messages are left of 10,000 bytes", n)
	}
	c.forward(8 * day)
	mustRetain(t, s)
	if n := left(); n != 0 {
		t.Errorf("%d captured messages are left after 8 days", n)
	}
	_, tenants := s.Totals()
	if got := tenants["acme"]; got.Captured != 0 || got.Dropped["retention"] != 4 {
		t.Errorf("totals are %+v", got)
	}
}

func TestBackupAndRestore(t *testing.T) {
	o := testOptions(t.TempDir())
	o.SegmentBytes = 64 << 10
	s := mustOpen(t, o)
	stop := make(chan struct{})
	done := make(chan []*gateway.Delivery)
	first := fill(t, s, newClock(), 50)
	large := acceptLarge(t, s, testMessage(7), "large")
	go func() { // mail goes on
		var ds []*gateway.Delivery
		for i := 100; ; i++ {
			select {
			case <-stop:
				done <- ds
				return
			default:
				ds = append(ds, accept(t, s, looseMessage(i), []byte(content4K(i)))...)
			}
		}
	}()
	backup, dir := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "restored")
	if err := s.Backup(ctx, backup); err != nil {
		t.Fatal(err)
	}
	close(stop)
	<-done
	if err := s.Backup(ctx, backup); err == nil {
		t.Error("a backup was written over another")
	}
	if err := Restore(backup, o.Dir); err == nil {
		t.Error("a backup was restored over a store")
	}
	if err := Restore(backup, dir); err != nil {
		t.Fatal(err)
	}
	o.Dir = dir
	r := mustOpen(t, o)
	for _, d := range append(first, large...) {
		mailboxOf(t, r, d)
	}
	checkLive(t, r)
	if body(t, r, large[0].Ref) != "large" {
		t.Error("a large file was not restored")
	}
	err := r.Due(ctx, func(d gateway.Due) error {
		m, _ := r.Mailbox(ctx, d.Mailbox)
		for _, d := range m.Deliveries {
			body(t, r, d.Ref)
		}
		return nil
	})
	if err != nil || !r.Held() {
		t.Errorf("held %v, %v", r.Held(), err)
	}
	if err := r.Confirm(); err != nil || r.Held() {
		t.Errorf("after Confirm held %v, %v", r.Held(), err)
	}
	r.Close()
	if r = mustOpen(t, o); r.Held() || s.Held() {
		t.Error("Held came back")
	}
}

func TestRecover(t *testing.T) {
	c := newClock()
	o := keepOptions(t, c)
	s := mustOpenUnmanaged(t, o)
	ds := fill(t, s, c, 100)
	for _, d := range ds[:90] {
		step(t, s, d, gateway.Delivered, gateway.EventDelivered)
	}
	sending := step(t, s, ds[91], gateway.Sending, gateway.EventReleased)
	c.forward(15 * day)
	mustRetain(t, s) // copies what is left forward
	mustRetain(t, s)
	s.Close()
	os.Remove(filepath.Join(o.Dir, "state.db"))
	if err := Recover(o); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, o)
	for i, d := range ds {
		m := mailbox(t, s, i)
		switch {
		case i < 90 && len(m.Deliveries) > 0:
			t.Errorf("mailbox %d: what was settled is back", i)
		case i >= 90 && (m.Delivery(d.ID) == nil || !m.Delivery(d.ID).Paused || body(t, s, m.Delivery(d.ID).Ref) != content4K(i)):
			t.Errorf("mailbox %d: %+v", i, m)
		}
	}
	if got := mailboxOf(t, s, sending); got.State != gateway.Sending {
		t.Errorf("what was in doubt is %s", got.State)
	}
	checkLive(t, s)
	_, tenants := s.Totals()
	if got := tenants["acme"]; got.Accepted != 100 || got.Delivered != 90 || got.Waiting != 9 || got.Sending != 1 {
		t.Errorf("totals are %+v", got)
	}
	if !s.Held() {
		t.Error("the store is not held")
	}
}

func TestCompactOnDemand(t *testing.T) {
	c := newClock()
	s := mustOpen(t, keepOptions(t, c))
	for i, d := range fill(t, s, c, 200) {
		if i%2 > 0 {
			step(t, s, d, gateway.Delivered, gateway.EventDelivered)
		}
	}
	if err := s.checkpoint(); err != nil {
		t.Fatal(err)
	}
	c.forward(15 * day)
	before := s.Usage()
	done := make(chan struct{})
	go func() { // mail goes on
		defer close(done)
		for i := range 50 {
			accept(t, s, looseMessage(1000+i), []byte("new"))
			mailbox(t, s, i)
		}
	}()
	if err := s.Compact(context.Background()); err != nil {
		t.Fatal(err)
	}
	<-done
	if after := s.Usage(); after.Log > before.Log*3/4 {
		t.Errorf("the log takes %d bytes, before %d", after.Log, before.Log)
	}
	for i := 0; i < 200; i += 2 {
		if m := mailbox(t, s, i); len(m.Deliveries) != 1 || body(t, s, m.Deliveries[0].Ref) != content4K(i) {
			t.Errorf("mailbox %d is %+v", i, m)
		}
	}
	checkLive(t, s)
}

// newsletter is 28 KB with 32 tokens, like any other of its campaign but for
// the tokens.
func newsletter(n int) string {
	same, own := rand.New(rand.NewPCG(1, 1)), rand.New(rand.NewPCG(2, uint64(n)))
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: a@acme.test\r\nTo: %s\r\nSubject: Spring\r\n\r\n", testAddress(n))
	for range 32 {
		for range 110 {
			fmt.Fprintf(&b, "%s ", strings.Repeat(string(rune('a'+same.IntN(26))), 2+same.IntN(9)))
		}
		fmt.Fprintf(&b, "<a href=3D\"https://click.acme.test/c/%x%x\">x</a>\r\n", own.Uint64(), own.Uint64())
	}
	return b.String()
}

// TestHeldNewsletterIsSmall holds a newsletter of 28 KB for 1,000 people.
func TestHeldNewsletterIsSmall(t *testing.T) {
	o := testOptions(t.TempDir())
	o.CheckpointEvery = time.Hour // below: how full pages are must not depend on how fast this machine is
	s := mustOpen(t, o)
	const n = 1000
	var ref gateway.Ref
	for i := range n {
		d := accept(t, s, testMessage(i), []byte(newsletter(i)))[0]
		ref = d.Ref
		next := d.Next()
		next.Due, next.Reason = d.Accepted.Add(time.Hour), "predicted"
		c := &gateway.Change{Key: d.Mailbox, Relaxed: true, Deliveries: []*gateway.Delivery{next}, Head: &gateway.Mailbox{Profile: make([]byte, 250)}}
		for k := range 20 {
			c.Head.Gates.Count(sendAt(d.Accepted.Add(time.Duration(k) * time.Hour)))
		}
		if err := s.Commit(ctx, c); err != nil {
			t.Fatal(err)
		}
		if i%50 == 49 {
			if err := s.checkpoint(); err != nil {
				t.Fatal(err)
			}
		}
	}
	at := place(s.log.durable.Load())
	log := int64(at.segment()-1)*o.SegmentBytes + int64(at.offset())
	var state int
	s.index.view(func(tx *bbolt.Tx) error {
		for _, b := range [][]byte{bucketMailbox, bucketDue} {
			stats := tx.Bucket(b).Stats()
			state += stats.LeafAlloc + stats.BranchAlloc
		}
		return nil
	})
	t.Logf("a message takes %d bytes in the log (the last record %d), %d in the checkpoint", log/n, ref.Length, state/n)
	if log/n > 1700 || state/n > 1200 {
		t.Error("that is more than 1,700 and 1,200")
	}
	if got := body(t, s, ref); got != newsletter(n-1) {
		t.Error("the content came back changed")
	}
}
