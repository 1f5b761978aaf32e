package gateway

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"
)

// settings are what a person changed at run time: it is stored with who and
// when, and survives a restart (design rule 9).
type settings struct {
	changing  sync.Mutex // one change is stored and in force before the next
	mu        sync.RWMutex
	campaigns map[CampaignKey]Pause // guarded by mu
	tenants   map[string]Pause      // guarded by mu
	modes     modes
	endings   endings
}

// Pause says who stopped a tenant's or a campaign's mail, and when.
type Pause struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
}

const (
	settingTenant   = "pause/tenant/"
	settingCampaign = "pause/campaign/"
)

func (g *Gateway) loadSettings() error {
	g.settings.campaigns, g.settings.tenants = map[CampaignKey]Pause{}, map[string]Pause{}
	kept, ok := g.Store.(Settings)
	if !ok {
		return nil
	}
	for name, value := range kept.Settings() {
		if strings.HasPrefix(name, settingMode) {
			g.settings.loadMode(value)
			continue
		}
		if strings.HasPrefix(name, settingEnding) {
			g.settings.endings.load(value)
			continue
		}
		if strings.HasPrefix(name, settingSource) {
			g.sources.load(name, value)
			continue
		}
		if name == settingRules {
			g.loadRules(value)
			continue
		}
		if name == settingPulse {
			g.heard.load(value)
			continue
		}
		if name == settingErasure {
			g.loadErasureKey(value)
			continue
		}
		var p Pause
		if err := json.Unmarshal(value, &p); err != nil {
			continue // not a pause
		}
		if tenant, ok := strings.CutPrefix(name, settingTenant); ok {
			g.settings.tenants[tenant] = p
			g.queue.stop(g.queue.stopped || tenant == "")
		}
		if campaign, ok := strings.CutPrefix(name, settingCampaign); ok {
			tenant, name, _ := strings.Cut(campaign, "\x00")
			g.settings.campaigns[CampaignKey{tenant, name}] = p
		}
	}
	return nil
}

// park sets a mailbox aside for a delivery that a person stopped, with its
// tenant, its campaign or everything, and reports whether one did. Looking and
// setting aside is one step: a resume in between would not find it.
func (g *Gateway) park(d *Delivery, k Key, line string) bool {
	s := &g.settings
	s.mu.RLock()
	defer s.mu.RUnlock()
	c, stopped := s.stoppedLocked(d)
	if stopped {
		g.queue.park(c, k, line)
	}
	return stopped
}

// stoppedLocked returns what of a delivery is paused: a campaign, a tenant with
// no campaign, or neither for everything.
func (s *settings) stoppedLocked(d *Delivery) (CampaignKey, bool) {
	for _, tenant := range [...]string{"", d.Tenant} {
		if _, paused := s.tenants[tenant]; paused {
			return CampaignKey{tenant, ""}, true
		}
	}
	c := CampaignKey{d.Tenant, d.Campaign}
	_, paused := s.campaigns[c]
	return c, paused && d.Campaign != ""
}

// Pauses returns what is paused now.
func (g *Gateway) Pauses() (tenants map[string]Pause, campaigns map[CampaignKey]Pause) {
	g.settings.mu.RLock()
	defer g.settings.mu.RUnlock()
	tenants, campaigns = map[string]Pause{}, map[CampaignKey]Pause{}
	for k, v := range g.settings.tenants {
		tenants[k] = v
	}
	for k, v := range g.settings.campaigns {
		campaigns[k] = v
	}
	return tenants, campaigns
}

// SetPaused stops or resumes the release of a tenant's mail, of one of its
// campaigns, or, where tenant is empty, of everybody's. Mail goes on being
// accepted and planned.
func (g *Gateway) SetPaused(ctx context.Context, tenant, campaign string, paused bool, actor string) error {
	g.settings.changing.Lock()
	defer g.settings.changing.Unlock()
	p := Pause{By: actor, At: g.now()}
	name := settingTenant + tenant
	if campaign != "" {
		name = settingCampaign + tenant + "\x00" + campaign
	}
	var value []byte
	reason := "resumed"
	if paused {
		value, _ = json.Marshal(p) // a struct of two plain fields
		reason = "paused"
	}
	err := g.Store.Commit(ctx, &Change{
		Settings: []Setting{{Name: name, Value: value}},
		Events: []Event{{Kind: EventSetting, At: p.At, Name: g.eventName(), Reason: reason, Actor: actor,
			Detail: strings.ReplaceAll(name, "\x00", "/")}},
	})
	if err != nil {
		return err
	}
	g.applyPause(tenant, campaign, paused, p)
	return nil
}

func (g *Gateway) applyPause(tenant, campaign string, paused bool, p Pause) {
	s, key := &g.settings, CampaignKey{tenant, campaign}
	var lines []*line
	s.mu.Lock()
	switch {
	case campaign != "" && paused:
		s.campaigns[key] = p
	case campaign != "":
		delete(s.campaigns, key)
	case paused:
		s.tenants[tenant] = p
	default:
		delete(s.tenants, tenant)
	}
	if key == (CampaignKey{}) {
		g.queue.stop(paused)
	}
	if !paused {
		lines = g.queue.unpark(key, g.now())
	}
	s.mu.Unlock()
	if key == (CampaignKey{}) {
		g.lookAtAll()
	}
	for _, ln := range lines {
		g.look(ln)
	}
}

// eventName makes an id for an event that is about no delivery.
func (g *Gateway) eventName() string { return g.names.Next(g.now()).String() }
