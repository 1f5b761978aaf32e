package storetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler"
	"tidepost/suppression"
)

const (
	workers        = 4
	boxesPerWorker = 5
)

// trial is one long test: rounds of random work, each ended by a crash, after
// which the store must hold what the model says.
type trial struct {
	t     *testing.T
	dir   string
	open  Open
	store gateway.Store
	boxes []*box

	dying atomic.Bool // errors are to be expected
	mu    sync.Mutex
	texts map[gateway.ID]string // guarded by mu: content of every message tried
	count atomic.Int64          // makes things different from one another
}

// testRandom runs TIDEPOST_ROUNDS rounds (default 25) from TIDEPOST_SEED.
func testRandom(t *testing.T, open Open) {
	rounds, seed := fromEnv("TIDEPOST_ROUNDS", 25), uint64(fromEnv("TIDEPOST_SEED", int(time.Now().UnixNano())))
	t.Logf("TIDEPOST_SEED=%d", seed)
	x := &trial{t: t, dir: t.TempDir(), open: open, texts: make(map[gateway.ID]string)}
	for n := range workers * boxesPerWorker {
		x.boxes = append(x.boxes, newBox(n))
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	x.store = open(t, x.dir)
	for round := range rounds {
		x.round(rng)
		if t.Failed() {
			t.Fatalf("in round %d of TIDEPOST_SEED=%d", round, seed)
		}
	}
	end(x.store)
}

func fromEnv(name string, value int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return value
}

// round works until the store dies, opens it again and compares.
func (x *trial) round(rng *rand.Rand) {
	var quit atomic.Bool
	var wg sync.WaitGroup
	for w := range workers {
		own := x.boxes[w*boxesPerWorker:][:boxesPerWorker]
		worker := rand.New(rand.NewPCG(rng.Uint64(), 1))
		wg.Go(func() { x.work(worker, own, &quit) })
	}
	if rng.IntN(5) > 0 {
		time.Sleep(time.Duration(rng.IntN(60_000)) * time.Microsecond)
	}
	c, dies := x.store.(crasher)
	if dies = dies && rng.IntN(4) > 0; dies {
		x.dying.Store(true)
		c.Crash()
	}
	quit.Store(true)
	wg.Wait()
	x.dying.Store(false)
	if !dies {
		end(x.store)
		for _, b := range x.boxes {
			for i := range b.ops {
				b.ops[i].certain = true
			}
		}
	}
	x.store = x.open(x.t, x.dir)
	x.compare()
}

// work does random things to a worker's own mailboxes until the store is gone.
func (x *trial) work(rng *rand.Rand, own []*box, quit *atomic.Bool) {
	for !quit.Load() && !x.t.Failed() {
		var err error
		if rng.IntN(3) == 0 {
			err = x.acceptOne(rng, own)
		} else {
			err = x.changeOne(rng, own[rng.IntN(len(own))])
		}
		if errors.Is(err, gateway.ErrStopped) || err != nil && x.dying.Load() {
			return
		}
		if err != nil {
			x.t.Error(err)
			return
		}
	}
}

// acceptOne accepts a message for one to three of a worker's mailboxes.
func (x *trial) acceptOne(rng *rand.Rand, own []*box) error {
	var to []int
	for range 1 + rng.IntN(3) {
		to = append(to, own[rng.IntN(len(own))].n)
	}
	m := message(to...)
	m.Campaign = [...]string{"", "spring", "autumn"}[rng.IntN(3)]
	if m.Campaign == "" {
		m.List = ""
	}
	text := x.text(rng, m.Campaign)
	m.Size = int64(len(text))
	ds, err := x.send(rng, m, text)
	x.mu.Lock()
	x.texts[m.ID] = text
	x.mu.Unlock()
	if err != nil && m.ID.IsZero() {
		return err // it never got as far
	}
	if err != nil {
		ds = expected(m)
	}
	for _, b := range own {
		var mine []*gateway.Delivery
		for _, d := range ds {
			if d.Mailbox == key(b.n) {
				mine = append(mine, d)
			}
		}
		if mine != nil {
			b.did(op{accepted: mine}, err)
		}
	}
	return err
}

// send hands a message over, now and then in a file.
func (x *trial) send(rng *rand.Rand, m *gateway.Message, text string) ([]*gateway.Delivery, error) {
	spooler, ok := x.store.(gateway.Spooler)
	if !ok || rng.IntN(30) > 0 {
		return x.store.Accept(ctx, m, gateway.Content{Bytes: []byte(text), Size: m.Size})
	}
	f, err := spooler.Spool()
	if err != nil {
		return nil, err
	}
	defer f.Discard()
	if _, err := f.Write([]byte(text)); err != nil {
		return nil, err
	}
	return x.store.Accept(ctx, m, gateway.Content{File: f, Size: m.Size})
}

// text makes the content of a message; those of a campaign resemble each other.
func (x *trial) text(rng *rand.Rand, campaign string) string {
	n := x.count.Add(1)
	if campaign == "" {
		return fmt.Sprintf("mail %d %s", n, strings.Repeat("x", rng.IntN(4000)))
	}
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, "<p>%s paragraph %d %x: <a href=https://acme.test/%s/%d>read</a>\r\n", campaign, i, i*i*i, campaign, i)
	}
	fmt.Fprintf(&b, "token %d %x", n, rng.Uint64())
	return b.String()
}

// expected are the deliveries of a message whose Accept was not answered.
func expected(m *gateway.Message) (ds []*gateway.Delivery) {
	aim, _ := scheduler.ParseAim(m.Aim)
	sees, _ := scheduler.ParseSees(m.Evidence)
	for i, r := range m.Recipients {
		ds = append(ds, &gateway.Delivery{
			ID: gateway.DeliveryID{Message: m.ID, Ordinal: uint32(i)}, Mailbox: r.Mailbox, Address: r.Address,
			Tenant: m.Tenant, Campaign: m.Campaign, List: m.List, Class: m.Class, Notify: r.Notify,
			Priority: m.Priority, Value: m.Value, Accepted: m.Received, Deadline: m.Deadline, HardDeadline: true,
			Window: m.Window, HalfLife: m.HalfLife, Supersede: m.Supersede, Size: m.Size,
			Aim: aim, Sees: sees,
		})
	}
	return ds
}

// changeOne reads a mailbox, compares it with the model and commits a change.
func (x *trial) changeOne(rng *rand.Rand, b *box) error {
	m, err := x.store.Mailbox(ctx, key(b.n))
	if err != nil {
		return err
	}
	if want := b.now().state; !same(m, want) {
		return fmt.Errorf("mailbox %d is\n%s, want\n%s", b.n, show(m), show(want))
	}
	c := x.change(rng, b, m)
	err = x.store.Commit(ctx, c)
	b.did(op{change: c}, err)
	return err
}

// change makes a random change of a mailbox.
func (x *trial) change(rng *rand.Rand, b *box, m *gateway.Mailbox) *gateway.Change {
	c := &gateway.Change{Key: m.Key, Expect: m.Rev, Relaxed: rng.IntN(3) == 0}
	n := x.count.Add(1)
	e := gateway.Event{Kind: gateway.EventPlanned, At: began, Name: fmt.Sprint(n), Reason: fmt.Sprintf("%d/%d", b.n, n)}
	for _, d := range m.Deliveries {
		if len(c.Deliveries) == 0 || rng.IntN(8) == 0 {
			c.Deliveries = append(c.Deliveries, x.step(rng, d))
			e.Delivery = c.Deliveries[0]
		}
	}
	if rng.IntN(3) == 0 {
		c.Head = x.head(rng, m)
	}
	if rng.IntN(10) == 0 {
		c.Entries = []suppression.Entry{entry(b.n, suppression.Manual, fmt.Sprint(n))}
	}
	if rng.IntN(20) == 0 {
		c.Settings = []gateway.Setting{{Name: fmt.Sprint(b.n), Value: fmt.Append(nil, n)}}
	}
	if rng.IntN(5) > 0 {
		c.Events = append(c.Events, e)
	}
	return c
}

func (x *trial) head(rng *rand.Rand, m *gateway.Mailbox) *gateway.Mailbox {
	if rng.IntN(3) == 0 {
		return &gateway.Mailbox{} // nothing to remember any more
	}
	h := &gateway.Mailbox{Zone: "Europe/Oslo", Profile: fmt.Append(nil, rng.IntN(1000)), Gates: m.Gates,
		Heard: fmt.Append(nil, rng.IntN(100)), Wishes: gateway.Wishes{PerWeek: uint8(rng.IntN(3))}}
	h.Gates.Count(scheduler.Send{At: began.Add(time.Duration(rng.IntN(1e6)) * time.Second), Bulk: true})
	return h
}

// step makes a delivery's next state, settled more often than not.
func (x *trial) step(rng *rand.Rand, d *gateway.Delivery) *gateway.Delivery {
	n := d.Next()
	n.Due = began.Add(time.Duration(rng.IntN(1e9)))
	switch rng.IntN(8) {
	case 0:
		n.Paused = !n.Paused
	case 1:
		n.State = gateway.Waiting
	case 2:
		n.State, n.Started, n.Attempts = gateway.Sending, n.Due, n.Attempts+1
	case 3:
		n.State = gateway.Captured
	case 4:
		n.State, n.Reason = gateway.Dropped, [...]string{"fatigue", "expired"}[rng.IntN(2)]
	case 5:
		n.State, n.Reply = gateway.Bounced, "550 no such user"
	default:
		n.State = gateway.Delivered
	}
	return n
}

// compare holds a store that was opened again against the model.
func (x *trial) compare() {
	events := x.events()
	settings := x.settings()
	wantDue := make(map[gateway.Key]time.Time)
	sum := gateway.Totals{Dropped: map[string]int64{}}
	for _, b := range x.boxes {
		found := image{state: mailbox(x.t, x.store, key(b.n)), events: events[key(b.n)], setting: settings[fmt.Sprint(b.n)]}
		found.note = x.note(b)
		if err := b.settle(found); err != nil {
			x.t.Error(err)
			continue
		}
		x.checkTexts(found.state)
		if at, ok := dueAt(found.state); ok {
			wantDue[key(b.n)] = at
		}
		add(&sum, b.base.totals)
	}
	gotDue := make(map[gateway.Key]time.Time)
	for k, d := range due(x.t, x.store) {
		gotDue[k] = d.At
	}
	if !maps.EqualFunc(gotDue, wantDue, time.Time.Equal) {
		x.t.Errorf("due are %v, want %v", gotDue, wantDue)
	}
	x.checkTotals(sum)
}

// events returns the reasons of all events by mailbox. Reasons begin with the
// mailbox's number, since not every event has a delivery.
func (x *trial) events() map[gateway.Key][]string {
	found := make(map[gateway.Key][]string)
	if j, ok := x.store.(gateway.Journal); ok {
		events, _ := readAll(x.t, j, gateway.Cursor{})
		for _, e := range events {
			number, _, _ := strings.Cut(e.Reason, "/")
			n, _ := strconv.Atoi(number)
			found[key(n)] = append(found[key(n)], e.Reason)
		}
		return found
	}
	for _, b := range x.boxes { // nothing to compare with
		found[key(b.n)] = b.now().events
	}
	return found
}

func (x *trial) settings() map[string]string {
	found := make(map[string]string)
	if s, ok := x.store.(gateway.Settings); ok {
		for name, value := range s.Settings() {
			found[name] = string(value)
		}
	}
	return found
}

func (x *trial) note(b *box) string {
	s, ok := x.store.(gateway.Entries)
	if !ok {
		return b.now().note
	}
	list, err := s.Entries(ctx, addressOf(b.n))
	if err != nil || len(list) > 1 {
		x.t.Errorf("%d entries, %v", len(list), err)
	}
	if len(list) == 0 {
		return ""
	}
	return list[0].Note
}

// checkTexts reads back all content that is still needed.
func (x *trial) checkTexts(m *gateway.Mailbox) {
	for _, d := range m.Deliveries {
		got, back := text(x.t, x.store, d.Ref)
		if want := x.texts[d.ID.Message]; got != want || back.ID != d.ID.Message {
			x.t.Errorf("content of %s is %.40q of %s, want %.40q", d.ID, got, back.ID, want)
		}
	}
}

func add(sum *gateway.Totals, t gateway.Totals) {
	sum.Accepted += t.Accepted
	sum.Waiting += t.Waiting
	sum.Sending += t.Sending
	sum.Delivered += t.Delivered
	sum.Bounced += t.Bounced
	sum.Captured += t.Captured
	for reason, n := range t.Dropped {
		sum.Dropped[reason] += n
	}
}

func (x *trial) checkTotals(want gateway.Totals) {
	b, ok := x.store.(gateway.Browser)
	if !ok {
		return
	}
	_, tenants := b.Totals()
	got := tenants["acme"]
	counts := func(t gateway.Totals) []int64 {
		c := []int64{t.Accepted, t.Waiting, t.Sending, t.Delivered, t.Bounced, t.Captured}
		for _, reason := range slices.Sorted(maps.Keys(t.Dropped)) {
			c = append(c, t.Dropped[reason])
		}
		return c
	}
	if !slices.Equal(counts(got), counts(want)) {
		x.t.Errorf("totals are %+v, want %+v", got, want)
	}
}
