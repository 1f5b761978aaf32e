package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"tidepost/scheduler"
	"tidepost/suppression"
	"tidepost/suppression/address"
	"tidepost/suppression/lists"
)

// settingErasure holds the key of the hashes that erased addresses leave. It is made
// with the first of them; without it nobody can tell whose they are.
const settingErasure = "erasure"

// Erased tells what became of an address.
type Erased struct {
	Mailboxes int // audiences that knew it
	Dropped   int // deliveries that waited
	Sending   int // deliveries that were on the wire, and settle as usual
	Entries   int // suppressions kept under a keyed hash
}

// Erase forgets a person: what waits is dropped, what was learned goes, and of the
// suppressions only a keyed hash stays, so that they still stop mail. What the logs
// hold goes with their retention.
func (g *Gateway) Erase(ctx context.Context, m address.Mailbox, actor string) (Erased, error) {
	var done Erased
	if err := g.hashEntries(ctx, m, &done, actor); err != nil {
		return done, err
	}
	for _, audience := range g.audiences() {
		k := MailboxKey(audience, m)
		box, err := g.Store.Mailbox(ctx, k)
		if err != nil {
			return done, err
		}
		if box.Rev == 0 && len(box.Deliveries) == 0 {
			continue
		}
		err = g.perform(ctx, k, func(t *turn) {
			t.durable()
			t.erase(actor, &done)
		})
		if err != nil {
			return done, err
		}
		done.Mailboxes++
	}
	return done, nil
}

// audiences are all that tenants share or are.
func (g *Gateway) audiences() []string {
	seen := map[string]bool{}
	var all []string
	add := func(tenant string) {
		if a := g.audience(tenant); !seen[a] {
			seen[a] = true
			all = append(all, a)
		}
	}
	for _, name := range g.tenants() {
		add(name)
	}
	return all
}

// tenants are all that the configuration names or that ever sent.
func (g *Gateway) tenants() []string {
	var all []string
	if g.Tenants != nil {
		all = slices.Clone(g.Tenants())
	}
	if b, ok := g.Store.(Browser); ok {
		_, sent := b.Totals()
		for name := range sent {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}

// erase empties a mailbox but for what is on the wire.
func (t *turn) erase(actor string, done *Erased) {
	for _, d := range t.box.Deliveries {
		switch {
		case d.State == Sending:
			done.Sending++
		case t.g.telling.has(d.ID):
		case d.State == Waiting || d.State == Captured:
			t.eraseDelivery(d, actor)
			done.Dropped++
		}
	}
	box := t.head()
	box.Zone, box.Profile, box.Heard, box.Wishes, box.Gates = "", nil, nil, Wishes{}, scheduler.Gates{}
	t.known, t.ears = nil, nil
	if len(box.Deliveries) == 0 {
		t.change.Forget = []string{box.Address}
		box.Address = ""
	}
	t.change.Events = append(t.change.Events, Event{Kind: EventErased, At: t.now, Name: t.g.eventName(), Actor: actor,
		Detail: `{"mailbox":"` + box.Key.String() + `"}`})
}

// eraseDelivery drops what waits, or was kept instead of being sent.
func (t *turn) eraseDelivery(d *Delivery, actor string) {
	n := d.Next()
	var told []Event
	if d.Rev == 0 {
		told = append(told, t.g.accepted(n, t.now))
	}
	if d.State == Captured {
		t.g.held.add(n.Tenant, 1) // settleDrop takes it off again
	}
	t.settleDrop(n, Event{Kind: EventDropped, Reason: "erased", Actor: actor}, told...)
}

// hashEntries puts the suppressions of an address under its hash.
func (g *Gateway) hashEntries(ctx context.Context, m address.Mailbox, done *Erased, actor string) error {
	list, ok := g.Store.(Entries)
	if !ok {
		return nil
	}
	entries, err := list.Entries(ctx, m.String())
	if err != nil || len(entries) == 0 {
		return err
	}
	if err := g.makeErasureKey(ctx); err != nil {
		return err
	}
	now, hash := g.now(), g.erasedName(m.String())
	var kept []suppression.Entry
	for _, e := range entries {
		if e.Live(now) {
			e.Address, e.Evidence, e.Note = hash, "", ""
			kept = append(kept, e)
		}
	}
	done.Entries = len(kept)
	return g.perform(ctx, MailboxKey("", m), func(t *turn) {
		t.durable()
		t.change.Entries, t.change.Forget = kept, []string{m.String()}
		t.change.Events = append(t.change.Events, Event{Kind: EventEntry, At: t.now, Name: g.eventName(), Reason: "erased", Actor: actor})
	})
}

// makeErasureKey makes the key of the hashes where there is none yet.
func (g *Gateway) makeErasureKey(ctx context.Context) error {
	if g.erasure.Load() != nil {
		return nil
	}
	g.settings.changing.Lock()
	defer g.settings.changing.Unlock()
	if g.erasure.Load() != nil {
		return nil
	}
	key := make([]byte, 32)
	rand.Read(key) // never fails (crypto/rand)
	value, err := json.Marshal(hex.EncodeToString(key))
	if err != nil {
		return err
	}
	if err := g.Store.Commit(ctx, &Change{Settings: []Setting{{Name: settingErasure, Value: value}}}); err != nil {
		return err
	}
	g.erasure.Store(&key)
	return nil
}

func (g *Gateway) loadErasureKey(value []byte) {
	var text string
	if json.Unmarshal(value, &text) != nil {
		return
	}
	if key, err := hex.DecodeString(text); err == nil {
		g.erasure.Store(&key)
	}
}

// erasedPrefix begins what stands in place of an erased address.
const erasedPrefix = "erased:"

// standsFor reports whether a text stands in the place of an address: what an erased
// one left, or a digest out of a hashed list.
func standsFor(text string) bool {
	kind, _, ok := strings.Cut(text, ":")
	return ok && (kind+":" == erasedPrefix || kind == lists.SHA256 || kind == lists.MD5)
}

// erasedName is what an erased address's suppressions are kept under.
func (g *Gateway) erasedName(canonical string) string {
	h := hmac.New(sha256.New, *g.erasure.Load())
	h.Write([]byte(canonical))
	return erasedPrefix + hex.EncodeToString(h.Sum(nil)[:16])
}

// EntriesOf returns all suppression entries of a canonical address, those taken back
// too, what was kept of it when it was erased, and what is known of a hash of it alone.
func (g *Gateway) EntriesOf(ctx context.Context, canonical string) ([]suppression.Entry, error) {
	list, ok := g.Store.(Entries)
	if !ok || canonical == "" {
		return nil, nil
	}
	entries, err := list.Entries(ctx, canonical)
	if err != nil {
		return entries, err
	}
	names := g.digestsOf(canonical)
	if g.erasure.Load() != nil {
		names = append(names, g.erasedName(canonical))
	}
	for _, name := range names {
		more, err := list.Entries(ctx, name)
		if err != nil {
			return entries, err
		}
		entries = append(slices.Clip(entries), more...)
	}
	return entries, nil
}

// digestsOf are the names under which an address may stand in a list that came as
// hashes, of the kinds that there are at all. A hash over a plus tag, or over dots at
// gmail.com, is not among them: the canonical form has none.
func (g *Gateway) digestsOf(canonical string) (names []string) {
	all, ok := g.Store.(Lists)
	if !ok {
		return nil
	}
	sha256, md5 := all.HasHashed()
	if !sha256 && !md5 {
		return nil
	}
	a, err := address.Parse(canonical)
	if err != nil {
		return nil // the bare text of an erased one
	}
	for _, kind := range []struct {
		there bool
		name  string
	}{{sha256, lists.SHA256}, {md5, lists.MD5}} {
		if !kind.there {
			continue
		}
		for _, d := range lists.Digests(kind.name, a) {
			names = append(names, kind.name+":"+d.String())
		}
	}
	return names
}
