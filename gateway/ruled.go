package gateway

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"tidepost/scheduler"
	"tidepost/scheduler/interest"
	"tidepost/suppression/rules"
)

// ruled asks the admin's rules about a delivery. The zero verdict: there are none, or
// the mail is transactional.
func (t *turn) ruled(n *Delivery) rules.Verdict {
	set := t.g.Rulebook().set
	if set == nil || n.Class == Transactional || n.Forced {
		return rules.Verdict{}
	}
	f := t.facts(n)
	v := set.Evaluate(&f)
	if len(v.Tripped) > 0 {
		tripped := v.Tripped
		t.then(func() { go t.g.trip(set, tripped) })
	}
	return v
}

// facts are what rules may ask about a delivery now.
func (t *turn) facts(n *Delivery) rules.Facts {
	g := t.g
	h := t.heard()
	f := rules.Facts{Tenant: n.Tenant, Now: t.now.In(t.where(n))}
	f.Message = rules.Message{Class: n.Class.String(), Campaign: n.Campaign, List: n.List, Size: n.Size, Value: float64(n.Value), Age: t.now.Sub(n.Accepted)}
	m := g.rulebooks.messages.of(g.Store, n)
	f.Message.Subject, f.Message.Tags, f.Mailbox.Attributes = m.subject, m.tags, m.attributes
	local, domain, _ := strings.Cut(t.box.Address, "@")
	f.Mailbox.Local, f.Mailbox.Domain, f.Mailbox.Provider = local, domain, provider(domain)
	sees := g.sees(t.box, n)
	h.did.facts(&f.Mailbox, t.now, sees)
	f.Mailbox.DomainSends, f.Mailbox.DomainBounces = g.domains.week(domain, t.now)
	if len(t.box.Profile) > 0 && sees <= scheduler.SeesClick && !g.Rules(n.Tenant).sensitive(n.List) {
		p, m, at := &t.profile().Interest, g.model(n.Tenant).Interest, t.now.Unix()
		f.Mailbox.Modelled, f.Mailbox.Tolerance = true, float64(p.Tolerance(m))
		f.Mailbox.Fatigue = float64(p.Pressure(m, at, 0)) * f.Mailbox.Tolerance
		f.Mailbox.Interest = float64(p.Read(m, interest.Mail{At: at, Topic: topic(n), Weight: pressure(n.Class)}))
	}
	return f
}

// record is what the first plan of a delivery rested on and came to, for the back-test
// of rules; nil where rules have no say.
func (t *turn) record(n *Delivery, p *scheduler.Plan) []byte {
	if n.Class == Transactional {
		return nil
	}
	d := rules.Decision{ID: n.ID.String(), Mailbox: t.box.Key.draw(), Facts: t.facts(n), Propensity: float64(p.Decision.Propensity)}
	if !p.Decision.At.IsZero() {
		d.Arm = p.Decision.Arm.String()
	}
	if !p.Decision.Live {
		d.Propensity = 1 // what was drawn by lot was only noted
	}
	switch {
	case p.Action == scheduler.Drop:
		d.Happened = rules.Dropped
	case p.Action == scheduler.Hold && p.Reason == scheduler.QuietHours:
		d.Happened = rules.Moved
	case p.Action == scheduler.Hold:
		d.Happened = rules.Held
	}
	b, err := d.AppendBinary(nil)
	if err != nil {
		return nil // a clock before 1970
	}
	return b
}

// where is the mailbox's time zone, or the policy's where that is not known.
func (t *turn) where(n *Delivery) *time.Location {
	if z := t.box.Location(); z != nil {
		return z
	}
	if z := t.g.Rules(n.Tenant).Zone; z != nil {
		return z
	}
	return time.UTC
}

// open is the instant from which on a verdict lets the mailbox's mail through, and
// why: never past the end of its hold, where rules have no say any more.
func (t *turn) open(n *Delivery, v *rules.Verdict) (at time.Time, why string) {
	later := func(until time.Time, rule string) {
		if until.After(at) {
			at, why = until, rule
		}
	}
	if v.Kind == rules.Hold {
		later(v.Until, v.Rule)
	}
	if n.Slot.IsZero() { // else it is a retry, and the slot that closes them its own
		for _, c := range v.Caps {
			later(t.box.Gates.Opens(c.N, c.Window, t.now), c.Rule)
		}
		if v.MinGap > 0 {
			later(t.box.Gates.Opens(1, v.MinGap, t.now), gapRule(v))
		}
	}
	where := t.where(n)
	for _, q := range v.Quiet {
		if q.Covers(t.now.In(where)) {
			later(quietEnd(q, t.now, where), q.Rule)
		}
	}
	if at.IsZero() || !at.After(t.now) {
		return time.Time{}, ""
	}
	return at, why
}

// gapRule names the rule whose gap is the longest.
func gapRule(v *rules.Verdict) string {
	for _, f := range v.Fired {
		if f.Action.Kind == rules.MinGap && f.Action.For == v.MinGap {
			return f.Rule
		}
	}
	return ""
}

// quietEnd is when a stretch that covers an instant is over.
func quietEnd(q rules.Span, now time.Time, where *time.Location) time.Time {
	return scheduler.QuietMinutes(q.From, q.To).Until(now, where)
}

// bend applies a verdict to what the scheduler is asked: a hold is a not-before.
func (t *turn) bend(it *scheduler.Item, n *Delivery, v *rules.Verdict) {
	rank(it, v)
	at, _ := t.open(n, v)
	if end := n.Accepted.Add(t.g.hold(n)); at.After(end) {
		at = end
	}
	it.NotBefore = later(it.NotBefore, at)
}

// rank applies the priority of a verdict. It never makes mail so urgent that it
// passes the gates.
func rank(it *scheduler.Item, v *rules.Verdict) {
	if v.Priority != 0 {
		it.Priority = int8(min(max(int(it.Priority)+v.Priority, -9), urgentPriority-1))
	}
}

// hold is how long a delivery may be held.
func (g *Gateway) hold(d *Delivery) time.Duration {
	if d.Window > 0 {
		return d.Window
	}
	return g.Rules(d.Tenant).MaxHold
}

// firedDetail is what the event of a held or dropped delivery tells of the rules.
type firedDetail struct {
	Rule    string            `json:"rule"`
	Version int               `json:"rule_version"`
	Action  string            `json:"action"`
	Values  map[string]string `json:"values,omitempty"`
}

// ruleDetail words the rule that a verdict follows; "" where none decided.
func ruleDetail(v *rules.Verdict, rule string) string {
	for _, f := range v.Fired {
		if f.Rule != rule {
			continue
		}
		d := firedDetail{Rule: f.Rule, Version: f.Version, Action: f.Action.String(), Values: map[string]string{}}
		for _, x := range f.Values {
			d.Values[x.Name] = x.Text
		}
		text, _ := json.Marshal(d) // a struct of plain fields
		return string(text)
	}
	return ""
}

// reasonRule is the reason of what rules hold or drop.
const reasonRule scheduler.Reason = "rule"

const ruleDrop = rules.Drop // where rules are an operator's policy

// Judge asks the rules about a waiting delivery as it is now, for people.
func (g *Gateway) Judge(box *Mailbox, d *Delivery) rules.Verdict {
	copied := *box
	t := &turn{g: g, now: g.now(), box: &copied, change: &Change{}}
	return t.ruled(d)
}

// messageFacts remembers what rules may ask of messages and deliveries do not say.
type messageFacts struct {
	cache *lru.Cache[ID, aboutMessage]
}

type aboutMessage struct {
	subject    string
	tags       []string
	attributes map[string]string
	list       string
	sees       scheduler.Sees // what the message lets us learn from
}

const messageFactsSize = 10_000

// put remembers a message, once for all of its recipients.
func (c *messageFacts) put(m *Message) aboutMessage {
	if a, ok := c.cache.Get(m.ID); ok {
		return a
	}
	a := aboutMessage{subject: m.Subject, tags: slices.Clone(m.Tags), attributes: attributes(m.Attributes), list: m.List}
	a.sees, _ = scheduler.ParseSees(m.Evidence) // "" and what is none: all
	c.cache.Add(m.ID, a)
	return a
}

// of returns what is known of a delivery's message; one that cannot be read has no
// subject.
func (c *messageFacts) of(store Store, d *Delivery) aboutMessage {
	if a, ok := c.cache.Get(d.ID.Message); ok {
		return a
	}
	stored, err := store.Body(context.Background(), d.Ref)
	if err != nil {
		return aboutMessage{}
	}
	defer stored.Close()
	return c.put(stored.Message)
}

// attributes are the plain values of X-Tidepost-Profile.
func attributes(text string) map[string]string {
	var raw map[string]any
	if text == "" || json.Unmarshal([]byte(text), &raw) != nil {
		return nil
	}
	out := make(map[string]string, len(raw))
	for k, v := range raw {
		switch v := v.(type) {
		case string:
			out[k] = v
		case float64, bool:
			b, _ := json.Marshal(v) // a plain value
			out[k] = string(b)
		}
	}
	return out
}
