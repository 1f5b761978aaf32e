package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"tidepost/scheduler"
)

// PastSent is the kind of a Past that tells of a mail that left; the others are the
// kinds of signals opened, clicked, unsubscribed, complained and bounced.
const PastSent SignalKind = "sent"

// Past is one thing that another service recorded of a mailbox.
type Past struct {
	Kind     SignalKind
	At       time.Time
	Ref      uint64 // hash of which mail; never 0 for what was sent, opened or clicked
	Mark     uint32 // hash of the row, to know it again
	List     string // the mail's List-Id, "" unknown; of an opt-out: that list alone
	Class    Class
	Human    float32 // how sure it is that a person did it, 0 to 1
	Doubtful bool    // with Human 0: it may have been a machine or not, and says nothing
	Hard     bool    // of a bounce: for good
}

// PastMailbox is what was recorded of one mailbox, in order of time.
type PastMailbox struct {
	Address string // canonical
	Key     Key
	Rows    []Past
}

// PastTaken counts what became of rows.
type PastTaken struct {
	Taken    int `json:"taken"`    // taught, or stopped mail
	Known    int `json:"known"`    // taken by an earlier import, or not newer than what it took
	Late     int `json:"late"`     // older than what is known of the mailbox from its own mail
	Excluded int `json:"excluded"` // policy or the reader do not let us learn it
	Entered  int `json:"entered"`  // suppression entries that are new
	Changed  int `json:"changed"`  // mailboxes of which more is known now
}

func (t *PastTaken) add(o PastTaken) {
	t.Taken += o.Taken
	t.Known += o.Known
	t.Late += o.Late
	t.Excluded += o.Excluded
	t.Entered += o.Entered
	t.Changed += o.Changed
}

// pastAtOnce is how many mailboxes of an import wait for their owners at a time: what
// comes in live waits behind few of them.
const pastAtOnce = 512

// PastImport brings in what another service recorded of a tenant's mail. Profiles
// rest on the tenant's model as it was at the beginning, so that the outcome does not
// depend on the order in which mailboxes come; the model learns meanwhile. What live
// would have done is found out apart, for a gateway that begins with the first row:
// it depends on rows and policy alone.
//
// All is written relaxed, a mailbox at a time and whole, until End syncs it. After a
// crash the same rows again take what is missing.
type PastImport struct {
	g      *Gateway
	tenant string
	source string
	seen   bool // opens or clicks of the mail come back
	rules  *Rules
	policy scheduler.Policy // live, in the model's arm
	taught *scheduler.Model // the tenant's, as it was at the beginning
	begun  *scheduler.Model // what a gateway begins with: it has learned from nobody, and teaches nobody
	slots  chan struct{}
	wg     sync.WaitGroup

	mu    sync.Mutex
	taken PastTaken // guarded by mu
	would PastWould // guarded by mu
	err   error     // guarded by mu: of the first commit that failed
}

// BeginPast begins an import. source names it in entries; seen says that the rows
// have opens or clicks, so that silence means something.
func (g *Gateway) BeginPast(tenant, source string, seen bool) *PastImport {
	t, rules := g.models.tenant(tenant), g.Rules(tenant)
	if seen = seen && rules.Sees < scheduler.SeesNone; seen {
		t.observed()
	}
	im := &PastImport{g: g, tenant: tenant, source: source, rules: rules, taught: t.current.Load(), begun: scheduler.BuiltIn(),
		slots: make(chan struct{}, pastAtOnce)}
	im.seen, im.begun.Observed = im.taught.Observed, seen
	only := scheduler.ArmModel
	im.policy = im.rules.Policy
	im.policy.Salt, im.policy.Live, im.policy.Only, im.policy.Explore = g.Salt, true, &only, 0
	return im
}

// Audience is whose mailboxes the import is about.
func (im *PastImport) Audience() string { return im.g.audience(im.tenant) }

// Bring hands a mailbox's rows to its owner; it waits while many are under way. The
// error is that of an earlier mailbox.
func (im *PastImport) Bring(ctx context.Context, b *PastMailbox) error {
	select {
	case im.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-im.g.stopped:
		return errShutdown
	}
	im.wg.Add(1)
	var done PastTaken
	var would PastWould
	end := func(err error) {
		im.mu.Lock()
		if err == nil {
			im.taken.add(done)
			im.would.add(&would)
		}
		im.err = cmp.Or(im.err, err)
		im.mu.Unlock()
		<-im.slots
		im.wg.Done()
	}
	st := step{key: b.Key, do: func(t *turn) { done, would = im.take(t, b) }, done: end}
	select {
	case im.g.shards[int(b.Key[0])%shards].steps <- st:
	case <-im.g.stopped:
		end(errShutdown)
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	return im.err
}

// Taken is how far the import is.
func (im *PastImport) Taken() PastTaken {
	im.mu.Lock()
	defer im.mu.Unlock()
	return im.taken
}

// SettingPast begins the names of the settings that hold a PastReport.
const SettingPast = "history/"

// End waits for all mailboxes and makes them durable, with the report. What waits is
// planned anew, with shared curves fitted to what was learned.
func (im *PastImport) End(ctx context.Context, r PastReport, actor string) (PastReport, error) {
	if err := im.wait(); err != nil {
		return r, err
	}
	im.mu.Lock()
	r.PastTaken, r.PastWould = im.taken, im.would
	err := im.err
	im.mu.Unlock()
	if err != nil {
		return r, err
	}
	g := im.g
	r.Tenant, r.By, r.At = im.tenant, actor, g.now()
	text, err := json.Marshal(&r)
	if err != nil {
		return r, err
	}
	err = g.Store.Commit(ctx, &Change{Settings: []Setting{{Name: SettingPast + im.tenant + "/" + r.Format, Value: text}},
		Events: []Event{{Kind: EventSetting, At: r.At, Name: g.eventName(), Reason: "history", Actor: actor, Detail: "history/" + im.tenant + "/" + r.Format}}})
	if err != nil {
		return r, err
	}
	if r.Changed > 0 {
		g.models.tenant(im.tenant).refit()
		err = g.saveModels(ctx)
		g.Replan()
	}
	return r, err
}

// Abort waits for what is under way; what was brought stays.
func (im *PastImport) Abort() { _ = im.wait() } // a gateway that stops has nothing under way

// wait ends with the gateway, too: what it did not get to do then is not done.
func (im *PastImport) wait() error {
	done := make(chan struct{})
	go func() { im.wg.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-im.g.stopped:
		return errShutdown
	}
}

// Pasts are the reports of imports, latest first; of every tenant where that is "".
func Pasts(s Settings, tenant string) (all []PastReport) {
	for name, value := range s.Settings() {
		var r PastReport
		if strings.HasPrefix(name, SettingPast) && json.Unmarshal(value, &r) == nil && (tenant == "" || r.Tenant == tenant) {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b PastReport) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Format, b.Format)) })
	return all
}

// Audience is whose mailboxes and opt-outs a tenant's mail shares.
func (g *Gateway) Audience(tenant string) string { return g.audience(tenant) }
