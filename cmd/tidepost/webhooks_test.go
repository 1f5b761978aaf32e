package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tidepost/gateway/smtptest"
)

const (
	hookSecret   = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	hookCampaign = "6f1b2a3c-0000-4000-8000-0123456789ab"
)

// hookReceiver is an ESP's end: it notes what it takes, by the event's id.
type hookReceiver struct {
	*httptest.Server

	mu    sync.Mutex
	down  bool                // guarded by mu
	taken map[string][]string // guarded by mu: addresses by event id, one for each call
	bad   []string            // guarded by mu
}

func newHookReceiver(t *testing.T, read func(q *http.Request, body []byte) (id, address string, err error)) *hookReceiver {
	r := &hookReceiver{taken: map[string][]string{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.down || err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		id, address, err := read(q, body)
		if err != nil {
			r.bad = append(r.bad, fmt.Sprintf("%v: %s", err, body))
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.taken[id] = append(r.taken[id], address)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *hookReceiver) setDown(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
}

// addresses are those of all events, how often each event came aside.
func (r *hookReceiver) addresses(t *testing.T) []string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.bad) > 0 {
		t.Fatalf("%d calls were wrong: %s", len(r.bad), r.bad[0])
	}
	var all []string
	for _, of := range r.taken {
		all = append(all, of[0])
	}
	slices.Sort(all)
	return all
}

// readStandard checks a call as the specification of Standard Webhooks says.
func readStandard(q *http.Request, body []byte) (id, address string, err error) {
	id = q.Header.Get("webhook-id")
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(hookSecret, "whsec_"))
	mac := hmac.New(sha256.New, key)
	io.WriteString(mac, id+"."+q.Header.Get("webhook-timestamp")+"."+string(body))
	if q.Header.Get("webhook-signature") != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
		return "", "", fmt.Errorf("signature %q", q.Header.Get("webhook-signature"))
	}
	var doc struct {
		Type string
		Data struct {
			Address string
			Bounce  struct{ Hard bool }
		}
	}
	if err := json.Unmarshal(body, &doc); err != nil || doc.Type != "delivery.bounced" || !doc.Data.Bounce.Hard {
		return "", "", fmt.Errorf("%v, type %q", err, doc.Type)
	}
	return id, doc.Data.Address, nil
}

// readListmonk checks a call as listmonk's POST /webhooks/bounce does.
func readListmonk(q *http.Request, body []byte) (id, address string, err error) {
	if user, password, _ := q.BasicAuth(); user != "gateway" || password != "token" || q.URL.Path != "/webhooks/bounce" {
		return "", "", fmt.Errorf("%s as %q", q.URL.Path, user)
	}
	var doc struct {
		Email, Source, Type, Meta string
		Campaign                  string `json:"campaign_uuid"`
	}
	var meta struct{ Event string }
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", "", err
	}
	err = json.Unmarshal([]byte(doc.Meta), &meta)
	if doc.Campaign != hookCampaign || doc.Type != "hard" || doc.Source != "tidepost" {
		return "", "", fmt.Errorf("campaign %q, type %q", doc.Campaign, doc.Type)
	}
	return meta.Event, doc.Email, err
}

// hookLoop is a gateway whose next hop refuses some readers, and two receivers.
type hookLoop struct {
	*shell
	setup              setup
	standard, listmonk *hookReceiver
	refused            []string
}

func newHookLoop(t *testing.T) *hookLoop {
	sink := smtptest.Scripted(t, func(cmd string) smtptest.Step {
		if strings.HasPrefix(cmd, "RCPT TO:<gone") {
			return smtptest.Step{Reply: "550 5.1.1 no such user"}
		}
		return smtptest.Polite(cmd)
	})
	l := &hookLoop{standard: newHookReceiver(t, readStandard), listmonk: newHookReceiver(t, readListmonk)}
	dir := t.TempDir()
	file := filepath.Join(dir, "tidepost.toml")
	text := fmt.Sprintf(`[[webhook]]
name = "own"
url = %q
secret = %q
kinds = ["bounced"]
allow_private = true

[[webhook]]
name = "listmonk"
url = %q
format = "listmonk"
secret_file = "token"
allow_private = true
`, l.standard.URL, hookSecret, l.listmonk.URL+"/webhooks/bounce")
	for name, text := range map[string]string{file: text, filepath.Join(dir, "token"): "gateway:token\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l.setup = setup{dir: filepath.Join(dir, "data"), file: file, sets: []string{"route.mode=smarthost", "route.smarthost=" + sink.Addr()}}
	l.shell = &shell{t: t, d: l.setup.dir}
	return l
}

func (l *hookLoop) start() { l.p = mustStart(l.t, l.setup) }

// submit sends mails to readers, of whom every other one is gone.
func (l *hookLoop) submit(round, n int) {
	l.t.Helper()
	c, err := dialSMTP(l.p.smtp)
	if err != nil {
		l.t.Fatal(err)
	}
	defer c.close()
	for i := range n {
		to := fmt.Sprintf("reader-%d-%d@dest.test", round, i)
		if i%2 == 0 {
			to = fmt.Sprintf("gone-%d-%d@dest.test", round, i)
		}
		mail := "X-Listmonk-Campaign: " + hookCampaign + "\r\nList-Unsubscribe: <https://esp.test/u>\r\n" + letter(fmt.Sprintf("m-%d-%d", round, i), 300)
		if err := c.send("a@esp.test", to, mail); err != nil {
			l.t.Fatal(err)
		}
		if i%2 == 0 {
			l.refused = append(l.refused, to)
		}
	}
}

func (l *hookLoop) awaitAll() {
	l.t.Helper()
	slices.Sort(l.refused)
	for _, r := range []*hookReceiver{l.standard, l.listmonk} {
		if !eventually(40*time.Second, func() bool { return slices.Equal(r.addresses(l.t), l.refused) }) {
			l.t.Fatalf("%d events arrived, want %d: %q", len(r.addresses(l.t)), len(l.refused), r.addresses(l.t))
		}
	}
}

// TestWebhooks: the ESP hears of every mail that was refused, in its own words and in
// those of Standard Webhooks, each event once where ids are counted once; whatever is
// killed, and whoever was down. Past events are told again under the same ids.
func TestWebhooks(t *testing.T) {
	l := newHookLoop(t)
	l.start()
	if !eventually(20*time.Second, func() bool { return strings.Count(l.p.log.String(), "a new webhook is told") == 2 }) {
		t.Fatalf("the webhooks do not start:\n%s", l.p.log)
	}
	began := time.Now()
	l.submit(0, 60)
	l.p.kill()
	l.listmonk.setDown(true)
	l.start()
	l.submit(1, 60)
	if !eventually(20*time.Second, func() bool { _, out := l.run("webhooks list"); return strings.Contains(out, "down since") }) {
		_, out := l.run("webhooks list")
		t.Fatalf("the list does not tell that one is down:\n%s", out)
	}
	l.want("webhooks list", "own", "listmonk", "503 Service Unavailable")
	l.p.kill()
	l.listmonk.setDown(false)
	l.start()
	l.submit(2, 20)
	l.want("webhooks enable listmonk", "listmonk is called again")
	l.awaitAll()
	l.want("webhooks list --json", `"state": "ok"`)
	if strings.Contains(l.p.log.String(), "gone-") || strings.Contains(l.p.log.String(), "token") {
		t.Errorf("the log has an address or a secret:\n%s", l.p.log)
	}

	l.standard.mu.Lock()
	before := maps.Clone(l.standard.taken)
	l.standard.mu.Unlock()
	out := l.want("webhooks redeliver own --since "+began.UTC().Add(-time.Minute).Format(time.RFC3339), "events were told again")
	if !strings.HasPrefix(out, fmt.Sprint(len(l.refused), " ")) {
		t.Errorf("%d were refused: %s", len(l.refused), out)
	}
	l.standard.mu.Lock()
	for id, of := range l.standard.taken {
		if len(of) <= len(before[id]) {
			t.Errorf("%s was not told again", id)
		}
	}
	l.standard.mu.Unlock()
	if status, out := l.run("webhooks redeliver nobody --since 2026-01-01T00:00:00Z"); status != exitFailed || !strings.Contains(out, "no webhook has that name") {
		t.Errorf("%d: %s", status, out)
	}
	if status, out := l.run("webhooks redeliver own"); status != exitUsage {
		t.Errorf("%d: %s", status, out)
	}
	if err := l.p.terminate(); err != nil {
		t.Errorf("it stopped with %v\n%s", err, l.p.log)
	}
}

// TestWebhooksReload: a webhook that is added while the gateway runs is told from then
// on, and one that is taken out is not told any more.
func TestWebhooksReload(t *testing.T) {
	l := newHookLoop(t)
	whole, err := os.ReadFile(l.setup.file)
	if err != nil {
		t.Fatal(err)
	}
	own, _, _ := strings.Cut(string(whole), "\n\n")
	if err := os.WriteFile(l.setup.file, []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	l.start()
	started := func(n int) bool {
		return eventually(20*time.Second, func() bool { return strings.Count(l.p.log.String(), "a new webhook is told") == n })
	}
	if !started(1) {
		t.Fatal("the webhook does not start")
	}
	l.submit(0, 2)
	if !eventually(20*time.Second, func() bool { return len(l.standard.addresses(t)) == 1 }) {
		t.Fatal("nothing arrives")
	}
	_, rest, _ := strings.Cut(string(whole), "\n\n")
	if err := os.WriteFile(l.setup.file, []byte(rest), 0o600); err != nil {
		t.Fatal(err)
	}
	l.p.cmd.Process.Signal(syscall.SIGHUP)
	if !started(2) {
		t.Fatalf("the webhook that was added does not start:\n%s", l.p.log)
	}
	l.submit(1, 2)
	if !eventually(20*time.Second, func() bool { return len(l.listmonk.addresses(t)) == 1 }) {
		t.Fatal("nothing arrives")
	}
	if got := l.standard.addresses(t); len(got) != 1 {
		t.Errorf("the webhook that was taken out was told of %q", got)
	}
	if out := l.want("webhooks list", "listmonk"); strings.Contains(out, "own") {
		t.Errorf("it is still there:\n%s", out)
	}
	status, out := l.run("webhooks test listmonk")
	if status != exitFailed || !strings.HasPrefix(out, "400: ") { // the receiver of this test wants campaigns
		t.Errorf("%d: %s", status, out)
	}
}
