package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/suppression"
)

func entry(n int, reason suppression.Reason, note string) suppression.Entry {
	return suppression.Entry{
		Address: addressOf(n), Scope: suppression.Scope{Kind: suppression.Tenant, Name: "acme"},
		Reason: reason, Source: "test", Note: note, Created: began,
	}
}

func testEntries(t *testing.T, open Open) {
	dir := t.TempDir()
	s := open(t, dir)
	defer func() { end(s) }()
	if _, ok := s.(gateway.Entries); !ok {
		t.Skip("not Entries")
	}
	bounce, manual := entry(1, suppression.HardBounce, "550"), entry(1, suppression.Manual, "asked")
	commit(t, s, &gateway.Change{Entries: []suppression.Entry{bounce, manual, entry(2, suppression.Manual, "")}})
	removed := manual
	removed.Removed = began.Add(time.Hour)
	bounce.Note = "551"
	commit(t, s, &gateway.Change{Key: key(1), Entries: []suppression.Entry{removed, bounce}})
	want := []suppression.Entry{bounce, removed}
	for range 2 {
		got, err := s.(gateway.Entries).Entries(ctx, addressOf(1))
		slices.SortFunc(got, func(a, b suppression.Entry) int { return len(a.Reason) - len(b.Reason) })
		slices.SortFunc(want, func(a, b suppression.Entry) int { return len(a.Reason) - len(b.Reason) })
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("entries are\n%+v, %v, want\n%+v", got, err, want)
		}
		if got, err := s.(gateway.Entries).Entries(ctx, "nobody@example.test"); err != nil || len(got) > 0 {
			t.Errorf("an address without entries has %v, %v", got, err)
		}
		end(s)
		s = open(t, dir)
	}
	commit(t, s, &gateway.Change{Forget: []string{addressOf(1)}, Entries: []suppression.Entry{entry(2, suppression.HardBounce, "550")}})
	for range 2 {
		if got, err := s.(gateway.Entries).Entries(ctx, addressOf(1)); err != nil || len(got) > 0 {
			t.Errorf("a forgotten address has %v, %v", got, err)
		}
		if got, err := s.(gateway.Entries).Entries(ctx, addressOf(2)); err != nil || len(got) != 2 {
			t.Errorf("another address has %v, %v", got, err)
		}
		end(s)
		s = open(t, dir)
	}
}

func testSettings(t *testing.T, open Open) {
	dir := t.TempDir()
	s := open(t, dir)
	defer func() { end(s) }()
	if _, ok := s.(gateway.Settings); !ok {
		t.Skip("not Settings")
	}
	put := func(settings ...gateway.Setting) { commit(t, s, &gateway.Change{Settings: settings}) }
	put(gateway.Setting{Name: "mode", Value: []byte("live")}, gateway.Setting{Name: "gone", Value: []byte("x")})
	put(gateway.Setting{Name: "mode", Value: []byte("observe")}, gateway.Setting{Name: "gone"}, gateway.Setting{Name: "empty", Value: []byte{}})
	want := map[string][]byte{"mode": []byte("observe"), "empty": {}}
	for range 2 {
		if got := s.(gateway.Settings).Settings(); !reflect.DeepEqual(got, want) {
			t.Errorf("settings are %v, want %v", got, want)
		}
		end(s)
		s = open(t, dir)
	}
}

func testBrowse(t *testing.T, open Open) {
	s := opened(t, open)
	b, ok := s.(gateway.Browser)
	if !ok {
		t.Skip("not a Browser")
	}
	m := message(1, 2, 3, 4)
	ds := accept(t, s, m, "look")
	other := accept(t, s, message(4), "other")[0]
	commit(t, s,
		next(&gateway.Mailbox{Key: key(1)}, ds[0], gateway.Sending, gateway.EventReleased),
		next(&gateway.Mailbox{Key: key(2)}, ds[1], gateway.Delivered, gateway.EventDelivered),
		next(&gateway.Mailbox{Key: key(4)}, other, gateway.Waiting, gateway.EventPlanned))
	keys := []gateway.Key{key(1), key(3), key(4)}
	slices.SortFunc(keys, func(a, b gateway.Key) int { return slices.Compare(a[:], b[:]) })
	if got := scan(t, b, gateway.Key{}, 9); !slices.Equal(got, keys) {
		t.Errorf("a scan saw %v, want %v", got, keys)
	}
	if got := scan(t, b, keys[1], 9); !slices.Equal(got, keys[1:]) {
		t.Errorf("a scan from the second saw %v", got)
	}
	if got := scan(t, b, gateway.Key{}, 1); len(got) != 1 {
		t.Errorf("a scan that was stopped saw %v", got)
	}
	told := gateway.Event{Kind: gateway.EventClicked, At: began, Name: "n1", Detail: `{"delivery":"` + ds[0].ID.String() + `"}`}
	commit(t, s, &gateway.Change{Events: []gateway.Event{told}})
	events, err := b.History(ctx, m.ID)
	if err != nil || len(events) != 3 || !events[2].AboutDelivery(ds[0].ID) || events[0].Delivery.ID.Message != m.ID {
		t.Errorf("the message's history is %+v, %v", events, err)
	}
	found, ref, err := b.Message(ctx, m.ID)
	if err != nil || !reflect.DeepEqual(found, m) || ref != ds[0].Ref {
		t.Errorf("the message was found as %+v at %v, %v", found, ref, err)
	}
	if _, _, err := b.Message(ctx, gateway.ID{1}); !errors.Is(err, gateway.ErrNotFound) {
		t.Errorf("an unknown message: %v", err)
	}
	if u := b.Usage(); u.Log <= 0 || u.Journal <= 0 || u.Segments <= 0 || u.Free <= 0 || u.Quarantined != 0 {
		t.Errorf("usage is %+v", u)
	}
}

// scan lists the keys of mailboxes until there are enough.
func scan(t testing.TB, b gateway.Browser, from gateway.Key, enough int) (keys []gateway.Key) {
	t.Helper()
	err := b.Scan(ctx, from, func(m *gateway.Mailbox) bool {
		if len(m.Deliveries) == 0 {
			t.Errorf("a scan brought %s, where nothing waits", m.Key)
		}
		keys = append(keys, m.Key)
		return len(keys) < enough
	})
	if err != nil {
		t.Fatalf("Scan: %v", err)
	}
	return keys
}

func testTotals(t *testing.T, open Open) {
	dir := t.TempDir()
	s := open(t, dir)
	defer func() { end(s) }()
	if _, ok := s.(gateway.Browser); !ok {
		t.Skip("not a Browser")
	}
	ds := accept(t, s, message(0, 1, 2, 3, 4, 5), "x")
	loose := message(6)
	loose.Campaign, loose.Received = "", began.Add(time.Hour)
	accept(t, s, loose, "y")
	states := []gateway.State{gateway.Waiting, gateway.Sending, gateway.Delivered, gateway.Bounced, gateway.Dropped, gateway.Captured}
	for i, state := range states {
		c := next(&gateway.Mailbox{Key: key(i)}, ds[i], state, gateway.EventKind(fmt.Sprint(state)))
		c.Deliveries[0].Reason = "expired"
		commit(t, s, c)
	}
	want := gateway.Totals{
		Accepted: 6, Waiting: 1, Sending: 1, Delivered: 1, Bounced: 1, Captured: 1,
		Dropped: map[string]int64{"expired": 1}, First: began, Last: began,
	}
	tenant := want
	tenant.Accepted, tenant.Waiting, tenant.Last = 7, 2, loose.Received
	for range 2 {
		campaigns, tenants := s.(gateway.Browser).Totals()
		if got := campaigns[gateway.CampaignKey{Tenant: "acme", Campaign: "spring"}]; len(campaigns) != 1 || !reflect.DeepEqual(got, want) {
			t.Errorf("the campaign's totals are\n%+v, want\n%+v", got, want)
		}
		if got := tenants["acme"]; len(tenants) != 1 || !reflect.DeepEqual(got, tenant) {
			t.Errorf("the tenant's totals are\n%+v, want\n%+v", got, tenant)
		}
		end(s)
		s = open(t, dir)
	}
}
