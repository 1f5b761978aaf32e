package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"tidepost/scheduler"
	"tidepost/scheduler/evidence"
	"tidepost/scheduler/experiment"
	"tidepost/scheduler/throttle"
	"tidepost/suppression"
)

// Rules is what an operator decided for a tenant's mail: the scheduler's
// policy and what the flow itself needs to know.
type Rules struct {
	scheduler.Policy
	Drop             []Class                   // classes that model, cap or rule may drop
	MaxDrop          float64                   // share of an hour's bulk that policy may drop; more is held
	HoldInDoubt      bool                      // bulk that may have left before a crash waits for a person
	Sees             scheduler.Sees            // what may be learned from mail
	Sensitive        []string                  // List-Ids that use shared curves only
	ListSees         map[string]scheduler.Sees // what may be learned from a List-Id's mail, in lower case; narrows Sees
	Tracking         Tracking                  // what we put into mail
	RejectSuppressed bool                      // RCPT of what nothing may be sent to is answered 550
	SuppressBounces  bool                      // what bounces, or keeps bouncing, is suppressed
	Honeypot         bool                      // put in a link that no reader sees

	Experiments []experiment.Experiment // named ones; where several run a mailbox is in the first that it takes part in
}

// Tenant is who a credential belongs to.
type Tenant struct {
	Name     string
	Audience string // "": the tenant itself
	MaxHeld  int64  // deliveries waiting; 0: no limit
}

// Gateway carries messages from submission to their last outcome. Fields are
// set before Run and not changed afterwards, except through its methods.
type Gateway struct {
	Store     Store
	Reader    Reader
	Composer  Composer
	Router    Router
	Transport Transport
	Throttle  *throttle.Group
	Reporter  Reporter // nil: no delivery status notifications

	ReturnPath ReturnPath // nil: the client's envelope sender stays

	Hostname string
	Rules    func(tenant string) *Rules
	Tenant   func(name string) Tenant
	Tenants  func() []string            // all that the configuration names; nil: those that ever sent
	Line     func(domain string) string // name of the queue that a domain's mail stands in
	Limits   func(line string) throttle.Limits

	Retry               Retries // waits after the first, second, … 4xx
	GiveUpTransactional time.Duration
	GiveUpBulk          time.Duration
	IdleClose           time.Duration // how long a connection waits for more mail; 0: 5 s
	MaxConnections      int           // to all destinations together; 0: 1,000

	Held bool // start with everything held, as after a restore

	// PermissionLag is how long an opt-out has been known to wait for us; nil: none
	// can.
	PermissionLag func() time.Duration

	Now    func() time.Time       // nil: time.Now
	NewID  func(now time.Time) ID // nil: the Store makes ids
	Salt   uint64                 // of the draws for arms and exploration; 0: this installation's own, made at its first start
	InTurn bool                   // what a release led to is stored before the next begins: slower, and with one connection the same every time
	Log    *slog.Logger           // nil: slog.Default

	Metrics Metrics

	shards    [shards]*shard
	queue     *queue
	inflight  reservations
	telling   tellers
	conns     connections
	stopped   chan struct{}
	run       context.Context // what releasing lives in; set by Run
	sends     context.Context // what transactions live in: run, and the time to finish
	halt      func(error)
	workers   sync.WaitGroup
	holding   atomic.Bool // nothing is released until a person confirms
	held      heldCounts
	repeats   *repeats
	sources   sources
	domains   domains
	rulebooks rulebooks
	judge     evidence.Classifier
	undo      undos
	erasure   atomic.Pointer[[]byte] // key of the hashes that erased addresses leave; nil: none was erased
	drops     dropGuard
	settings  settings
	models    models
	replans   replans
	heard     pulse
	names     IDSource
}

// Metrics counts what happens; every field only grows.
type Metrics struct {
	Accepted, Delivered, Deferred, Bounced, Dropped, Suppressed atomic.Int64
	Captured, Duplicates, InDoubt, TakenBack, Reports           atomic.Int64
	Signals                                                     atomic.Int64

	Excluded atomic.Int64    // signals of what may not be learned
	Judged   [3]atomic.Int64 // opens and clicks, by evidence.Verdict
}

// Reporter words delivery status notifications (RFC 3464).
type Reporter interface {
	// Report builds the message for one delivery.
	Report(r *Report) ([]byte, error)
}

// ReportAction is what a status notification says (RFC 3464 §2.3.3).
type ReportAction string

// The actions we report.
const (
	ReportFailed    ReportAction = "failed"
	ReportDelayed   ReportAction = "delayed"
	ReportDelivered ReportAction = "delivered"
	ReportRelayed   ReportAction = "relayed"
)

// Report is what a status notification is about.
type Report struct {
	Action    ReportAction
	Stored    *Stored
	Delivery  *Delivery
	Recipient Recipient
	Outcome   Outcome
	Now       time.Time
}

// Open prepares the gateway: afterwards Accept may be called, and Run must be.
func (g *Gateway) Open(ctx context.Context) error {
	g.queue = newQueue()
	g.stopped = make(chan struct{})
	g.repeats = newRepeats()
	g.undo.of, _ = lru.New[DeliveryID, undo](undoSize) // fails only for a size below 1
	g.domains.of, _ = lru.New[string, *domainDays](domainsSize)
	g.rulebooks.messages.cache, _ = lru.New[ID, aboutMessage](messageFactsSize)
	g.sources.of = map[uint32]sourceName{}
	g.telling.slots = make(chan struct{}, tellersAtOnce)
	for i := range g.shards {
		g.shards[i] = &shard{g: g, steps: make(chan step, 4*turnSize)}
	}
	g.holding.Store(g.Held)
	if err := g.loadSettings(); err != nil {
		return err
	}
	if err := g.endModes(ctx); err != nil {
		return err
	}
	if err := g.loadModels(ctx); err != nil {
		return err
	}
	if b, ok := g.Store.(Browser); ok {
		g.held.load(b)
	}
	now := g.now()
	err := g.Store.Due(ctx, func(d Due) error {
		g.queue.push(slot{g.Line(d.Domain), d.Tenant, !d.Bulk, entry{d.Mailbox, dueSeconds(d.At, now)}})
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading what waits: %w", err)
	}
	return nil
}

// finishWithin is how long transactions in flight may go on after the stop: with
// what else there is to do a stop takes at most 30 s.
const finishWithin = 15 * time.Second

// Run releases mail until the context ends, then lets transactions in flight
// finish. It returns the first error that makes going on unsafe.
func (g *Gateway) Run(ctx context.Context) error {
	run, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	sends, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	g.run, g.sends, g.halt = run, sends, func(err error) { cancel(err) }
	g.replans.begin(run)
	// Shards outlive the workers, so that outcomes of what is in flight are kept.
	owners, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	for _, s := range g.shards {
		wg.Go(func() { s.run(owners) })
	}
	g.queue.setRunning(true)
	g.lookAtAll()
	var learning sync.WaitGroup
	learning.Go(func() { g.runLearning(run) })
	g.runClock(run)
	learning.Wait()
	g.queue.setRunning(false) // no worker starts from here on
	g.replans.end()
	late := time.AfterFunc(finishWithin, cut)
	g.workers.Wait()
	late.Stop()
	g.drain()       // outcomes,
	g.telling.end() // what is being told of them,
	g.drain()       // and what was told
	if err := g.saveModels(context.WithoutCancel(ctx)); err != nil {
		g.log().Error("what was learned since the last hour could not be stored", "error", err)
	}
	close(g.stopped)
	stop()
	wg.Wait()
	if err := context.Cause(run); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// Overdue returns for how long the mail that waits longest has been due.
func (g *Gateway) Overdue() time.Duration {
	now := g.now()
	var oldest time.Duration
	g.queue.snapshot(func(ln *line) {
		if next := g.queue.nextLocked(ln); !next.IsZero() && now.Sub(next) > oldest {
			oldest = now.Sub(next)
		}
	})
	return oldest
}

// lookAtAll starts work wherever something is due.
func (g *Gateway) lookAtAll() {
	var lines []*line
	g.queue.snapshot(func(ln *line) { lines = append(lines, ln) })
	for _, ln := range lines {
		g.look(ln)
	}
}

// Confirm lets a gateway that started held release mail.
func (g *Gateway) Confirm() {
	if g.holding.CompareAndSwap(true, false) {
		g.lookAtAll()
	}
}

// drain waits until every shard has done the steps it was given.
func (g *Gateway) drain() {
	var wg sync.WaitGroup
	for i := range g.shards {
		wg.Go(func() { g.perform(context.Background(), Key{byte(i)}, func(*turn) {}) })
	}
	finished := make(chan struct{})
	go func() { wg.Wait(); close(finished) }()
	select {
	case <-finished:
	case <-time.After(5 * time.Second):
	}
}

// now is an instant by the wall clock alone. The monotonic clock stands still
// while the machine is suspended: a due time that carries it would not have come
// for as long again.
func (g *Gateway) now() time.Time {
	if g.Now != nil {
		return g.Now().Round(0)
	}
	return time.Now().Round(0)
}

func (g *Gateway) log() *slog.Logger {
	if g.Log != nil {
		return g.Log
	}
	return slog.Default()
}

// heldCounts counts each tenant's unsettled deliveries, for its quota.
type heldCounts struct {
	mu sync.Mutex
	n  map[string]int64 // guarded by mu
}

func (h *heldCounts) load(b Browser) {
	_, tenants := b.Totals()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n = map[string]int64{}
	for name, t := range tenants {
		h.n[name] = t.Waiting + t.Sending
	}
}

func (h *heldCounts) add(tenant string, n int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n == nil {
		h.n = map[string]int64{}
	}
	h.n[tenant] += n
}

// reserve adds n where that stays within most, and tells how many there were.
func (h *heldCounts) reserve(tenant string, n, most int64) (were int64, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	were = h.n[tenant]
	if most > 0 && were+n > most {
		return were, false
	}
	if h.n == nil {
		h.n = map[string]int64{}
	}
	h.n[tenant] = were + n
	return were, true
}

// jitter spreads a wait by ±10 %, so that what failed together does not come
// back together.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)*0.2*float64(d))
}

// query is the question whether a delivery may be written to.
func query(d *Delivery, audience string, now time.Time) suppression.Query {
	return suppression.Query{Now: now, Tenant: d.Tenant, Audience: audience, List: d.List,
		Class: d.Class.String(), Transactional: d.Class == Transactional}
}
