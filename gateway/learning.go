package gateway

import (
	"context"
	"time"

	"tidepost/scheduler"
)

const (
	// saveEvery is how much learning a crash may cost. Profiles are not part of it:
	// they are stored with each outcome.
	saveEvery = time.Hour
	// refitEvery is how often the shared curves are fitted anew.
	refitEvery = 24 * time.Hour
)

// runLearning keeps what is learned above the person, beside the flow of mail,
// until the context ends.
func (g *Gateway) runLearning(ctx context.Context) {
	save := time.NewTicker(saveEvery)
	defer save.Stop()
	for n := time.Duration(1); ; n++ {
		select {
		case <-save.C:
		case <-ctx.Done():
			return
		}
		if n*saveEvery%refitEvery == 0 {
			g.refit()
			if err := g.refitTolerance(ctx); err != nil && ctx.Err() == nil {
				g.log().Error("what people bear could not be fitted anew; it is tried again in a day", "error", err)
			}
		}
		if err := g.saveModels(ctx); err != nil && ctx.Err() == nil {
			g.log().Error("what was learned could not be stored; it is tried again in an hour", "error", err)
		}
	}
}

// refit fits every tenant's shared curves and delay kernel anew, one after
// another. What comes in meanwhile plans with the curves at hand.
func (g *Gateway) refit() {
	g.models.of.Range(func(name, value any) bool {
		before, after, adopted := value.(*tenantModel).refit()
		if after > 0 {
			g.log().Info("shared reading hours were fitted anew", "tenant", name, "log_loss_before", before, "log_loss_after", after, "adopted", adopted)
		}
		return g.run == nil || g.run.Err() == nil
	})
}

func (t *tenantModel) refit() (before, after float64, adopted bool) {
	t.mu.Lock()
	habits, from := t.learner.Habits, t.current.Load().Clock
	t.learner.Habits = scheduler.Habits{}
	t.mu.Unlock()
	next, report := habits.Refit(from)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.learner.Habits = habits
	t.learner.Adopt(next)
	t.publishLocked()
	return report.Before, report.After, report.Adopted
}

// watch notes the state of a person's clock after news of them, and how long a mail
// that left at an hour drawn by lot lay unread.
func (t *tenantModel) watch(k Key, p *scheduler.Profile, at time.Time, delay time.Duration) {
	m := t.current.Load()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.learner.Habits.Watch(m, k.draw(), &p.Clock, at)
	if delay > 0 {
		t.learner.Habits.Delayed(delay)
	}
}

// drawnSize bounds how many deliveries with an hour drawn by lot are remembered
// until their reader has read them.
const drawnSize = 20_000

// left notes a delivery whose hour was drawn by lot.
func (m *models) left(d *Delivery, at time.Time) {
	switch scheduler.Reason(d.Reason) {
	case scheduler.Explored, scheduler.RandomArm:
		m.drawn.Add(d.ID, at)
	}
}

// delay is how long a delivery with a drawn hour has lain; 0 for others, and the
// second time.
func (m *models) delay(id DeliveryID, at time.Time) time.Duration {
	sent, ok := m.drawn.Get(id)
	if !ok {
		return 0
	}
	m.drawn.Remove(id)
	return max(0, at.Sub(sent))
}
