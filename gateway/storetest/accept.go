package storetest

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler"
)

func testAccept(t *testing.T, open Open) {
	s := opened(t, open)
	m := message(1, 2)
	ds := accept(t, s, m, "Subject: hi\r\n\r\nhello\r\n")
	if m.ID.IsZero() {
		t.Fatal("the message got no id")
	}
	if len(ds) != 2 {
		t.Fatalf("%d deliveries for two recipients", len(ds))
	}
	for i, d := range ds {
		want := &gateway.Delivery{
			ID:  gateway.DeliveryID{Message: m.ID, Ordinal: uint32(i)},
			Ref: d.Ref, Mailbox: key(i + 1), Address: m.Recipients[i].Address,
			Tenant: "acme", Campaign: "spring", List: "news.acme.test", Class: gateway.Newsletter,
			Notify: gateway.NotifyFailure, Priority: -3, Value: 1.5, Accepted: began,
			Deadline: m.Deadline, HardDeadline: true, Window: 24 * time.Hour, HalfLife: time.Hour,
			Supersede: "digest", Size: m.Size, Aim: scheduler.AimHour, Sees: scheduler.SeesClick,
		}
		if !reflect.DeepEqual(d, want) {
			t.Errorf("delivery %d is\n%+v, want\n%+v", i, d, want)
		}
		box := mailbox(t, s, key(i+1))
		if box.Rev != 0 || box.Address != addressOf(i+1) || box.Audience != "acme" || !reflect.DeepEqual(box.Delivery(d.ID), want) {
			t.Errorf("mailbox %d is %+v", i+1, box)
		}
	}
	got, back := text(t, s, ds[1].Ref)
	if got != "Subject: hi\r\n\r\nhello\r\n" {
		t.Errorf("the content came back as %q", got)
	}
	if !reflect.DeepEqual(back, m) {
		t.Errorf("the message came back as\n%+v, want\n%+v", back, m)
	}
	if none := mailbox(t, s, key(3)); none.Rev != 0 || none.Key != key(3) || len(none.Deliveries) != 0 {
		t.Errorf("a mailbox never heard of is %+v", none)
	}
	if _, err := s.Body(ctx, gateway.Ref{Segment: 4711, Offset: 1, Length: 99}); err == nil {
		t.Error("a Ref that was never given can be read")
	}
}

func testSameMailbox(t *testing.T, open Open) {
	s := opened(t, open)
	ds := accept(t, s, message(1, 2, 1), "x")
	if got := mailbox(t, s, key(1)).Deliveries; len(got) != 2 || got[0].ID != ds[0].ID || got[1].ID != ds[2].ID {
		t.Errorf("the mailbox holds %v", got)
	}
}

func testNoRecipients(t *testing.T, open Open) {
	s := opened(t, open)
	if _, err := s.Accept(ctx, message(), gateway.Content{}); err == nil {
		t.Error("a message without recipients was accepted")
	}
}

func testReopen(t *testing.T, open Open) {
	dir := t.TempDir()
	s := open(t, dir)
	done := accept(t, s, message(1, 2), "first")
	stays := accept(t, s, message(2), "second")
	box := mailbox(t, s, key(1))
	change := next(box, done[0], gateway.Delivered, gateway.EventDelivered)
	change.Head = &gateway.Mailbox{Zone: "Europe/Oslo", Profile: []byte{1, 2, 3}}
	commit(t, s, change)
	want1, want2 := mailbox(t, s, key(1)), mailbox(t, s, key(2))
	end(s)
	s = open(t, dir)
	defer end(s)
	if got := mailbox(t, s, key(1)); !same(got, want1) {
		t.Errorf("mailbox 1 is\n%+v, want\n%+v", got, want1)
	}
	if got := mailbox(t, s, key(2)); !same(got, want2) {
		t.Errorf("mailbox 2 is\n%+v, want\n%+v", got, want2)
	}
	if got, _ := text(t, s, stays[0].Ref); got != "second" {
		t.Errorf("content is %q", got)
	}
	if m := message(5); accept(t, s, m, "x") == nil || m.ID.String() <= stays[0].ID.Message.String() {
		t.Errorf("the id after opening again, %s, is not greater than %s", m.ID, stays[0].ID.Message)
	}
}

// testLarge writes content through a SpoolFile, as everything above MemoryLimit.
func testLarge(t *testing.T, open Open) {
	dir := t.TempDir()
	s := open(t, dir)
	defer func() { end(s) }()
	spooler, ok := s.(gateway.Spooler)
	if !ok {
		t.Skip("not a Spooler")
	}
	content := strings.Repeat("0123456789abcdef", gateway.MemoryLimit/8)
	f, err := spooler.Spool()
	if err != nil {
		t.Fatal(err)
	}
	for rest := []byte(content); len(rest) > 0; {
		n := min(len(rest), 100_000)
		if _, err := f.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	m := message(1)
	m.Size = int64(len(content))
	ds, err := s.Accept(ctx, m, gateway.Content{File: f, Size: m.Size})
	if err != nil {
		t.Fatal(err)
	}
	f.Discard() // too late, and harmless
	dropped, err := spooler.Spool()
	if err != nil {
		t.Fatal(err)
	}
	dropped.Write([]byte("x"))
	dropped.Discard()
	for range 2 {
		if got, _ := text(t, s, ds[0].Ref); !bytes.Equal([]byte(got), []byte(content)) {
			t.Error("the content came back changed")
		}
		end(s)
		s = open(t, dir)
	}
}
