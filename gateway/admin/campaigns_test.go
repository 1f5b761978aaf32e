package admin

import (
	"encoding/json"
	"fmt"
	"net/url"
	"testing"

	"tidepost/gateway"
)

// TestCampaignsAddUp drives deliveries into every state and checks the sums.
func TestCampaignsAddUp(t *testing.T) {
	w := newWorld(t, nil)
	states := []gateway.State{gateway.Waiting, gateway.Sending, gateway.Delivered, gateway.Bounced, gateway.Captured}
	for i := range 30 {
		d := w.submit(mail{campaign: "spring", to: []string{fmt.Sprintf("reader%d@x.test", i)}, notBefore: tomorrow()})[0]
		if state := states[i%len(states)]; state != gateway.Waiting {
			w.put(d, gateway.EventDelivered, func(n *gateway.Delivery) { n.State = state })
		}
	}
	w.ask(Operator, "POST", actions, `{"action":"drop","filter":{"mailbox":"reader0@x.test"}}`, 200)
	w.ask(Operator, "POST", "/api/v1/suppressions", `{"address":"reader5@x.test","scope":"tenant:acme"}`, 201)
	rec := w.serve(w.request(Viewer, "GET", "/api/v1/campaigns/acme/spring", ""))
	var c campaignDoc
	if err := json.Unmarshal(rec.Body.Bytes(), &c); err != nil {
		t.Fatal(err)
	}
	sum := c.Waiting + c.Sending + c.Delivered + c.Bounced + c.Captured
	for _, n := range c.Dropped {
		sum += n
	}
	if c.Accepted != 30 || sum != 30 || c.Dropped["admin"] != 1 || c.Dropped["suppressed"] != 1 || c.Waiting != 4 {
		t.Errorf("accepted %d, sum %d: %s", c.Accepted, sum, rec.Body)
	}
}

func TestCampaignPages(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 7 {
		w.submit(mail{tenant: []string{"acme", "zoo"}[i%2], campaign: fmt.Sprint("c", i), to: []string{"ann@x.test"}, notBefore: tomorrow()})
	}
	order := ""
	cursor := ""
	for {
		p := w.get("/api/v1/campaigns?limit=2&cursor=" + cursor)
		for _, item := range p.Items {
			order += item.Name + " "
		}
		if cursor = p.Next; cursor == "" {
			break
		}
	}
	if order != "c6 c5 c4 c3 c2 c1 c0 " {
		t.Errorf("listed %s", order)
	}
	if p := w.get("/api/v1/campaigns?tenant=zoo"); len(p.Items) != 3 {
		t.Errorf("zoo has %+v", p.Items)
	}
	w.ask(Viewer, "GET", "/api/v1/campaigns?cursor=dGVzdA", "", 400)
}

// TestCampaignNames fetches campaigns whose names are no nice paths.
func TestCampaignNames(t *testing.T) {
	w := newWorld(t, nil)
	for _, name := range []string{"a/b", "a//b", "../x", "..", "50% off?", "ü+#", "a b"} {
		w.submit(mail{campaign: name, to: []string{"ann@x.test"}, notBefore: tomorrow()})
		rec := w.serve(w.request(Viewer, "GET", "/api/v1/campaigns/acme/"+url.PathEscape(name), ""))
		var c campaignDoc
		if json.Unmarshal(rec.Body.Bytes(), &c); rec.Code != 200 && name != ".." || rec.Code == 200 && c.Name != name {
			t.Errorf("%q: %d %s", name, rec.Code, rec.Body)
		}
	}
}

func TestPauses(t *testing.T) {
	w := newWorld(t, nil)
	w.submit(mail{campaign: "spring", to: []string{"ann@x.test"}, notBefore: tomorrow()})
	w.submit(mail{tenant: "zoo", to: []string{"ann@x.test"}, notBefore: tomorrow()})
	steps := []struct {
		path, doc, want string
	}{
		{"pause", `{"tenant":"acme","campaign":"spring"}`, "acme/spring"},
		{"pause", `{"tenant":"acme"}`, "acme acme/spring"},
		{"resume", `{"tenant":"acme"}`, "acme/spring"},
		{"pause", `{}`, "everything acme/spring"},
		{"resume", `{}`, ""},
	}
	for _, st := range steps {
		rec := w.serve(w.request(Operator, "POST", "/api/v1/queue/"+st.path, st.doc))
		var a struct{ Paused []pauseDoc }
		json.Unmarshal(rec.Body.Bytes(), &a)
		got := ""
		for _, p := range a.Paused {
			if got != "" {
				got += " "
			}
			if p.Tenant == "" {
				got += "everything"
			}
			if got += p.Tenant; p.Campaign != "" {
				got += "/" + p.Campaign
			}
			if p.By != "the-operator" {
				t.Errorf("%s paused by %q", p.Tenant, p.By)
			}
		}
		if rec.Code != 200 || got != st.want {
			t.Errorf("%s %s: %d, paused %q, want %q", st.path, st.doc, rec.Code, got, st.want)
		}
		if st.doc == `{"tenant":"acme"}` && st.path == "pause" && w.get("/api/v1/campaigns").Items[0].Paused == nil {
			t.Error("the campaign of a paused tenant does not say so")
		}
	}
	w.ask(Operator, "POST", "/api/v1/queue/pause", `{"campaign":"spring"}`, 400)
	w.ask(Operator, "POST", "/api/v1/queue/resume", "", 400)
}
