package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Mode is a switch between observe and live that a person made at run time. It
// wins over the configuration until the configuration's own value changes
// (design rule 9).
type Mode struct {
	Tenant string    `json:"tenant,omitempty"` // "": every tenant
	Class  string    `json:"class,omitempty"`  // "": every bulk class
	List   string    `json:"list,omitempty"`   // "": every list
	Live   bool      `json:"live"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	File   bool      `json:"file"` // what the configuration said when it was made; live: true
}

// ModeScope says whose mail a Mode is about.
type ModeScope struct{ Tenant, Class, List string }

// Scope is whose mail it is about.
func (m Mode) Scope() ModeScope { return ModeScope{m.Tenant, m.Class, m.List} }

// Word is live or observe.
func (m Mode) Word() string { return ModeWord(m.Live) }

// ModeWord is live or observe.
func ModeWord(live bool) string {
	if live {
		return "live"
	}
	return "observe"
}

// Covers reports whether a delivery falls under the scope.
func (s ModeScope) Covers(d *Delivery) bool {
	return (s.Tenant == "" || s.Tenant == d.Tenant) && (s.Class == "" || s.Class == d.Class.String()) && (s.List == "" || s.List == d.List)
}

// Suffix is how the scope is written behind the key that it narrows.
func (s ModeScope) Suffix() string {
	var parts []string
	for _, p := range [...][2]string{{"tenant", s.Tenant}, {"class", s.Class}, {"list", s.List}} {
		if p[1] != "" {
			parts = append(parts, p[0]+" "+p[1])
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

const settingMode = "mode/"

// modes are the switches in force, looked up with every plan.
type modes struct {
	of atomic.Pointer[map[ModeScope]Mode]
}

func (m *modes) all() map[ModeScope]Mode {
	if of := m.of.Load(); of != nil {
		return *of
	}
	return nil
}

// with returns the switches with one made, and those that it ends.
func (m *modes) with(sw Mode) (next map[ModeScope]Mode, ended []Mode) {
	next = map[ModeScope]Mode{sw.Scope(): sw}
	for scope, old := range m.all() {
		switch {
		case scope == sw.Scope():
		case sw.Scope().spans(scope):
			ended = append(ended, old)
		default:
			next[scope] = old
		}
	}
	return next, ended
}

// spans reports whether the scope is about all that another is about: who says observe
// means all of it, whatever was said about parts before.
func (s ModeScope) spans(o ModeScope) bool {
	return (s.Tenant == "" || s.Tenant == o.Tenant) && (s.Class == "" || s.Class == o.Class) && (s.List == "" || s.List == o.List)
}

// scopes of a delivery, the closest first.
func (d *Delivery) scopes() [8]ModeScope {
	c := d.Class.String()
	return [8]ModeScope{
		{d.Tenant, c, d.List}, {d.Tenant, "", d.List}, {d.Tenant, c, ""}, {d.Tenant, "", ""},
		{"", c, d.List}, {"", "", d.List}, {"", c, ""}, {},
	}
}

// live reports whether the model decides about a delivery or only observes.
func (g *Gateway) live(d *Delivery, rules *Rules) bool {
	switches := g.settings.modes.all()
	if len(switches) == 0 {
		return rules.Live
	}
	for _, scope := range d.scopes() {
		if sw, ok := switches[scope]; ok && g.Rules(scope.Tenant).Live == sw.File {
			return sw.Live
		}
	}
	return rules.Live
}

// Modes returns the switches in force, the widest first.
func (g *Gateway) Modes() []Mode {
	var out []Mode
	for _, sw := range g.settings.modes.all() {
		if g.Rules(sw.Tenant).Live == sw.File {
			out = append(out, sw)
		}
	}
	slices.SortFunc(out, func(a, b Mode) int { return strings.Compare(a.setting(), b.setting()) })
	return out
}

func (m Mode) setting() string {
	return settingMode + strings.Join([]string{m.Tenant, m.Class, m.List}, "\x00")
}

// SetMode switches mail between observe and live and plans anew what waits.
func (g *Gateway) SetMode(ctx context.Context, scope ModeScope, live bool, actor string) error {
	if scope.Class != "" {
		if c, err := ParseClass(scope.Class); err != nil || !c.Bulk() {
			return fmt.Errorf("class %q: want newsletter or promotional; other mail is never held", scope.Class)
		}
	}
	g.settings.changing.Lock()
	defer g.settings.changing.Unlock()
	sw := Mode{Tenant: scope.Tenant, Class: scope.Class, List: scope.List, Live: live, By: actor, At: g.now(), File: g.Rules(scope.Tenant).Live}
	value, err := json.Marshal(sw)
	if err != nil {
		return err
	}
	next, ended := g.settings.modes.with(sw)
	stored := []Setting{{Name: sw.setting(), Value: value}}
	for _, old := range ended {
		stored = append(stored, Setting{Name: old.setting()})
	}
	err = g.Store.Commit(ctx, &Change{
		Settings: stored,
		Events: []Event{{Kind: EventSetting, At: sw.At, Name: g.eventName(), Reason: sw.Word(), Actor: actor,
			Detail: strings.ReplaceAll(sw.setting(), "\x00", "/")}},
	})
	if err != nil {
		return err
	}
	g.settings.modes.of.Store(&next)
	g.Replan()
	return nil
}

// endModes removes the switches that the configuration took over from, lest they come
// back with its next change.
func (g *Gateway) endModes(ctx context.Context) error {
	g.settings.changing.Lock()
	defer g.settings.changing.Unlock()
	next := map[ModeScope]Mode{}
	var c Change
	for scope, sw := range g.settings.modes.all() {
		if g.Rules(scope.Tenant).Live == sw.File {
			next[scope] = sw
			continue
		}
		c.Settings = append(c.Settings, Setting{Name: sw.setting()})
		c.Events = append(c.Events, Event{Kind: EventSetting, At: g.now(), Name: g.eventName(), Reason: "ended", Actor: "configuration",
			Detail: strings.ReplaceAll(sw.setting(), "\x00", "/")})
	}
	if len(c.Settings) == 0 {
		return nil
	}
	if err := g.Store.Commit(ctx, &c); err != nil {
		return err
	}
	g.settings.modes.of.Store(&next)
	return nil
}

// loadMode takes over a stored switch.
func (s *settings) loadMode(value []byte) {
	var sw Mode
	if json.Unmarshal(value, &sw) != nil {
		return
	}
	next := map[ModeScope]Mode{sw.Scope(): sw}
	maps.Copy(next, s.modes.all())
	s.modes.of.Store(&next)
}
