package webhook

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// verifier checks calls with a library of Standard Webhooks that others wrote: a line
// of JSON each, a number of those that verify at the end.
const verifier = `const {Webhook} = require(process.argv[1]); let ok = 0
require("fs").readFileSync(0, "utf8").trim().split("\n").forEach(line => {
  const c = JSON.parse(line)
  try { new Webhook(c.secret).verify(c.body, c.header); ok++ } catch (e) { console.log(e.message) }
})
console.log(ok)`

// TestForeignLibraries has what is sent verified by the npm packages standardwebhooks
// and svix, where TESTING_NODE_MODULES names the folder that has them.
func TestForeignLibraries(t *testing.T) {
	folder := os.Getenv("TESTING_NODE_MODULES")
	if folder == "" {
		t.Skip("set TESTING_NODE_MODULES to a folder of `npm install standardwebhooks svix`")
	}
	s := newStory(t)
	secrets := []string{testSecret, "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}
	var mu sync.Mutex
	var calls bytes.Buffer
	n := 0
	r := newHooks(t, func(_ *hooks, q *http.Request, body []byte) (string, string) {
		header := map[string]string{}
		for _, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
			header[name] = q.Header.Get(name)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, secret := range secrets {
			json.NewEncoder(&calls).Encode(map[string]any{"header": header, "body": string(body), "secret": secret})
		}
		n++
		return header["webhook-id"], ""
	})
	e := Endpoint{Name: "a", Tenant: "acme", URL: r.URL, Format: "standard", Secret: strings.Join(secrets, " "), Headers: []string{"X-EMAIL-ID"}, AllowPrivate: true}
	x := &Sender{Journal: s, Store: s, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	s.settings[reader("a")] = []byte(`{}`)
	x.Set([]Endpoint{e})
	for range 100 {
		s.add(s.refused, s.reader("unsubscribed", nil))
	}
	s.during(x, func() {
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			mu.Lock()
			all := n == 200
			mu.Unlock()
			if all {
				return
			}
		}
		t.Error("not everything arrives")
	})
	for _, library := range []string{"standardwebhooks", "svix"} {
		node := exec.Command("node", "-e", verifier, folder+"/"+library)
		node.Stdin = bytes.NewReader(calls.Bytes())
		if out, err := node.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "400" {
			t.Errorf("%s: %v: %s", library, err, out)
		}
	}
}
