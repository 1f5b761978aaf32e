package public

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/token"
	"tidepost/suppression/address"
)

// learner is a gateway that remembers what it was told.
type learner struct {
	mu      sync.Mutex
	told    []gateway.Signal
	fail    error
	sources map[uint32][2]string
	mails   map[string]gateway.Match // by queue id and Message-ID
}

func (l *learner) Learn(ctx context.Context, s gateway.Signal) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return false, l.fail
	}
	l.told = append(l.told, s)
	return true, ctx.Err()
}

func (l *learner) SourceOf(n uint32) (tenant, list string, ok bool) {
	s, ok := l.sources[n]
	return s[0], s[1], ok
}

func (l *learner) Match(_ context.Context, c *gateway.Clue) (gateway.Match, error) {
	for _, id := range append(c.QueueIDs, c.MessageIDs...) {
		if m, ok := l.mails[id]; ok && c.Tenant == "acme" {
			return m, nil
		}
	}
	return gateway.Match{}, gateway.ErrNoMatch
}

func (l *learner) signals() []gateway.Signal {
	l.mu.Lock()
	defer l.mu.Unlock()
	told := l.told
	l.told = nil
	return told
}

func (l *learner) breakWith(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = err
}

// shelf is a store that knows mailboxes and one message.
type shelf struct {
	gateway.Store
	gateway.Browser
	boxes   map[gateway.Key]string
	message *gateway.Message
	content string
}

func (s *shelf) Mailbox(_ context.Context, k gateway.Key) (*gateway.Mailbox, error) {
	return &gateway.Mailbox{Key: k, Address: s.boxes[k]}, nil
}

func (s *shelf) Message(_ context.Context, id gateway.ID) (*gateway.Message, gateway.Ref, error) {
	if s.message == nil || id != s.message.ID {
		return nil, gateway.Ref{}, gateway.ErrNotFound
	}
	return s.message, gateway.Ref{}, nil
}

func (s *shelf) Body(context.Context, gateway.Ref) (*gateway.Stored, error) {
	return &gateway.Stored{Message: s.message, ReaderAt: strings.NewReader(s.content), Size: int64(len(s.content))}, nil
}

// The sources that tokens in tests name.
const (
	listed   = 1 // acme's list
	unlisted = 2 // acme, no list
	rival    = 3 // another tenant's list
	unknown  = 9
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

var ann = address.Mailbox{}

// world is a server behind a real socket.
type world struct {
	*Server
	t      *testing.T
	told   *learner
	shelf  *shelf
	keys   *token.Keys
	base   string
	addr   string
	log    *safeBuffer
	client *http.Client
	tok    token.Token // about ann's mail of acme's list

	mu  sync.Mutex
	now time.Time // guarded by mu
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newServer(t testing.TB) *world {
	t.Helper()
	keys, err := token.NewKeys(bytes.Repeat([]byte("k"), 32))
	if err != nil {
		t.Fatal(err)
	}
	a, err := address.Parse("Ann.Smith@example.com")
	if err != nil {
		t.Fatal(err)
	}
	ann = a.Mailbox()
	key := gateway.MailboxKey("acme", ann)
	w := &world{keys: keys, now: noon, log: &safeBuffer{},
		told:  &learner{sources: map[uint32][2]string{listed: {"acme", "news.acme.example"}, unlisted: {"acme", ""}, rival: {"rival", "their.list"}}},
		shelf: &shelf{boxes: map[gateway.Key]string{key: ann.String()}},
		tok:   token.Token{Message: [16]byte{1, 2, 3}, Ordinal: 7, Mailbox: key, Source: listed, Expires: noon.AddDate(1, 0, 0)},
	}
	w.Server = &Server{Gateway: w.told, Store: w.shelf, Keys: func() *token.Keys { return keys }, Now: w.time,
		Log: slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelInfo}))}
	return w
}

func newWorld(t *testing.T, set func(w *world)) *world {
	t.Helper()
	w := newServer(t)
	w.t = t
	if set != nil {
		set(w)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = l.Addr().String()
	w.base = "http://" + w.addr
	w.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 50}, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Serve(ctx, l) }()
	t.Cleanup(func() {
		w.client.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return w
}

func (w *world) time() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// seal makes the path of a link.
func (w *world) seal(p token.Purpose, change func(*token.Token)) string {
	t := w.tok
	if change != nil {
		change(&t)
	}
	return "/" + string(rune(p)) + "/" + w.keys.Seal(p, &t)
}

// answer is what came back, read to its end.
type answer struct {
	*http.Response
	text string
}

// send asks; head is pairs of names and values.
func (w *world) send(method, path, body string, head ...string) answer {
	w.t.Helper()
	req, err := http.NewRequest(method, w.base+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("User-Agent", "Mozilla/5.0 (Test)")
	for i := 0; i < len(head); i += 2 {
		req.Header.Set(head[i], head[i+1])
	}
	res, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if c := res.Header.Values("Set-Cookie"); len(c) > 0 {
		w.t.Errorf("%s %s sets a cookie: %q", method, path, c)
	}
	return answer{res, string(text)}
}

func (w *world) get(path string, head ...string) answer { return w.send("GET", path, "", head...) }

// form posts a form as a browser does.
func (w *world) form(path, body string, head ...string) answer {
	return w.send("POST", path, body, append([]string{"Content-Type", "application/x-www-form-urlencoded"}, head...)...)
}

// only returns the one signal that was told since the last call.
func (w *world) only() gateway.Signal {
	w.t.Helper()
	told := w.told.signals()
	if len(told) != 1 {
		w.t.Fatalf("%d signals were told, want 1: %+v", len(told), told)
	}
	return told[0]
}

// silence checks that nothing was told.
func (w *world) silence(what string) {
	w.t.Helper()
	if told := w.told.signals(); len(told) != 0 {
		w.t.Errorf("%s: told %+v, want nothing", what, told)
	}
}

var errDisk = errors.New("the disk is gone")
