package gateway

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"tidepost/scheduler"
	"tidepost/scheduler/interest"
)

// models are what is learned above the person, one for each tenant. Planning
// reads a model without a lock; learning publishes a new one.
type models struct {
	builtIn *scheduler.Model
	of      sync.Map                          // tenant → *tenantModel
	drawn   *lru.Cache[DeliveryID, time.Time] // when mail left whose hour was drawn by lot
}

type tenantModel struct {
	current atomic.Pointer[scheduler.Model]

	mu      sync.Mutex
	learner *scheduler.Learner // guarded by mu
	fresh   int                // outcomes since the last publication; guarded by mu
	unsaved bool               // guarded by mu
}

// publishEvery is how many outcomes make a new model worth publishing.
const publishEvery = 256

const settingModel = "model/"

func (m *models) tenant(name string) *tenantModel {
	if t, ok := m.of.Load(name); ok {
		return t.(*tenantModel)
	}
	t := newTenantModel(scheduler.NewLearner(m.builtIn))
	kept, _ := m.of.LoadOrStore(name, t)
	return kept.(*tenantModel)
}

func newTenantModel(l *scheduler.Learner) *tenantModel {
	t := &tenantModel{learner: l}
	t.publishLocked()
	t.unsaved = false
	return t
}

// model is what plans of a tenant's mail rest on.
func (g *Gateway) model(tenant string) *scheduler.Model {
	return g.models.tenant(tenant).current.Load()
}

// learn takes in the outcome of one mail. The first open or click that ever comes
// back makes silence mean something: that is published at once.
func (t *tenantModel) learn(before *interest.State, m interest.Mail, read, clicked bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.learner.Observe(before, m, read, clicked)
	t.fresh++
	t.unsaved = true
	if t.fresh >= publishEvery || t.learner.Observed() && !t.current.Load().Observed {
		t.publishLocked()
	}
}

// planned counts a mail that was planned for the first time: which mail brings least
// depends on what all of it brings.
func (t *tenantModel) planned(d *scheduler.Decision, n *Delivery, rules *Rules) {
	it := item(&Mailbox{}, n, rules)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.learner.Planned(d, it.Worth(), it.Droppable)
	t.unsaved = true
}

// observed notes that people's opens or clicks come back at all.
func (t *tenantModel) observed() {
	if t.current.Load().Observed {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.learner.SetObserved()
	t.publishLocked()
}

func (t *tenantModel) publishLocked() {
	m := t.learner.Model()
	m.Resolved = t.learn
	t.current.Store(m)
	t.fresh, t.unsaved = 0, true
}

// loadModels takes over what was learned before the last stop, and the salt of
// this installation's draws, made at its first start.
func (g *Gateway) loadModels(ctx context.Context) error {
	g.models.builtIn = scheduler.BuiltIn()
	g.models.drawn, _ = lru.New[DeliveryID, time.Time](drawnSize) // fails only for a size below 1
	kept, ok := g.Store.(Settings)
	if !ok {
		return nil
	}
	settings := kept.Settings()
	for name, value := range settings {
		tenant, ok := strings.CutPrefix(name, settingModel)
		if !ok {
			continue
		}
		learner, err := scheduler.ReadLearner(value)
		if err != nil { // open on prediction: mail goes on with the built-in model
			g.log().Error("a learned model cannot be read; it starts anew", "tenant", tenant, "error", err)
			continue
		}
		g.models.of.Store(tenant, newTenantModel(learner))
	}
	return g.loadSalt(ctx, settings[settingSalt])
}

const settingSalt = "salt"

func (g *Gateway) loadSalt(ctx context.Context, kept []byte) error {
	if g.Salt != 0 {
		return nil
	}
	if len(kept) != 8 {
		kept = make([]byte, 8)
		rand.Read(kept)
		if err := g.Store.Commit(ctx, &Change{Settings: []Setting{{Name: settingSalt, Value: kept}}}); err != nil {
			return fmt.Errorf("storing the salt of experiments: %w", err)
		}
	}
	g.Salt = binary.LittleEndian.Uint64(kept)
	return nil
}

// saveModels stores what was learned since the last time, and when the last signal
// was heard.
func (g *Gateway) saveModels(ctx context.Context) error {
	c := Change{Settings: g.heard.unsaved(false)}
	var saved []*tenantModel
	g.models.of.Range(func(name, value any) bool {
		t := value.(*tenantModel)
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.unsaved {
			c.Settings = append(c.Settings, Setting{Name: settingModel + name.(string), Value: t.learner.AppendBinary(nil)})
			t.unsaved = false
			saved = append(saved, t)
		}
		return true
	})
	if len(c.Settings) == 0 {
		return nil
	}
	err := g.Store.Commit(ctx, &c)
	if err != nil {
		g.heard.lost()
		for _, t := range saved {
			t.mu.Lock()
			t.unsaved = true
			t.mu.Unlock()
		}
	}
	return err
}
