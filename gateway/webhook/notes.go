package webhook

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"tidepost/gateway"
)

// settingWebhook is the prefix of a Sender's notes: behind it an endpoint's name, and
// for an event that is on its list /held/ and the event's id. No address is in them.
const settingWebhook = "webhook/"

const heldPart = "/held/"

// reader is an endpoint's name among the journal's readers; holder keeps the history
// of what is on its list.
func reader(name string) string { return settingWebhook + name }
func holder(name string) string { return settingWebhook + name + "/held" }

// notes are what is kept of an endpoint.
type notes struct {
	Start   gateway.Cursor `json:"start"` // where it begins while its cursor was not written down yet
	Since   time.Time      `json:"since"`
	Removed bool           `json:"removed,omitempty"` // nobody wants it any more

	Disabled time.Time `json:"disabled,omitzero"` // it answered 410
	Outage   outage    `json:"outage,omitzero"`
	GivenUp  int64     `json:"given_up,omitempty"`  // events, in all
	LastLost string    `json:"last_lost,omitempty"` // id of the last one
}

// outage is a time in which an endpoint takes nothing.
type outage struct {
	waits
	Since time.Time `json:"since,omitzero"`
}

// held is an event that the endpoint refused while it took others.
type held struct {
	waits
	Before gateway.Cursor `json:"before"` // the place from which on the journal has it

	id   string
	busy bool
}

func (s *Sender) put(ctx context.Context, name string, v any) error {
	var value []byte
	if v != nil {
		value, _ = json.Marshal(v) // structs of plain fields
	}
	return s.Store.Commit(ctx, &gateway.Change{Settings: []gateway.Setting{{Name: name, Value: value}}})
}

// readNotes returns an endpoint's notes and list; ok is false where it is new.
func (s *Sender) readNotes(name string) (n notes, list map[string]*held, ok bool) {
	list = map[string]*held{}
	prefix := settingWebhook + name
	for setting, value := range s.Store.Settings() {
		rest, found := strings.CutPrefix(setting, prefix)
		id, isHeld := strings.CutPrefix(rest, heldPart)
		switch {
		case !found:
		case rest == "":
			if err := json.Unmarshal(value, &n); err != nil {
				s.log().Error("the notes of a webhook cannot be read; it goes on from its cursor", "webhook", name, "error", err)
			}
			ok = !n.Removed
		case isHeld:
			h := &held{id: id}
			if err := json.Unmarshal(value, h); err != nil {
				s.log().Error("an event on a webhook's list cannot be read; it is left as it is", "setting", setting, "error", err)
				continue
			}
			list[id] = h
		}
	}
	return n, list, ok
}

// forget removes what is kept of endpoints that nobody wants any more, so that no
// history is kept for them. A cursor is written down later than a note: the note that
// it has to go stays until the next time.
func (s *Sender) forget(ctx context.Context, wanted []Endpoint) {
	stay := map[string]bool{}
	for _, e := range wanted {
		stay[e.Name] = true
	}
	change := &gateway.Change{}
	for setting, value := range s.Store.Settings() {
		rest, found := strings.CutPrefix(setting, settingWebhook)
		name, _, isHeld := strings.Cut(rest, "/")
		if !found || stay[name] {
			continue
		}
		if isHeld {
			change.Settings = append(change.Settings, gateway.Setting{Name: setting})
			continue
		}
		for _, r := range []string{reader(name), holder(name)} {
			if err := s.Journal.SaveCursor(r, gateway.Cursor{}); err != nil {
				s.log().Warn("the cursor of a webhook that is gone stays for now", "webhook", name, "error", err)
			}
		}
		var n notes
		_ = json.Unmarshal(value, &n) // notes that cannot be read go too
		var left []byte
		if !n.Removed {
			left, _ = json.Marshal(notes{Removed: true})
			s.log().Info("a webhook is not configured any more and is forgotten", "webhook", name)
		}
		change.Settings = append(change.Settings, gateway.Setting{Name: setting, Value: left})
	}
	if len(change.Settings) == 0 {
		return
	}
	if err := s.Store.Commit(ctx, change); err != nil {
		s.log().Warn("the notes of a webhook that is gone stay for now", "error", err)
	}
}
