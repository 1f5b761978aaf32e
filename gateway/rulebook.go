package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"tidepost/suppression/rules"
)

// Rulebook is the admin's rules in one version. It is never changed.
type Rulebook struct {
	Version int       `json:"version"` // 0: there never were any
	By      string    `json:"by"`
	At      time.Time `json:"at"`
	Note    string    `json:"note,omitempty"`
	Text    string    `json:"text"` // TOML, as it was written
	// Tripped are rules that failed again and again and are in shadow since.
	Tripped []string `json:"tripped,omitempty"`
	// Numbers are the rules' own versions: one grows when the rule changes.
	Numbers map[string]int `json:"numbers"`

	set     *rules.Set
	ordered bool // some rule gives a priority
}

// orders reports whether rules may put mail into another order.
func orders(text string) bool { return strings.Contains(text, "priority") }

// Set is the rules, ready to be asked; nil where there are none.
func (b *Rulebook) Set() *rules.Set { return b.set }

// Settings that hold the rules in force and the versions before.
const (
	settingRules    = "rules"
	settingRulesOld = "rules/"
)

// keptRulebooks is how many versions can be gone back to.
const keptRulebooks = 50

// ErrRulesChanged says that somebody else changed the rules meanwhile.
var ErrRulesChanged = errors.New("the rules were changed meanwhile")

// ErrSameRules says that the rules are as they are.
var ErrSameRules = errors.New("these are the rules in force")

// rulebooks are the rules in force.
type rulebooks struct {
	current  atomic.Pointer[Rulebook]
	messages messageFacts
}

// Rulebook returns the rules in force; its Version is 0 where there never were any.
func (g *Gateway) Rulebook() *Rulebook {
	if b := g.rulebooks.current.Load(); b != nil {
		return b
	}
	return &Rulebook{}
}

// CompileRules reads rules as an admin writes them, with the versions that they would
// have. The error is rules.Errors, with places.
func (g *Gateway) CompileRules(file, text string) (*rules.Set, map[string]int, error) {
	list, err := rules.Parse(file, []byte(text))
	if err != nil {
		return nil, nil, err
	}
	return g.compile(list)
}

func (g *Gateway) compile(list []rules.Rule) (*rules.Set, map[string]int, error) {
	was := g.Rulebook()
	before := map[string]rules.Rule{}
	if was.set != nil {
		for _, r := range was.set.Rules() {
			before[r.Name] = r
		}
	}
	numbers := map[string]int{}
	for i := range list {
		r := &list[i]
		old, known := before[r.Name]
		r.Version = was.Numbers[r.Name] // also of one that was taken out and comes back
		if !known || !sameRule(old, *r) {
			r.Version++
		}
		numbers[r.Name] = r.Version
	}
	for name, n := range was.Numbers {
		if _, stays := numbers[name]; !stays {
			numbers[name] = n
		}
	}
	set, err := rules.Compile(list)
	return set, numbers, err
}

// sameRule compares what rules do, not where they stand or what they are called.
func sameRule(a, b rules.Rule) bool {
	strip := func(r rules.Rule) rules.Rule {
		return rules.Rule{State: r.State, When: r.When, Then: r.Then, Tenant: r.Tenant, Class: r.Class, Campaign: r.Campaign,
			ValidFrom: r.ValidFrom.UTC(), ValidUntil: r.ValidUntil.UTC()}
	}
	return reflect.DeepEqual(strip(a), strip(b))
}

// SetRules puts rules into force, if those in force are still of version expect, and
// plans anew what waits. Rules that do not compile change nothing.
func (g *Gateway) SetRules(ctx context.Context, text string, expect int, actor, note string) (*Rulebook, error) {
	g.settings.changing.Lock()
	defer g.settings.changing.Unlock()
	was := g.Rulebook()
	switch {
	case was.Version != expect:
		return nil, ErrRulesChanged
	case was.Version > 0 && was.Text == text && len(was.Tripped) == 0:
		return nil, ErrSameRules
	}
	set, numbers, err := g.CompileRules("", text)
	if err != nil {
		return nil, err
	}
	b := &Rulebook{Version: was.Version + 1, By: actor, At: g.now(), Note: note, Text: text, Numbers: numbers, set: set, ordered: orders(text)}
	if err := g.storeRules(ctx, b, was, "changed"); err != nil {
		return nil, err
	}
	g.Replan()
	return b, nil
}

// storeRules writes the rules in force and the history's part of it.
func (g *Gateway) storeRules(ctx context.Context, b, was *Rulebook, what string) error {
	value, err := json.Marshal(b)
	if err != nil {
		return err
	}
	detail, err := json.Marshal(rulesChange{Rulebook: b, Before: was.Text})
	if err != nil {
		return err
	}
	settings := []Setting{{Name: settingRules, Value: value}, {Name: settingRulesOld + strconv.Itoa(b.Version), Value: value}}
	if old := b.Version - keptRulebooks; old > 0 {
		settings = append(settings, Setting{Name: settingRulesOld + strconv.Itoa(old)})
	}
	err = g.Store.Commit(ctx, &Change{Settings: settings, Events: []Event{{Kind: EventRules, At: b.At, Name: g.eventName(),
		Reason: what, Detail: string(detail), Actor: b.By}}})
	if err == nil {
		g.rulebooks.current.Store(b)
	}
	return err
}

// rulesChange is what the event of a change tells.
type rulesChange struct {
	*Rulebook
	Before string `json:"before"`
}

// RuleHistory returns the versions that are kept, the newest first.
func (g *Gateway) RuleHistory() []Rulebook {
	var all []Rulebook
	if kept, ok := g.Store.(Settings); ok {
		for name, value := range kept.Settings() {
			var b Rulebook
			if strings.HasPrefix(name, settingRulesOld) && json.Unmarshal(value, &b) == nil {
				all = append(all, b)
			}
		}
	}
	slices.SortFunc(all, func(a, b Rulebook) int { return b.Version - a.Version })
	return all
}

// loadRules takes over the stored rules. Rules of another version of this program
// that cannot be read leave mail without rules, which is told.
func (g *Gateway) loadRules(value []byte) {
	var b Rulebook
	err := json.Unmarshal(value, &b)
	if err == nil {
		var list []rules.Rule
		if list, err = rules.Parse("", []byte(b.Text)); err == nil {
			for i := range list {
				list[i].Version = b.Numbers[list[i].Name]
				if slices.Contains(b.Tripped, list[i].Name) {
					list[i].State = rules.Shadow
				}
			}
			b.set, err = rules.Compile(list)
			b.ordered = orders(b.Text)
		}
	}
	if err != nil {
		g.log().Error("the stored rules cannot be read; mail goes without them", "version", b.Version, "error", err)
	}
	g.rulebooks.current.Store(&b)
}

// trip stores that rules of a set broke off again and again: they are in shadow from
// now on. In rules that replaced them meanwhile they have another try.
func (g *Gateway) trip(set *rules.Set, names []string) {
	g.settings.changing.Lock()
	defer g.settings.changing.Unlock()
	was := g.Rulebook()
	if was.set != set {
		return
	}
	b := *was
	b.At, b.By = g.now(), "gateway"
	for _, name := range names {
		if !slices.Contains(b.Tripped, name) {
			b.Tripped = append(slices.Clone(b.Tripped), name)
		}
	}
	g.log().Error("rules failed again and again and are in shadow now", "rules", fmt.Sprint(names))
	if err := g.storeRules(context.Background(), &b, was, "tripped"); err != nil {
		g.log().Error("that rules are in shadow could not be stored", "error", err)
	}
}
