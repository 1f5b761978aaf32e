package public

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/feedback"
)

// aws is what the server fetches from Amazon.
type aws struct {
	asked   atomic.Int64
	confirm atomic.Int64
	down    atomic.Bool
}

func (a *aws) fetch(_ context.Context, url string) ([]byte, error) {
	a.asked.Add(1)
	switch {
	case a.down.Load():
		return nil, errors.New("sns.eu-west-1.amazonaws.com answered 503")
	case strings.Contains(url, "Action=ConfirmSubscription"):
		a.confirm.Add(1)
	case url == snsCert:
		_, doc := amazon()
		return doc, nil
	}
	return []byte("<ok/>"), nil
}

func newProviderWorld(t *testing.T) (*world, *aws) {
	t.Helper()
	a := &aws{}
	hooks := map[string]Hook{}
	for name, p := range providers() {
		f, _ := feedback.Lookup(name)
		secret, err := f.CheckSecret(p.secret)
		if err != nil {
			t.Fatal(err)
		}
		hooks[name] = Hook{Format: name, Secrets: [][]byte{secret}, Tenant: "acme"}
	}
	w := newWorld(t, func(w *world) {
		w.Fetch = a.fetch
		w.Hooks = func(source string) (Hook, bool) { h, ok := hooks[source]; return h, ok }
	})
	return w, a
}

// Row H3 for every provider, over HTTP.
func TestProviders(t *testing.T) {
	w, _ := newProviderWorld(t)
	n := 0
	for name, p := range providers() {
		for _, tt := range []struct {
			story, body string
			late        time.Duration
			change      func(body string, head []string) (string, []string)
			want, told  int
		}{
			{story: "as it is sent", body: p.opened, want: 200, told: 1},
			{story: "10,000 deep", body: strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), want: 400},
			{story: "a list of 400,000", body: "[" + strings.Repeat("1,", 400_000) + "1]", want: 413},
			{story: "more than 1 MiB", body: `"` + strings.Repeat("x", 1<<20) + `"`, want: 413},
			{story: "of the wrong type", body: p.wrong, want: 400},
			{story: "a name said twice", body: strings.Replace(p.opened, "{", `{"x":1,"x":2,`, 1), want: 400},
			{story: "no signature", body: p.opened, change: func(body string, _ []string) (string, []string) {
				return strings.NewReplacer(`"signature"`, `"s"`, `"Signature"`, `"s"`).Replace(body), nil
			}, want: 401},
			{story: "nothing at all", change: func(string, []string) (string, []string) { return "", nil }, want: 401},
			{story: "another's signature", body: p.opened, change: func(body string, head []string) (string, []string) {
				body = strings.NewReplacer(`"token-`, `"token1-`, `"m-`, `"m1-`).Replace(body)
				for i, v := range head {
					head[i] = strings.NewReplacer("Basic a", "Basic b", "=", "").Replace(v) + "AAAA"
					if i%2 == 0 {
						head[i] = v
					}
				}
				return body, head
			}, want: 401},
			{story: "299 s old", body: p.opened, late: 299 * time.Second, want: 200, told: 1},
			{story: "301 s old", body: p.opened, late: 301 * time.Second, want: map[bool]int{true: 401, false: 200}[p.signsAt], told: map[bool]int{true: 0, false: 1}[p.signsAt]},
			{story: "301 s ahead", body: p.opened, late: -301 * time.Second, want: map[bool]int{true: 401, false: 200}[p.signsAt || name == "ses"], told: map[bool]int{true: 0, false: 1}[p.signsAt || name == "ses"]},
		} {
			n++
			w.pass(2 * time.Second)                                                         // so that guessing is not what is answered
			body, head := p.sign(n, w.time().Add(-tt.late), tt.body+strings.Repeat(" ", n)) // no two reports are the same
			if tt.change != nil {
				body, head = tt.change(body, head)
			}
			a := w.send("POST", "/hooks/"+name, body, head...)
			told := w.told.signals()
			if a.StatusCode != tt.want || len(told) != tt.told {
				t.Errorf("%s: %s: %s %q, %d told; want %d, %d", name, tt.story, a.Status, a.text, len(told), tt.want, tt.told)
			}
			if challenge := a.Header.Get("WWW-Authenticate"); (challenge != "") != (p.basic && a.StatusCode == 401) {
				t.Errorf("%s: %s: %s with %q", name, tt.story, a.Status, challenge)
			}
			for _, s := range told {
				if s.Tenant != "acme" || s.Source != "hook:"+name || s.Mailbox.String() != "ann@example.com" || s.ID == "" {
					t.Errorf("%s: %s: told %+v", name, tt.story, s)
				}
			}
		}
	}
	if log := w.log.String(); strings.Contains(log, "ann@") || strings.Contains(log, "horse") {
		t.Error("the log has an address or a password")
	}
}

// The same report again is answered 2xx and told once; one that could not be stored is
// taken when it comes again.
func TestProvidersRepeat(t *testing.T) {
	w, _ := newProviderWorld(t)
	for name, p := range providers() {
		body, head := p.sign(1, w.time(), p.opened)
		w.told.breakWith(errDisk)
		if a := w.send("POST", "/hooks/"+name, body, head...); a.StatusCode != 503 || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: without a store: %s", name, a.Status)
		}
		w.told.breakWith(nil)
		for i, want := range []int{1, 0, 0} {
			a := w.send("POST", "/hooks/"+name, body, head...)
			if told := w.told.signals(); a.StatusCode != 200 || len(told) != want {
				t.Errorf("%s: time %d: %s, %d told, want %d", name, i, a.Status, len(told), want)
			}
		}
	}
}

// Mailgun's signature covers a token alone. A second body under the same one is not
// read.
func TestMailgunToken(t *testing.T) {
	w, _ := newProviderWorld(t)
	p := providers()["mailgun"]
	first, _ := p.sign(1, noon, p.opened)
	forged, _ := p.sign(1, noon, `{"event":"unsubscribed","recipient":"ann@example.com"}`)
	for i, body := range []string{first, forged} {
		if a, told := w.send("POST", "/hooks/mailgun", body), w.told.signals(); a.StatusCode != 200 || len(told) != 1-i {
			t.Errorf("%d: %s, told %+v", i, a.Status, told)
		}
	}
}

// Two bodies under one token at the same time: one of them counts.
func TestMailgunTokenAtOnce(t *testing.T) {
	w, _ := newProviderWorld(t)
	var wg sync.WaitGroup
	var taken atomic.Int64
	for i := range 20 {
		wg.Go(func() {
			body, _ := providers()["mailgun"].sign(1, noon, fmt.Sprintf(`{"event":"opened","recipient":"r%d@example.com"}`, i))
			switch a := w.send("POST", "/hooks/mailgun", body); a.StatusCode {
			case 200:
				taken.Add(1)
			case 503:
				if a.Header.Get("Retry-After") == "" {
					t.Error("it is not said when to come again")
				}
			default:
				t.Errorf("%s", a.Status)
			}
		})
	}
	wg.Wait()
	if told := w.told.signals(); len(told) != 1 || taken.Load() == 0 {
		t.Errorf("%d told, %d answered 200", len(told), taken.Load())
	}
}

func TestTwoAuthorizations(t *testing.T) {
	w, _ := newProviderWorld(t)
	p := providers()["postmark"]
	_, head := p.sign(1, noon, "")
	req, err := http.NewRequest("POST", w.base+"/hooks/postmark", strings.NewReader(p.opened))
	if err != nil {
		t.Fatal(err)
	}
	req.Header["Authorization"] = []string{head[1], "Basic " + base64.StdEncoding.EncodeToString([]byte("a:b"))}
	a, err := w.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	a.Body.Close()
	if a.StatusCode != 401 {
		t.Errorf("%s", a.Status)
	}
	w.silence("two Authorization fields")
}

// A body of 100 MB is refused by its length before any of it is read, and without a
// length after the first of it.
func TestHugeReports(t *testing.T) {
	w, _ := newProviderWorld(t)
	for _, head := range []string{"Content-Length: 104857600", "Transfer-Encoding: chunked"} {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(c, "POST /hooks/postmark HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", head)
		if strings.HasPrefix(head, "T") {
			chunk := "10000\r\n" + strings.Repeat("x", 0x10000) + "\r\n"
			for range 17 {
				if _, err := io.WriteString(c, chunk); err != nil {
					break
				}
			}
		}
		answer := make([]byte, 12)
		if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "HTTP/1.1 413" {
			t.Errorf("%s: %q, %v", head, answer, err)
		}
		c.Close()
	}
}

func TestSubscription(t *testing.T) {
	w, a := newProviderWorld(t)
	envelope := func(n int, topic, url string) string {
		return sealSNS(map[string]string{"Type": "SubscriptionConfirmation", "MessageId": fmt.Sprintf("s-%d", n), "TopicArn": topic, "Message": "You have chosen …", "Token": "t",
			"Timestamp": noon.Format(time.RFC3339), "SignatureVersion": "2", "SigningCertURL": snsCert, "SubscribeURL": url},
			"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
	}
	const confirm = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=x&Token=t"
	a.down.Store(true)
	if r := w.send("POST", "/hooks/ses", envelope(0, snsTopic, confirm)); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
		t.Errorf("without Amazon: %s", r.Status)
	}
	a.down.Store(false)
	if r := w.send("POST", "/hooks/ses", envelope(0, snsTopic, confirm)); r.StatusCode != 503 {
		t.Errorf("Amazon is asked again at once: %s", r.Status)
	}
	w.pass(31 * time.Second)
	for range 3 {
		if r := w.send("POST", "/hooks/ses", envelope(0, snsTopic, confirm)); r.StatusCode != 200 {
			t.Errorf("%s %s", r.Status, r.text)
		}
	}
	if n := a.confirm.Load(); n != 1 {
		t.Errorf("confirmed %d times", n)
	}
	if r := w.send("POST", "/hooks/ses", envelope(1, "arn:aws:sns:eu-west-1:999999999999:x", confirm)); r.StatusCode != 401 {
		t.Errorf("another's topic: %s", r.Status)
	}
	if r := w.send("POST", "/hooks/ses", envelope(2, snsTopic, "https://mallory.example/?Action=ConfirmSubscription")); r.StatusCode != 400 {
		t.Errorf("an address elsewhere: %s", r.Status)
	}
	if n := a.confirm.Load(); n != 1 {
		t.Errorf("confirmed %d times", n)
	}
	w.silence("a subscription")
	asked := a.asked.Load()
	for i := range 5 {
		body, _ := signSNS(10+i, noon, providers()["ses"].opened)
		w.send("POST", "/hooks/ses", body)
	}
	if a.asked.Load() != asked {
		t.Error("a certificate is fetched more than once")
	}
}

// What a report names leads to the mail; what it does not, or leads elsewhere, stays
// with its mailbox.
func TestHookMatch(t *testing.T) {
	w, _ := newProviderWorld(t)
	mine := gateway.DeliveryID{Message: gateway.ID{1}, Ordinal: 7}
	parse := func(a string) gateway.Match {
		s, err := (&gateway.SignalDoc{Kind: "opened", Mailbox: a, Tenant: "acme"}).Signal()
		if err != nil {
			t.Fatal(err)
		}
		return gateway.Match{Delivery: mine, Mailbox: s.Mailbox, Tenant: "acme", By: gateway.ByQueueID}
	}
	foreign, only := parse("ann@example.com"), parse("ann@example.com")
	foreign.Tenant, only.Delivery = "rival", gateway.DeliveryID{}
	w.told.mails = map[string]gateway.Match{"q1": parse("ann@example.com"), "q2": parse("ben@example.com"), "q3": foreign, "q4": only}
	for _, tt := range []struct {
		id, want string
	}{{"q1", mine.String()}, {"q2", ""}, {"q3", ""}, {"q4", ""}, {"q5", ""}} {
		body := fmt.Sprintf(`[{"event":"bounce","type":"bounce","status":"5.1.1","email":"ann@example.com","sg_message_id":%q}]`, tt.id+".filter")
		body, head := providers()["sendgrid"].sign(0, noon, body)
		w.send("POST", "/hooks/sendgrid", body, head...)
		s := w.only()
		if s.Message != tt.want || s.Soft || s.Bounce == nil || (s.Bounce.Match == gateway.ByQueueID) != (tt.want != "") {
			t.Errorf("%s: told %+v, want %q", tt.id, s, tt.want)
		}
	}
	if n := w.Metrics.Unmatched.Load(); n != 4 {
		t.Errorf("%d unmatched, want 4", n)
	}
}

// What says nothing is counted, and answered as all that is good.
func TestHookIgnored(t *testing.T) {
	w, _ := newProviderWorld(t)
	body, head := providers()["sendgrid"].sign(0, noon, `[{"event":"delivered","email":"a@b.example"},{"event":"dropped","email":"a@b.example","reason":"Unsubscribed Address"}]`)
	if a := w.send("POST", "/hooks/sendgrid", body, head...); a.StatusCode != 200 {
		t.Errorf("%s", a.Status)
	}
	w.silence("what was delivered and dropped")
	if n := w.Metrics.Ignored.Load(); n != 2 {
		t.Errorf("%d ignored, want 2", n)
	}
}
