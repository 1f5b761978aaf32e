package simulate

import (
	"fmt"
	"time"

	"tidepost/scheduler"
	"tidepost/scheduler/replay"
)

// planned is the engine at work: live, every mailbox in one arm.
type planned struct {
	engine  replay.Engine
	tenants [tenantCount]replay.Tenant
	boxes   []replay.Box
	mails   []mail
	named   map[uint64]int // by item
	drops   bool
	out     []release
	err     error
}

// plannedBy returns the engine under some rules. It drops only where it may.
func plannedBy(rules replay.Rules, drops bool) starter {
	return func(p *play) (sender, error) {
		e := &planned{mails: p.mails, named: map[uint64]int{}, boxes: make([]replay.Box, len(p.people)), drops: drops}
		arm := scheduler.ArmModel
		rules.Live, rules.Only, rules.Learn = true, &arm, true
		for t := range e.tenants {
			e.tenants[t] = e.engine.Tenant(rules)
		}
		for i, who := range p.people {
			e.boxes[i] = e.engine.Box(mix(p.seed ^ mix(uint64(i))))
			var zone *time.Location
			if who.declared {
				zone = who.home.location
			}
			e.engine.Mailbox(epoch, e.boxes[i], zone, scheduler.SeesFull, e.take)
		}
		return e, e.err
	}
}

// take notes a decision that ends a mail's wait.
func (e *planned) take(d replay.Decision) {
	if d.Plan.Action == scheduler.Hold {
		return
	}
	id, ok := e.named[d.ID]
	if !ok {
		e.err = fmt.Errorf("simulate: the engine decided about %d, which it was not given", d.ID)
		return
	}
	delete(e.named, d.ID)
	if d.Plan.Reason == replay.Suppressed {
		// An audience tells suppressed from sent itself, for all policies alike.
		e.out = append(e.out, release{whenOf(d.At), &e.mails[id], false})
		return
	}
	e.out = append(e.out, release{whenOf(d.At), &e.mails[id], d.Plan.Action == scheduler.Drop})
}

func (e *planned) accept(t when, m *mail) error {
	topic := &topics[m.campaign.topic]
	id := mix(uint64(m.id) + 1)
	e.named[id] = m.id
	e.engine.Message(replay.Message{
		At: t.time(), Box: e.boxes[m.person.index], Tenant: e.tenants[topic.tenant], Bulk: true,
		Item: scheduler.Item{
			ID: id, Window: m.campaign.window, Droppable: e.drops,
			Value: float32(m.campaign.value), HalfLife: m.campaign.halfLife,
			Topic: uint32(mix(uint64(m.campaign.topic) + 77)), Pressure: float32(topic.weight),
			Weight: uint8(1 + int(topic.weight*2)),
		},
	}, e.take)
	return e.err
}

var kinds = [...]scheduler.Kind{
	opened: scheduler.Opened, clicked: scheduler.Clicked,
	unsubscribed: scheduler.Unsubscribed, complained: scheduler.Complained,
}

func (e *planned) learn(t when, s *signal) error {
	weight := float32(0)
	if s.human {
		weight = 1
	}
	e.engine.Signal(replay.Signal{
		At: t.time(), Box: e.boxes[s.mail.person.index], Tenant: e.tenants[topics[s.mail.campaign.topic].tenant],
		Kind: kinds[s.kind], ID: mix(uint64(s.mail.id) + 1), Weight: weight,
	}, e.take)
	return e.err
}

// advance returns what was decided since it was last called.
func (e *planned) advance(t when) ([]release, error) {
	out := e.out
	e.out = nil
	if e.next() <= t {
		e.engine.Advance(t.time(), e.take)
		out, e.out = append(out, e.out...), nil
	}
	return out, e.err
}

func (e *planned) next() when {
	if len(e.out) > 0 {
		return e.out[0].at
	}
	at, ok := e.engine.Next()
	if !ok {
		return never
	}
	return whenOf(at)
}
