package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/smtptest"
	"tidepost/gateway/token"
)

// returnsGateway is a gateway whose mail leaves with its own return path, and the next
// hop that takes it.
type returnsGateway struct {
	*process
	t    *testing.T
	dir  string
	hop  *smtptest.Server
	sets []string
}

func newReturnsGateway(t *testing.T) *returnsGateway {
	t.Helper()
	n := 0
	g := &returnsGateway{t: t, dir: t.TempDir()}
	g.hop = smtptest.Scripted(t, func(cmd string) smtptest.Step {
		if cmd == "." {
			n++
			return smtptest.Step{Reply: fmt.Sprintf("250 2.0.0 Ok: queued as 4Xyz%06d", n)}
		}
		return smtptest.Polite(cmd)
	})
	g.sets = []string{"route.mode=smarthost", "route.smarthost=" + g.hop.Addr(), "destination.smarthost.connections=1",
		"feedback.return_path_domain=back.test", `feedback.return_path_listen=["127.0.0.1:0"]`}
	g.process = startProcess(t, g.dir, nil, g.sets...)
	return g
}

// send submits one mail and returns it as it left.
func (g *returnsGateway) send(to, id string) smtptest.Message {
	g.t.Helper()
	if err := mustDial(g.t, g.smtp).send("verp+"+id+"@esp.test", to, letter(id, 200)); err != nil {
		g.t.Fatal(err)
	}
	return g.await(func(m *smtptest.Message) bool {
		return strings.Contains(string(m.Data), "<"+id+"@esp.test>") && m.From != ""
	})
}

// await returns the first mail at the next hop that is wanted.
func (g *returnsGateway) await(wanted func(m *smtptest.Message) bool) (found smtptest.Message) {
	g.t.Helper()
	if !eventually(20*time.Second, func() bool {
		for _, m := range g.hop.Messages() {
			if wanted(&m) {
				found = m
				return true
			}
		}
		return false
	}) {
		g.t.Fatal("the mail did not reach the next hop")
	}
	return found
}

// bounce brings a mail to the return path listener.
func (g *returnsGateway) bounce(to, mail string) error {
	c, err := dialSMTP(g.back)
	if err != nil {
		return err
	}
	defer c.close()
	return c.send("", to, stuffed(mail))
}

// stuffed is content as DATA carries it: lines end in CRLF, dots are doubled.
func stuffed(mail string) string {
	mail = strings.ReplaceAll(strings.ReplaceAll(mail, "\r\n", "\n"), "\n", "\r\n")
	mail = strings.ReplaceAll("\r\n"+mail, "\r\n.", "\r\n..")[2:]
	return strings.TrimSuffix(mail, "\r\n")
}

func dsnFor(recipient, status, diagnostic string) string {
	return "From: MAILER-DAEMON@mx.dest.test\r\nTo: you\r\nSubject: Undelivered Mail\r\nMessage-ID: <b." + status + "." + recipient + ">\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nsorry\r\n--b\r\n" +
		"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.dest.test\r\n\r\nFinal-Recipient: rfc822; " + recipient +
		"\r\nAction: failed\r\nStatus: " + status + "\r\nDiagnostic-Code: smtp; " + diagnostic + "\r\n\r\n--b--\r\n"
}

func (g *returnsGateway) suppressed(address string) string {
	out, _ := tidepost(g.t, g.process, "suppress", "check", address, "--json")
	return out
}

// A mail goes out with a return path of its own, its bounce comes back to it and stops
// the address, and the ESP's own mailbox for bounces gets it, also across a kill.
func TestReturnPath(t *testing.T) {
	t.Parallel()
	g := newReturnsGateway(t)
	ann, bob := g.send("ann@dest.test", "one"), g.send("bob@dest.test", "two")
	for _, m := range []smtptest.Message{ann, bob} {
		if !strings.HasPrefix(m.From, "b-") || !strings.HasSuffix(m.From, "@back.test") || len(m.From) > 64+len("@back.test") {
			t.Fatalf("a mail left from %q", m.From)
		}
	}
	if ann.From == bob.From {
		t.Error("two mails have one return path")
	}
	g.kill()
	g.process = startProcess(t, g.dir, nil, g.sets...)

	if err := g.bounce(strings.ToUpper(ann.From), dsnFor("ann@dest.test", "5.1.1", "550 5.1.1 no such user")); err != nil {
		t.Fatal(err)
	}
	if got := g.suppressed("ann@dest.test"); !strings.Contains(got, "hard_bounce") || !strings.Contains(got, "no such user") {
		t.Errorf("after its bounce: %s", got)
	}
	g.await(func(m *smtptest.Message) bool {
		return m.From == "" && slices.Contains(m.To, "verp+one@esp.test") && strings.Contains(string(m.Data), "Final-Recipient")
	})
	if err := g.bounce(bob.From, dsnFor("bob@dest.test", "5.7.1", "550 5.7.1 blocked, see https://dnsbl.test")); err != nil {
		t.Fatal(err)
	}
	if got := g.suppressed("bob@dest.test"); strings.Contains(got, "bounce") {
		t.Errorf("a bounce about us suppresses an address: %s", got)
	}
	for _, forged := range []string{"b-" + strings.Repeat("a", 56) + "@back.test", ann.From[:10] + "a" + ann.From[11:], "ann@back.test", "ann@dest.test"} {
		if forged == ann.From {
			continue
		}
		if err := g.bounce(forged, dsnFor("cat@dest.test", "5.1.1", "550 no")); !strings.HasPrefix(refusal(err), "550") {
			t.Errorf("a report to %s: %v", forged, err)
		}
	}
	if out, _ := tidepost(t, g.process, "explain", "ann@dest.test"); !strings.Contains(out, "no such user") {
		t.Errorf("explain: %s", out)
	}
}

// What leads to no mail of ours is kept for a person, and what an admin brings is found
// by the next hop's id where a relay has replaced the Message-ID.
func TestUnmatchedAndBrought(t *testing.T) {
	t.Parallel()
	g := newReturnsGateway(t)
	g.send("ann@dest.test", "one")
	if err := g.bounce("bounces@back.test", dsnFor("nobody@dest.test", "5.1.1", "550 no such user")); err != nil {
		t.Fatal(err)
	}
	out, _ := tidepost(t, g.process, "feedback", "unmatched", "--json")
	var list struct{ Unmatched []struct{ ID string } }
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Unmatched) != 1 {
		t.Fatalf("unmatched: %s, %v", out, err)
	}
	mail, _ := tidepost(t, g.process, "feedback", "unmatched", list.Unmatched[0].ID)
	if !strings.Contains(mail, "nobody@dest.test") {
		t.Errorf("the kept mail: %s", mail)
	}
	if got := g.suppressed("nobody@dest.test"); strings.Contains(got, "bounce") {
		t.Errorf("a guess: %s", got)
	}
	brought := filepath.Join(t.TempDir(), "bounce.eml")
	text := strings.Replace(dsnFor("ann@dest.test", "5.1.1", "550 5.1.1 unknown"), "Reporting-MTA:", "X-Postfix-Queue-ID: 4Xyz000001\r\nReporting-MTA:", 1)
	if err := os.WriteFile(brought, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ = tidepost(t, g.process, "feedback", "learn", brought)
	if !strings.Contains(out, "found by queue_id") {
		t.Errorf("learn: %s", out)
	}
	if got := g.suppressed("ann@dest.test"); !strings.Contains(got, "hard_bounce") {
		t.Errorf("after learn: %s", got)
	}
}

// Real bounces come back to return paths of ours: each is taken, passed on, and
// suppresses its address exactly where the expected record says hard.
func TestRealBounces(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..", "shared", "data", "bounces")
	f, err := os.Open(filepath.Join(root, "expected.csv"))
	if err != nil {
		t.Skip("the recorded bounces are not here")
	}
	rows, err := csv.NewReader(f).ReadAll()
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	g := newReturnsGateway(t)
	n, right := 0, 0
	for _, row := range rows[1:] {
		if row[1] != "1" {
			continue
		}
		mail, err := os.ReadFile(filepath.Join(root, "samples", row[0]))
		if err != nil {
			t.Fatal(err)
		}
		n++
		reader := fmt.Sprintf("reader%d@dest.test", n)
		sent := g.send(reader, fmt.Sprintf("real-%d", n))
		if err := g.bounce(sent.From, string(mail)); err != nil {
			t.Errorf("%s: %v", row[0], err)
			continue
		}
		hard := row[5] == "true"
		if stopped := strings.Contains(g.suppressed(reader), "hard_bounce"); stopped == hard {
			right++
		}
	}
	if n == 0 || float64(right) < 0.95*float64(n) {
		t.Errorf("%d of %d bounces did to their address what is expected", right, n)
	}
	passed := 0
	eventually(20*time.Second, func() bool {
		passed = 0
		for _, m := range g.hop.Messages() {
			if m.From == "" && strings.HasPrefix(m.To[0], "verp+real-") {
				passed++
			}
		}
		return passed == n
	})
	if passed != n {
		t.Errorf("%d of %d were passed on", passed, n)
	}
	if got := metric(t, g.process, "tidepost_returns_total"); got != float64(n) {
		t.Errorf("the metrics count %v of %d", got, n)
	}
}

// An ESP whose webhook is gone (410) gets the mail itself again.
func TestReturnPathOfGoneWebhook(t *testing.T) {
	t.Parallel()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) }))
	t.Cleanup(receiver.Close)
	g := newReturnsGateway(t)
	g.kill()
	file := filepath.Join(t.TempDir(), "tidepost.toml")
	text := fmt.Sprintf("[[webhook]]\nname = \"gone\"\nurl = %q\nsecret = %q\nkinds = [\"bounced\"]\nallow_private = true\n", receiver.URL, hookSecret)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g.process = mustStart(t, setup{dir: g.dir, file: file, sets: g.sets})
	if !eventually(20*time.Second, func() bool { return strings.Contains(g.log.String(), "a new webhook is told") }) {
		t.Fatalf("the webhook does not start:\n%s", g.log)
	}
	ann, bob := g.send("ann@dest.test", "one"), g.send("bob@dest.test", "two")
	if err := g.bounce(ann.From, dsnFor("ann@dest.test", "5.1.1", "550 5.1.1 no such user")); err != nil {
		t.Fatal(err)
	}
	if got := metric(t, g.process, "tidepost_returns_passed_on_total"); got != 0 {
		t.Errorf("%v mails were passed on to an ESP that has a webhook", got)
	}
	if !eventually(20*time.Second, func() bool {
		out, _ := tidepost(t, g.process, "webhooks", "list", "--json")
		return strings.Contains(out, `"disabled"`)
	}) {
		t.Fatal("the webhook is not disabled")
	}
	if err := g.bounce(bob.From, dsnFor("bob@dest.test", "5.1.1", "550 5.1.1 no such user")); err != nil {
		t.Fatal(err)
	}
	g.await(func(m *smtptest.Message) bool { return m.From == "" && slices.Contains(m.To, "verp+two@esp.test") })
}

// The domain of an address is behind its last @, and its case means nothing.
func TestReturnPaths(t *testing.T) {
	keys, err := token.NewKeys([]byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	r := returnPaths{func() *token.Keys { return keys }, "back.test"}
	id := gateway.DeliveryID{Message: gateway.ID{1}, Ordinal: 2}
	sealed := r.Seal(id, 3)
	for address, ours := range map[string]bool{
		sealed: true, strings.ToUpper(sealed): true, "bounces@BACK.test": true, `"a@b"@back.test`: true, `"a@back.test"@esp.test`: false,
		"bounces@esp.test": false, "back.test": false, "@back.test": true, "": false, "bounces@back.test.": false,
	} {
		if got := r.Ours(address); got != ours {
			t.Errorf("%s is ours: %t", address, got)
		}
		gotID, source, ok := r.Open(address)
		if opens := strings.EqualFold(address, sealed); ok != opens || ok && (gotID != id || source != 3) {
			t.Errorf("%s opens: %t, %s of %d", address, ok, gotID, source)
		}
	}
}

// tidepost runs a command against a gateway.
func tidepost(t *testing.T, p *process, args ...string) (stdout string, status int) {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(dataDirOf(p), "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	env := []string{"TIDEPOST_SERVER=http://" + p.admin, "TIDEPOST_TOKEN=" + strings.TrimSpace(string(token))}
	status = run(t.Context(), args, strings.NewReader(""), &out, &errs, env)
	if status != exitDone {
		t.Logf("tidepost %s: exit status %d, %s", strings.Join(args, " "), status, errs.String())
	}
	return out.String(), status
}
