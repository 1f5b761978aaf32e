package gateway

import (
	"bytes"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"tidepost/scheduler"
)

// judged decides who was behind an open or a click of which we saw the request, and
// whether it shows that earlier clicks of the same mail were a machine's.
func (t *turn) judged(s *Signal, about DeliveryID, detail *SignalDetail) (retract bool) {
	if s.Seen == nil {
		return false
	}
	r := *s.Seen
	r.At, r.Tenant, r.Mailbox, r.Domain = s.At, s.Tenant, t.box.Key, domain(t.box.Address)
	if !about.Message.IsZero() {
		r.Delivery = about.Hash()
		r.Delivered, r.Sending = t.delivered(about)
	}
	j := t.g.judge.Judge(r)
	s.Human = j.Weight
	detail.Verdict, detail.Reasons = j.Verdict.String(), j.Reasons
	t.g.Metrics.Judged[j.Verdict].Add(1)
	return j.Retract
}

// delivered is when the next hop took a delivery; sending: it has not answered yet.
func (t *turn) delivered(about DeliveryID) (at time.Time, sending bool) {
	if d := t.box.Delivery(about); d != nil {
		return time.Time{}, d.State == Sending || d.State == Waiting
	}
	ref := slotRefOf(about)
	for i := t.box.Gates.Len() - 1; i >= 0; i-- {
		if s := t.box.Gates.Send(i); s.Ref == ref {
			return s.At, false
		}
	}
	return time.Time{}, false
}

// undoFor is how long a click can be taken back: a machine that follows all links of
// a mail shows itself within that time. It is kept in memory alone: of a burst that
// a restart cuts in two, the first click stays.
const (
	undoFor  = time.Minute
	undoSize = 10_000
)

// undos are the profiles as they were before clicks of the last minute.
type undos struct {
	of *lru.Cache[DeliveryID, undo]
}

type undo struct {
	at      time.Time
	profile []byte // before the first click
	after   []byte // after the last sign of the same mail
	last    uint32 // click before the first one, as activity has it
	clicks  []undone
}

// undone is such a click.
type undone struct {
	mark    uint32
	at      time.Time
	counted bool // as a person's
}

// keep remembers what was known before the first click of a mail.
func (u *undos) keep(about DeliveryID, box *Mailbox, last uint32, now time.Time) {
	if about.Message.IsZero() {
		return
	}
	if was, ok := u.of.Get(about); ok && now.Sub(was.at) < undoFor {
		return
	}
	u.of.Add(about, undo{at: now, profile: box.Profile, last: last})
}

// follow notes that the same mail has taught something else.
func (u *undos) follow(about DeliveryID, before, after []byte) {
	if was, ok := u.of.Get(about); ok && (was.after == nil || bytes.Equal(was.after, before)) {
		was.after = after
		u.of.Add(about, was)
	}
}

// clicked notes a click that may have to be taken back.
func (u *undos) clicked(about DeliveryID, c undone) {
	if was, ok := u.of.Get(about); ok && len(was.clicks) < keptMarks {
		was.clicks = append(was.clicks, c)
		u.of.Add(about, was)
	}
}

// retract takes back what clicks of a mail counted and taught within the last minute,
// and reports whether there was any. The same clicks may come again, then from the
// reader. Where the mailbox has learned or forgotten something else meanwhile, the
// profile stays: it would come to lack that, or to know it again.
func (t *turn) retract(about DeliveryID, h *heard) bool {
	was, ok := t.g.undo.of.Get(about)
	if !ok || t.now.Sub(was.at) > undoFor {
		return false
	}
	t.g.undo.of.Remove(about)
	counted, ours := false, false
	var marks []uint32
	for _, c := range was.clicks {
		marks = append(marks, c.mark)
		if c.counted {
			counted = h.did.unclicked(c.at) || counted
			ours = ours || h.did.click.last == unixSeconds(c.at)
		}
	}
	if ours {
		h.did.click.last = was.last
	}
	h.drop(marks)
	if was.after == nil || !bytes.Equal(was.after, t.box.Profile) {
		return counted
	}
	before := new(scheduler.Profile)
	if len(was.profile) > 0 {
		if _, err := before.UnmarshalBinary(was.profile); err != nil {
			return counted
		}
	}
	t.known = before
	t.keepProfile()
	return true
}
