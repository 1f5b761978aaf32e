package gateway

import (
	"bytes"
	"container/heap"
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tidepost/scheduler"
	"tidepost/scheduler/experiment"
	"tidepost/scheduler/throttle"
)

// TestSoak runs a gateway for days of simulated time: two tenants that share an
// audience and one apart, mail of all classes to some hundred readers, live with
// quiet hours, gap, cap, drops, arms and exploration, switched and changed on the
// way, killed and started again, with a far side that defers at times and signals
// that come late, out of order and twice. The same days pass once more without the
// model: there the control arm must have had the same mail at the same time.
//
// TESTING_DAYS says for how many days (4), TESTING_SEED which world (1).
func TestSoak(t *testing.T) {
	days, seed := testingNumber(t, "TESTING_DAYS", 4), testingNumber(t, "TESTING_SEED", 1)
	defer func() {
		if t.Failed() {
			t.Logf("again: TESTING_DAYS=%d TESTING_SEED=%d go test -run TestSoak ./gateway", days, seed)
		}
	}()
	var with, without *soak
	t.Run("live", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { with = soaked(t, days, seed, true) })
	})
	t.Run("gates", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { without = soaked(t, days, seed, false) })
	})
	if with != nil && without != nil {
		with.compareControl(t, without)
	}
}

func testingNumber(t *testing.T, name string, usual int) int {
	v := os.Getenv(name)
	if v == "" {
		return usual
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

const (
	soakReaders = 240
	soakTick    = 10 * time.Minute
	soakSalt    = 0x5eed
)

var (
	soakTenants = []string{"acme", "bolt", "apart"}
	soakZones   = []string{"Europe/Berlin", "America/New_York", "Asia/Tokyo", ""}
	soakArms    = experiment.Shares{experiment.Model: 60, experiment.Control: 25, experiment.Random: 15}
)

func soakAudience(tenant string) string {
	if tenant == "apart" {
		return "apart"
	}
	return "both"
}

// soak is one such world and what is known of it from outside.
type soak struct {
	*world
	t     *testing.T
	seed  uint64
	model bool
	far   *soakFar
	ids   uint64

	mu    sync.Mutex
	rules map[string]*Rules // guarded by mu
	took  map[string]int    // by the far side, and its tries; guarded by mu

	mails  map[DeliveryID]*soakMail
	seen   int // events looked at
	tells  soakTells
	left   map[string]time.Time // tenant and mailbox: when an opt-out had been learned
	told   []soakTell           // in this life
	counts map[string]int
}

// soakMail is what is known of one delivery.
type soakMail struct {
	id         DeliveryID
	tag        string
	tenant, to string
	key        Key
	class      Class
	campaign   string
	zone       *time.Location
	accepted   time.Time
	rules      *Rules // in force at the claim
	claim      time.Time
	delivered  time.Time
	deferred   bool
	doubts     int
	end        EventKind
	ends       int
}

type soakTell struct {
	at time.Time // when it is told
	s  Signal
	id DeliveryID
}

type soakTells []soakTell

func (h soakTells) Len() int           { return len(h) }
func (h soakTells) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h soakTells) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *soakTells) Push(x any)        { *h = append(*h, x.(soakTell)) }
func (h *soakTells) Pop() any {
	s := *h
	x := s[len(s)-1]
	*h = s[:len(s)-1]
	return x
}

// draw is a number below n that depends on nothing but the seed and what it is for:
// both worlds draw alike, whatever happened in them before.
func (s *soak) draw(n int, what ...any) int {
	h := fnv.New64a()
	fmt.Fprint(h, s.seed, what)
	x := h.Sum64()
	x ^= x >> 32
	x *= 0x9e3779b97f4a7c15
	return int(x >> 33 % uint64(n))
}

// soakFar is one life's way to the far side, which refuses for now and for ever by
// what is in the envelope, and counts what it took.
type soakFar struct {
	s    *soak
	over bool // guarded by s.mu
}

func (f *soakFar) Open(context.Context, Destination) (Session, error) { return soakSession{f}, nil }

type soakSession struct{ *soakFar }

func (soakSession) Usable() bool { return true }
func (soakSession) Close() error { return nil }

func (f soakSession) Send(_ context.Context, e *Envelope, body io.Reader, _ time.Time) []Outcome {
	io.Copy(io.Discard, body)
	if f.s.draw(40, "slow", e.EnvID) == 0 {
		time.Sleep(200 * time.Millisecond)
	}
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	took := f.s.took
	out := make([]Outcome, len(e.Recipients))
	for i, r := range e.Recipients {
		k := e.EnvID + " " + r.Address
		switch n := f.s.draw(200, "outcome", k, took[k+" tries"]); {
		case f.over:
			out[i] = Outcome{Kind: OutcomeUnsent}
			continue
		case n < 6:
			out[i] = Outcome{Kind: OutcomeDeferred, Code: 451}
		case n == 6:
			out[i] = Outcome{Kind: OutcomeFailed, Code: 550}
		default:
			out[i] = Outcome{Kind: OutcomeDelivered, Code: 250}
			took[k]++
		}
		took[k+" tries"]++
	}
	return out
}

func soaked(t *testing.T, days, seed int, model bool) *soak {
	s := &soak{t: t, seed: uint64(seed), model: model, rules: map[string]*Rules{}, took: map[string]int{}, mails: map[DeliveryID]*soakMail{},
		left: map[string]time.Time{}, counts: map[string]int{}}
	time.Sleep(time.Until(time.Date(2000, 1, 3, 0, 0, 0, 0, time.UTC))) // a Monday: arms stay until April
	for _, tenant := range soakTenants {
		s.setRules(tenant, 0)
	}
	s.begin(newMemory())
	ticks := days * int(24*time.Hour/soakTick)
	for tick := range ticks {
		s.change(tick)
		s.send(tick)
		if s.draw(300, "crash", tick) == 0 {
			time.Sleep(100 * time.Millisecond)
			s.crash()
		}
		for end := time.Now().Truncate(soakTick).Add(soakTick); time.Now().Before(end); {
			time.Sleep(min(time.Until(end), soakTick/5))
			synctest.Wait()
			s.look()
			s.tellDue()
		}
		if tick%36 == 35 {
			s.check(false)
		}
	}
	for _, campaign := range []string{"c0", "c1"} {
		for _, tenant := range soakTenants {
			s.SetPaused(t.Context(), tenant, campaign, false, "ops")
		}
	}
	for range 14 * 24 {
		time.Sleep(time.Hour)
		synctest.Wait()
		s.look()
		s.tellDue()
	}
	s.check(true)
	s.stop()
	t.Logf("%d days, model %v: %v", days, model, s.counts)
	return s
}

// begin starts a life on what a store holds.
func (s *soak) begin(store *memory) {
	s.far = &soakFar{s: s}
	far := s.far
	s.world = newWorld(s.t, store, func(w *world) {
		w.Transport, w.Salt = far, soakSalt
		w.Throttle = &throttle.Group{Limits: func(string) throttle.Limits { return throttle.Limits{Connections: 8} }}
		w.Limits = w.Throttle.Limits
		w.Rules = s.rulesOf
		w.Tenant = func(name string) Tenant { return Tenant{Name: name, Audience: soakAudience(name)} }
		w.NewID = s.newID
	})
	for _, box := range store.snapshot() { // memory has no totals
		for _, d := range box.Deliveries {
			if d.State == Waiting || d.State == Sending {
				s.held.add(d.Tenant, 1)
			}
			if d.State == Sending {
				s.mails[d.ID].doubts++
			}
		}
	}
	s.told = nil
}

// crash leaves the life in the middle of what it does, and begins another.
func (s *soak) crash() {
	left := s.store.survive()
	s.mu.Lock()
	s.far.over = true
	s.mu.Unlock()
	s.counts["crashes"]++
	s.stop()
	s.begin(left)
}

func (s *soak) newID(now time.Time) ID {
	s.ids++
	var id ID
	binary.BigEndian.PutUint64(id[:8], uint64(now.UnixMilli())<<16)
	binary.BigEndian.PutUint64(id[8:], s.ids)
	return id
}

func (s *soak) rulesOf(tenant string) *Rules {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.rules[tenant]; r != nil {
		return r
	}
	return &Rules{}
}

// setRules puts the n-th policy into force for a tenant. Tenants of one audience
// have the same gates.
func (s *soak) setRules(tenant string, n int) {
	quiet, err := scheduler.ParseQuiet([]string{"21:00-08:00", "22:30-07:00", "20:00-09:30"}[n%3])
	if err != nil {
		s.t.Fatal(err)
	}
	r := &Rules{Drop: []Class{Newsletter, Promotional}, MaxDrop: 1}
	r.Policy = scheduler.Policy{Zone: time.UTC, MaxHold: 30 * time.Hour, Quiet: quiet, MinGap: []time.Duration{8, 16, 5}[n%3] * time.Hour,
		WeeklyCap: []int{5, 3, 4}[n%3], DropAtLimit: true, Live: s.model && tenant != "bolt", Arms: soakArms, Explore: 0.1}
	if tenant == "apart" {
		r.MaxHold, r.Momentum = 60*time.Hour, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules[tenant] = r
}

// change does what people do: policies, switches, pauses.
func (s *soak) change(tick int) {
	ctx, day := s.t.Context(), int(24*time.Hour/soakTick)
	if tick%(2*day) == day+day/3 {
		for _, tenant := range soakTenants {
			s.setRules(tenant, tick/(2*day)+1)
		}
		s.Replan()
		s.counts["policies"]++
	}
	switch switched := s.draw(day/2, "mode", tick) == 0; {
	case switched && !s.model:
		s.Replan() // what the switch does, too
	case switched:
		scopes := []ModeScope{{}, {Tenant: "acme"}, {Tenant: "bolt"}, {Tenant: "apart", Class: "newsletter"}, {Tenant: "acme", List: "list1"}}
		if err := s.SetMode(ctx, scopes[s.draw(len(scopes), "scope", tick)], s.draw(3, "live", tick) > 0, "ops"); err != nil {
			s.t.Fatal(err)
		}
		s.counts["switches"]++
	}
	if s.draw(day/3, "pause", tick) == 0 {
		tenant := soakTenants[s.draw(3, "pause whose", tick)]
		if err := s.SetPaused(ctx, tenant, fmt.Sprintf("c%d", s.draw(2, "pause what", tick)), s.draw(2, "pause", "yes", tick) == 0, "ops"); err != nil {
			s.t.Fatal(err)
		}
	}
}

// send brings the mail of a tick.
func (s *soak) send(tick int) {
	for n := range 3 {
		if s.draw(9, "send", tick, n) > 0 {
			continue
		}
		tenant := soakTenants[s.draw(3, "tenant", tick, n)]
		class := []Class{Transactional, Triggered, Newsletter, Newsletter, Promotional, Promotional}[s.draw(6, "class", tick, n)]
		step := 12
		if !class.Bulk() {
			step = 40
		}
		for first := s.draw(step, "first", tick, n); first < soakReaders; first += step * 5 {
			var to []int
			for i := first; i < min(first+5*step, soakReaders); i += step {
				to = append(to, i)
			}
			s.hand(tenant, class, to, fmt.Sprint(tick, ".", n, ".", first))
		}
	}
}

// hand submits one message to readers of one zone; a reader's zone goes by their
// number, so that groups are split.
func (s *soak) hand(tenant string, class Class, readers []int, tag string) {
	for z, name := range soakZones {
		m := Message{From: "", Tenant: tenant, Audience: soakAudience(tenant), Class: class, Value: 1, Zone: name, EnvID: fmt.Sprint(tag, ".", z),
			Size: 5}
		var to []string
		for _, i := range readers {
			if i/7%len(soakZones) == z {
				to = append(to, fmt.Sprintf("p%d@dest.test", i))
			}
		}
		if len(to) == 0 {
			continue
		}
		for _, a := range to {
			box := mustMailbox(s.t, a)
			m.Recipients = append(m.Recipients, Recipient{Address: a, Mailbox: MailboxKey(m.Audience, box), Canonical: box.String()})
		}
		if class.Bulk() {
			m.Campaign = []string{"", "c0", "c1"}[s.draw(3, "campaign", tag)]
			m.List = fmt.Sprint("list", s.draw(3, "list", tag))
			m.Value = []float32{0.2, 1, 1, 5}[s.draw(4, "value", tag)]
			m.HalfLife = []time.Duration{0, 0, 12 * time.Hour}[s.draw(3, "half", tag)]
			m.Window = []time.Duration{0, 0, 0, 4 * time.Hour, 90 * time.Hour}[s.draw(5, "window", tag)]
			m.Aim = []string{"", "soonest", "hour", "now"}[s.draw(4, "aim", tag)]
			if s.draw(6, "supersede", tag) == 0 {
				m.Supersede = "k"
			}
			switch s.draw(8, "deadline", tag) {
			case 0:
				m.Deadline, m.HardDeadline = time.Now().Add(20*time.Hour), true
			case 1:
				m.NotBefore = time.Now().Add(5 * time.Hour)
			}
		}
		id, err := s.Accept(s.t.Context(), &Submission{Message: m, Content: Content{Bytes: []byte("hello"), Size: 5}})
		if err != nil {
			s.t.Fatal(err)
		}
		for i, r := range m.Recipients {
			x := &soakMail{id: DeliveryID{id, uint32(i)}, tag: m.EnvID, tenant: tenant, to: r.Canonical, key: r.Mailbox, class: class,
				campaign: m.Campaign, zone: zone(name), accepted: time.Now()}
			s.mails[x.id] = x
			s.counts["accepted"]++
		}
	}
}

// look takes in the events since the last look.
func (s *soak) look() {
	s.store.mu.Lock()
	events := s.store.events[s.seen:]
	s.seen = len(s.store.events)
	s.store.mu.Unlock()
	for i := range events {
		if e := &events[i]; e.Delivery != nil {
			s.event(e, s.mails[e.Delivery.ID])
		}
	}
}

func (s *soak) event(e *Event, m *soakMail) {
	if n := len(e.Delivery.Decision); n > 256 {
		s.t.Errorf("a decision of %s takes %d bytes", m.id, n)
	}
	switch e.Kind {
	case EventHeld:
		if !m.class.Bulk() {
			s.t.Errorf("%s, %s, is held: %s", m.id, m.class, e.Reason)
		}
		if !e.Delivery.Due.After(e.At) && !e.Delivery.Due.IsZero() {
			s.t.Errorf("%s is held at %v until %v", m.id, e.At, e.Delivery.Due)
		}
	case EventReleased:
		s.released(e, m)
	case EventDeferred:
		m.deferred = true
	case EventTakenBack:
		m.claim = time.Time{}
	case EventDelivered, EventBounced, EventDropped, EventSuppressed:
		m.end = e.Kind
		m.ends++
		s.counts[string(e.Kind)]++
		if e.Kind == EventDropped {
			s.counts["dropped "+e.Reason]++
		}
		if m.ends > 1 {
			s.t.Errorf("%s ended %d times, now %s", m.id, m.ends, e.Kind)
		}
		if e.Kind == EventDelivered {
			m.delivered = e.At
			s.react(m)
		}
	}
}

// released checks a release commit against what holds at that time.
func (s *soak) released(e *Event, m *soakMail) {
	first := e.Delivery.Attempts == 1
	if first {
		m.claim, m.rules = e.At, s.rulesOf(m.tenant)
	}
	if !m.class.Bulk() {
		if first && e.At.Sub(m.accepted) > 5*time.Second {
			s.t.Errorf("%s, %s, left %v after it came", m.id, m.class, e.At.Sub(m.accepted))
		}
		return
	}
	local := m.zone
	if local == nil {
		local = time.UTC
	}
	if m.rules.Quiet.Until(e.At, local).After(e.At) && m.rules == s.rulesOf(m.tenant) {
		s.t.Errorf("%s left at %v, in quiet hours %s", m.id, e.At.In(local), m.rules.Quiet)
	}
	if at, ok := s.left[m.tenant+" "+m.to]; ok && e.At.After(at) {
		s.t.Errorf("%s left at %v; its reader had opted out at %v", m.id, e.At, at)
	}
}

// react has the reader of a delivered mail do something, in time, late or never,
// and tell it once or twice and in any order.
func (s *soak) react(m *soakMail) {
	if !m.class.Bulk() {
		return
	}
	k := m.tag + m.to
	did := func(kind SignalKind, after time.Duration) {
		at := m.delivered.Add(after)
		told := at.Add(time.Duration(s.draw(60, "lag", kind, k)) * time.Second)
		if s.draw(10, "late", kind, k) == 0 {
			told = told.Add(time.Duration(s.draw(4*24*60, "how late", kind, k)) * time.Minute)
		}
		sig := Signal{Kind: kind, At: at, Tenant: m.tenant, Mailbox: mustMailbox(s.t, m.to), Human: 1, Source: "soak"}
		if kind != SignalActive {
			sig.Message = m.id.String()
		}
		heap.Push(&s.tells, soakTell{told, sig, m.id})
		if s.draw(4, "twice", kind, k) == 0 {
			heap.Push(&s.tells, soakTell{told.Add(time.Duration(s.draw(3*24*60, "again", kind, k)) * time.Minute), sig, m.id})
		}
	}
	evening := 19*time.Hour - time.Duration(m.delivered.Hour())*time.Hour
	if evening < 0 {
		evening += 24 * time.Hour
	}
	read := evening + time.Duration(s.draw(7200, "read", k))*time.Second
	switch n := s.draw(100, "does", k); {
	case n < 30:
		did(SignalOpened, read)
	case n < 40:
		did(SignalOpened, read)
		did(SignalClicked, read+time.Minute)
	case n < 45:
		did(SignalActive, read)
	case n == 45:
		did(SignalUnsubscribed, read)
	case n == 46:
		did(SignalComplained, read)
	case n == 47:
		did(SignalUnsubscribed, read)
		did(SignalBounced, read+time.Hour)
	}
}

// tellDue tells the signals whose time has come; of one that was told in this life
// nothing may come.
func (s *soak) tellDue() {
	for len(s.tells) > 0 && !s.tells[0].at.After(time.Now()) {
		x := heap.Pop(&s.tells).(soakTell)
		again := slices.ContainsFunc(s.told, func(o soakTell) bool { return o.s == x.s })
		k := MailboxKey(soakAudience(x.s.Tenant), x.s.Mailbox)
		before, signals := s.profileOf(k), s.signals()
		news, err := s.Learn(s.t.Context(), x.s)
		if err != nil {
			s.t.Fatal(err)
		}
		s.counts["signals"]++
		if again && (news || !bytes.Equal(before, s.profileOf(k)) || s.signals() != signals) {
			s.t.Errorf("%s of %s is applied again", x.s.Kind, x.id)
		}
		if again {
			s.counts["repetitions"]++
		}
		if news {
			s.counts["news"]++
		}
		s.told = append(s.told, x)
		if _, ok := closes[x.s.Kind]; !ok {
			continue
		}
		for _, tenant := range soakTenants {
			if to := tenant + " " + x.s.Mailbox.String(); (tenant == x.s.Tenant || x.s.Kind == SignalBounced) && s.left[to].IsZero() {
				s.left[to] = time.Now()
			}
		}
	}
}

func (s *soak) profileOf(k Key) []byte {
	box, _ := s.store.Mailbox(s.t.Context(), k)
	return box.Profile
}

// signals is how many events there are that tell of no delivery.
func (s *soak) signals() (n int) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	for i := s.seen; i < len(s.store.events); i++ {
		if s.store.events[i].Delivery == nil {
			n++
		}
	}
	return n
}

// check looks at everything at rest. At the end nothing may wait any more.
func (s *soak) check(end bool) {
	s.t.Helper()
	time.Sleep(time.Second) // for what is on the wire
	synctest.Wait()
	s.look()
	waiting, held, now := map[DeliveryID]bool{}, map[string]int64{}, time.Now()
	_, campaigns := s.Pauses()
	underway := 0
	for _, box := range s.store.snapshot() {
		if len(box.Profile) > 256 {
			s.t.Errorf("the profile of %s takes %d bytes", box.Address, len(box.Profile))
		}
		for _, d := range box.Deliveries {
			waiting[d.ID] = true
			held[d.Tenant]++
			_, paused := campaigns[CampaignKey{d.Tenant, d.Campaign}]
			if d.State == Sending && now.Sub(d.Started) < time.Second {
				underway++
				continue
			}
			if end || !paused && (d.Rev == 0 || d.State != Waiting || !d.Due.After(now.Add(-time.Minute))) {
				s.t.Errorf("%s, accepted %v, is %s, due %v, %q", d.ID, d.Accepted, d.State, d.Due, d.Reason)
			}
		}
	}
	for _, tenant := range soakTenants {
		if n := s.held.of(tenant); n != held[tenant] {
			s.t.Errorf("%s is said to hold %d and holds %d", tenant, n, held[tenant])
		}
	}
	s.mu.Lock()
	took := maps.Clone(s.took)
	s.mu.Unlock()
	for id, m := range s.mails {
		if m.ends == 0 != waiting[id] {
			s.t.Errorf("%s ended %d times and waits: %v", id, m.ends, waiting[id])
		}
		if n := took[m.tag+" "+m.to]; n > 1+m.doubts || n == 0 && m.end == EventDelivered {
			s.t.Errorf("%s went out %d times, %d times in doubt, %s", id, n, m.doubts, m.end)
		}
	}
	if n := s.inflight.len() + s.telling.about.len(); n > underway {
		s.t.Errorf("%d are reserved, %d on the wire", n, underway)
	}
	s.checkGates()
	if s.t.Failed() {
		s.t.FailNow()
	}
}

// checkGates looks at each first claim of bulk mail: with limits that drop, gap and
// cap as they were then hold without exception.
func (s *soak) checkGates() {
	for _, mails := range s.byMailbox() {
		for _, m := range mails {
			if m.claim.IsZero() || m.end == EventBounced {
				continue
			}
			week := 0
			for _, o := range mails {
				if o == m || o.claim.IsZero() || o.end != EventDelivered && o.end != "" || o.claim.After(m.claim) {
					continue
				}
				at := o.claim
				if !o.delivered.IsZero() && !o.delivered.After(m.claim) {
					at = o.delivered
				}
				age := m.claim.Sub(at)
				if age < 168*time.Hour-time.Second {
					week++
				}
				if age < m.rules.MinGap-time.Second {
					s.t.Errorf("%s left at %v, %v after %s; the gap is %v", m.id, m.claim, age, o.id, m.rules.MinGap)
				}
			}
			if week >= m.rules.WeeklyCap {
				s.t.Errorf("%s left at %v as number %d of the week; the cap is %d", m.id, m.claim, week+1, m.rules.WeeklyCap)
			}
		}
	}
}

// byMailbox are the bulk mails of each mailbox.
func (s *soak) byMailbox() map[Key][]*soakMail {
	out := map[Key][]*soakMail{}
	for _, m := range s.mails {
		if m.class.Bulk() {
			out[m.key] = append(out[m.key], m)
		}
	}
	return out
}

// apart reports whether a mail went another way by chance, or because its reader left:
// who leaves one audience for good leaves the other. Whether a slot comes back before
// or after the next mail of the same instant is chance, too.
func (m *soakMail) apart() bool {
	return m.deferred || m.doubts > 0 || m.end == EventSuppressed || m.end == EventBounced
}

// compareControl looks whether the control arm had the mail that it would have had
// of a gateway without a model, at the same time. Where a mail was deferred or in
// doubt waits are drawn anew.
func (s *soak) compareControl(t *testing.T, o *soak) {
	control, held := 0, 0
	theirs := map[string]*soakMail{}
	for _, m := range o.mails {
		theirs[m.tag+" "+m.to] = m
	}
	for k, mails := range s.byMailbox() {
		if scheduler.Arm(soakArms.Of(soakSalt, k.draw(), mails[0].accepted)) != scheduler.ArmControl {
			continue
		}
		if slices.ContainsFunc(mails, func(m *soakMail) bool { return m.apart() || theirs[m.tag+" "+m.to].apart() }) {
			continue
		}
		for _, m := range mails {
			x := theirs[m.tag+" "+m.to]
			control++
			if m.end != x.end || m.claim.Sub(x.claim).Abs() > time.Minute {
				t.Errorf("%s of %s, accepted %v: with the model %s at %v, without %s at %v", m.tag, m.to, m.accepted, m.end, m.claim, x.end, x.claim)
			}
			if m.claim.Sub(m.accepted) > time.Minute {
				held++
			}
		}
	}
	t.Logf("%d mails of the control arm, %d of them held by gates", control, held)
	if control == 0 || held == 0 {
		t.Error("the control arm was not looked at")
	}
}
