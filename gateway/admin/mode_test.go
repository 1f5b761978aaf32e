package admin

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
)

func TestMode(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 3 {
		w.submit(mail{campaign: "spring", to: []string{fmt.Sprintf("reader%d@x.test", i)}, notBefore: tomorrow()})
	}
	w.submit(mail{to: []string{"ann@x.test"}, notBefore: tomorrow()}) // transactional: not counted
	for _, st := range []struct {
		story, doc string
		status     int
		waiting    int64
		changed    bool
	}{
		{"no such mode", `{"mode":"on"}`, 400, 0, false},
		{"transactional mail has no mode", `{"mode":"live","class":"transactional"}`, 400, 0, false},
		{"a dry run counts", `{"mode":"live","dry_run":true}`, 200, 3, false},
		{"another tenant's mail is not counted", `{"mode":"live","tenant":"other","dry_run":true}`, 200, 0, false},
		{"the switch", `{"mode":"live","tenant":"acme"}`, 200, 3, true},
	} {
		rec := w.serve(w.request(Operator, "POST", "/api/v1/mode", st.doc))
		var a modeAnswer
		if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil || rec.Code != st.status || a.Waiting != st.waiting || a.Changed != st.changed {
			t.Errorf("%s: %d %s", st.story, rec.Code, rec.Body)
		}
	}
	if rec := w.serve(w.request(Viewer, "POST", "/api/v1/mode", `{"mode":"live"}`)); rec.Code != 403 {
		t.Errorf("a viewer switched: %d", rec.Code)
	}
	rec := w.serve(w.request(Viewer, "GET", "/api/v1/mode", ""))
	if !strings.Contains(rec.Body.String(), `"by":"the-operator"`) {
		t.Errorf("the switches are %s", rec.Body)
	}
	st := w.status()
	if len(st.Differences) != 1 || st.Differences[0].Name != "policy.mode (tenant acme)" || st.Differences[0].File != "observe" || st.Differences[0].Now != "live" {
		t.Errorf("status names %+v", st.Differences)
	}
}

func TestSignalsAPI(t *testing.T) {
	w := newWorld(t, nil)
	d := w.submit(mail{campaign: "spring", to: []string{"ann@x.test"}, notBefore: tomorrow()})[0]
	for _, st := range []struct {
		story, doc  string
		status      int
		taken, news int
		field       string
	}{
		{"what it is", `{"signals":[{"kind":"slept","mailbox":"ann@x.test","tenant":"acme"}]}`, 400, 0, 0, "signals[0].kind"},
		{"whose", `{"signals":[{"kind":"opened","mailbox":"ann","tenant":"acme"}]}`, 400, 0, 0, "signals[0].mailbox"},
		{"by whom", `{"signals":[{"kind":"opened","mailbox":"ann@x.test"}]}`, 400, 0, 0, "signals[0].tenant"},
		{"how sure", `{"signals":[{"kind":"opened","mailbox":"ann@x.test","tenant":"acme","human":2}]}`, 400, 0, 0, "signals[0].human"},
		{"whose tenant", `{"signals":[{"kind":"opened","mailbox":"ann@x.test","tenant":"nobody"}]}`, 400, 0, 0, "signals[0].tenant"},
		{"of which mail", `{"signals":[{"kind":"opened","mailbox":"ann@x.test","tenant":"acme","message":"x"}]}`, 400, 0, 0, "signals[0].message"},
		{"where that is", `{"signals":[{"kind":"attributes","mailbox":"ann@x.test","tenant":"acme","timezone":"Atlantis"}]}`, 400, 0, 0, "signals[0].timezone"},
		{"a visit", `{"signals":[{"kind":"active","mailbox":"Ann@X.test","tenant":"acme"}]}`, 200, 1, 1, ""},
		{"where she lives", `{"signals":[{"kind":"attributes","mailbox":"ann@x.test","tenant":"acme","timezone":"Europe/Oslo"}]}`, 200, 1, 1, ""},
		{"the same again", `{"signals":[{"kind":"attributes","mailbox":"ann@x.test","tenant":"acme","timezone":"Europe/Oslo"}]}`, 200, 1, 0, ""},
		{"she leaves", `{"signals":[{"kind":"unsubscribed","mailbox":"ann@x.test","tenant":"acme","at":"` + time.Now().UTC().Format(time.RFC3339) + `"}]}`, 200, 1, 1, ""},
	} {
		rec := w.serve(w.request(Operator, "POST", "/api/v1/signals", st.doc))
		var a struct {
			Taken, News int
			Field       string
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil || rec.Code != st.status || a.Taken != st.taken || a.News != st.news || a.Field != st.field {
			t.Errorf("%s: %d %s", st.story, rec.Code, rec.Body)
		}
	}
	if n := w.state(d.Mailbox, d.ID); n.State != gateway.Dropped || n.Reason != "suppressed" {
		t.Errorf("what waited for her is %s, %s", n.State, n.Reason)
	}
	if st := w.status(); st.Signals.Hour != 4 || st.Signals.Last.IsZero() {
		t.Errorf("status saw %+v", st.Signals)
	}
	a := w.get("/api/v1/explain/ann@x.test")
	if text := strings.Join(a.Sentences, "\n"); !strings.Contains(text, "Its owner reads a mail with probability") {
		t.Errorf("explain says %s", text)
	}
}
