package gateway

import (
	"encoding/binary"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"tidepost/scheduler"
)

// profile returns what is known of the mailbox's owner, decoded once a turn. One
// that cannot be read knows nothing: without a profile mail goes by the gates
// (design rule 4).
func (t *turn) profile() *scheduler.Profile {
	if t.known != nil {
		return t.known
	}
	t.known = new(scheduler.Profile)
	if len(t.box.Profile) == 0 {
		return t.known
	}
	if _, err := t.known.UnmarshalBinary(t.box.Profile); err != nil {
		t.g.log().Error("a profile cannot be read; it starts anew", "mailbox", t.box.Key.String(), "error", err)
		*t.known = scheduler.Profile{}
	}
	return t.known
}

// Facts are what is known of a mailbox's owner, in plain numbers; false where that
// is nothing.
func (g *Gateway) Facts(box *Mailbox, tenant string) (scheduler.Facts, bool) {
	var p scheduler.Profile
	if len(box.Profile) == 0 {
		return scheduler.Facts{}, false
	}
	if _, err := p.UnmarshalBinary(box.Profile); err != nil {
		return scheduler.Facts{}, false
	}
	return p.Facts(g.model(tenant), g.now()), true
}

// keepProfile stores what the turn's profile has learned.
func (t *turn) keepProfile() { t.head().Profile = t.known.AppendBinary(nil) }

// sent teaches the profile that a delivery has reached its reader's mailbox.
func (t *turn) sent(n *Delivery) {
	sees := t.g.sees(t.box, n)
	t.profile().Sent(t.g.model(n.Tenant), t.box.Location(), scheduler.Sent{
		At: t.now, Ref: slotRef(n), Topic: topic(n), Pressure: pressure(n.Class),
		Observable: n.Class.Bulk() && sees < scheduler.SeesNone, Sees: sees,
	})
	t.keepProfile()
	if !n.Class.Bulk() {
		return
	}
	t.g.heard.delivered(t.now)
	returns := t.g.model(n.Tenant).Observed // opens and clicks of this tenant come back at all
	t.heard().did.sent(t.now, returns && (sees == scheduler.SeesFull || sees == scheduler.SeesDay) && !t.profile().OpensHidden(), returns && sees <= scheduler.SeesClick)
	t.keepHeard()
}

// sees is what may be learned from a delivery: what the operator's policy, its
// sender and its reader all permit.
func (g *Gateway) sees(box *Mailbox, d *Delivery) scheduler.Sees {
	return max(g.Rules(d.Tenant).SeesOf(d.List), d.Sees, box.Wishes.Sees)
}

// SeesOf is what the operator lets us learn from a list's mail.
func (r *Rules) SeesOf(list string) scheduler.Sees {
	return max(r.Sees, r.ListSees[strings.ToLower(list)])
}

// heed makes a policy obey what the reader asked for.
func heed(p *scheduler.Policy, box *Mailbox) {
	if n := int(box.Wishes.PerWeek); n > 0 && (p.WeeklyCap == 0 || n < p.WeeklyCap) {
		p.WeeklyCap = n
	}
}

// topic is what a reader's interest is kept apart by: the list, or else the class.
func topic(d *Delivery) uint32 {
	h := fnv.New32a()
	if d.List != "" {
		h.Write([]byte(d.List))
	} else {
		h.Write([]byte(d.Class.String()))
	}
	return h.Sum32()
}

// pressure is what a mail of a class weighs on its reader (decision model §4.2).
func pressure(c Class) float32 {
	return [...]float32{Transactional: 0.1, Triggered: 0.4, Newsletter: 0.6, Promotional: 1}[min(c, Promotional)]
}

// draw is the mailbox's hash that decides its arm and what is explored.
func (k Key) draw() uint64 { return binary.LittleEndian.Uint64(k[8:]) }

// arm is the arm of a mailbox's bulk mail for a tenant, and the named experiment
// that it is in for, if any.
func (g *Gateway) arm(tenant string, k Key, now time.Time) (arm scheduler.Arm, named string) {
	rules := g.Rules(tenant)
	if len(rules.Experiments) > 0 && g.live(&Delivery{Tenant: tenant, Class: Promotional}, rules) {
		if e, place := g.drawn(rules, tenant, k, now); e != nil {
			return scheduler.Arm(place.Arm), e.Name
		}
	}
	return scheduler.Arm(rules.Arms.Of(g.Salt, k.draw(), now)), ""
}

// doomed reports whether the plan before would have dropped the delivery.
func doomed(d *Delivery) bool {
	x, err := d.Why()
	return err == nil && !x.At.IsZero() && x.Would == scheduler.Drop
}

// Why decodes the decision stored with the delivery; the zero one where there is
// none.
func (d *Delivery) Why() (scheduler.Decision, error) {
	var x scheduler.Decision
	if len(d.Decision) == 0 {
		return x, nil
	}
	_, err := x.UnmarshalBinary(d.Decision)
	return x, err
}

func (r *Rules) sensitive(list string) bool {
	return list != "" && slices.Contains(r.Sensitive, list)
}
