package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tidepost/gateway"
)

// Past events are told again under the same ids, those that were asked for; the live
// cursor stays where it is.
func TestRedeliver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := &receiverFunc{}
		to := map[string]*receiverFunc{"a": r}
		s := w.sender(to, standard("a", "acme"))
		var half time.Time
		w.during(s, func() {
			time.Sleep(time.Second)
			for i := range 3000 {
				time.Sleep(time.Second)
				if i == 1500 {
					half = time.Now()
				}
				w.add(w.bounce([]string{"acme", "bolt"}[i%2]))
			}
			time.Sleep(time.Second)
			before := w.Cursor(reader("a"))
			p, err := s.Redeliver(t.Context(), "a", Redelivery{Since: half})
			if err != nil || p.Sent != 750 || p.Refused != 0 || p.Share < 0.99 || w.Cursor(reader("a")) != before {
				t.Errorf("%+v, %v", p, err)
			}
			one := w.events[10].ID()
			if p, err = s.Redeliver(t.Context(), "a", Redelivery{Event: one}); err != nil || p.Sent != 1 || r.taken()[one] != 2 {
				t.Errorf("%+v, %v", p, err)
			}
			if p, err = s.Redeliver(t.Context(), "a", Redelivery{Until: half.Add(-time.Second), Kind: "bounced"}); err != nil || p.Sent != 750 {
				t.Errorf("%+v, %v", p, err)
			}
			if p, err = s.Redeliver(t.Context(), "a", Redelivery{Kind: "clicked"}); err != nil || p.Sent != 0 {
				t.Errorf("%+v, %v", p, err)
			}
			var bad *EndpointError
			if _, err = s.Redeliver(t.Context(), "a", Redelivery{Kind: "bounce"}); !errors.As(err, &bad) {
				t.Error(err)
			}
			if _, err = s.Redeliver(t.Context(), "x", Redelivery{}); !errors.Is(err, ErrNoEndpoint) {
				t.Error(err)
			}
		})
		for id, n := range r.taken() {
			if n < 2 {
				t.Errorf("%s was told %d times", id, n)
			}
		}
	})
}

// A redelivery stops at a receiver that does not take events, and says where to go on.
// One that is refused is counted and passed over; two at a time are too many.
func TestRedeliverFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for range 20 {
			w.add(w.bounce("acme"))
		}
		status := 503
		r := &receiverFunc{answer: func(_ *http.Request, ids []string) (int, string, time.Duration) {
			if status == 200 && slices.Contains(ids, w.events[3].ID()) {
				return 422, "", 0
			}
			return status, "", 0
		}}
		s := w.sender(map[string]*receiverFunc{"a": r}, standard("a", "acme"))
		go func() {
			time.Sleep(time.Second)
			if _, err := s.Redeliver(t.Context(), "a", Redelivery{}); !errors.Is(err, ErrBusy) {
				t.Error(err)
			}
			if s.List()[0].Redelivering == nil {
				t.Error("the list does not tell")
			}
		}()
		var stopped *Stopped
		if _, err := s.Redeliver(t.Context(), "a", Redelivery{}); !errors.As(err, &stopped) || stopped.Sent != 0 || r.called() != maxFlight*redeliverTries ||
			!strings.Contains(err.Error(), "--since 2000-01-01T00:00:00Z") {
			t.Errorf("%v after %d calls", err, r.called())
		}
		r.change(func() { status = 200 })
		if p, err := s.Redeliver(t.Context(), "a", Redelivery{}); err != nil || p.Sent != 19 || p.Refused != 1 || p.First != w.events[3].ID() {
			t.Errorf("%+v, %v", p, err)
		}
		if s.List()[0].Redelivering != nil {
			t.Error("it is over")
		}
	})
}

// hooks is a receiver as ESPs have one: what it takes it has checked, in the way of
// its kind and with code of its own.
type hooks struct {
	*httptest.Server

	mu      sync.Mutex
	secrets []string       // guarded by mu
	taken   map[string]int // guarded by mu
	bad     []string       // guarded by mu
}

func newHooks(t *testing.T, check func(h *hooks, q *http.Request, body []byte) (id, problem string)) *hooks {
	h := &hooks{taken: map[string]int{}}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		id, problem := check(h, q, body)
		if problem != "" {
			h.bad = append(h.bad, problem+": "+string(body))
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		h.taken[id]++
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hooks) change(secrets []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.secrets = secrets
}

// verifyStandard is what the specification of Standard Webhooks asks of a receiver.
func verifyStandard(h *hooks, q *http.Request, body []byte) (id, problem string) {
	id, stamp := q.Header.Get("webhook-id"), q.Header.Get("webhook-timestamp")
	at, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || time.Since(time.Unix(at, 0)).Abs() > 5*time.Minute {
		return id, "timestamp"
	}
	var doc struct {
		Type      string
		Timestamp time.Time
		Data      map[string]any
	}
	if err := json.Unmarshal(body, &doc); err != nil || !strings.Contains(doc.Type, ".") || doc.Timestamp.IsZero() || len(body) >= 20_000 {
		return id, "body"
	}
	for _, secret := range h.secrets {
		key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		mac := hmac.New(sha256.New, key)
		io.WriteString(mac, id+"."+stamp+"."+string(body))
		want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
		if slices.Contains(strings.Split(q.Header.Get("webhook-signature"), " "), want) {
			return id, ""
		}
	}
	return id, "signature"
}

// verifyListmonk is what listmonk's POST /webhooks/bounce asks: a user, an address or
// a subscriber, a type, and JSON of the right types.
func verifyListmonk(_ *hooks, q *http.Request, body []byte) (id, problem string) {
	if user, password, ok := q.BasicAuth(); !ok || user != "gateway" || password != "token" {
		return "", "not logged in"
	}
	var doc struct {
		Email      string          `json:"email"`
		Subscriber string          `json:"subscriber_uuid"`
		Campaign   string          `json:"campaign_uuid"`
		Source     string          `json:"source"`
		Type       string          `json:"type"`
		Meta       json.RawMessage `json:"meta"`
		CreatedAt  time.Time       `json:"created_at"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", err.Error()
	}
	if doc.Email == "" && doc.Subscriber == "" {
		return "", "email / subscriber_uuid"
	}
	if doc.Subscriber != "" && !uuid.MatchString(doc.Subscriber) || doc.Campaign != "" && !uuid.MatchString(doc.Campaign) {
		return "", "uuid"
	}
	if a, err := netmail.ParseAddress(doc.Email); err != nil || a.Name != "" {
		return "", "email"
	}
	if !slices.Contains([]string{"hard", "soft", "complaint"}, doc.Type) || doc.CreatedAt.Year() < 2000 {
		return "", "type or created_at"
	}
	var text string
	var meta struct{ Event string }
	if json.Unmarshal(doc.Meta, &text) != nil || json.Unmarshal([]byte(text), &meta) != nil {
		return "", "meta"
	}
	return meta.Event, ""
}

// Real receivers over real HTTP, which check what comes: everything arrives, while the
// secret is changed for another, and with a new sender on the same store in between.
func TestSenderOverHTTP(t *testing.T) {
	s := newStory(t)
	std, lm := newHooks(t, verifyStandard), newHooks(t, verifyListmonk)
	first, second := testSecret, "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	std.secrets = []string{first}
	a := Endpoint{Name: "a", Tenant: "acme", URL: std.URL, Format: "standard", Secret: first, AllowPrivate: true}
	b := Endpoint{Name: "b", Tenant: "acme", URL: lm.URL, Format: "listmonk", Secret: "gateway:token", AllowPrivate: true}
	tell := func() {
		for range 100 {
			e := s.bounce("acme")
			e.Delivery.ID.Message, e.Delivery.ID.Ordinal = s.delivery.Message, uint32(len(s.events))
			s.add(e, s.reader(gateway.EventComplained, nil))
		}
	}
	all := func(h *hooks, n int) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			h.mu.Lock()
			got, bad := len(h.taken), h.bad
			h.mu.Unlock()
			if len(bad) > 0 {
				t.Fatalf("%d were refused: %s", len(bad), bad[0])
			}
			if got == n {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d of %d arrived\n%s", got, n, s.log)
			}
		}
	}
	for round, secret := range []string{first, first + " " + second, second} {
		a.Secret = secret
		if round > 0 {
			std.change([]string{second}) // the receiver has changed it already
		}
		x := &Sender{Journal: s, Store: s, Log: slog.New(slog.NewTextHandler(s.log, nil))}
		x.Set([]Endpoint{a, b})
		s.during(x, func() {
			for end := time.Now().Add(20 * time.Second); round == 0 && len(s.Settings()) < 2 && time.Now().Before(end); time.Sleep(time.Millisecond) {
			}
			tell()
			all(std, 200*(round+1))
			all(lm, 200*(round+1))
			for _, name := range []string{"a", "b"} {
				if r, err := x.Test(t.Context(), name); err != nil || r.Verdict != Done {
					t.Errorf("test of %s: %+v, %v", name, r, err)
				}
			}
			std.mu.Lock()
			lm.mu.Lock()
			for _, h := range []*hooks{std, lm} {
				for id := range h.taken {
					if strings.Contains(id, "test-") {
						delete(h.taken, id)
					}
				}
			}
			lm.mu.Unlock()
			std.mu.Unlock()
		})
	}
}

// An endpoint inside is refused before anything is dialled, and one whose name leads
// inside when it is dialled.
func TestSenderStaysOutside(t *testing.T) {
	w := newWorld(t)
	r := receive(t, func(http.ResponseWriter, *http.Request) {})
	e := standard("a", "acme")
	e.URL = "https://hooks.example.com:" + r.port() + "/"
	inside := standard("b", "acme")
	inside.URL = r.URL
	s := &Sender{Journal: w, Store: w, Log: slog.New(slog.NewTextHandler(w.log, nil))}
	s.client = func(*Endpoint) *Client {
		c := client(t, r, &zone{names: map[string][]string{"hooks.example.com": {"127.0.0.1"}}})
		c.AllowPrivate, c.AllowHTTP = false, false
		return c
	}
	s.Set([]Endpoint{e, inside})
	if got, err := s.Test(t.Context(), "a"); err != nil || got.Verdict != Again || !strings.Contains(got.Err.Error(), "this machine") {
		t.Errorf("%+v, %v", got, err)
	}
	var bad *EndpointError
	if _, err := s.Test(t.Context(), "b"); !errors.As(err, &bad) || bad.Field != "url" {
		t.Errorf("%v", err)
	}
	if n := r.accepted.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

func BenchmarkSender(b *testing.B) {
	for _, format := range []string{"standard", "sendgrid"} {
		b.Run(format, func(b *testing.B) {
			w := newWorld(nil)
			var mu sync.Mutex
			got, done := 0, make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
				body, _ := io.ReadAll(q.Body)
				mu.Lock()
				defer mu.Unlock()
				if got += len(idsOf(body)); got == b.N {
					close(done)
				}
			}))
			defer server.Close()
			e := Endpoint{Name: "a", Tenant: "acme", URL: server.URL, Format: format, Secret: testSecret, AllowPrivate: true}
			if format == "sendgrid" {
				e.Secret, _, _ = NewKey()
			}
			s := &Sender{Journal: w, Store: w, Log: slog.New(slog.DiscardHandler)}
			s.Set([]Endpoint{e})
			w.settings[reader("a")] = []byte(`{}`)
			for range b.N {
				w.events = append(w.events, w.bounce("acme"))
			}
			b.ResetTimer()
			w.during(s, func() { <-done })
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
