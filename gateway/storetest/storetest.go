// Package storetest says what every gateway.Store must do: each on its own, and
// all of it at once under random changes and crashes, compared with a model of
// maps and lists.
//
// A Store passes when Run does. It may have powers of gateway (Spooler,
// Entries, Lists, Settings, Journal, Traces, Browser); those it has are tested. One that also
// has a method Crash() is made to die without warning; others are closed.
package storetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"tidepost/gateway"
)

// Open opens the store kept in a directory, again and again.
type Open func(t testing.TB, dir string) gateway.Store

// crasher is a Store that can die as if the machine lost power: calls under
// way fail, and what was never synced is gone.
type crasher interface{ Crash() }

// closer is a Store that ends cleanly.
type closer interface{ Close() error }

var ctx = context.Background()

// Run tests stores of one kind.
func Run(t *testing.T, open Open) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Open)
	}{
		{"accepted mail is in its mailboxes", testAccept},
		{"two recipients of one mailbox are two deliveries", testSameMailbox},
		{"a message without recipients is refused", testNoRecipients},
		{"a change makes the next revision", testCommit},
		{"a change from an old revision fails alone", testConflict},
		{"of two changes at once one wins", testRace},
		{"several changes of a mailbox in one commit", testChain},
		{"accepting does not disturb a change under way", testAcceptBetween},
		{"a state that was handed out never changes", testImmutable},
		{"due tells what is to be released", testDue},
		{"everything is there after closing", testReopen},
		{"large content", testLarge},
		{"suppression entries", testEntries},
		{"whole lists of suppressions", testLists},
		{"staging a list goes on after an interruption", testListsResume},
		{"random changes of lists", testListsRandom},
		{"settings", testSettings},
		{"deliveries are found by names of others", testTraces},
		{"events come in order, each once", testJournal},
		{"events of no mailbox", testLooseEvents},
		{"readers are woken and remembered", testReaders},
		{"people look around", testBrowse},
		{"totals add up", testTotals},
		{"a stopped store says so", testStopped},
		{"random changes and crashes", testRandom},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open) })
	}
}

// end closes a store.
func end(s gateway.Store) {
	if c, ok := s.(closer); ok {
		c.Close()
	}
}

// opened opens a store in a new directory for one test.
func opened(t *testing.T, open Open) gateway.Store {
	t.Helper()
	s := open(t, t.TempDir())
	t.Cleanup(func() { end(s) })
	return s
}

// began is when the tests' messages came in.
var began = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// key is the key of the n-th test mailbox.
func key(n int) gateway.Key {
	h := sha256.Sum256(fmt.Appendf(nil, "mailbox %d", n))
	return gateway.Key(h[:16])
}

func addressOf(n int) string { return fmt.Sprintf("reader%d@example%d.test", n, n%3) }

// message makes a message for the test mailboxes of those numbers.
func message(to ...int) *gateway.Message {
	m := &gateway.Message{
		Received: began, Tenant: "acme", Audience: "acme", Credential: "newsletter",
		From: "bounces@acme.test", Return: "HDRS", EightBit: true,
		Client: "192.0.2.1", Helo: "app.acme.test", Protocol: "ESMTPSA", TLSVersion: "TLS1.3",
		Class: gateway.Newsletter, ClassReason: "List-Id", Campaign: "spring", Tags: []string{"a", "b"},
		List: "news.acme.test", MessageID: "1@acme.test", Subject: "Spring \u2600",
		Deadline: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), Window: 24 * time.Hour,
		Value: 1.5, HalfLife: time.Hour, Supersede: "digest", Attributes: `{"plan":"pro"}`,
		Aim: "hour", Evidence: "click", Zone: "Europe/Oslo",
		By: gateway.ByReturn, Priority: -3,
	}
	for _, n := range to {
		m.Recipients = append(m.Recipients, gateway.Recipient{
			Address: "Reader" + addressOf(n)[6:], Canonical: addressOf(n), Mailbox: key(n),
			Notify: gateway.NotifyFailure, Original: "rfc822;" + addressOf(n),
		})
	}
	return m
}

// accept stores a message with a text as its content.
func accept(t testing.TB, s gateway.Store, m *gateway.Message, text string) []*gateway.Delivery {
	t.Helper()
	m.Size = int64(len(text))
	ds, err := s.Accept(ctx, m, gateway.Content{Bytes: []byte(text), Size: int64(len(text))})
	if err != nil {
		t.Fatalf("Accept: %v", err)
	}
	return ds
}

func mailbox(t testing.TB, s gateway.Store, k gateway.Key) *gateway.Mailbox {
	t.Helper()
	m, err := s.Mailbox(ctx, k)
	if err != nil {
		t.Fatalf("Mailbox: %v", err)
	}
	return m
}

func commit(t testing.TB, s gateway.Store, changes ...*gateway.Change) {
	t.Helper()
	if err := s.Commit(ctx, changes...); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

// next is a change of one delivery with an event that tells of it.
func next(m *gateway.Mailbox, d *gateway.Delivery, state gateway.State, kind gateway.EventKind) *gateway.Change {
	n := d.Next()
	n.State = state
	return &gateway.Change{
		Key: m.Key, Expect: m.Rev, Deliveries: []*gateway.Delivery{n},
		Events: []gateway.Event{{Kind: kind, At: began.Add(time.Minute), Delivery: n, Reason: "test"}},
	}
}

// text reads a message's content back.
func text(t testing.TB, s gateway.Store, r gateway.Ref) (string, *gateway.Message) {
	t.Helper()
	stored, err := s.Body(ctx, r)
	if err != nil {
		t.Fatalf("Body: %v", err)
	}
	defer stored.Close()
	b := make([]byte, stored.Size)
	if n, err := stored.ReadAt(b, 0); int64(n) != stored.Size {
		t.Fatalf("reading a body of %d bytes gave %d: %v", stored.Size, n, err)
	}
	return string(b), stored.Message
}
