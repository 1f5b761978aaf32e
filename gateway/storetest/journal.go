package storetest

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"tidepost/gateway"
)

// readAll returns all events after a cursor, read a few at a time.
func readAll(t testing.TB, j gateway.Journal, after gateway.Cursor) ([]gateway.Event, gateway.Cursor) {
	t.Helper()
	var all []gateway.Event
	for {
		events, at, err := j.ReadEvents(ctx, after, 7)
		if err != nil {
			t.Fatalf("ReadEvents: %v", err)
		}
		if len(events) == 0 {
			return all, at
		}
		all, after = append(all, events...), at
	}
}

func testJournal(t *testing.T, open Open) {
	dir := t.TempDir()
	s := open(t, dir)
	defer func() { end(s) }()
	j, ok := s.(gateway.Journal)
	if !ok {
		t.Skip("not a Journal")
	}
	d := accept(t, s, message(1), "x")[0]
	var want []gateway.Event
	for i := range 30 {
		c := next(&gateway.Mailbox{Key: key(1), Rev: uint64(i)}, d, gateway.Waiting, gateway.EventPlanned)
		d = c.Deliveries[0]
		c.Events = append(c.Events, gateway.Event{
			Kind: "unheard_of", At: began.Add(time.Duration(i)), Delivery: d, Seq: 1,
			Reason: "r", Detail: "d \u2600", Actor: "ops", Name: "n",
		})
		commit(t, s, c)
		want = append(want, c.Events...)
	}
	for range 2 {
		got, at := readAll(t, j, gateway.Cursor{})
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%d events came back, want %d; the first is\n%+v, want\n%+v", len(got), len(want), got[0], want[0])
		}
		if rest, again := readAll(t, j, at); len(rest) > 0 || again != at {
			t.Errorf("behind the end there are %d events; the cursor went from %v to %v", len(rest), at, again)
		}
		end(s)
		s = open(t, dir)
		j = s.(gateway.Journal)
	}
	if half, _, err := j.ReadEvents(ctx, gateway.Cursor{}, 5); err != nil || len(half) < 5 || len(half) > 6 {
		t.Errorf("asked for 5 events, got %d, %v", len(half), err)
	}
}

func testLooseEvents(t *testing.T, open Open) {
	s := opened(t, open)
	j, ok := s.(gateway.Journal)
	if !ok {
		t.Skip("not a Journal")
	}
	d := accept(t, s, message(1), "x")[0]
	commit(t, s, &gateway.Change{Events: []gateway.Event{
		{Kind: gateway.EventSetting, At: began, Name: "setting-1", Actor: "ops", Detail: `{"mode":"live"}`},
		{Kind: gateway.EventBounced, At: began, Delivery: d, Reason: "late"},
	}})
	got, _ := readAll(t, j, gateway.Cursor{})
	if len(got) != 2 || got[0].ID() != "setting-1" || got[0].Detail != `{"mode":"live"}` || !reflect.DeepEqual(got[1].Delivery, d) {
		t.Errorf("the events are %+v", got)
	}
	if box := mailbox(t, s, key(1)); box.Rev != 0 || !reflect.DeepEqual(box.Deliveries[0], d) {
		t.Errorf("an event changed its delivery: %+v", box)
	}
}

func testReaders(t *testing.T, open Open) {
	dir := t.TempDir()
	s := open(t, dir)
	defer func() { end(s) }()
	j, ok := s.(gateway.Journal)
	if !ok {
		t.Skip("not a Journal")
	}
	if c := j.Cursor("bus"); c != (gateway.Cursor{}) {
		t.Errorf("a new reader starts at %v", c)
	}
	for i := range 3 {
		woken := j.Committed()
		c := &gateway.Change{Relaxed: i == 1, Events: []gateway.Event{{Kind: gateway.EventSetting, At: began, Name: fmt.Sprint(i)}}}
		commit(t, s, c)
		select {
		case <-woken:
		case <-time.After(10 * time.Second):
			t.Fatal("nobody was told of the event")
		}
	}
	events, at := readAll(t, j, gateway.Cursor{})
	if len(events) != 3 {
		t.Errorf("%d events", len(events))
	}
	if err := j.SaveCursor("bus", at); err != nil {
		t.Fatal(err)
	}
	end(s)
	s = open(t, dir)
	j = s.(gateway.Journal)
	if got := j.Cursor("bus"); got != at {
		t.Errorf("the cursor is %v, want %v", got, at)
	}
	if rest, _ := readAll(t, j, j.Cursor("bus")); len(rest) > 0 {
		t.Errorf("after the cursor there are %v", rest)
	}
}
