package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"tidepost/gateway/bus"
	"tidepost/gateway/smtptest"
)

// signalLoad is how many signals TestSignalRate publishes: a few here, and what
// TESTING_SIGNALS=RATE,SECONDS,QUEUE says for a measurement.
func signalLoad(t *testing.T) (rate, seconds, queue int) {
	rate, seconds, queue = 1000, 2, 5000
	if v := os.Getenv("TESTING_SIGNALS"); v != "" {
		if n, err := fmt.Sscanf(v, "%d,%d,%d", &rate, &seconds, &queue); n != 3 {
			t.Fatalf("TESTING_SIGNALS=%s: %v", v, err)
		}
	}
	return rate, seconds, queue
}

// TestSignalRate publishes signals at a rate while mail is accepted, then lets a
// queue of them build up with an opt-out behind it. Every signal is applied; how
// long that takes is printed, not judged.
func TestSignalRate(t *testing.T) {
	rate, seconds, queue := signalLoad(t)
	remote := &bus.Embedded{Dir: filepath.Join(t.TempDir(), "nats"), Listen: "127.0.0.1:0"}
	if err := remote.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remote.Shutdown(context.Background()) })
	sink := smtptest.Scripted(t, smtptest.Polite)
	dir := t.TempDir()
	sets := []string{"route.mode=smarthost", "route.smarthost=" + sink.Addr(), "policy.mode=live", "policy.momentum=true", "nats.url=" + remote.ClientURL()}
	p := startProcess(t, dir, nil, sets...)
	held := holdMail(t, p, min(20_000, 2*rate))
	g := &signalSource{t: t, held: held}
	g.connect(remote.ClientURL())
	defer g.nc.Close()

	before := acceptLatency(t, p, time.Duration(seconds)*time.Second/2)
	done := make(chan latencies, 1)
	go func() { done <- acceptLatency(t, p, time.Duration(seconds)*time.Second) }()
	acks := g.publishAt(rate, time.Duration(seconds)*time.Second)
	during := <-done
	awaitSignals(t, p, g.published)
	t.Logf("%d signals at %d a second: publish to acknowledgement %s; acknowledgement to changed plan %s", g.published, rate, acks, took(t, p))
	t.Logf("mail from its end to our 250: %s without, %s beside", before, during)

	p.terminate()
	g.publishAll(queue)
	last := held[0]
	g.publish([]*nats.Msg{signalMsg("unsubscribed", last, 1)})
	began := time.Now()
	p = startProcess(t, dir, nil, sets...)
	started := time.Since(began)
	go func() { done <- acceptLatency(t, p, time.Duration(seconds)*time.Second) }()
	if !eventually(time.Minute, func() bool { return suppressed(t, p, last.mailbox) }) {
		t.Fatal("the opt-out behind the queue is not applied")
	}
	optOut := time.Since(began)
	if !eventually(10*time.Minute, func() bool { return metric(t, p, "tidepost_signals_pending") == 0 }) {
		t.Fatal("the queue is not drained")
	}
	drained := time.Since(began)
	during = <-done
	t.Logf("%d signals queued: started in %v, the opt-out behind them after %v, all after %v; mail from its end to our 250 %s",
		queue, started.Round(time.Millisecond), optOut.Round(time.Millisecond), drained.Round(time.Millisecond), during)
}

// heldMail is a delivery that waits.
type heldMail struct{ mailbox, delivery string }

// holdMail submits mail that waits for tomorrow.
func holdMail(t *testing.T, p *process, n int) []heldMail {
	t.Helper()
	c, err := dialSMTP(p.smtp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	var held []heldMail
	header := "X-Tidepost-Not-Before: " + time.Now().Add(12*time.Hour).Format(time.RFC3339) + "\r\nList-Id: <news.esp.test>\r\n"
	for len(held) < n {
		if len(held)%1000 == 0 {
			c.conn.SetDeadline(time.Now().Add(time.Minute))
		}
		to := fmt.Sprintf("reader%d@dest.test", len(held))
		if err := c.begin("news@esp.test", to); err != nil {
			t.Fatal(err)
		}
		if _, err := c.conn.Write([]byte(header + letter(strconv.Itoa(len(held)), 1000) + "\r\n.\r\n")); err != nil {
			t.Fatal(err)
		}
		line, err := c.reply("250")
		if err != nil {
			t.Fatal(err)
		}
		words := strings.Fields(line)
		held = append(held, heldMail{to, words[len(words)-1] + ".0"})
	}
	return held
}

// signalSource publishes as the gateway's own publishers do: in atomic batches of
// what came in five milliseconds.
type signalSource struct {
	t         *testing.T
	nc        *nats.Conn
	held      []heldMail
	published int
}

func (g *signalSource) connect(url string) {
	var err error
	if g.nc, err = nats.Connect(url); err != nil {
		g.t.Fatal(err)
	}
}

func signalMsg(kind string, about heldMail, seq int) *nats.Msg {
	doc, _ := json.Marshal(map[string]any{"id": fmt.Sprintf("%s-%d", kind, seq), "at": time.Now(), "mailbox": about.mailbox, "tenant": "default",
		"message": about.delivery, "human": 1, "data": map[string]any{"link": strconv.Itoa(seq)}})
	return &nats.Msg{Subject: "tidepost.signal." + kind, Header: nats.Header{}, Data: doc}
}

func (g *signalSource) next(n int) []*nats.Msg {
	msgs := make([]*nats.Msg, n)
	for i := range msgs {
		kind := []string{"opened", "opened", "clicked", "active"}[rand.IntN(4)]
		msgs[i] = signalMsg(kind, g.held[rand.IntN(len(g.held))], g.published+i)
	}
	return msgs
}

// publish stores a batch whole or not at all (NATS ADR-50).
func (g *signalSource) publish(msgs []*nats.Msg) {
	id := nuid.Next()
	for i, m := range msgs {
		m.Header["Nats-Batch-Id"], m.Header["Nats-Batch-Sequence"] = []string{id}, []string{strconv.Itoa(i + 1)}
		if i == len(msgs)-1 {
			m.Header["Nats-Batch-Commit"] = []string{"1"}
			answer, err := g.nc.RequestMsg(m, 10*time.Second)
			if err != nil || !bytes.Contains(answer.Data, []byte(`"seq"`)) {
				g.t.Errorf("publishing: %v %s", err, answer.Data)
			}
		} else if err := g.nc.PublishMsg(m); err != nil {
			g.t.Error(err)
		}
	}
	g.published += len(msgs)
}

// publishAt publishes at a rate and returns how long a signal waited for its batch
// and the acknowledgement.
func (g *signalSource) publishAt(rate int, length time.Duration) latencies {
	var took latencies
	began := time.Now()
	for sent := 0; time.Since(began) < length; {
		n := int(time.Since(began).Seconds()*float64(rate)) - sent
		if n < max(rate/200, 1) {
			time.Sleep(time.Millisecond)
			continue
		}
		at := time.Now()
		g.publish(g.next(min(n, 1000)))
		took = append(took, time.Since(at)+time.Duration(float64(n)/float64(rate)*1e9))
		sent += min(n, 1000)
	}
	return took
}

func (g *signalSource) publishAll(n int) {
	for ; n > 0; n -= 500 {
		g.publish(g.next(min(n, 500)))
	}
}

// latencies are shown by their quantiles.
type latencies []time.Duration

func (l latencies) String() string {
	if len(l) == 0 {
		return "none"
	}
	sorted := slices.Sorted(slices.Values(l))
	at := func(q float64) time.Duration {
		return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("p50 %v, p99 %v, most %v", at(.5), at(.99), sorted[len(sorted)-1].Round(10*time.Microsecond))
}

// acceptLatency submits mail over four sessions for a while.
func acceptLatency(t *testing.T, p *process, length time.Duration) latencies {
	var mu sync.Mutex
	var all latencies
	var wg sync.WaitGroup
	for s := range 4 {
		wg.Go(func() {
			c, err := dialSMTP(p.smtp)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.close()
			c.conn.SetDeadline(time.Now().Add(length + time.Minute))
			for began, n := time.Now(), 0; time.Since(began) < length; n++ {
				if err := c.begin("a@esp.test", fmt.Sprintf("code%d-%d@dest.test", s, n)); err != nil {
					t.Error(err)
					return
				}
				at := time.Now()
				if err := c.do(letter(fmt.Sprintf("%d-%d", s, n), 4000)+"\r\n.", "250"); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				all = append(all, time.Since(at))
				mu.Unlock()
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	wg.Wait()
	return all
}

// metrics reads what Prometheus would.
func metrics(t *testing.T, p *process) map[string]float64 {
	t.Helper()
	req, _ := http.NewRequest(http.MethodGet, "http://"+p.admin+"/metrics", nil)
	token, err := os.ReadFile(filepath.Join(dataDirOf(p), "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	all := map[string]float64{}
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if i := strings.LastIndexByte(lines.Text(), ' '); i > 0 && !strings.HasPrefix(lines.Text(), "#") {
			all[lines.Text()[:i]], _ = strconv.ParseFloat(lines.Text()[i+1:], 64)
		}
	}
	return all
}

func metric(t *testing.T, p *process, name string) float64 { return metrics(t, p)[name] }

func awaitSignals(t *testing.T, p *process, n int) {
	t.Helper()
	const counted = `tidepost_signal_seconds_count{lane="evidence"}`
	if !eventually(5*time.Minute, func() bool { return metric(t, p, counted) >= float64(n) }) {
		t.Fatalf("%v of %d signals are applied", metric(t, p, counted), n)
	}
}

// took reads the histogram of how long signals took from the stream to the plan.
func took(t *testing.T, p *process) string {
	t.Helper()
	all := metrics(t, p)
	n := all[`tidepost_signal_seconds_count{lane="evidence"}`]
	var parts []string
	for _, le := range []string{"0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "1"} {
		share := 100 * all[`tidepost_signal_seconds_bucket{lane="evidence",le="`+le+`"}`] / max(n, 1)
		parts = append(parts, fmt.Sprintf("%.2f %% within %s s", share, le))
	}
	return strings.Join(parts, ", ")
}

func suppressed(t *testing.T, p *process, mailbox string) bool {
	t.Helper()
	req, _ := http.NewRequest(http.MethodGet, "http://"+p.admin+"/api/v1/suppressions?address="+mailbox, nil)
	token, _ := os.ReadFile(filepath.Join(dataDirOf(p), "admin.token"))
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	var page struct{ Items []json.RawMessage }
	return json.NewDecoder(answer.Body).Decode(&page) == nil && len(page.Items) > 0
}
