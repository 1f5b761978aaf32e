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
	mu        sync.RWMutex
	campaigns map[CampaignKey]Pause // guarded by mu
	tenants   map[string]Pause      // guarded by mu
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
		var p Pause
		if err := json.Unmarshal(value, &p); err != nil {
			continue // not a pause
		}
		if tenant, ok := strings.CutPrefix(name, settingTenant); ok {
			g.settings.tenants[tenant] = p
			g.queue.pauseTenant(tenant, true)
		}
		if campaign, ok := strings.CutPrefix(name, settingCampaign); ok {
			tenant, name, _ := strings.Cut(campaign, "\x00")
			g.settings.campaigns[CampaignKey{tenant, name}] = p
		}
	}
	return nil
}

// pausedCampaign reports whether a person stopped the delivery's campaign.
// Transactional mail belongs to no campaign.
func (s *settings) pausedCampaign(d *Delivery) bool {
	if d.Campaign == "" {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, paused := s.campaigns[CampaignKey{d.Tenant, d.Campaign}]
	return paused
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
	s := &g.settings
	var lines []*line
	s.mu.Lock()
	switch key := (CampaignKey{tenant, campaign}); {
	case campaign != "" && paused:
		s.campaigns[key] = p
	case campaign != "":
		delete(s.campaigns, key)
		lines = g.queue.unpark(key)
	case paused:
		s.tenants[tenant] = p
		g.queue.pauseTenant(tenant, true)
	default:
		delete(s.tenants, tenant)
		lines = g.queue.pauseTenant(tenant, false)
	}
	s.mu.Unlock()
	for _, ln := range lines {
		g.look(ln)
	}
}

// eventName makes an id for an event that is about no delivery.
func (g *Gateway) eventName() string { return g.names.Next(g.now()).String() }
