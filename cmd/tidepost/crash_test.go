package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tidepost/gateway/smtptest"
)

// kills is how often TestKill kills the gateway: a few times here, 20 in the
// continuous run, 200 by `make soak`.
func kills(t *testing.T) int {
	n := 4
	if v := os.Getenv("TESTING_KILLS"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// TestKill kills the gateway again and again while clients submit and mail
// leaves. Every message that was answered 250 must reach the next hop; what
// reaches it twice must have been on the wire at a kill, with one Message-ID.
func TestKill(t *testing.T) {
	sink := smtptest.Scripted(t, smtptest.Polite)
	dir, rounds := t.TempDir(), kills(t)
	sets := []string{"route.mode=smarthost", "route.smarthost=" + sink.Addr()}
	answered := &answers{}
	for round := range rounds {
		p := startProcess(t, dir, nil, sets...)
		stop := submitUntil(p.smtp, round, answered)
		time.Sleep(time.Duration(150+rand.IntN(500)) * time.Millisecond)
		p.kill()
		stop()
	}
	p := startProcess(t, dir, nil, sets...)
	defer p.kill()
	missing := awaitAll(sink, answered)
	if len(missing) > 0 {
		t.Errorf("%d of %d messages answered 250 are missing, the first is %s", len(missing), answered.len(), missing[0])
	}
	copies := copiesOf(t, sink)
	doubled := 0
	for _, n := range copies {
		doubled += n - 1
	}
	if doubled > open*rounds {
		t.Errorf("%d messages were sent twice in %d kills, want at most %d", doubled, rounds, open*rounds)
	}
	t.Logf("%d kills: %d messages answered 250, %d missing, %d sent twice", rounds, answered.len(), len(missing), doubled)
	if answered.len() < rounds*20 {
		t.Errorf("only %d messages were answered: the test did not load the gateway", answered.len())
	}
}

// TestKillOnTheWire kills the gateway while its next hop is slow, so that every
// connection has a message between its final dot and our commit of the reply:
// the only ones that may go out twice (design rule 8).
func TestKillOnTheWire(t *testing.T) {
	var wire atomic.Int64 // messages between the final dot and the reply to it
	sink := smtptest.Scripted(t, func(cmd string) smtptest.Step {
		if cmd == "." {
			wire.Add(1)
			time.Sleep(100 * time.Millisecond)
			wire.Add(-1)
		}
		return smtptest.Polite(cmd)
	})
	dir, rounds := t.TempDir(), max(kills(t)/2, 2)
	sets := []string{"route.mode=smarthost", "route.smarthost=" + sink.Addr()}
	answered, most := &answers{}, 0
	for round := range rounds {
		p := startProcess(t, dir, nil, sets...)
		stop := submitUntil(p.smtp, round, answered)
		if !eventually(10*time.Second, func() bool { return wire.Load() >= open/2 }) {
			t.Errorf("%d messages are on the wire: the test does not load the gateway", wire.Load())
		}
		most += int(wire.Load())
		p.kill()
		stop()
		eventually(10*time.Second, func() bool { return wire.Load() == 0 }) // the sink has noticed
	}
	startProcess(t, dir, nil, sets...)
	if missing := awaitAll(sink, answered); len(missing) > 0 {
		t.Errorf("%d of %d messages answered 250 are missing, the first is %s", len(missing), answered.len(), missing[0])
	}
	doubled := 0
	for id, n := range copiesOf(t, sink) {
		if doubled += n - 1; n > 1+rounds {
			t.Errorf("%s was sent %d times in %d kills", id, n, rounds)
		}
	}
	if doubled > open*rounds {
		t.Errorf("%d messages were sent twice, want at most the %d connections at each of %d kills", doubled, open, rounds)
	}
	t.Logf("%d kills with %d on the wire in all: %d messages answered 250, %d sent twice", rounds, most, answered.len(), doubled)
}

// open is how many connections a smarthost gets.
const open = 20

// answers are the messages that were answered 250.
type answers struct {
	mu  sync.Mutex
	ids []string // guarded by mu
}

func (a *answers) add(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ids = append(a.ids, id)
}

func (a *answers) len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.ids)
}

// submitUntil submits over ten connections until stop is called.
func submitUntil(address string, round int, answered *answers) (stop func()) {
	var stopped atomic.Bool
	var wg sync.WaitGroup
	for session := range 10 {
		wg.Go(func() {
			c, err := dialSMTP(address)
			if err != nil {
				return
			}
			defer c.close()
			for n := 0; !stopped.Load(); n++ {
				id := fmt.Sprintf("r%d-s%d-n%d", round, session, n)
				if c.send("a@esp.test", id+"@dest.test", letter(id, 500)) != nil {
					return
				}
				answered.add(id)
			}
		})
	}
	return func() { stopped.Store(true); wg.Wait() }
}

// awaitAll waits until the sink has everything and returns what it has not.
func awaitAll(sink *smtptest.Server, answered *answers) (missing []string) {
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		got := map[string]bool{}
		for _, m := range sink.Messages() {
			got[strings.TrimSuffix(m.To[0], "@dest.test")] = true
		}
		missing = missing[:0]
		for _, id := range answered.ids {
			if !got[id] {
				missing = append(missing, id)
			}
		}
		if len(missing) == 0 || time.Now().After(deadline) {
			return missing
		}
	}
}

// copiesOf counts the sink's messages by recipient and checks that copies have
// one Message-ID.
func copiesOf(t *testing.T, sink *smtptest.Server) map[string]int {
	t.Helper()
	copies := map[string]int{}
	for _, m := range sink.Messages() {
		id := strings.TrimSuffix(m.To[0], "@dest.test")
		copies[id]++
		if !strings.Contains(string(m.Data), "Message-ID: <"+id+"@esp.test>") {
			t.Errorf("the message to %s does not carry its Message-ID", m.To[0])
		}
	}
	return copies
}
