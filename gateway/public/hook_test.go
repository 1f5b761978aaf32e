package public

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tidepost/gateway"
)

var secret = bytes.Repeat([]byte("s"), 32)

// sign makes the headers of Standard Webhooks.
func sign(id string, at time.Time, body string, with ...[]byte) []string {
	var all []string
	for _, secret := range with {
		mac := hmac.New(sha256.New, secret)
		fmt.Fprintf(mac, "%s.%d.%s", id, at.Unix(), body)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return []string{"webhook-id", id, "webhook-timestamp", strconv.FormatInt(at.Unix(), 10), "webhook-signature", strings.Join(all, " ")}
}

func newHookWorld(t *testing.T) *world {
	return newWorld(t, func(w *world) {
		w.Hooks = func(source string) (Hook, bool) {
			return Hook{Secrets: [][]byte{secret}, Tenant: "acme"}, source == "esp"
		}
	})
}

const clicked = `{"kind":"clicked","mailbox":"ann@example.com","data":{"link":"https://x.example"}}`

// Attacks H3, as a provider and others send them.
func TestHook(t *testing.T) {
	w := newHookWorld(t)
	other := bytes.Repeat([]byte("o"), 32)
	many := func(n int) string { return `{"signals":[` + strings.Repeat(clicked+",", n-1) + clicked + `]}` }
	for i, tt := range []struct {
		story, body string
		path        string
		late        time.Duration
		with        [][]byte
		unsigned    bool
		want, told  int
	}{
		{story: "a click", body: clicked, want: 200, told: 1},
		{story: "as Standard Webhooks recommends", body: `{"type":"signal.unsubscribed","timestamp":"2026-11-22T11:00:00Z","data":{"mailbox":"ann@example.com"}}`, want: 200, told: 1},
		{story: "a thousand", body: many(1000), want: 200, told: 1000},
		{story: "signed with the old secret and the new", body: clicked, with: [][]byte{other, secret}, want: 200, told: 1},
		{story: "our tenant, by name", body: `{"kind":"opened","mailbox":"a@b.example","tenant":"acme"}`, want: 200, told: 1},
		{story: "299 s old", body: clicked, late: 299 * time.Second, want: 200, told: 1},
		{story: "301 s old", body: clicked, late: 301 * time.Second, want: 401},
		{story: "301 s ahead", body: clicked, late: -301 * time.Second, want: 401},
		{story: "signed by somebody else", body: clicked, with: [][]byte{other}, want: 401},
		{story: "not signed", body: clicked, unsigned: true, want: 401},
		{story: "not signed, and not JSON", body: "]", unsigned: true, want: 401},
		{story: "another hook", body: clicked, path: "/hooks/other", want: 404},
		{story: "another tenant", body: `{"kind":"opened","mailbox":"a@b.example","tenant":"rival"}`, want: 400},
		{story: "another tenant, last of three", body: `{"signals":[` + clicked + "," + clicked + `,{"kind":"opened","mailbox":"a@b.example","tenant":"rival"}]}`, want: 400},
		{story: "a thousand and one", body: many(1001), want: 413},
		{story: "a list of 100,000 numbers", body: "[" + strings.Repeat("1,", 100_000) + "1]", want: 413},
		{story: "10,000 deep", body: strings.Repeat("[", 10_000), want: 400},
		{story: "33 deep", body: `{"kind":"opened","mailbox":"a@b.example","data":` + strings.Repeat("[", 33) + strings.Repeat("]", 33) + "}", want: 400},
		{story: "a name said twice", body: `{"kind":"opened","kind":"complained","mailbox":"a@b.example"}`, want: 400},
		{story: "and in another case", body: `{"kind":"opened","Kind":"complained","mailbox":"a@b.example"}`, want: 400},
		{story: "of the wrong type", body: `{"kind":7,"mailbox":"a@b.example"}`, want: 400},
		{story: "no object", body: `"clicked"`, want: 400},
		{story: "an unknown kind", body: `{"kind":"levitated","mailbox":"a@b.example"}`, want: 400},
		{story: "no mailbox", body: `{"kind":"opened"}`, want: 400},
		{story: "cut off", body: clicked[:30], want: 400},
		{story: "two values", body: clicked + clicked, want: 400},
		{story: "nothing", body: "", want: 400},
		{story: "more than 1 MiB", body: `{"x":"` + strings.Repeat("x", 1<<20) + `"}`, want: 413},
	} {
		if tt.with == nil {
			tt.with = [][]byte{secret}
		}
		if tt.path == "" {
			tt.path = "/hooks/esp"
		}
		head := sign(fmt.Sprintf("msg_%d", i), noon.Add(-tt.late), tt.body, tt.with...)
		if tt.unsigned {
			head = nil
		}
		a := w.send("POST", tt.path, tt.body, head...)
		if a.StatusCode != tt.want {
			t.Errorf("%s: %s %q, want %d", tt.story, a.Status, a.text, tt.want)
		}
		if told := w.told.signals(); len(told) != tt.told {
			t.Errorf("%s: %d signals told, want %d", tt.story, len(told), tt.told)
		}
	}
	if a := w.get("/hooks/esp"); a.StatusCode != 405 || a.Header.Get("Allow") != "POST" {
		t.Errorf("GET: %s", a.Status)
	}
	if log := w.log.String(); strings.Contains(log, "ann@") {
		t.Error("the log has an address")
	}
}

func TestHookTellsWhereItCameFrom(t *testing.T) {
	w := newHookWorld(t)
	body := `{"signals":[` + clicked + `,{"id":"evt-7","kind":"opened","source":"lie","mailbox":"b@example.com"}]}`
	w.send("POST", "/hooks/esp", body, sign("msg_1", noon, body, secret)...)
	ids := map[string]bool{}
	for _, s := range w.told.signals() {
		ids[s.ID] = true
		if s.Source != "hook:esp" || s.Tenant != "acme" || !s.Own {
			t.Errorf("told %+v", s)
		}
	}
	if !ids["msg_1/0"] || !ids["evt-7"] {
		t.Errorf("the ids are %v", ids)
	}
}

// A report that was taken in is answered 2xx again and ignored; one that could not be
// stored is taken when it comes again.
func TestHookRepeated(t *testing.T) {
	w := newHookWorld(t)
	head := sign("msg_1", noon, clicked, secret)
	w.told.breakWith(errDisk)
	if a := w.send("POST", "/hooks/esp", clicked, head...); a.StatusCode != 503 || a.Header.Get("Retry-After") == "" {
		t.Errorf("without a store: %s", a.Status)
	}
	w.told.breakWith(nil)
	for i, want := range []int{1, 0, 0} {
		if a := w.send("POST", "/hooks/esp", clicked, head...); a.StatusCode != 200 {
			t.Errorf("time %d: %s", i, a.Status)
		}
		if told := w.told.signals(); len(told) != want {
			t.Errorf("time %d: %d told, want %d", i, len(told), want)
		}
	}
	w.pass(301 * time.Second)
	if a := w.send("POST", "/hooks/esp", clicked, head...); a.StatusCode != 401 {
		t.Errorf("played again later: %s", a.Status)
	}
}

// What one mailbox did is told in the order in which it is reported.
func TestHookKeepsOrder(t *testing.T) {
	w := newHookWorld(t)
	var docs []string
	for i := range 200 {
		docs = append(docs, fmt.Sprintf(`{"id":"%d","kind":"active","mailbox":"r%d@example.com"}`, i, i%7))
	}
	body := `{"signals":[` + strings.Join(docs, ",") + `]}`
	w.send("POST", "/hooks/esp", body, sign("msg_1", noon, body, secret)...)
	last := map[string]int{}
	told := w.told.signals()
	for _, s := range told {
		n, _ := strconv.Atoi(s.ID)
		k := s.Mailbox.String()
		if before, ok := last[k]; ok && n < before {
			t.Errorf("%s: %d is told after %d", k, n, before)
		}
		last[k] = n
	}
	if len(told) != 200 {
		t.Errorf("%d told", len(told))
	}
}

// Wrong signatures from one address are answered ever later; right ones from elsewhere
// are not touched.
func TestHookGuessing(t *testing.T) {
	w := newHookWorld(t)
	var last answer
	for range badBurst + 1 {
		last = w.send("POST", "/hooks/esp", clicked)
	}
	if last.StatusCode != 429 || last.Header.Get("Retry-After") == "" {
		t.Errorf("%s", last.Status)
	}
	w.pass(2 * time.Second)
	if a := w.send("POST", "/hooks/esp", clicked, sign("m", w.time(), clicked, secret)...); a.StatusCode != 200 {
		t.Errorf("after a while: %s", a.Status)
	}
}

// Reports that are being read have one budget of memory.
func TestHookBodies(t *testing.T) {
	w := newHookWorld(t)
	w.bodies.Store(maxBodies - 10)
	if a := w.send("POST", "/hooks/esp", clicked, sign("m", noon, clicked, secret)...); a.StatusCode != 503 {
		t.Errorf("over the budget: %s", a.Status)
	}
	w.bodies.Store(0)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			w.send("POST", "/hooks/esp", clicked, sign(strconv.Itoa(i), noon, clicked, secret)...)
		})
	}
	wg.Wait()
	if n := w.bodies.Load(); n != 0 {
		t.Errorf("%d bytes stay reserved", n)
	}
}

func FuzzHook(f *testing.F) {
	f.Add("msg_1", "1795348800", "v1,AAAA v1a,BBBB", clicked, true)
	f.Add("", "-1", "v1,", `{"signals":[{}]}`, false)
	f.Add("a.b", "99999999999999999999", "", `{"type":"signal.","data":null}`, true)
	h := Hook{Secrets: [][]byte{secret}, Tenant: "acme"}
	w := newServer(f)
	w.Hooks = func(source string) (Hook, bool) { return h, true }
	handler := w.Handler()
	f.Fuzz(func(t *testing.T, id, stamp, signature, body string, right bool) {
		r := httptest.NewRequest("POST", "/hooks/esp", strings.NewReader(body))
		r.Header.Set("webhook-id", id)
		r.Header.Set("webhook-timestamp", stamp)
		r.Header.Set("webhook-signature", signature)
		if right {
			for i, s := 0, sign("id", noon, body, secret); i < len(s); i += 2 {
				r.Header.Set(s[i], s[i+1])
			}
		}
		w.told.signals()
		w.bad, w.reports = newLimiter(badRate, badBurst), newReports() // so that no input depends on another
		a := httptest.NewRecorder()
		handler.ServeHTTP(a, r)
		told := w.told.signals()
		if len(told) > 0 && a.Code != 200 || a.Code >= 500 {
			t.Errorf("%d, %d told", a.Code, len(told))
		}
		for _, s := range told {
			if _, err := gateway.ParseSignalKind(string(s.Kind)); err != nil || s.Tenant != "acme" || s.Source != "hook:esp" {
				t.Errorf("told %+v", s)
			}
		}
	})
}
