package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/smtptest"
	addresses "tidepost/suppression/address"
)

// benchGateway runs the whole gateway inside the benchmark, so that its
// profile shows the program, and returns its SMTP address.
func benchGateway(b *testing.B, sets ...string) (*server, string) {
	b.Helper()
	sets = append(sets, "data_dir="+b.TempDir(), `smtp.listen=["127.0.0.1:0"]`, "http.admin=127.0.0.1:0", "http.public=127.0.0.1:0", "smtp.hostname=bench.test")
	cfg, _, err := LoadConfig("", sets, nil)
	if err != nil {
		b.Fatal(err)
	}
	s := newServer(cfg, io.Discard, io.Discard)
	if err := s.open(b.Context()); err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx) }()
	b.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			b.Error(err)
		}
		s.close()
	})
	return s, s.listeners[0].Addr().String()
}

// submitAll sends b.N messages over twenty sessions, each to a mailbox of its
// own.
func submitAll(b *testing.B, address string, size int) {
	b.Helper()
	body := strings.Repeat(strings.Repeat("x", 76)+"\r\n", size/78)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			c, err := dialSMTP(address)
			if err != nil {
				b.Error(err)
				return
			}
			defer c.close()
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				message := fmt.Sprintf("From: <a@esp.test>\r\nTo: <b@dest.test>\r\nMessage-ID: <%d@esp.test>\r\nSubject: bench\r\n\r\n%s", n, body)
				if err := c.send("a@esp.test", fmt.Sprintf("p%d@dest.test", n), message); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkAccept is durable accept with planning, nothing leaves; client and
// gateway share the machine.
func BenchmarkAccept(b *testing.B) {
	for _, size := range []int{4096, 40960} {
		b.Run(fmt.Sprintf("%dKB", size/1000), func(b *testing.B) {
			_, address := benchGateway(b, "route.mode=smarthost", "route.smarthost=127.0.0.1:9")
			b.SetBytes(int64(size))
			b.ResetTimer()
			submitAll(b, address, size)
		})
	}
}

// BenchmarkRelay is accept to next hop, until the sink has everything.
func BenchmarkRelay(b *testing.B) {
	sink := &smtptest.Server{Script: smtptest.Polite, Discard: true}
	sink.Start(b)
	_, address := benchGateway(b, "route.mode=smarthost", "route.smarthost="+sink.Addr())
	b.SetBytes(4096)
	b.ResetTimer()
	submitAll(b, address, 4096)
	for sink.Accepted.Load() < int64(b.N) {
		time.Sleep(time.Millisecond)
	}
}

// BenchmarkHear is a signal from the stream to the changed plan of one waiting
// delivery, without NATS: opens and clicks of ten thousand mailboxes.
func BenchmarkHear(b *testing.B) {
	s, address := benchGateway(b, "route.mode=smarthost", "route.smarthost=127.0.0.1:9", "policy.mode=live", "policy.momentum=true")
	const boxes = 10_000
	c, err := dialSMTP(address)
	if err != nil {
		b.Fatal(err)
	}
	defer c.close()
	header := "X-Tidepost-Not-Before: " + time.Now().Add(12*time.Hour).Format(time.RFC3339) + "\r\nList-Id: <news.esp.test>\r\n"
	var mailboxes []addresses.Mailbox
	for i := range boxes {
		to := fmt.Sprintf("p%d@dest.test", i)
		if err := c.send("a@esp.test", to, header+letter(to, 500)); err != nil {
			b.Fatal(err)
		}
		a, _ := addresses.Parse(to)
		mailboxes = append(mailboxes, a.Mailbox())
	}
	var wg sync.WaitGroup
	b.ResetTimer()
	slots := make(chan struct{}, 500)
	for i := range b.N {
		slots <- struct{}{}
		wg.Add(1)
		s.gateway.Hear(gateway.Signal{Kind: gateway.SignalActive, At: time.Now(), Tenant: "default", Mailbox: mailboxes[i*7919%boxes], Human: 1,
			Source: "nats", ID: fmt.Sprint(i), Place: gateway.Place{Lane: gateway.LaneEvidence, Epoch: 1, Seq: uint64(i + 1)}}, func(bool, error) { wg.Done(); <-slots })
	}
	wg.Wait()
}
