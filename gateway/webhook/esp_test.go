package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"time"

	"tidepost/gateway"
)

var discard = log.New(io.Discard, "", 0)

// settings are a store's.
type settings struct {
	mu   sync.Mutex
	all  map[string][]byte // guarded by mu
	fail error             // guarded by mu
	kick chan struct{}     // guarded by mu
}

func (s *settings) pending() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.all)
}

func (s *settings) done(_ context.Context, name string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	if value == nil {
		delete(s.all, name)
	} else {
		s.all[name] = bytes.Clone(value)
	}
	close(s.kick)
	s.kick = make(chan struct{})
	return nil
}

func (s *settings) owe(id, url, tenant string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all, s.kick = map[string][]byte{}, make(chan struct{})
	}
	s.all[gateway.SettingForward+id], _ = json.Marshal(map[string]any{"url": url, "tenant": tenant, "mailbox": "a@example.com", "at": time.Now()})
	close(s.kick)
	s.kick = make(chan struct{})
}

func (s *settings) kicked() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kick
}

func (s *settings) count() int { return len(s.pending()) }

// esp is a receiver without a network: it answers what its function says.
type esp struct {
	mu     sync.Mutex
	calls  []call // guarded by mu
	now    int    // guarded by mu: under way
	most   int    // guarded by mu
	answer func(*http.Request, int) (status int, after string, takes time.Duration)
}

type call struct {
	url string
	at  time.Time
}

func (e *esp) RoundTrip(q *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(q.Body)
	if string(body) != "List-Unsubscribe=One-Click" || q.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || q.Method != "POST" {
		return nil, fmt.Errorf("%s %q", q.Method, body)
	}
	e.mu.Lock()
	e.calls = append(e.calls, call{q.URL.String(), time.Now()})
	n := len(e.calls)
	e.now++
	e.most = max(e.most, e.now)
	e.mu.Unlock()
	defer func() { e.mu.Lock(); e.now--; e.mu.Unlock() }()
	status, after, takes := e.answer(q, n)
	select {
	case <-time.After(takes):
	case <-q.Context().Done():
		return nil, q.Context().Err()
	}
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	h := http.Header{}
	if after != "" {
		h.Set("Retry-After", after)
	}
	return &http.Response{StatusCode: status, Header: h, Body: http.NoBody, Request: q}, nil
}

func (e *esp) made() []call {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]call(nil), e.calls...)
}

// lines are a log's.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func forwarder(s *settings, e *esp, kick bool) (*Forwarder, *lines) {
	text := &lines{}
	f := &Forwarder{Pending: s.pending, Done: s.done, Client: &Client{transport: e}, Log: slog.New(slog.NewTextHandler(text, nil))}
	if kick {
		f.Kick = s.kicked
	}
	return f, text
}
