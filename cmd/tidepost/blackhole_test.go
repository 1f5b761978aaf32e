package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/content"
	"tidepost/gateway/local"
	"tidepost/gateway/outbound"
	"tidepost/gateway/smtptest"
	"tidepost/scheduler/throttle"
	"tidepost/suppression/address"
)

// atlas routes each domain to the address that stands for it: the program's
// own routes lead to one smarthost, or to hosts that DNS knows.
type atlas map[string]string

func (a atlas) Route(_ context.Context, domain string) (gateway.Destination, error) {
	return gateway.Destination{Name: domain, Hosts: []string{a[domain]}}, nil
}

// perDestination is how many connections each destination of TestBlackHole may
// have.
const perDestination = 2

// TestBlackHole puts a destination that swallows connections beside 20 healthy
// ones. All healthy mail leaves while the black hole hangs, and the black hole
// holds no more than its own connections, however it swallows them.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	stallAt := func(verb string) func(string) smtptest.Step {
		return func(cmd string) smtptest.Step {
			if step := smtptest.Polite(cmd); !strings.HasPrefix(cmd, verb) || verb == "" && cmd != "" {
				return step
			}
			step := smtptest.Step{Then: smtptest.Stall}
			if verb == "DATA" { // 354, and then a window that stays shut
				step.Reply = "354 go ahead"
			}
			return step
		}
	}
	for name, script := range map[string]func(string) smtptest.Step{
		"no greeting":                stallAt(""),
		"no answer to EHLO":          stallAt("EHLO"),
		"content is not read":        stallAt("DATA"),
		"no answer to the final dot": stallAt("."),
		"a greeting without end": func(string) smtptest.Step {
			return smtptest.Step{Reply: "220-still here", Every: 50 * time.Millisecond, Then: smtptest.Repeat}
		},
	} {
		t.Run(name, func(t *testing.T) { blackHole(t, script) })
	}
}

func blackHole(t *testing.T, script func(string) smtptest.Step) {
	const healthy, each = 20, 10
	routes := atlas{}
	var sinks []*smtptest.Server
	for i := range healthy {
		sinks = append(sinks, smtptest.Scripted(t, smtptest.Polite))
		routes[fmt.Sprintf("d%d.test", i)] = sinks[i].Addr()
	}
	hole := smtptest.Scripted(t, script)
	routes["hole.test"] = hole.Addr()
	g := runGateway(t, routes)
	for n := range each {
		for range 3 { // the hole has more mail than the others, and its mail comes first
			submit(t, g, fmt.Sprintf("p%d@hole.test", n))
		}
		for domain := range routes {
			submit(t, g, fmt.Sprintf("p%d@%s", n, domain))
		}
	}
	for i, s := range sinks {
		if !eventually(30*time.Second, func() bool { return s.Accepted.Load() == each }) {
			t.Errorf("healthy destination %d has %d of %d messages while the black hole hangs", i, s.Accepted.Load(), each)
		}
	}
	if !eventually(10*time.Second, func() bool { return hole.Connections.Load() > 0 }) {
		t.Error("nothing was ever sent towards the black hole")
	}
	if n := hole.Connections.Load(); n > perDestination {
		t.Errorf("the black hole holds %d connections, its share is %d", n, perDestination)
	}
	if n := hole.Accepted.Load(); n > 0 {
		t.Errorf("the black hole took %d messages: the script is wrong", n)
	}
	// A mail counts once its settle commit is written, a moment after the sink took it.
	eventually(10*time.Second, func() bool { return g.Metrics.Delivered.Load() >= healthy*each })
	if n := g.Metrics.Delivered.Load(); n != healthy*each {
		t.Errorf("%d deliveries count as delivered, want %d", n, healthy*each)
	}
	hole.Close() // or its connections would hold up the end
}

// runGateway runs a gateway without its SMTP port, wired as serve wires it.
func runGateway(t *testing.T, router gateway.Router) *gateway.Gateway {
	t.Helper()
	store, err := local.Open(local.Options{Dir: t.TempDir(), SegmentBytes: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	limits := func(string) throttle.Limits {
		return throttle.Limits{Connections: perDestination, MessagesPerConnection: 100}
	}
	rules := newRules(DefaultConfig().PolicyFor("default"))
	g := &gateway.Gateway{
		Store: store, Log: slog.New(slog.DiscardHandler), Hostname: "gateway.test",
		Reader:    &content.Reader{Hostname: "gateway.test"},
		Composer:  &content.Composer{Hostname: "gateway.test"},
		Router:    router,
		Transport: &outbound.Transport{Hostname: "gateway.test"},
		Throttle:  &throttle.Group{Limits: limits}, Limits: limits,
		Line:                func(domain string) string { return domain },
		Rules:               func(string) *gateway.Rules { return rules },
		Tenant:              func(name string) gateway.Tenant { return gateway.Tenant{Name: name} },
		GiveUpTransactional: time.Hour, GiveUpBulk: time.Hour,
	}
	if err := g.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := g.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		running.Wait()
		store.Close()
	})
	return g
}

// submit hands in a message of some size: a window that is shut is noticed
// only by what does not fit into it.
func submit(t *testing.T, g *gateway.Gateway, to string) {
	t.Helper()
	a, err := address.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	text := letter(to, 40_000)
	header, _, _ := strings.Cut(text, "\r\n\r\n")
	m := gateway.Message{From: "a@esp.test", Tenant: "default", Audience: "default", Class: gateway.Transactional, Value: 1, Size: int64(len(text)),
		Recipients: []gateway.Recipient{{Address: to, Mailbox: gateway.MailboxKey("default", a.Mailbox()), Canonical: a.Mailbox().String()}}}
	s := &gateway.Submission{Message: m, Header: []byte(header + "\r\n\r\n"), Content: gateway.Content{Bytes: []byte(text), Size: int64(len(text))}}
	if _, err := g.Accept(t.Context(), s); err != nil {
		t.Fatalf("submit to %s: %v", to, err)
	}
}
