package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tidepost/gateway/bus"
	"tidepost/gateway/smtptest"
)

// group is what the readers of a fifth of the audience do.
type group struct {
	name   string
	do     func(l *loop, reader string)
	leaves bool   // their second mail leaves before its hour
	gone   bool   // it never leaves
	reason string // of its drop, or its hold
}

var groups = []group{
	{name: "posts", do: (*loop).postUnsubscribe, gone: true, reason: "suppressed"},
	{name: "leaves", do: (*loop).publishUnsubscribe, gone: true, reason: "suppressed"},
	{name: "clicks", do: (*loop).publishClick, leaves: true},
	{name: "machine", do: (*loop).machine, reason: "reading_hour"},
	{name: "quiet", do: func(*loop, string) {}, reason: "reading_hour"},
}

// loop is a gateway with mail waiting, a NATS server elsewhere and readers.
type loop struct {
	t       *testing.T
	p       *process
	natsDir string
	remote  *bus.Embedded
	url     string
	sink    *smtptest.Server
	first   map[string]link // by reader
	mu      sync.Mutex
	errors  []string // guarded by mu
}

// link are the links and the id in a reader's first mail.
type link struct{ pixel, click, unsubscribe, message string }

// readersEach is how many readers a group has: a few here, 200 by `make soak`.
func readersEach(t *testing.T) int {
	n := 12
	if v := os.Getenv("TESTING_READERS"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// What people do comes back, by real HTTP and over a NATS server elsewhere, and
// changes the plans of mail that waits: also when the gateway is killed in the middle
// and the NATS server is away for a while.
func TestFeedbackLoop(t *testing.T) {
	l := &loop{t: t, natsDir: filepath.Join(t.TempDir(), "nats"), sink: smtptest.Scripted(t, smtptest.Polite), first: map[string]link{}}
	l.remote = &bus.Embedded{Dir: l.natsDir, Listen: "127.0.0.1:0"}
	if err := l.remote.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.remote.Shutdown(context.Background()) })
	l.url = l.remote.ClientURL()
	dir, each := t.TempDir(), readersEach(t)
	// In six hours is when these readers read.
	hour := time.Now().UTC().Add(6 * time.Hour)
	sets := []string{"route.mode=smarthost", "route.smarthost=" + l.sink.Addr(), "policy.mode=live", "policy.momentum=true", "policy.time_zone=UTC",
		"policy.arms={control=0,model=100,random=0,none=0}", "policy.explore=0", "policy.tracking=full", "http.public_url=https://mail.example.com", "nats.url=" + l.url}
	l.p = startProcess(t, dir, nil, sets...)
	var all []string
	for _, g := range groups {
		for i := range each {
			all = append(all, fmt.Sprintf("%s%03d@dest.test", g.name, i))
		}
	}
	l.send(all, "X-Tidepost-Class: transactional") // codes teach nothing and have no links
	l.awaitMails(len(all))
	l.send(all, "MT-PRIORITY") // bulk that does not wait, with links
	l.awaitMails(2 * len(all))
	l.readLinks()
	l.habits(all, hour)
	l.send(all, "X-Tidepost-Window: 24h")
	l.awaitHeld(len(all))

	half := len(all) / 2
	l.act(all[:half], each)
	l.p.kill()
	l.p = startProcess(t, dir, nil, sets...)
	if err := l.remote.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	outage := time.AfterFunc(3*time.Second, func() {
		if err := l.remote.Start(t.Context()); err != nil {
			t.Errorf("NATS does not come back: %v", err)
		}
	})
	defer outage.Stop()
	l.act(all[half:], each)
	for _, e := range l.errors {
		t.Error(e)
	}
	l.check(all, each)
}

func (l *loop) act(readers []string, each int) {
	var wg sync.WaitGroup
	for _, r := range readers {
		for _, g := range groups {
			if strings.HasPrefix(r, g.name) {
				wg.Go(func() { g.do(l, r) })
			}
		}
	}
	wg.Wait()
}

func (l *loop) fail(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errors = append(l.errors, fmt.Sprintf(format, args...))
}

const newsletterHTML = `<html><body><h1>News</h1><p>Read <a href="https://shop.test/offer?id=%d&amp;x=1">the offer</a> or <a href="https://shop.test/b">another</a>.</p></body></html>`

// send hands in one mail a reader. Of the header's kinds, MT-PRIORITY makes bulk that
// is not held.
func (l *loop) send(readers []string, header string) {
	l.t.Helper()
	c, err := dialSMTP(l.p.smtp)
	if err != nil {
		l.t.Fatal(err)
	}
	defer c.close()
	for i, r := range readers {
		mail := "MAIL FROM:<news@esp.test>"
		h := header + "\r\n"
		if header == "MT-PRIORITY" {
			mail, h = mail+" MT-PRIORITY=5", ""
		}
		for _, step := range [][2]string{{mail, "250"}, {"RCPT TO:<" + r + ">", "250"}, {"DATA", "354"}} {
			if err := c.do(step[0], step[1]); err != nil {
				l.t.Fatal(err)
			}
		}
		text := h + "From: <news@esp.test>\r\nTo: <" + r + ">\r\nSubject: news\r\nList-Id: <news.esp.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" +
			fmt.Sprintf(newsletterHTML, i) + "\r\n."
		if _, err := c.conn.Write([]byte(text + "\r\n")); err != nil {
			l.t.Fatal(err)
		}
		line, err := c.reply("250")
		if err != nil {
			l.t.Fatal(err)
		}
		if header == "MT-PRIORITY" {
			words := strings.Fields(line)
			l.first[r] = link{message: words[len(words)-1]}
		}
	}
}

func (l *loop) awaitMails(n int) {
	l.t.Helper()
	if !eventually(time.Minute, func() bool { return len(l.sink.Messages()) >= n }) {
		l.t.Fatalf("%d mails left, want %d", len(l.sink.Messages()), n)
	}
}

var (
	pixelLink = regexp.MustCompile(`https://mail\.example\.com(/o/[\w-]+)`)
	clickLink = regexp.MustCompile(`https://mail\.example\.com(/c/[\w-]+)`)
	leaveLink = regexp.MustCompile(`(?m)^List-Unsubscribe: <https://mail\.example\.com(/u/[\w-]+)>`)
	ourPost   = regexp.MustCompile(`(?m)^List-Unsubscribe-Post: List-Unsubscribe=One-Click\r?$`)
)

// readLinks finds the links in the mails that have some.
func (l *loop) readLinks() {
	l.t.Helper()
	for _, m := range l.sink.Messages() {
		text := string(m.Data)
		pixel, click, leave := pixelLink.FindStringSubmatch(text), clickLink.FindStringSubmatch(text), leaveLink.FindStringSubmatch(text)
		switch {
		case pixel == nil && click == nil && leave == nil:
			continue // a code
		case pixel == nil || click == nil || leave == nil || !ourPost.MatchString(text) || strings.Contains(text, "shop.test"):
			l.t.Fatalf("a mail has not all of our links:\n%s", text)
		}
		l.first[m.To[0]] = link{pixel: pixel[1], click: click[1], unsubscribe: leave[1], message: l.first[m.To[0]].message}
	}
}

// deliveries asks the admin API.
func (l *loop) deliveries(query string) []delivery {
	l.t.Helper()
	var all []delivery
	cursor := ""
	for {
		var page struct {
			Items []delivery
			Next  string
		}
		l.api(http.MethodGet, "/api/v1/deliveries?limit=500&"+query+cursor, nil, &page)
		all = append(all, page.Items...)
		if page.Next == "" {
			return all
		}
		cursor = "&cursor=" + page.Next
	}
}

func (l *loop) api(method, path string, in, out any) {
	l.t.Helper()
	body, _ := json.Marshal(in)
	req, _ := http.NewRequest(method, "http://"+l.p.admin+path, bytes.NewReader(body))
	token, err := os.ReadFile(filepath.Join(dataDirOf(l.p), "admin.token"))
	if err != nil {
		l.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	req.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	if answer.StatusCode/100 != 2 {
		l.t.Fatalf("%s %s: %s %s", method, path, answer.Status, text)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			l.t.Fatal(err)
		}
	}
}

// dataDirOf finds the data directory in a process's arguments.
func dataDirOf(p *process) string {
	for _, a := range p.cmd.Args {
		if dir, ok := strings.CutPrefix(a, "data_dir="); ok {
			return dir
		}
	}
	return ""
}

// habits tells that all readers read at one hour, every day of two months.
func (l *loop) habits(readers []string, hour time.Time) {
	l.t.Helper()
	for day := 60; day > 0; day -= 3 {
		var signals []map[string]any
		for _, r := range readers {
			signals = append(signals, map[string]any{"kind": "active", "tenant": "default", "mailbox": r, "at": hour.AddDate(0, 0, -day)})
		}
		l.api(http.MethodPost, "/api/v1/signals", map[string]any{"signals": signals}, nil)
	}
}

func (l *loop) waiting() []delivery { return l.deliveries("state=waiting") }

func (l *loop) awaitHeld(n int) {
	l.t.Helper()
	if !eventually(time.Minute, func() bool { return len(l.waiting()) == n }) {
		l.t.Fatalf("%d deliveries wait, want %d", len(l.waiting()), n)
	}
	for _, d := range l.waiting() {
		if d.Reason != "reading_hour" {
			l.t.Fatalf("%s waits for %q, want its reader's hour", d.Address, d.Reason)
		}
	}
}

// visit asks the public address as a reader's program does, again until it answers.
func (l *loop) visit(method, path, agent, body string, want int) {
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	var last string
	ok := eventually(30*time.Second, func() bool {
		req, _ := http.NewRequest(method, "http://"+l.p.web+path, strings.NewReader(body))
		req.Header.Set("User-Agent", agent)
		if body != "" {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		answer, err := client.Do(req)
		if err != nil {
			last = err.Error()
			return false
		}
		answer.Body.Close()
		last = answer.Status
		return answer.StatusCode == want
	})
	if !ok {
		l.fail("%s %s: %s, want %d", method, path, last, want)
	}
}

func (l *loop) postUnsubscribe(r string) {
	l.visit(http.MethodGet, l.first[r].unsubscribe, "LinkScanner/1.0", "", http.StatusOK) // changes nothing
	l.visit(http.MethodPost, l.first[r].unsubscribe, "", "List-Unsubscribe=One-Click", http.StatusOK)
}

// machine opens as Apple's and a scanner's programs do.
func (l *loop) machine(r string) {
	l.visit(http.MethodGet, l.first[r].pixel, "Mozilla/5.0", "", http.StatusOK)
	l.visit(http.MethodHead, l.first[r].click, "curl/8.0", "", http.StatusFound)
}

// publish tells NATS, as another program does: it tries until JetStream has it.
func (l *loop) publish(kind string, doc map[string]any) {
	text, _ := json.Marshal(doc)
	var last error
	ok := eventually(time.Minute, func() bool {
		nc, err := nats.Connect(l.url)
		if err != nil {
			last = err
			return false
		}
		defer nc.Close()
		js, _ := jetstream.New(nc)
		_, last = js.Publish(l.t.Context(), "tidepost.signal."+kind, text, jetstream.WithMsgID(fmt.Sprint(doc["id"])))
		return last == nil
	})
	if !ok {
		l.fail("publishing %s: %v", kind, last)
	}
}

func (l *loop) publishUnsubscribe(r string) {
	l.publish("unsubscribed", map[string]any{"id": "u-" + r, "at": time.Now(), "mailbox": r, "tenant": "default", "message": l.first[r].message})
}

func (l *loop) publishClick(r string) {
	l.publish("clicked", map[string]any{"id": "c-" + r, "at": time.Now(), "mailbox": r, "tenant": "default", "message": l.first[r].message, "human": 1})
}

var idField = regexp.MustCompile(`(?mi)^Message-ID: <([^>]+)>`)

// received counts the mails of each reader, and those that came twice: what was on
// the wire when the gateway was killed, with the same Message-ID (design rule 8).
func (l *loop) received() (mails map[string]int, doubled int) {
	mails = map[string]int{}
	seen := map[string]bool{}
	for _, m := range l.sink.Messages() {
		id := m.To[0]
		if found := idField.FindSubmatch(m.Data); found != nil {
			id += " " + string(found[1])
		}
		if seen[id] {
			doubled++
			continue
		}
		seen[id] = true
		mails[m.To[0]]++
	}
	return mails, doubled
}

// mails is how many different mails have come.
func (l *loop) mails() (n int) {
	mails, _ := l.received()
	for _, of := range mails {
		n += of
	}
	return n
}

// check waits for what each group's doings must lead to.
func (l *loop) check(all []string, each int) {
	l.t.Helper()
	want := 2*len(all) + each // the clickers' second mail
	left := 2 * each          // machines' and quiet readers' still wait
	if !eventually(90*time.Second, func() bool { return len(l.waiting()) == left && l.mails() >= want }) {
		l.t.Errorf("%d wait, want %d; %d mails left, want %d", len(l.waiting()), left, l.mails(), want)
	}
	time.Sleep(time.Second) // nothing more leaves
	got, doubled := l.received()
	if doubled > open {
		l.t.Errorf("%d mails came twice: want at most the %d that may be on the wire at a kill", doubled, open)
	}
	reasons := map[string]string{}
	for _, d := range l.waiting() {
		reasons[d.Address] = d.Reason
	}
	for _, g := range groups {
		for i := range each {
			r, mails := fmt.Sprintf("%s%03d@dest.test", g.name, i), 2
			if g.leaves {
				mails = 3
			}
			if got[r] != mails {
				l.t.Errorf("%s got %d mails, want %d", r, got[r], mails)
			}
			if !g.leaves && !g.gone && reasons[r] != g.reason {
				l.t.Errorf("mail of %s waits for %q, want %q", r, reasons[r], g.reason)
			}
		}
	}
}
