package gateway

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"tidepost/scheduler"
	"tidepost/scheduler/experiment"
	"tidepost/scheduler/interest"
)

const (
	// maxTrials is how many mailboxes of a tenant are looked at to learn what people
	// bear; where there are more, their hash decides.
	maxTrials = 20_000
	// fewTrials are too few to keep a part of them out of the fit.
	fewTrials = 200
	// trialBatch is how many events are read at a time.
	trialBatch = 4096
)

// trials are the mailboxes of one tenant whose weekly cap was drawn by lot, as
// history tells of them.
type trials struct {
	of    map[Key]*trial
	halve uint // mailboxes whose hash has so many zeros at its end are kept
}

// trial is what became of one mailbox. Its weeks are counted by what was assigned,
// whether it was sent or not: what somebody does cannot change on which side they
// count.
type trial struct {
	week, began, ended uint16
	mails              int // of week
	cap, most          int // of week: drawn, and the operator's
	usual, assigned    int // mails under most and under cap, of the weeks before
	pressure           float64
	all                int // mails that pressure is of
	reads              int
	unsubscribes       int
	complaints         int
	why                Why       // what its owner said last of leaving
	last               [4]uint64 // mails read last: each counts once
}

// accepted counts a mail that was assigned to the mailbox.
func (t *trial) accepted(d *Delivery, drawn Drawn) {
	week := scheduler.WeekOf(d.ID.Message.Time())
	if t.all == 0 {
		t.week, t.began = week, week
	}
	if week != t.week {
		t.close()
		t.week = week
	}
	t.ended = max(t.ended, week)
	t.cap, t.most = drawn.Cap, drawn.Most
	t.mails++
	t.all++
	t.pressure += float64(pressure(d.Class))
}

// close takes the week into the sums.
func (t *trial) close() {
	t.usual += min(t.mails, t.most)
	t.assigned += min(t.mails, t.cap)
	t.mails = 0
}

// did counts what the mailbox's owner did.
func (t *trial) did(kind EventKind, about uint64) {
	switch kind {
	case EventUnsubscribed:
		t.unsubscribes++
	case EventComplained:
		t.complaints++
	default:
		if about == 0 || slices.Contains(t.last[:], about) {
			return
		}
		copy(t.last[1:], t.last[:])
		t.last[0] = about
		t.reads++
	}
}

// sample is the trial as a fit takes it; false: nothing was assigned.
func (t trial) sample() (interest.CapSample, bool) {
	t.close()
	if t.usual == 0 || t.ended < t.began {
		return interest.CapSample{}, false
	}
	if !t.why.Fatigue() {
		t.unsubscribes = 0 // who leaves for what the mail is about says nothing of how much of it is borne
	}
	weeks := float64(t.ended-t.began) + 1
	return interest.CapSample{
		Cap:     float32(t.assigned) / float32(t.usual),
		Load:    float32(t.pressure / float64(t.all) * float64(t.usual) / weeks),
		Offered: float32(t.usual), Reads: t.reads, Unsubscribes: t.unsubscribes, Complaints: t.complaints,
	}, true
}

// visit takes in one event of the tenant.
func (t *trials) visit(e *Event) {
	if drawn, ok := e.Drawn(); ok && drawn.Cap > 0 {
		if x := t.trial(e.Delivery.Mailbox, true); x != nil {
			x.accepted(e.Delivery, drawn)
		}
		return
	}
	var detail SignalDetail
	switch e.Kind {
	case EventOpened, EventClicked, EventUnsubscribed, EventComplained, EventConsent:
	default:
		return
	}
	if json.Unmarshal([]byte(e.Detail), &detail) != nil {
		return
	}
	if did := e.Kind == EventOpened || e.Kind == EventClicked; did && detail.Human < 0.5 {
		return // a machine, more likely
	}
	var k Key
	if key, err := hex.DecodeString(detail.Mailbox); err != nil || copy(k[:], key) != len(k) {
		return
	}
	about, _ := ParseDeliveryID(detail.Delivery)
	x := t.trial(k, false)
	if x == nil {
		return
	}
	if detail.Why != "" {
		x.why = detail.Why
	}
	if e.Kind != EventConsent {
		x.did(e.Kind, hashUnlessZero(about))
	}
}

func hashUnlessZero(id DeliveryID) uint64 {
	if id.Message.IsZero() {
		return 0
	}
	return id.Hash()
}

// trial is that of a mailbox, or nil. Where there are too many a part is given up
// that no lot has a say in.
func (t *trials) trial(k Key, begin bool) *trial {
	if k.draw()&(1<<t.halve-1) != 0 {
		return nil
	}
	x := t.of[k]
	if x != nil || !begin {
		return x
	}
	if t.of == nil {
		t.of = map[Key]*trial{}
	}
	x = new(trial)
	t.of[k] = x
	for len(t.of) > maxTrials {
		t.halve++
		for k := range t.of {
			if k.draw()&(1<<t.halve-1) != 0 {
				delete(t.of, k)
			}
		}
	}
	if t.of[k] == nil {
		return nil
	}
	return x
}

// samples are split by hash into those that are fitted and those that are kept out.
func (t *trials) samples() (fit, out []interest.CapSample) {
	keys := make([]Key, 0, len(t.of))
	for k := range t.of {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b Key) int { return cmp.Compare(a.draw(), b.draw()) })
	for _, k := range keys {
		s, ok := t.of[k].sample()
		switch {
		case !ok:
		case k.draw()>>40%5 == 0:
			out = append(out, s)
		default:
			fit = append(fit, s)
		}
	}
	return fit, out
}

// refitTolerance learns from the caps that experiments draw by lot how much mail
// people bear, for every tenant that has such an experiment.
func (g *Gateway) refitTolerance(ctx context.Context) error {
	j, ok := g.Store.(Journal)
	if !ok {
		return nil
	}
	found := map[string]*trials{}
	g.models.of.Range(func(name, _ any) bool {
		tenant := name.(string)
		if slices.ContainsFunc(g.Rules(tenant).Experiments, func(e experiment.Experiment) bool { return e.Caps && !g.now().Before(e.Starts) }) {
			found[tenant] = new(trials)
		}
		return true
	})
	if len(found) == 0 {
		return nil
	}
	if err := readTrials(ctx, j, found); err != nil {
		return fmt.Errorf("reading the history: %w", err)
	}
	for tenant, t := range found {
		fit, out := t.samples()
		before, after, adopted := g.models.tenant(tenant).refitTolerance(g.models.builtIn.Interest, fit, out)
		g.log().Info("what people bear was fitted anew", "tenant", tenant, "mailboxes", len(fit)+len(out),
			"log_loss_before", before, "log_loss_after", after, "adopted", adopted)
	}
	return nil
}

// readTrials goes over the whole history that is kept.
func readTrials(ctx context.Context, j Journal, found map[string]*trials) error {
	for at := (Cursor{}); ; {
		events, next, err := j.ReadEvents(ctx, at, trialBatch)
		if err != nil || len(events) == 0 {
			return err
		}
		at = next
		for i := range events {
			if t := found[events[i].tenant()]; t != nil {
				t.visit(&events[i])
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// tenant is whose mail the event is about; "" where that is not told.
func (e *Event) tenant() string {
	if e.Delivery != nil {
		return e.Delivery.Tenant
	}
	var detail struct {
		Tenant string `json:"tenant"`
	}
	if json.Unmarshal([]byte(e.Detail), &detail) != nil {
		return ""
	}
	return detail.Tenant
}

// refitTolerance fits to some samples and adopts what foretells the others better
// than what is in force. It begins with the guesses that are built in, lest the same
// samples count anew every night.
func (t *tenantModel) refitTolerance(builtIn *interest.Prior, fit, out []interest.CapSample) (before, after float64, adopted bool) {
	if len(fit)+len(out) < fewTrials {
		return 0, 0, false
	}
	now := t.current.Load().Interest
	next := now.With(builtIn.Fatigue, builtIn.Leaving).FitTolerance(fit)
	before, after = toleranceLoss(now, out), toleranceLoss(next, out)
	if next.Fatigue == now.Fatigue && next.Leaving == now.Leaving || !(after < before) {
		return before, after, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.learner.AdoptTolerance(next.Fatigue, next.Leaving)
	t.publishLocked()
	return before, after, true
}

// loadGroups is how many groups of like load readings are compared inside of: people
// who are sent much differ in many ways, and only the cap was drawn by lot.
const loadGroups = 5

// toleranceLoss is the log-loss per sample of foretelling how readings spread over
// the samples of a group, and who leaves.
func toleranceLoss(p *interest.Prior, samples []interest.CapSample) float64 {
	samples = slices.Clone(samples)
	slices.SortStableFunc(samples, func(a, b interest.CapSample) int { return cmp.Compare(a.Load, b.Load) })
	sum := 0.0
	for g := range loadGroups {
		group := samples[g*len(samples)/loadGroups : (g+1)*len(samples)/loadGroups]
		reads, open := 0.0, 0.0
		for _, s := range group {
			w := float64(s.Offered*s.Cap*p.Openness(s.Cap*s.Load/p.Fatigue.Tolerance)) + 1e-9
			sum -= float64(s.Reads) * math.Log(w)
			reads, open = reads+float64(s.Reads), open+w
		}
		if reads > 0 {
			sum += reads * math.Log(open)
		}
	}
	for _, s := range samples {
		sum += leavingLoss(p, &s, p.Leaving.Unsubscribe, p.Leaving.UnsubscribeSlope, s.Unsubscribes > 0)
		sum += leavingLoss(p, &s, p.Leaving.Complaint, p.Leaving.ComplaintSlope, s.Complaints > 0)
	}
	return sum / max(1, float64(len(samples)))
}

func leavingLoss(p *interest.Prior, s *interest.CapSample, level, slope float32, left bool) float64 {
	x := float64(s.Cap * s.Load / p.Fatigue.Tolerance)
	stays := math.Exp(-float64(s.Offered*s.Cap) * float64(level) * math.Exp(min(float64(slope)*x, 20)))
	stays = min(max(stays, 1e-12), 1-1e-12)
	if left {
		return -math.Log1p(-stays)
	}
	return -math.Log(stays)
}

// BuiltIn names what a tenant's plans rest on that was never learned from its own
// audience.
func (g *Gateway) BuiltIn(tenant string) (names []string) {
	m, b := g.models.builtIn, g.models.builtIn
	if t, ok := g.models.of.Load(tenant); ok {
		m = t.(*tenantModel).current.Load()
	}
	if m.Version == 0 {
		names = append(names, "the shared reading hours")
	}
	if m.Clock.Kernel == b.Clock.Kernel {
		names = append(names, "how long mail lies unread")
	}
	if !m.Interest.Fatigue.Measured {
		names = append(names, "how much mail people bear")
	}
	if m.Interest.Leaving == b.Interest.Leaving {
		names = append(names, "when they leave")
	}
	return names
}
