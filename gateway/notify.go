package gateway

import (
	"context"
	"slices"
	"time"

	"tidepost/suppression/address"
)

// reportRetry is when a decision is made again whose notification could not
// be written.
const reportRetry = 5 * time.Minute

// owes reports whether a notification is due for what n came to (RFC 3461
// §4.1). A real failure is told unless the client said NEVER or named other
// conditions; nobody is told about mail from <>.
func owes(m *Message, n *Delivery, o Outcome) (ReportAction, bool) {
	if m.From == "" || n.Notify&NotifyNever != 0 {
		return "", false
	}
	switch {
	case n.State == Bounced:
		return ReportFailed, n.Notify == 0 || n.Notify&NotifyFailure != 0
	case n.State == Dropped:
		return ReportFailed, wantsDrops(m, n)
	case n.State == Delivered && o.Relayed:
		return ReportRelayed, n.Notify&NotifySuccess != 0
	case n.State == Waiting && o.Kind == OutcomeDeferred && !n.Late:
		late := m.By == ByNotify && !n.Deadline.IsZero() && n.Due.After(n.Deadline)
		return ReportDelayed, late || n.Notify&NotifyDelay != 0 && n.Attempts >= delayAfter
	}
	return "", false
}

// delayAfter is how many tries make a delivery late enough for NOTIFY=DELAY.
const delayAfter = 4

// notify accepts the notification that an outcome owes. A failure to write it
// is logged: the outcome itself is worth more than the letter about it.
func (g *Gateway) notify(ctx context.Context, n *Delivery, stored *Stored, o Outcome) {
	action, due := owes(stored.Message, n, o)
	if !due || g.Reporter == nil {
		return
	}
	err := g.report(ctx, action, n, stored, o)
	if err != nil {
		g.log().Error("a delivery status notification could not be written", "delivery", n.ID.String(), "error", err)
	}
	n.Late = n.Late || action == ReportDelayed && err == nil
}

// report writes a notification and accepts it like any other mail: from <>,
// transactional, to the envelope sender.
func (g *Gateway) report(ctx context.Context, action ReportAction, n *Delivery, stored *Stored, o Outcome) error {
	m := stored.Message
	to, err := address.Parse(m.From)
	if err != nil {
		return err
	}
	var recipient Recipient
	if int(n.ID.Ordinal) < len(m.Recipients) {
		recipient = m.Recipients[n.ID.Ordinal]
	}
	text, err := g.Reporter.Report(&Report{Action: action, Stored: stored, Delivery: n, Recipient: recipient, Outcome: o, Now: g.now()})
	if err != nil {
		return err
	}
	box := to.Mailbox()
	err = g.acceptOwn(ctx, &Message{
		Tenant: m.Tenant, Audience: m.Audience, Helo: g.Hostname, UTF8: to.UTF8,
		ClassReason: "delivery status notification", Subject: "delivery status notification",
		Recipients: []Recipient{{Address: m.From, Mailbox: MailboxKey(m.Audience, box), Canonical: box.String(), Notify: NotifyNever}},
	}, text)
	if err == nil {
		g.Metrics.Reports.Add(1)
	}
	return err
}

// acceptOwn accepts mail that we send ourselves to a client: from <>, transactional, to
// one recipient. No quota holds it up.
func (g *Gateway) acceptOwn(ctx context.Context, m *Message, text []byte) error {
	m.Received, m.Class, m.Value, m.Size = g.now(), Transactional, 1, int64(len(text))
	m.EightBit = slices.ContainsFunc(text, func(c byte) bool { return c >= 0x80 })
	content := Content{Bytes: text, Size: m.Size}
	if len(text) > MemoryLimit {
		if err := g.spool(&content); err != nil {
			return err
		}
	}
	deliveries, err := g.Store.Accept(ctx, m, content)
	if err != nil {
		if content.File != nil {
			content.File.Discard() // ours still
		}
		return err
	}
	g.held.add(m.Tenant, 1)
	d := deliveries[0]
	g.enqueue(step{key: d.Mailbox, do: func(t *turn) { t.planNew(d.ID, nil, false) }})
	return nil
}

// spool puts large content into a file of its own, as Store wants it.
func (g *Gateway) spool(c *Content) error {
	s, ok := g.Store.(Spooler)
	if !ok {
		return nil
	}
	f, err := s.Spool()
	if err != nil {
		return err
	}
	if _, err := f.Write(c.Bytes); err != nil {
		f.Discard()
		return err
	}
	c.File, c.Bytes = f, nil
	return nil
}

// wantsDrops reports whether the client wants to be told by mail of drops by
// policy: only where it wrote NOTIFY=FAILURE or BY;R (design rule 3).
func wantsDrops(m *Message, n *Delivery) bool {
	return n.Notify&NotifyFailure != 0 || n.Notify == 0 && m.By == ByReturn
}

// mayOweDrop is wantsDrops as far as the delivery alone can tell.
func (t *turn) mayOweDrop(n *Delivery) bool {
	return t.g.Reporter != nil && (n.Notify&NotifyFailure != 0 || n.Notify == 0 && n.HardDeadline)
}

// reportDrop tells of a drop and then settles it.
func (g *Gateway) reportDrop(k Key, n *Delivery, last Event) {
	ctx := context.Background()
	if stored, err := g.Store.Body(ctx, n.Ref); err == nil {
		if m := stored.Message; m.From != "" && wantsDrops(m, n) {
			g.notifyDrop(ctx, n, stored, last)
		}
		stored.Close()
	}
	g.enqueue(step{key: k, do: func(t *turn) {
		t.then(func() { g.telling.remove(n.ID) })
		if d := t.box.Delivery(n.ID); d != nil && d.State == Waiting {
			t.settleDrop(d.Next(), last)
		}
	}})
}

func (g *Gateway) notifyDrop(ctx context.Context, n *Delivery, stored *Stored, last Event) {
	status := "5.7.1" // policy
	if last.Reason == "deadline" {
		status = "5.4.7"
	}
	o := Outcome{Kind: OutcomeFailed, Status: status, Text: "not sent: " + last.Reason}
	if err := g.report(ctx, ReportFailed, n, stored, o); err != nil {
		g.log().Error("a delivery status notification could not be written", "delivery", n.ID.String(), "error", err)
	}
}
