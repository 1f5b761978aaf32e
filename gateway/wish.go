package gateway

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"tidepost/scheduler"
	"tidepost/suppression"
)

// Wishes are what a reader asked for about their mail of an audience, beside the
// entries that stop it.
type Wishes struct {
	Sees    scheduler.Sees // what may be learned from, at most
	PerWeek uint8          // bulk mails in any seven days; 0: no wish
}

// signalSource marks the entries that signals made.
const signalSource = "signal:"

// close stops further mail: an opt-out from a list or from all of its sender's bulk,
// or everything to an address that does not exist. It reports false where an
// earlier signal has.
func (t *turn) close(s *Signal, reason suppression.Reason) bool {
	e := suppression.Entry{Address: s.Mailbox.String(), Scope: suppression.Scope{Kind: suppression.Tenant, Name: s.Tenant},
		Reason: reason, Source: signalSource + s.Source, Evidence: s.evidence(), Created: t.now}
	switch {
	case reason == suppression.HardBounce:
		e.Scope = s.reach()
		t.suspect(&e)
	case reason == suppression.Unsubscribe && s.List != "":
		e.Scope = suppression.TenantList(s.Tenant, s.List)
	}
	if e.Validate() != nil { // a List-Id that is no scope's name: then all of the sender's bulk
		e.Scope = suppression.Scope{Kind: suppression.Tenant, Name: s.Tenant}
	}
	known := t.entry(&e) != nil
	if !known {
		t.enter(e, "added")
		t.forward(s)
	}
	t.dropSuppressed(!known)
	return !known
}

// entry is the live entry of the same scope and reason, for good, that there is; nil:
// none, or the list cannot be read.
func (t *turn) entry(like *suppression.Entry) *suppression.Entry {
	entries, err := t.entries()
	if err != nil {
		return nil
	}
	i := slices.IndexFunc(entries, func(e suppression.Entry) bool {
		return e.Scope == like.Scope && e.Reason == like.Reason && e.Removed.IsZero() && e.Expires.IsZero()
	})
	if i < 0 {
		return nil
	}
	return &entries[i]
}

// entries is the suppression list of the mailbox's address, with what this turn
// has added to it. What was kept of an address that was erased counts too.
func (t *turn) entries() ([]suppression.Entry, error) {
	entries, err := t.g.EntriesOf(context.Background(), t.box.Address)
	if err != nil || len(t.change.Entries) == 0 {
		return entries, err
	}
	entries = slices.Clone(entries)
	for _, e := range t.change.Entries {
		entries = slices.DeleteFunc(entries, func(o suppression.Entry) bool { return o.Scope == e.Scope && o.Reason == e.Reason })
		entries = append(entries, e)
	}
	return entries, nil
}

// enter adds or takes back an entry in this turn's commit.
func (t *turn) enter(e suppression.Entry, what string) {
	detail, _ := json.Marshal(e) // a struct of plain fields
	t.change.Entries = append(t.change.Entries, e)
	t.change.Events = append(t.change.Events, Event{Kind: EventEntry, At: t.now, Name: t.g.eventName(), Reason: what,
		Detail: string(detail), Actor: e.Source})
}

// SettingForward is the prefix of the settings that hold the calls still to be made
// to senders' own one-click URLs (RFC 8058).
const SettingForward = "forward/"

// Forwarding is such a call.
type Forwarding struct {
	URL     string    `json:"url"`
	Tenant  string    `json:"tenant"`
	Mailbox string    `json:"mailbox"`
	At      time.Time `json:"at"`
}

// forward notes that the sender's own one-click URL is to be called, in the commit
// of the opt-out.
func (t *turn) forward(s *Signal) {
	if s.Forward == "" {
		return
	}
	value, _ := json.Marshal(Forwarding{s.Forward, s.Tenant, t.box.Key.String(), t.now}) // a struct of plain fields
	t.change.Settings = append(t.change.Settings, Setting{Name: SettingForward + t.g.eventName(), Value: value})
}

// wish takes over what a reader asks for and reports whether that changes anything.
func (t *turn) wish(s *Signal) (news bool) {
	w := s.Wish
	if w == nil {
		return false
	}
	is := t.box.Wishes
	if w.Resume {
		is.PerWeek = 0
		news = t.resume(s) || news
	}
	if w.Evidence != "" {
		is.Sees, _ = scheduler.ParseSees(w.Evidence) // it was checked on its way in
	}
	if w.PerWeek > 0 {
		is.PerWeek = uint8(min(w.PerWeek, 32))
	}
	if is != t.box.Wishes {
		if is.Sees > t.box.Wishes.Sees {
			t.narrow(is.Sees)
		}
		t.head().Wishes = is
		news = true
	}
	if w.Until.After(t.now) {
		t.enter(suppression.Entry{Address: s.Mailbox.String(), Scope: suppression.Scope{Kind: suppression.Tenant, Name: s.Tenant},
			Reason: suppression.Pause, Source: signalSource + s.Source, Created: t.now, Expires: w.Until}, "added")
		t.dropSuppressed(true)
		news = true
	}
	return news
}

// resume takes the reader's pause back.
func (t *turn) resume(s *Signal) (news bool) {
	entries, err := t.entries()
	if err != nil {
		return false
	}
	for _, e := range entries {
		if e.Reason == suppression.Pause && e.Live(t.now) && e.Scope == (suppression.Scope{Kind: suppression.Tenant, Name: s.Tenant}) && strings.HasPrefix(e.Source, signalSource) {
			e.Removed = t.now
			t.enter(e, "removed")
			news = true
		}
	}
	return news
}

// narrow drops what was learned about the mailbox's owner and may not be known any
// more: withdrawing ends the use of it (decision model 2.3). The ring of sends stays:
// it is what caps go by.
func (t *turn) narrow(sees scheduler.Sees) {
	h := t.heard()
	h.did.narrow(sees)
	if sees >= scheduler.SeesDay {
		h.coarsen()
		t.known = new(scheduler.Profile)
		t.head().Profile = nil
	}
	t.keepHeard()
}
