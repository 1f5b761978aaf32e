package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler/experiment"
)

// experimentsDoc is the answer of GET /api/v1/experiments.
type experimentsDoc struct {
	Since   time.Time           `json:"since,omitzero"` // oldest event that was counted
	Until   time.Time           `json:"until"`
	OneIn   int                 `json:"one_in"` // mailboxes counted: 1 in so many
	Tenants []tenantExperiments `json:"tenants"`
	Notes   []string            `json:"notes"`
	Mode    string              `json:"mode,omitempty"`
	Warning string              `json:"warning,omitempty"`
}

// tenantExperiments is what is known of one tenant's arms.
type tenantExperiments struct {
	experiment.Report
	PolicyMode string             `json:"policy_mode"`
	Shares     map[string]float64 `json:"shares"` // percent, by arm
}

// experiments answers GET /api/v1/experiments.
func (s *Server) experiments(c *call) (any, error) {
	q, err := c.query("tenant", "progress")
	if err != nil {
		return nil, err
	}
	j, err := s.journal()
	if err != nil {
		return nil, err
	}
	return s.long(c, q.Get("progress") == "true", func(tell func(float64)) (any, error) {
		return s.makeExperiments(c.Context(), j, q.Get("tenant"), tell)
	})
}

// counted is what was counted so far; the next request goes on from there, so that
// history is read once.
type counted struct {
	fold   *experimentFold
	cursor gateway.Cursor
}

func (s *Server) makeExperiments(ctx context.Context, j gateway.Journal, tenant string, tell func(float64)) (*experimentsDoc, error) {
	now := s.now()
	if err := s.countArms(ctx, j, tell); err != nil {
		return nil, err
	}
	f := s.counted.fold
	doc := &experimentsDoc{Since: utc(f.begins), Until: utc(now), OneIn: f.oneIn(), Tenants: []tenantExperiments{}, Notes: []string{}, Mode: s.info().Mode}
	doc.Warning = warning(doc.Mode)
	tallies := f.tallies()
	if err := s.stopExperiments(ctx, tallies); err != nil {
		return nil, err
	}
	for _, name := range s.experimenters(tallies) {
		if tenant == "" || name == tenant {
			doc.Tenants = append(doc.Tenants, s.tenantExperiments(tallies, name, f.signals[name])...)
		}
	}
	doc.note(f)
	return doc, nil
}

// countArms counts what history tells since the last time.
func (s *Server) countArms(ctx context.Context, j gateway.Journal, tell func(float64)) error {
	now := s.now()
	if s.counted.fold == nil {
		s.counted.fold, s.counted.cursor = newExperimentFold(s.Gateway.Rules), gateway.Cursor{}
	}
	f := s.counted.fold
	cursor, err := readJournal(ctx, j, s.counted.cursor, f.visit, func(at time.Time) { tell(share(at.Sub(f.begins), now.Sub(f.begins))) })
	s.counted.cursor = cursor // what was read before an error is counted
	return err
}

// experimenters are the tenants that have counts or a policy.
func (s *Server) experimenters(t *experiment.Tallies) []string {
	names := t.Tenants()
	if s.Tenants != nil {
		names = append(names, s.Tenants()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (s *Server) tenantExperiments(t *experiment.Tallies, name string, signals int64) []tenantExperiments {
	rules := s.Gateway.Rules(name)
	live := s.liveNow(name, rules)
	var out []tenantExperiments
	for _, label := range s.namedExperiments(t, name) {
		shares, random, about := sharesOf(rules), false, []string(nil)
		if label != "" {
			e := configured(rules, label)
			if about = s.tellExperiment(name, e); e != nil {
				shares, random = e.Arms, e.Caps
			} else {
				shares, random = experiment.Shares{}, true
			}
		}
		doc := tenantExperiments{Report: t.Report(name, label, experiment.Rule{}), PolicyMode: gateway.ModeWord(live), Shares: byArm(shares)}
		standing := standingSentences(live, random || shares.Randomised(), signals)
		doc.Sentences = slices.Concat(about, standing, doc.Sentences)
		out = append(out, doc)
	}
	return out
}

func byArm(shares experiment.Shares) map[string]float64 {
	percent := map[string]float64{}
	for a, share := range shares {
		if share > 0 {
			percent[experiment.Arm(a).String()] = share
		}
	}
	return percent
}

// standingSentences say why there may be nothing to say.
func standingSentences(live, random bool, signals int64) (out []string) {
	switch {
	case !live:
		out = append(out, "The mode is observe: arms act in live only, so that nothing is randomised now.")
	case !random:
		out = append(out, "Randomisation is off: policy.arms gives everything to one arm, and nothing can be compared.")
	}
	if signals == 0 {
		out = append(out, "No click or read has come back from anybody: there is no outcome to compare.")
	}
	return out
}

func (s *Server) liveNow(tenant string, rules *gateway.Rules) bool {
	for _, scope := range [...]gateway.ModeScope{{Tenant: tenant}, {}} {
		for _, m := range s.Gateway.Modes() {
			if m.Scope() == scope {
				return m.Live
			}
		}
	}
	return rules.Live
}

func sharesOf(rules *gateway.Rules) experiment.Shares {
	s := rules.Arms
	if s == (experiment.Shares{}) {
		s[experiment.Model] = 100
	}
	return s
}

func (d *experimentsDoc) note(f *experimentFold) {
	if !f.begins.IsZero() {
		d.Notes = append(d.Notes, "Counted from the history that is kept, since "+at(f.begins)+".")
	} else {
		d.Notes = append(d.Notes, "There is no history yet.")
	}
	if d.OneIn > 1 {
		d.Notes = append(d.Notes, fmt.Sprintf("There are many mailboxes: 1 in %d is counted, chosen by hash.", d.OneIn))
	}
}

// experimentFold counts mailbox-weeks. Mailboxes are spread over buckets by hash;
// where there are more than fit, half of the buckets are given up, which leaves a
// sample that no arm has a say in.
type experimentFold struct {
	rules   func(tenant string) *gateway.Rules
	begins  time.Time
	buckets []bucket
	known   int // mailboxes in all buckets
	most    int // of them
	groups  []group
	numbers map[group]uint32
	of      map[string][]uint32 // numbers of a tenant's groups
	signals map[string]int64    // clicks and reads by people, by tenant
}

// group is those who are compared with one another.
type group struct {
	tenant     string
	experiment string // "": the standing holdout
}

type bucket struct {
	units   map[unitKey][experiment.UnitSize]byte
	tallies experiment.Tallies
}

type unitKey struct {
	mailbox gateway.Key
	group   uint32 // number of it
}

const (
	maxUnits   = 500_000
	allBuckets = 256
)

func newExperimentFold(rules func(string) *gateway.Rules) *experimentFold {
	return &experimentFold{rules: rules, buckets: make([]bucket, allBuckets), most: maxUnits,
		numbers: map[group]uint32{}, of: map[string][]uint32{}, signals: map[string]int64{}}
}

func (f *experimentFold) oneIn() int { return allBuckets / len(f.buckets) }

func (f *experimentFold) tallies() *experiment.Tallies {
	var all experiment.Tallies
	for i := range f.buckets {
		all.Merge(&f.buckets[i].tallies)
	}
	return &all
}

func (f *experimentFold) visit(e *gateway.Event) {
	if f.begins.IsZero() {
		f.begins = e.At
	}
	switch e.Kind {
	case gateway.EventAccepted, gateway.EventDelivered, gateway.EventDropped, gateway.EventSuppressed, gateway.EventBounced:
		switch d := e.Delivery; {
		case d == nil || !d.Class.Bulk():
		case e.Kind == gateway.EventAccepted:
			f.accepted(e, d)
		default:
			f.delivery(e.Kind, d, e.At)
		}
	case gateway.EventOpened, gateway.EventClicked, gateway.EventUnsubscribed, gateway.EventComplained, gateway.EventBounceTold:
		if h, ok := hear(e); ok {
			f.signal(e.Kind, &h, e.At)
		}
	}
}

// accepted counts a mailbox where it was drawn to.
func (f *experimentFold) accepted(e *gateway.Event, d *gateway.Delivery) {
	planned := d.ID.Message.Time()
	drawn, named := e.Drawn()
	f.unit(f.number(d.Tenant, drawn.Label()), d.Mailbox, true, func(u *experiment.Unit, add func(experiment.Fact)) {
		if d.Reason == "suppressed" {
			add(u.Stopped(planned))
			return
		}
		arm, shares := f.decided(d)
		if named {
			shares = drawn.Arms
		}
		add(u.Planned(planned, arm, shares))
	})
}

// decided is the arm that a delivery was decided in.
func (f *experimentFold) decided(d *gateway.Delivery) (experiment.Arm, experiment.Shares) {
	why, err := d.Why()
	if err != nil || why.At.IsZero() || !why.Live {
		return experiment.Outside, experiment.Shares{}
	}
	return experiment.Arm(why.Arm), sharesOf(f.rules(d.Tenant))
}

func (f *experimentFold) delivery(kind gateway.EventKind, d *gateway.Delivery, at time.Time) {
	planned := d.ID.Message.Time()
	f.units(d.Tenant, d.Mailbox, func(u *experiment.Unit, add func(experiment.Fact)) {
		switch kind {
		case gateway.EventDelivered:
			add(u.Sent(planned, at.Sub(d.Accepted)))
		case gateway.EventBounced:
			add(u.Did(experiment.Bounced, planned))
		default:
			add(u.Dropped(planned))
		}
	})
}

func (f *experimentFold) signal(kind gateway.EventKind, h *heard, at time.Time) {
	planned := h.planned(at)
	told := kind == gateway.EventOpened || kind == gateway.EventClicked
	if told && !h.human {
		return
	}
	known := false
	f.units(h.tenant, h.mailbox, func(u *experiment.Unit, add func(experiment.Fact)) {
		known = true
		switch kind {
		case gateway.EventUnsubscribed:
			add(u.Did(experiment.Unsubscribed, planned))
		case gateway.EventComplained:
			add(u.Did(experiment.Complained, planned))
		case gateway.EventBounceTold:
			add(u.Did(experiment.Bounced, planned))
		default:
			add(u.Did(experiment.Read, planned)) // who clicks has read
			if kind == gateway.EventClicked {
				add(u.Did(experiment.Clicked, planned))
			}
		}
	})
	if told && known {
		f.signals[h.tenant]++
	}
}

// units changes what is kept of a mailbox in all groups that it ever was in: each
// knows by itself whether it was in when the mail was planned. In the week of a
// change from one to another it counts in both.
func (f *experimentFold) units(tenant string, mailbox gateway.Key, change func(u *experiment.Unit, add func(experiment.Fact))) {
	for _, group := range f.of[tenant] {
		f.unit(group, mailbox, false, change)
	}
}

// unit changes what is kept of a mailbox in a group; where there is nothing that is
// begun only if asked.
func (f *experimentFold) unit(group uint32, mailbox gateway.Key, begin bool, change func(u *experiment.Unit, add func(experiment.Fact))) {
	i := int(mailbox[len(mailbox)-1])
	if i >= len(f.buckets) {
		return
	}
	b, key, g := &f.buckets[i], unitKey{mailbox, group}, f.groups[group]
	kept, known := b.units[key]
	if !known && !begin {
		return
	}
	u := f.unpack(kept, known)
	if !known && g.experiment != "" {
		standing, ok := b.units[unitKey{mailbox, f.number(g.tenant, "")}]
		u = f.unpack(standing, ok)
		u = u.Elsewhere()
	}
	change(&u, func(fact experiment.Fact) {
		fact.Tenant, fact.Experiment = g.tenant, g.experiment
		b.tallies.Add(fact)
	})
	u.AppendBinary(kept[:0])
	if b.units == nil {
		b.units = map[unitKey][experiment.UnitSize]byte{}
	}
	b.units[key] = kept
	if !known {
		f.known++
		f.shrink()
	}
}

func (f *experimentFold) unpack(kept [experiment.UnitSize]byte, known bool) (u experiment.Unit) {
	if known && u.UnmarshalBinary(kept[:]) != nil { // we wrote it ourselves
		u = experiment.Unit{}
	}
	return u
}

// number keeps a group's names once, apart from the event that they came in.
func (f *experimentFold) number(tenant, named string) uint32 {
	g := group{tenant, named}
	n, ok := f.numbers[g]
	if !ok {
		n, g = uint32(len(f.groups)), group{strings.Clone(tenant), strings.Clone(named)}
		f.groups = append(f.groups, g)
		f.numbers[g] = n
		f.of[g.tenant] = append(f.of[g.tenant], n)
	}
	return n
}

// shrink gives up half of the buckets while there are too many mailboxes.
func (f *experimentFold) shrink() {
	for f.known > f.most && len(f.buckets) > 1 {
		half := len(f.buckets) / 2
		for i := half; i < len(f.buckets); i++ {
			f.known -= len(f.buckets[i].units)
		}
		clear(f.buckets[half:])
		f.buckets = f.buckets[:half]
	}
}
