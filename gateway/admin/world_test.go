package admin

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler"
	"tidepost/scheduler/throttle"
	"tidepost/suppression/address"
)

// world is an API over a gateway that runs and, while it is held, sends nothing.
type world struct {
	*Server
	t       *testing.T
	store   *memory
	rules   gateway.Rules
	handler http.Handler
	tokens  map[Role]string
}

type plainReader struct{}

func (plainReader) Read([]byte, *gateway.Message, *gateway.Credential) error { return nil }

// nowhere is a route that keeps all mail.
type nowhere struct{}

func (nowhere) Route(context.Context, string) (gateway.Destination, error) {
	return gateway.Destination{Name: "capture", Capture: true}, nil
}

func (nowhere) Open(context.Context, gateway.Destination) (gateway.Session, error) {
	return nil, io.ErrClosedPipe
}

func newWorld(t *testing.T, set func(w *world)) *world {
	t.Helper()
	w := &world{t: t, store: newMemory(), tokens: map[Role]string{}}
	w.rules.Policy = scheduler.Policy{MaxHold: 24 * time.Hour}
	limits := func(string) throttle.Limits { return throttle.Limits{Connections: 2, Rate: 5, RateMax: 100} }
	g := &gateway.Gateway{
		Store: w.store, Reader: plainReader{}, Router: nowhere{}, Transport: nowhere{}, Limits: limits,
		Throttle: &throttle.Group{Limits: limits}, Rules: func(string) *gateway.Rules { return &w.rules },
		Tenant: func(name string) gateway.Tenant { return gateway.Tenant{Name: name} },
		Line:   func(domain string) string { return domain }, GiveUpTransactional: 24 * time.Hour, GiveUpBulk: 72 * time.Hour, Held: true,
	}
	w.Server = &Server{Gateway: g, Store: w.store, Log: slog.New(slog.DiscardHandler), Info: func() Info { return Info{Version: "1", Mode: "mx", PolicyMode: "observe"} }}
	for _, r := range []Role{Viewer, Operator, Admin} {
		w.tokens[r] = NewToken()
		w.Tokens = append(w.Tokens, Token{"the-" + r.String(), HashToken(w.tokens[r]), r})
	}
	if set != nil {
		set(w)
	}
	w.handler = w.Handler()
	if err := g.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return w
}

// mail is what a test submits; the zero value is transactional mail of acme.
type mail struct {
	tenant, campaign string
	class            gateway.Class
	to               []string
	notBefore        time.Time
	content          string
	set              func(m *gateway.Message)
}

// submit accepts a message and waits until its deliveries are planned.
func (w *world) submit(m mail) []*gateway.Delivery {
	w.t.Helper()
	if m.tenant == "" {
		m.tenant = "acme"
	}
	if m.campaign != "" && m.class == 0 {
		m.class = gateway.Newsletter
	}
	s := gateway.Submission{Message: gateway.Message{Tenant: m.tenant, Audience: m.tenant, Campaign: m.campaign, Class: m.class,
		ClassReason: "a test", NotBefore: m.notBefore, From: "from@example.com", Size: int64(len(m.content))}}
	s.Content = gateway.Content{Bytes: []byte(m.content), Size: int64(len(m.content))}
	for _, to := range m.to {
		a, err := address.Parse(to)
		if err != nil {
			w.t.Fatal(err)
		}
		box := a.Mailbox()
		s.Message.Recipients = append(s.Message.Recipients,
			gateway.Recipient{Address: to, Canonical: box.String(), Mailbox: gateway.MailboxKey(m.tenant, box)})
	}
	if m.set != nil {
		m.set(&s.Message)
	}
	id, err := w.Gateway.Accept(w.t.Context(), &s)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []*gateway.Delivery
	for i, r := range s.Message.Recipients {
		did := gateway.DeliveryID{Message: id, Ordinal: uint32(i)}
		out = append(out, w.state(r.Mailbox, did))
	}
	return out
}

// state waits for what the owner of a mailbox has to do and returns a delivery.
func (w *world) state(k gateway.Key, id gateway.DeliveryID) *gateway.Delivery {
	w.t.Helper()
	if _, err := w.Gateway.Act(w.t.Context(), k, id, "", true, "", ""); err != nil { // does nothing, in its turn
		w.t.Fatal(err)
	}
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	return w.store.last[id]
}

// put sets the state of a delivery, as the flow would have.
func (w *world) put(d *gateway.Delivery, kind gateway.EventKind, change func(n *gateway.Delivery)) *gateway.Delivery {
	w.t.Helper()
	box, _ := w.store.Mailbox(w.t.Context(), d.Mailbox)
	n := box.Delivery(d.ID).Next()
	change(n)
	e := gateway.Event{Kind: kind, At: time.Now(), Delivery: n, Reason: n.Reason, Detail: n.Reply}
	if err := w.store.Commit(w.t.Context(), &gateway.Change{Key: d.Mailbox, Deliveries: []*gateway.Delivery{n}, Events: []gateway.Event{e}}); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// request makes one with the token of a role, from this machine.
func (w *world) request(role Role, method, target, doc string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(doc))
	r.RemoteAddr = "127.0.0.1:5000"
	if doc != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if role != 0 {
		r.Header.Set("Authorization", "Bearer "+w.tokens[role])
	}
	return r
}

func (w *world) serve(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec
}

// answer is a decoded answer.
type answer struct {
	Items []struct {
		ID, Message, Mailbox, Address, Tenant, Campaign, State, Reason, Sentence, Name, Scope string
		Paused                                                                                any
		Accepted, Waiting, Sending, Delivered, Bounced, Captured                              any
		Dropped                                                                               map[string]int64
		Removed                                                                               time.Time
		Closed                                                                                bool
	}
	Next, Mode, Warning string
	Total               *int64
	Matched, Done       int64
	Status              int
	Title, Detail       string
	Field, Remedy, Type string
	Sentences           []string
	Deliveries, Entries []json.RawMessage
	Events              []struct{ Kind, Actor, Detail string }
	Problems            []attention
	Paused              any
}

// ask makes a request, wants a status and decodes the answer.
func (w *world) ask(role Role, method, target, doc string, want int) answer {
	w.t.Helper()
	rec := w.serve(w.request(role, method, target, doc))
	if rec.Code != want {
		w.t.Fatalf("%s %s %s: status %d, want %d: %s", method, target, doc, rec.Code, want, rec.Body)
	}
	var a answer
	if rec.Body.Len() > 0 {
		if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil {
			w.t.Fatalf("%s %s: %v in %s", method, target, err, rec.Body)
		}
	}
	return a
}

func (w *world) get(target string) answer {
	w.t.Helper()
	return w.ask(Viewer, "GET", target, "", 200)
}

func tomorrow() time.Time { return time.Now().Add(24 * time.Hour) }
