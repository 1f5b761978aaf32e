package local

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/suppression"
)

// samples are values with every field set, and empty ones.
func sampleDelivery() *gateway.Delivery {
	at := time.Date(2038, 1, 19, 3, 14, 8, 999999999, time.UTC)
	return &gateway.Delivery{
		ID: gateway.DeliveryID{Message: gateway.ID{1, 2, 3}, Ordinal: 7}, Rev: 3, State: gateway.Sending,
		Ref: gateway.Ref{Segment: 1, Offset: 32, Length: 1000}, Mailbox: testKey(1),
		Address: "Reader1@example1.test", Tenant: "acme", Campaign: "spring", List: "news.acme.test",
		Class: gateway.Promotional, Notify: gateway.NotifyFailure, Priority: -9, Value: 2.5,
		Accepted: at, NotBefore: at.Add(-time.Hour), Deadline: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
		HardDeadline: true, Window: time.Hour, HalfLife: time.Minute, Supersede: "digest", Size: 1 << 40,
		Due: at, Reason: "predicted", Paused: true, Attempts: 9, Started: at, Expires: at, Late: true,
		Reply: "450 later \u2600", Duplicate: true,
	}
}

func sampleChange() *change {
	d := sampleDelivery()
	e := gateway.Event{Kind: gateway.EventReleased, At: d.Due, Delivery: d, Seq: 2, Reason: "r", Detail: "d", Actor: "ops", Name: "n"}
	other := *d
	other.Mailbox = testKey(2)
	c := &change{
		key: d.Mailbox, rev: 9, deliveries: []*gateway.Delivery{d}, before: []byte{0},
		head:     &gateway.Mailbox{Key: d.Mailbox, Address: "a@b.test", Audience: "acme", Zone: "UTC", Profile: []byte{1}},
		settings: []gateway.Setting{{Name: "gone"}, {Name: "empty", Value: []byte{}}, {Name: "mode", Value: []byte("live")}},
		entries:  []suppression.Entry{{Address: "a@b.test", Reason: suppression.Manual, Created: d.Due.Truncate(time.Millisecond)}},
		forget:   []string{"c@d.test"}, marks: []entryMark{{entryHash{1}, 300}}, lists: []byte{1, 0, 0, 0},
		events: []gateway.Event{e, {Kind: "unheard_of", At: d.Due, Delivery: &other}, {Kind: gateway.EventSetting, Name: "x"}},
	}
	c.head.Gates.Count(sendAt(d.Due))
	c.findExtra()
	return c
}

// TestCodecs takes values with every field set there and back.
func TestCodecs(t *testing.T) {
	m := testMessage(1, 2)
	m.ID, m.Duplicate, m.EightBit, m.UTF8, m.ByTrace, m.Returned, m.By = gateway.ID{1}, gateway.ID{2}, true, true, true, true, gateway.ByReturn
	m.Tags, m.Notes, m.Recipients[1].Original = []string{"a"}, []string{"b", ""}, "rfc822;x"
	m.Recipients[0].Address = "Other@example.test"
	if got, err := decodeMessage(appendMessage(nil, m)); err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("message is\n%+v, %v, want\n%+v", got, err, m)
	}
	for _, want := range []*change{sampleChange(), {}} {
		if got, err := decodeChange(appendChange(nil, want), nil); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("change is\n%+v, %v, want\n%+v", got, err, want)
		}
	}
	d := sampleDelivery()
	box := &gateway.Mailbox{Key: d.Mailbox, Rev: 1 << 60, Address: "a@b.test", Deliveries: []*gateway.Delivery{d, {Mailbox: d.Mailbox}}}
	got, err := decodeBox(box.Key, appendBox(nil, box, placeOf(1, 2), placeOf(3, 4)))
	if err != nil || !reflect.DeepEqual(got.state, box) || got.fromLog != placeOf(1, 2) || got.fromJournal != placeOf(3, 4) {
		t.Errorf("mailbox is\n%+v, %v, want\n%+v", got, err, box)
	}
	moves := []move{{testKey(1), d.ID, d.Ref, gateway.Ref{Segment: 9}}}
	if got, err := decodeMoves(appendMoves(nil, moves)); err != nil || !reflect.DeepEqual(got, moves) {
		t.Errorf("moves are %+v, %v, want %+v", got, err, moves)
	}
}

// TestNewerVersionsSayso gives every decoder a version from the future.
func TestNewerVersionsSaySo(t *testing.T) {
	for name, decode := range decoders {
		if err := decode([]byte{99, 1, 2, 3}); !isNewer(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// decoders are all that read bytes from the disk.
var decoders = map[string]func([]byte) error{
	"message":    func(b []byte) error { _, err := decodeMessage(b); return err },
	"change":     func(b []byte) error { _, err := decodeChange(b, make(map[string]string)); return err },
	"mailbox":    func(b []byte) error { _, err := decodeBox(gateway.Key{}, b); return err },
	"cursors":    func(b []byte) error { _, err := decodeCursors(b); return err },
	"moves":      func(b []byte) error { _, err := decodeMoves(b); return err },
	"totals":     func(b []byte) error { _, err := decodeTotals(b); return err },
	"use":        func(b []byte) error { _, err := decodeUse(b); return err },
	"positions":  func(b []byte) error { _, err := decodePositions(b); return err },
	"table":      func(b []byte) error { _, err := decodeTable(b); return err },
	"tally":      func(b []byte) error { _, err := decodeTally(b); return err },
	"layer":      func(b []byte) error { _, err := decodeLayerMeta(b); return err },
	"dictionary": func(b []byte) error { _, _, err := decodeDictionary(b); return err },
	"due": func(b []byte) error {
		d := decoder{b: b}
		d.due(make([]byte, 16))
		return d.finish()
	},
}

// FuzzDecoders feeds every decoder with anything: it returns, without a panic
// and without asking for more memory than the input can describe.
func FuzzDecoders(f *testing.F) {
	m := testMessage(1)
	f.Add(appendMessage(nil, m))
	f.Add(appendChange(nil, sampleChange()))
	f.Add(appendBox(nil, &gateway.Mailbox{Deliveries: []*gateway.Delivery{sampleDelivery()}}, 1, 2))
	f.Add(appendMoves(nil, []move{{}}))
	f.Add(appendTotals(nil, &gateway.Totals{Accepted: 1, Dropped: map[string]int64{"x": 1}}))
	f.Add(appendPositions(nil, positions{1, 2}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, decode := range decoders {
			decode(b)
		}
		decodeMessageRecord(b)
		decodeEntryList(b)
		expandS2(b)
		d := decoder{b: b}
		newCompressor().expandZstd(&d, func() (uint64, []byte, error) { return 0, []byte("dictionary"), nil })
	})
}

// FuzzChange finds changes that do not come back as they were written.
func FuzzChange(f *testing.F) {
	f.Add(appendChange(nil, sampleChange()))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeChange(b, nil)
		if err != nil {
			return
		}
		again, err := decodeChange(appendChange(nil, c), nil)
		if err != nil || !reflect.DeepEqual(plainChange(c), plainChange(again)) {
			t.Errorf("%+v became %+v, %v", c, again, err)
		}
	})
}

// plainChange leaves out what compares unequal to itself or needs another look.
func plainChange(c *change) *change {
	n := *c
	for _, d := range append(n.deliveries, n.extra...) {
		if d.Value != d.Value {
			d.Value = 0
		}
	}
	return &n
}

// FuzzSegment opens a log made of anything behind a header and some records: it
// opens, and what is written next is there after opening again.
func FuzzSegment(f *testing.F) {
	log := bytes.Clone(sampleSegment(f))
	f.Add(log, 100, []byte{1})
	f.Add(log, 40, log[32:200])
	f.Add(log[:33], 0, []byte(nil))
	f.Fuzz(func(t *testing.T, b []byte, at int, patch []byte) {
		if at >= 0 && at < len(b) {
			b = bytes.Clone(b)
			copy(b[at:], patch)
		}
		dir, err := os.MkdirTemp("", "fuzz")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		o := testOptions(dir)
		o.SegmentBytes = 64 << 10
		for _, name := range []string{"log", "journal"} {
			os.MkdirAll(filepath.Join(dir, name), 0o700)
			os.WriteFile(filepath.Join(dir, name, segmentName(1)), b, 0o600)
		}
		s, err := Open(o)
		if err != nil {
			return // it says why
		}
		d := accept(t, s, testMessage(7), []byte("after"))[0]
		s.Close()
		s = mustOpenUnmanaged(t, o)
		defer s.Close()
		m, _ := s.Mailbox(ctx, d.Mailbox)
		if m.Delivery(d.ID) == nil || body(t, s, d.Ref) != "after" {
			t.Error("what was written behind the damage is lost")
		}
	})
}

// sampleSegment is a log segment with some records.
func sampleSegment(f *testing.F) []byte {
	o := testOptions(f.TempDir())
	s := mustOpenUnmanaged(f, o)
	for i := range 4 {
		accept(f, s, testMessage(i), []byte(newsletter(i)[:2500]))
	}
	path, end := s.messages.path(1), place(s.log.durable.Load()).offset()
	s.Close()
	b, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	return b[:min(int(end), len(b))]
}
