package local

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler"
)

var ctx = context.Background()

// testOptions are small so that tests cross segments and checkpoints often.
func testOptions(dir string) Options {
	o := Options{Dir: dir, SegmentBytes: 4 << 20, Reserve: 1, removeRest: time.Nanosecond}
	if os.Getenv("TIDEPOST_LOG") != "" {
		o.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return o
}

func mustOpen(t testing.TB, o Options) *Store {
	t.Helper()
	s := mustOpenUnmanaged(t, o)
	t.Cleanup(func() { s.Close() })
	return s
}

func mustOpenUnmanaged(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

// testKey is the key of the n-th test mailbox.
func testKey(n int) gateway.Key {
	h := sha256.Sum256(fmt.Appendf(nil, "mailbox %d", n))
	return gateway.Key(h[:16])
}

func testAddress(n int) string { return fmt.Sprintf("reader%d@example%d.test", n, n%10) }

// testMessage is a message for the test mailboxes of those numbers.
func testMessage(to ...int) *gateway.Message {
	m := &gateway.Message{
		Received: time.Date(2026, 11, 22, 9, 0, 0, 123456789, time.UTC),
		Tenant:   "acme", Audience: "acme", Credential: "newsletter",
		From: "bounces@acme.test", Client: "127.0.0.1", Helo: "app.acme.test", Protocol: "ESMTP",
		Class: gateway.Newsletter, Campaign: "spring", List: "news.acme.test",
		MessageID: "1@acme.test", Subject: "Spring", Value: 1, Size: 5,
	}
	for _, n := range to {
		m.Recipients = append(m.Recipients, gateway.Recipient{Address: testAddress(n), Canonical: testAddress(n), Mailbox: testKey(n)})
	}
	return m
}

func accept(t testing.TB, s *Store, m *gateway.Message, body []byte) []*gateway.Delivery {
	t.Helper()
	ds, err := s.Accept(ctx, m, gateway.Content{Bytes: body, Size: int64(len(body))})
	if err != nil {
		t.Fatalf("Accept: %v", err)
	}
	return ds
}

func mailbox(t testing.TB, s *Store, n int) *gateway.Mailbox {
	t.Helper()
	m, err := s.Mailbox(ctx, testKey(n))
	if err != nil {
		t.Fatalf("Mailbox: %v", err)
	}
	return m
}

// step commits a delivery's next state with one event.
func step(t testing.TB, s *Store, d *gateway.Delivery, state gateway.State, kind gateway.EventKind) *gateway.Delivery {
	t.Helper()
	m, err := s.Mailbox(ctx, d.Mailbox)
	if err != nil {
		t.Fatal(err)
	}
	next := d.Next()
	next.State = state
	c := &gateway.Change{
		Key: d.Mailbox, Expect: m.Rev, Deliveries: []*gateway.Delivery{next},
		Events: []gateway.Event{{Kind: kind, At: next.Accepted, Delivery: next}},
	}
	if err := s.Commit(ctx, c); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return next
}

func body(t testing.TB, s *Store, r gateway.Ref) string {
	t.Helper()
	st, err := s.Body(ctx, r)
	if err != nil {
		t.Fatalf("Body: %v", err)
	}
	defer st.Close()
	b := make([]byte, st.Size)
	if _, err := st.ReadAt(b, 0); err != nil {
		t.Fatalf("Body: %v", err)
	}
	return string(b)
}

func isDamaged(err error) bool { return errors.Is(err, gateway.ErrDamaged) }

// looseMessage is a message of no campaign, whose content is stored as it is.
func looseMessage(to ...int) *gateway.Message {
	m := testMessage(to...)
	m.Campaign, m.List = "", ""
	return m
}

func sendAt(t time.Time) scheduler.Send { return scheduler.Send{At: t, Bulk: true} }

func isNewer(err error) bool { return errors.Is(err, errNewer) }
