package admin

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
)

// addresses returns what a page lists, sorted.
func addresses(a answer) string {
	var list []string
	for _, item := range a.Items {
		list = append(list, item.Tenant+":"+item.Address)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestFilters(t *testing.T) {
	w := newWorld(t, nil)
	ann := w.submit(mail{campaign: "spring", to: []string{"ann@x.test", "Bob+tag@x.test"}, notBefore: tomorrow()})
	w.submit(mail{tenant: "zoo", campaign: "spring", to: []string{"ann@x.test"}, notBefore: time.Now().Add(time.Hour)})
	kept := w.submit(mail{campaign: "autumn", to: []string{"cid@x.test"}})
	w.put(kept[0], gateway.EventCaptured, func(n *gateway.Delivery) { n.State = gateway.Captured })
	soon := time.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339)
	tests := []struct{ query, want string }{
		{"", "acme:Bob+tag@x.test acme:ann@x.test acme:cid@x.test zoo:ann@x.test"},
		{"tenant=zoo", "zoo:ann@x.test"},
		{"tenant=nobody", ""},
		{"campaign=spring", "acme:Bob+tag@x.test acme:ann@x.test zoo:ann@x.test"},
		{"campaign=spring&tenant=acme", "acme:Bob+tag@x.test acme:ann@x.test"},
		{"mailbox=ann%40x.test", "acme:ann@x.test zoo:ann@x.test"},
		{"mailbox=ANN%2Bother%40x.test&tenant=zoo", "zoo:ann@x.test"},
		{"mailbox=bob%40x.test", "acme:Bob+tag@x.test"},
		{"mailbox=eve%40x.test", ""},
		{"state=captured", "acme:cid@x.test"},
		{"state=waiting&tenant=acme", "acme:Bob+tag@x.test acme:ann@x.test"},
		{"state=sending", ""},
		{"due_before=" + soon, "zoo:ann@x.test"},
		{"message=" + ann[0].ID.Message.String(), "acme:Bob+tag@x.test acme:ann@x.test"},
		{"message=" + ann[0].ID.Message.String() + "&mailbox=bob%40x.test", "acme:Bob+tag@x.test"},
		{"ids=" + kept[0].ID.String() + "," + ann[0].ID.String(), "acme:ann@x.test acme:cid@x.test"},
		{"ids=" + kept[0].ID.String() + "&state=waiting", ""},
	}
	for _, tt := range tests {
		got := w.get("/api/v1/deliveries?" + tt.query)
		if addresses(got) != tt.want {
			t.Errorf("%s: %q, want %q", tt.query, addresses(got), tt.want)
		}
		counted := w.get("/api/v1/deliveries?limit=1&count=true&" + tt.query)
		if counted.Total == nil || *counted.Total != int64(len(got.Items)) {
			t.Errorf("%s: total %v, want %d", tt.query, counted.Total, len(got.Items))
		}
	}
}

func TestBadFilters(t *testing.T) {
	w := newWorld(t, nil)
	for query, field := range map[string]string{
		"state=lost":                      "state",
		"state=delivered":                 "state",
		"mailbox=ann":                     "mailbox",
		"due_before=soon":                 "due_before",
		"message=1":                       "message",
		"ids=1,2":                         "ids",
		"limit=0":                         "limit",
		"limit=many":                      "limit",
		"cursor=nonsense":                 "cursor",
		"cursor=bg":                       "cursor",
		"tenat=acme":                      "tenat",
		"tenant=a&tenant=b":               "tenant",
		"tenant=a%zz":                     "query",
		"message=01J00000000000000000000": "message",
	} {
		a := w.ask(Viewer, "GET", "/api/v1/deliveries?"+query, "", 400)
		if a.Field != field || a.Remedy == "" || !strings.Contains(a.Detail, a.Remedy) || a.Type != "about:blank" || a.Title != "Bad Request" || a.Status != 400 {
			t.Errorf("%s: %+v", query, a)
		}
	}
	unknown := gateway.ID{1}.String()
	w.ask(Viewer, "GET", "/api/v1/deliveries?message="+unknown, "", 404)
	w.ask(Viewer, "GET", "/api/v1/deliveries/"+unknown+".0", "", 404)
	w.ask(Viewer, "GET", "/api/v1/deliveries/"+unknown, "", 404)
	w.ask(Viewer, "GET", "/api/v1/deliveries/x", "", 404)
}

// TestPages reads everything exactly once, however small the pages and the
// slices of the scan are, and whatever else is in the mailboxes.
func TestPages(t *testing.T) {
	for _, slice := range []int{1, 2, 7, 2048} {
		w := newWorld(t, func(w *world) { w.pages = budget{slice, time.Minute, time.Minute} })
		want := map[string]bool{}
		for i := range 40 {
			to := fmt.Sprintf("reader%d@x.test", i%13) // several for some, across campaigns
			d := w.submit(mail{campaign: []string{"spring", "autumn"}[i%2], to: []string{to}, notBefore: tomorrow()})
			if i%2 == 0 {
				want[d[0].ID.String()] = true
			}
		}
		for _, limit := range []int{1, 3, 20, 1000} {
			seen := map[string]int{}
			cursor := ""
			for pages := 0; ; pages++ {
				p := w.get(fmt.Sprintf("/api/v1/deliveries?campaign=spring&limit=%d&cursor=%s", limit, cursor))
				if len(p.Items) > limit || pages > 100 {
					t.Fatalf("slice %d, limit %d: %d rows on page %d", slice, limit, len(p.Items), pages)
				}
				for _, item := range p.Items {
					seen[item.ID]++
				}
				if cursor = p.Next; cursor == "" {
					break
				}
			}
			for id := range want {
				if seen[id] != 1 {
					t.Errorf("slice %d, limit %d: %s is listed %d times", slice, limit, id, seen[id])
				}
			}
			if len(seen) != len(want) {
				t.Errorf("slice %d, limit %d: %d rows, want %d", slice, limit, len(seen), len(want))
			}
		}
	}
}

// TestPagesTakeNoLonger ends a page by time where a filter finds next to nothing.
func TestPagesTakeNoLonger(t *testing.T) {
	w := newWorld(t, func(w *world) { w.pages = budget{slice: 1} }) // no time at all
	for i := range 20 {
		w.submit(mail{campaign: "spring", to: []string{fmt.Sprintf("reader%d@x.test", i)}, notBefore: tomorrow()})
	}
	due := "/api/v1/deliveries?due_before=" + url.QueryEscape(time.Now().UTC().Format(time.RFC3339))
	pages := 0
	for cursor := "start"; cursor != ""; pages++ {
		p := w.get(due + "&cursor=" + strings.TrimPrefix(cursor, "start"))
		if len(p.Items) != 0 {
			t.Fatalf("found %+v", p.Items)
		}
		cursor = p.Next
	}
	if pages < 20 {
		t.Errorf("%d pages, want one a mailbox", pages)
	}
	before := w.store.scans
	w.get("/api/v1/deliveries?campaign=autumn")
	if w.store.scans != before {
		t.Errorf("a campaign without mail was looked for")
	}
}

func TestSettledByID(t *testing.T) {
	w := newWorld(t, nil)
	d := w.submit(mail{to: []string{"Ann@x.test", "bob@x.test"}, notBefore: tomorrow()})
	w.put(d[0], gateway.EventDelivered, func(n *gateway.Delivery) {
		n.State, n.Reason, n.Reply = gateway.Delivered, "delivered", "250 ok"
	})
	path := "/api/v1/deliveries/" + d[0].ID.String()
	rec := w.serve(w.request(Viewer, "GET", path, ""))
	for _, want := range []string{`"state":"delivered"`, `"mailbox":"ann@x.test"`, `"address":"Ann@x.test"`, `"reply":"250 ok"`, `"sentence":"The next hop took it."`} {
		if !strings.Contains(rec.Body.String(), want) {
			t.Errorf("no %s in %s", want, rec.Body)
		}
	}
	all := "/api/v1/deliveries?message=" + d[0].ID.Message.String()
	if p := w.get(all); len(p.Items) != 2 || p.Items[0].State != "delivered" || p.Items[1].State != "waiting" {
		t.Errorf("a message lists %+v", p.Items)
	}
	if p := w.get(all + "&limit=1"); len(p.Items) != 1 || p.Next == "" {
		t.Errorf("first page %+v", p)
	} else if p = w.get(all + "&limit=1&cursor=" + p.Next); len(p.Items) != 1 || p.Items[0].State != "waiting" || p.Next != "" {
		t.Errorf("second page %+v", p)
	}
	if p := w.get("/api/v1/deliveries?state=delivered&ids=" + d[0].ID.String()); len(p.Items) != 1 {
		t.Errorf("by state and id: %+v", p.Items)
	}
	w.store.forget(d[0].ID.Message)
	w.get(path) // history outlives content
}

func TestCaptureWarns(t *testing.T) {
	w := newWorld(t, func(w *world) { w.Info = func() Info { return Info{Mode: "capture"} } })
	d := w.submit(mail{to: []string{"ann@x.test"}, campaign: "spring"})
	for _, target := range []string{
		"/api/v1/deliveries", "/api/v1/deliveries/" + d[0].ID.String(), "/api/v1/campaigns", "/api/v1/destinations", "/api/v1/status",
		"/api/v1/suppressions?address=ann%40x.test", "/api/v1/explain/ann@x.test", "/api/v1/messages/" + d[0].ID.Message.String(),
	} {
		if a := w.get(target); a.Mode != "capture" || a.Warning != captureWarning {
			t.Errorf("%s: mode %q, warning %q", target, a.Mode, a.Warning)
		}
	}
}

// TestFindingCosts counts searches of the files: deliveries that somebody was
// shown need none, and many that nobody was need one scan.
func TestFindingCosts(t *testing.T) {
	w := newWorld(t, nil)
	var ids []string
	for i := range 20 {
		d := w.submit(mail{to: []string{fmt.Sprintf("reader%d@x.test", i)}, notBefore: tomorrow()})
		ids = append(ids, d[0].ID.String())
	}
	cost := func(target string, rows, searches int) {
		t.Helper()
		before := w.store.searches
		if p := w.get(target); rows > 0 && len(p.Items) != rows {
			t.Errorf("%s: %d rows, want %d", target, len(p.Items), rows)
		}
		if n := w.store.searches - before; n != searches {
			t.Errorf("%s: %d searches, want %d", target, n, searches)
		}
	}
	all := "/api/v1/deliveries?ids=" + strings.Join(ids, ",")
	cost(all, 20, 0) // one scan
	cost("/api/v1/deliveries?ids="+strings.Join(ids[:4], ","), 4, 4)
	cost("/api/v1/deliveries/"+ids[0], 0, 1)
	cost("/api/v1/deliveries", 20, 0)
	cost(all, 20, 0)
	cost("/api/v1/deliveries?ids="+strings.Join(ids[:4], ","), 4, 0)
	cost("/api/v1/deliveries/"+ids[0], 0, 0)
	cost("/api/v1/explain/"+ids[0], 0, 1)
	w.ask(Operator, "POST", actions, `{"action":"drop","filter":{"ids":["`+ids[0]+`"]}}`, 200)
	if a := w.get("/api/v1/deliveries/" + ids[0]); a.Status != 0 {
		t.Errorf("%+v", a)
	}
}
