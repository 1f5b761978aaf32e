package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"tidepost/suppression"
	"tidepost/suppression/address"
)

// Observe takes in a suppression entry that somebody added or removed: it is
// stored, and what waits for the address and is stopped by it is dropped, at
// once. What has its release commit already is not called back (design rule
// 5 d).
func (g *Gateway) Observe(ctx context.Context, e suppression.Entry, actor string) error {
	if standsFor(e.Address) { // only taken back: nothing that waits is stopped by that
		return g.storeEntry(ctx, Key{}, e, actor)
	}
	if err := e.Validate(); err != nil {
		return err
	}
	a, err := address.Parse(e.Address)
	if err != nil {
		return err
	}
	e.Address = a.Mailbox().String()
	if err := g.storeEntry(ctx, MailboxKey("", a.Mailbox()), e, actor); err != nil {
		return err
	}
	return g.replanAddress(ctx, a.Mailbox(), Key{})
}

func (g *Gateway) storeEntry(ctx context.Context, k Key, e suppression.Entry, actor string) error {
	detail, err := json.Marshal(e)
	if err != nil {
		return err
	}
	reason := "added"
	if !e.Removed.IsZero() {
		reason = "removed"
	}
	// The entry goes through the owner of all the address's mailboxes, so that no
	// release commit comes between it and what it stops.
	return g.perform(ctx, k, func(t *turn) {
		t.durable()
		t.change.Entries = append(t.change.Entries, e)
		t.change.Events = append(t.change.Events, Event{Kind: EventEntry, At: t.now, Name: g.eventName(),
			Reason: reason, Detail: string(detail), Actor: actor})
	})
}

// replanAddress looks again at everything that waits for an address, in every
// audience but one that was looked at: their keys share the address's half.
func (g *Gateway) replanAddress(ctx context.Context, m address.Mailbox, but Key) error {
	b, ok := g.Store.(Browser)
	if !ok {
		return nil
	}
	first := MailboxKey("", m)
	clear(first[8:])
	var keys []Key
	err := b.Scan(ctx, first, func(box *Mailbox) bool {
		if !bytes.Equal(box.Key[:8], first[:8]) {
			return false
		}
		if box.Key != but {
			keys = append(keys, box.Key)
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("looking for waiting mail: %w", err)
	}
	for _, k := range keys {
		if err := g.perform(ctx, k, func(t *turn) { t.dropSuppressed(true) }); err != nil {
			return err
		}
	}
	return nil
}

// dropSuppressed drops what must not be sent any more, and where that is news tells
// what comes too late for it.
func (t *turn) dropSuppressed(news bool) {
	for _, d := range t.box.Deliveries {
		if d.State != Waiting && d.State != Sending {
			continue
		}
		entry, _ := t.suppressed(d)
		switch {
		case entry == nil:
		case d.State == Sending:
			if news {
				t.tooLate(d, entry)
			}
		default:
			t.replan(d.ID)
		}
	}
}

// tooLateSeq keeps the event apart from those of the delivery's own revision,
// which it does not change.
const tooLateSeq = 100

// tooLate tells that an opt-out came after the release commit: the mail may
// have left, and is not called back.
func (t *turn) tooLate(d *Delivery, entry *suppression.Entry) {
	t.change.Events = append(t.change.Events, Event{Kind: EventTooLate, At: t.now, Delivery: d, Seq: tooLateSeq,
		Reason: "suppressed", Detail: entry.Scope.String() + " " + string(entry.Reason)})
}
