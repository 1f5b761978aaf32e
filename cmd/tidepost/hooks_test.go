package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tidepost/gateway/smtptest"
)

// A provider takes mail, and reports of it by the id that its 250 named, or by the
// address alone. What it says is told of the mail and of the reader, and is there after
// a kill in the moment of the answer.
func TestProviderHooks(t *testing.T) {
	var taken atomic.Int64
	sink := smtptest.Scripted(t, func(cmd string) smtptest.Step {
		if cmd == "." {
			return smtptest.Step{Reply: fmt.Sprintf("250 Ok: queued as 7d3e1c2a-%04d", taken.Add(1))}
		}
		return smtptest.Polite(cmd)
	})
	dir, secret := t.TempDir(), "hook:correct-horse-battery"
	var mails []string
	sets := []string{"route.mode=smarthost", "route.smarthost=" + sink.Addr(), "route.tls=none",
		"hooks.postmark.secret=" + secret, "hooks.sparkpost.secret=" + secret, "hooks.listmonk.secret=" + secret}
	l := &loop{t: t, p: startProcess(t, dir, nil, sets...), sink: sink}
	c, err := dialSMTP(l.p.smtp)
	if err != nil {
		t.Fatal(err)
	}
	for i, to := range []string{"gone@dest.test", "fay@dest.test", "gus@dest.test"} {
		if err := c.begin("news@esp.test", to); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c.conn, "List-Id: <news.esp.test>\r\nFrom: <news@esp.test>\r\nSubject: news %d\r\n\r\nhello\r\n.\r\n", i)
		line, err := c.reply("250")
		if err != nil {
			t.Fatal(err)
		}
		words := strings.Fields(line)
		if !eventually(20*time.Second, func() bool { // one after the other: the provider's ids are in order
			all := l.deliveries("message=" + words[len(words)-1])
			return len(all) == 1 && all[0].State == "delivered"
		}) {
			t.Fatalf("%s is not delivered", to)
		}
		mails = append(mails, words[len(words)-1]+".0")
	}
	c.close()
	for name, body := range map[string]string{
		"postmark":  `{"RecordType":"Bounce","ID":1,"Type":"HardBounce","MessageID":"7d3e1c2a-0001","Email":"gone@dest.test","Details":"smtp;550 5.1.1 user unknown"}`,
		"sparkpost": `[{"msys":{"message_event":{"type":"spam_complaint","event_id":"2","rcpt_to":"fay@dest.test","fbtype":"abuse","message_id":"7d3e1c2a-0002"}}},{"msys":{"unsubscribe_event":{"type":"list_unsubscribe","event_id":"3","rcpt_to":"gus@dest.test","message_id":"7d3e1c2a-0003"}}}]`,
		"listmonk":  `{"email":"else@dest.test","type":"hard"}`,
	} {
		for range 2 { // the second says nothing new
			if status := reportTo(t, l.p, name, secret, body); status != http.StatusOK {
				t.Errorf("%s: %d", name, status)
			}
		}
		if status := reportTo(t, l.p, name, "hook:correct-horse-batterx", body); status != http.StatusUnauthorized {
			t.Errorf("%s with another password: %d", name, status)
		}
	}
	l.p.kill()
	l.p = startProcess(t, dir, nil, sets...)
	var page struct {
		Items []struct{ Address, Reason, Evidence string }
	}
	l.api(http.MethodGet, "/api/v1/suppressions", nil, &page)
	var got []string
	for _, e := range page.Items {
		got = append(got, e.Address+" "+e.Reason+" "+e.Evidence)
	}
	slices.Sort(got)
	want := []string{"else@dest.test hard_bounce ", "fay@dest.test complaint " + mails[1], "gone@dest.test hard_bounce 550 5.1.1 user unknown", "gus@dest.test unsubscribe " + mails[2]}
	if !slices.Equal(got, want) {
		t.Errorf("after a kill these are suppressed:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// reportTo posts what a provider with a password says.
func reportTo(t *testing.T, p *process, name, secret, body string) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+p.web+"/hooks/"+name, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	user, password, _ := strings.Cut(secret, ":")
	req.SetBasicAuth(user, password)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}
