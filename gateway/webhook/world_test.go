package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"tidepost/gateway"
)

// world is a journal and a store in memory, with receivers that are functions.
type world struct {
	t        *testing.T
	mu       sync.Mutex
	ids      gateway.IDSource
	events   []gateway.Event           // guarded by mu
	cursors  map[string]gateway.Cursor // guarded by mu
	durable  map[string]gateway.Cursor // guarded by mu: what a crash leaves of them
	settings map[string][]byte         // guarded by mu
	boxes    map[gateway.Key]*gateway.Mailbox
	mails    []*gateway.Message // guarded by mu
	headers  []string           // guarded by mu
	fail     error              // guarded by mu: of Commit
	more     chan struct{}      // guarded by mu
	reads    int                // guarded by mu: that brought events
	history  []string           // guarded by mu: told
	log      *lines
}

func newWorld(t *testing.T) *world {
	return &world{t: t, cursors: map[string]gateway.Cursor{}, durable: map[string]gateway.Cursor{}, settings: map[string][]byte{},
		boxes: map[gateway.Key]*gateway.Mailbox{}, more: make(chan struct{}), log: &lines{}}
}

func (w *world) add(events ...gateway.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, events...)
	close(w.more)
	w.more = make(chan struct{})
}

func (w *world) ReadEvents(_ context.Context, after gateway.Cursor, most int) ([]gateway.Event, gateway.Cursor, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	from := int(after.Offset)
	if after.Segment == 0 {
		from = 0
	}
	to := min(from+most, len(w.events))
	if to > from {
		w.reads++
	}
	return append([]gateway.Event(nil), w.events[from:to]...), gateway.Cursor{Segment: 1, Offset: uint32(to)}, nil
}

func (w *world) Cursor(reader string) gateway.Cursor {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cursors[reader]
}

func (w *world) SaveCursor(reader string, c gateway.Cursor) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c == (gateway.Cursor{}) {
		delete(w.cursors, reader)
	} else {
		w.cursors[reader] = c
	}
	return nil
}

func (w *world) Committed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.more
}

func (w *world) End() gateway.Cursor {
	w.mu.Lock()
	defer w.mu.Unlock()
	return gateway.Cursor{Segment: 1, Offset: uint32(len(w.events))}
}

// checkpoint writes the cursors down; crash loses what was not.
func (w *world) checkpoint() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.durable = maps.Clone(w.cursors)
}

func (w *world) crash() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cursors = maps.Clone(w.durable)
}

func (w *world) Body(_ context.Context, r gateway.Ref) (*gateway.Stored, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.Segment == 0 || int(r.Offset) >= len(w.mails) {
		return nil, gateway.ErrNotFound
	}
	text := []byte(w.headers[r.Offset])
	return &gateway.Stored{Message: w.mails[r.Offset], ReaderAt: bytes.NewReader(text), Size: int64(len(text))}, nil
}

func (w *world) Mailbox(_ context.Context, k gateway.Key) (*gateway.Mailbox, error) {
	if b := w.boxes[k]; b != nil {
		return b, nil
	}
	return &gateway.Mailbox{Key: k}, nil
}

func (w *world) Message(_ context.Context, id gateway.ID) (*gateway.Message, gateway.Ref, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, m := range w.mails {
		if m.ID == id {
			return m, gateway.Ref{Segment: 1, Offset: uint32(i)}, nil
		}
	}
	return nil, gateway.Ref{}, gateway.ErrNotFound
}

func (w *world) Commit(_ context.Context, changes ...*gateway.Change) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return w.fail
	}
	for _, c := range changes {
		for _, s := range c.Settings {
			if s.Value == nil {
				delete(w.settings, s.Name)
			} else {
				w.settings[s.Name] = bytes.Clone(s.Value)
			}
		}
	}
	return nil
}

func (w *world) Settings() map[string][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.settings)
}

// held are the events on a webhook's list.
func (w *world) held(name string) (ids []string) {
	for setting := range w.Settings() {
		if id, ok := strings.CutPrefix(setting, settingWebhook+name+heldPart); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// bounce is the event of a delivery that was refused.
func (w *world) bounce(tenant string) gateway.Event {
	d := &gateway.Delivery{ID: gateway.DeliveryID{Message: w.ids.Next(time.Now())}, Rev: 2, State: gateway.Bounced, Tenant: tenant,
		Address: "Ann@Example.com", Campaign: "spring", Reply: "550 5.1.1 no such user", Accepted: time.Now().Add(-time.Minute)}
	return gateway.Event{Kind: gateway.EventBounced, At: time.Now(), Delivery: d, Reason: "refused", Detail: d.Reply}
}

// signal is the event of a signal about a mailbox that is known.
func (w *world) signal(kind gateway.EventKind, detail gateway.SignalDetail) gateway.Event {
	text, _ := json.Marshal(detail)
	return gateway.Event{Kind: kind, At: time.Now(), Name: w.ids.Next(time.Now()).String(), Detail: string(text)}
}

// mail stores a message with a header and returns its id and place.
func (w *world) mail(header string, to ...gateway.Recipient) (gateway.ID, gateway.Ref) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := &gateway.Message{ID: w.ids.Next(time.Now()), MessageID: "m1@esp.test", From: "news@esp.test", Subject: "Spring", Header: int64(len(header)), Recipients: to}
	w.mails, w.headers = append(w.mails, m), append(w.headers, header+"body\r\n")
	return m.ID, gateway.Ref{Segment: 1, Offset: uint32(len(w.mails) - 1)}
}

// receiverFunc is an endpoint without a network.
type receiverFunc struct {
	mu     sync.Mutex
	ids    map[string]int                                                                      // guarded by mu: how often each event was taken
	calls  []time.Time                                                                         // guarded by mu
	now    int                                                                                 // guarded by mu: under way
	most   int                                                                                 // guarded by mu
	answer func(q *http.Request, ids []string) (status int, after string, takes time.Duration) // guarded by mu
}

// change changes what it answers.
func (r *receiverFunc) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *receiverFunc) RoundTrip(q *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return nil, err
	}
	ids := idsOf(body)
	r.mu.Lock()
	r.calls = append(r.calls, time.Now())
	r.now++
	r.most = max(r.most, r.now)
	r.mu.Unlock()
	defer func() { r.mu.Lock(); r.now--; r.mu.Unlock() }()
	status, after, takes := 200, "", time.Duration(0)
	r.change(func() {
		if r.answer != nil {
			status, after, takes = r.answer(q, ids)
		}
	})
	select {
	case <-time.After(takes):
	case <-q.Context().Done():
		return nil, q.Context().Err()
	}
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	if status/100 == 2 {
		r.mu.Lock()
		if r.ids == nil {
			r.ids = map[string]int{}
		}
		for _, id := range ids {
			r.ids[id]++
		}
		r.mu.Unlock()
	}
	h := http.Header{}
	if after != "" {
		h.Set("Retry-After", after)
	}
	return &http.Response{StatusCode: status, Header: h, Body: http.NoBody, Request: q}, nil
}

// idsOf finds the ids of events in a body of any format.
func idsOf(body []byte) (ids []string) {
	var one struct {
		Data struct {
			ID string `json:"id"`
		} `json:"data"`
		Meta string `json:"meta"`
	}
	var list []struct {
		ID string `json:"sg_event_id"`
	}
	if json.Unmarshal(body, &list) == nil {
		for _, e := range list {
			ids = append(ids, e.ID)
		}
		return ids
	}
	json.Unmarshal(body, &one)
	if one.Data.ID != "" {
		return []string{one.Data.ID}
	}
	var meta struct{ Event string }
	json.Unmarshal([]byte(one.Meta), &meta)
	return []string{meta.Event}
}

func (r *receiverFunc) taken() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.ids)
}

func (r *receiverFunc) called() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.calls)
}

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func standard(name, tenant string) Endpoint {
	return Endpoint{Name: name, Tenant: tenant, URL: "https://hooks.example.com/" + name, Format: "standard", Secret: testSecret}
}

// sender sends to receivers by the name of their endpoint.
func (w *world) sender(to map[string]*receiverFunc, endpoints ...Endpoint) *Sender {
	s := &Sender{Journal: w, Store: w, Log: slog.New(slog.NewTextHandler(w.log, nil)), jitter: func() float64 { return 0 }}
	s.client = func(e *Endpoint) *Client { return &Client{transport: to[e.Name]} }
	s.Tell = func(_ context.Context, what, detail, actor string) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.history = append(w.history, what+" "+detail+" by "+actor)
		return nil
	}
	s.Set(endpoints)
	return s
}

// during runs a sender while f does.
func (w *world) during(s *Sender, f func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	f()
	cancel()
	if err := <-ended; err != nil {
		w.t.Error(err)
	}
}

// wantAll checks that a tenant's events were taken, from one on, and no others.
func (w *world) wantAll(taken map[string]int, tenant string, from int) {
	w.t.Helper()
	missing, all := 0, 0
	for i := range w.events {
		e := &w.events[i]
		if i < from {
			if taken[e.ID()] > 0 {
				w.t.Errorf("%s happened before the endpoint was there", e.ID())
			}
			continue
		}
		if e.Delivery.Tenant != tenant {
			if taken[e.ID()] > 0 {
				w.t.Errorf("%s of %s went to %s", e.ID(), e.Delivery.Tenant, tenant)
			}
			continue
		}
		if all++; taken[e.ID()] == 0 {
			missing++
		}
	}
	if missing > 0 || all == 0 {
		w.t.Errorf("%d of %d events of %s are missing", missing, all, tenant)
	}
}
