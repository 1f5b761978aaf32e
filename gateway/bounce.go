package gateway

import (
	"strings"
	"time"
	"unicode"

	"tidepost/suppression"
)

// Gone reports whether an enhanced status code says that there is no such mailbox, or
// none any more (RFC 3463 §3.2, RFC 7505 §4.2). Others refuse this mail, or us.
func Gone(status string) bool {
	switch status {
	case "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10":
		return true
	}
	return false
}

// provisional is how long an address stays suppressed whose provider says of
// everybody that they do not exist.
const provisional = 24 * time.Hour

// bounceSource marks the entries that bounces made; the domain is behind it.
const bounceSource = "bounce:"

// bounced suppresses the address of a delivery that failed, where that is about the
// address: for good where there is no such mailbox, for a while where it has failed
// again and again.
func (t *turn) bounced(n *Delivery, o Outcome) {
	if n.State != Bounced || !t.g.Rules(n.Tenant).SuppressBounces {
		return
	}
	if strings.HasPrefix(o.Status, "5.7.") {
		return // it is us that they refuse, not the address
	}
	if o.Kind != OutcomeFailed || !Gone(o.Status) {
		t.softBounce(n.Reply, suppression.Scope{})
		return
	}
	e := suppression.Entry{Address: t.box.Address, Reason: suppression.HardBounce, Evidence: shorten(n.Reply, 500), Created: t.now}
	t.suspect(&e)
	if t.entry(&e) == nil {
		t.enter(e, "added")
		t.dropSuppressed(true)
	}
}

// suspect counts a hard bounce of the address's domain. Where it says so of everybody,
// it is believed for a while only.
func (t *turn) suspect(e *suppression.Entry) {
	at := domain(t.box.Address)
	e.Source = bounceSource + at
	t.g.domains.count(at, true, t.now)
	if t.g.domains.outage(at, t.now) {
		e.Expires = t.now.Add(provisional)
		e.Note = "provisional: so many addresses of the domain bounce today that it may be its own trouble"
	}
}

// Soft bounces suppress an address from the third within a month on, each time for
// twice as long as before.
const (
	softWithin = 30 * 24 * time.Hour
	softMany   = 3
	softFirst  = 24 * time.Hour
	softMost   = 30 * 24 * time.Hour
)

func (t *turn) softBounce(evidence string, reach suppression.Scope) {
	h := t.heard()
	if t.now.Sub(instant(h.did.lastSoft)) > softWithin {
		h.did.softs = 0
	}
	bump(&h.did.softs)
	h.did.lastSoft = unixSeconds(t.now)
	t.keepHeard()
	if h.did.softs < softMany {
		return
	}
	length := min(softFirst<<min(h.did.softs-softMany, 10), softMost)
	t.enter(suppression.Entry{Address: t.box.Address, Scope: reach, Reason: suppression.SoftBounce, Source: bounceSource + domain(t.box.Address),
		Evidence: shorten(evidence, 500), Created: t.now, Expires: t.now.Add(length)}, "added")
	t.dropSuppressed(true)
}

// took notes that the next hop takes mail for an address.
func (t *turn) took() {
	t.g.domains.count(domain(t.box.Address), false, t.now)
	if len(t.box.Heard) > 0 && t.heard().did.softs > 0 && t.arrived() {
		t.ears.did.softs = 0
		t.keepHeard()
	}
}

// arrived reports whether a mail has arrived since the last soft bounce. The one that is
// taken now tells nothing yet: a relay takes everything, and its bounce comes after.
func (t *turn) arrived() bool {
	soft, sent := instant(t.heard().did.lastSoft), 0
	for i := range t.box.Gates.Len() {
		if at := t.box.Gates.Send(i).At; at.After(soft) && !at.After(t.now) {
			sent++
		}
	}
	return sent > 1
}

// held reports whether a temporary bounce is held against the address.
func (s *Signal) held() bool {
	return s.Bounce == nil || s.Bounce.Group == "" || s.Bounce.Group.Counts()
}

// evidence is what an entry keeps as its reason.
func (s *Signal) evidence() string {
	if s.Bounce == nil || s.Bounce.Text == "" {
		return s.Message
	}
	return strings.Map(printable, s.Bounce.Text)
}

// printable keeps line ends and the like, which an entry may not have, out of it.
func printable(r rune) rune {
	if unicode.IsControl(r) {
		return ' '
	}
	return r
}

// shorten cuts a text, but no letter of it.
func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}
