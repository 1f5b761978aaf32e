package intake

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"
)

// until waits for what another goroutine does.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: ", what)
		}
	}
}

// A7: one connection too many is turned away at once, the others are unharmed.
func TestTooManyConnections(t *testing.T) {
	srv := newServer(plain, &outbox{})
	srv.Limits.MaxConnections = 20
	addr := serve(t, srv)
	var open []*client
	for range 20 {
		open = append(open, dial(t, addr, plain))
	}
	c := connect(t, addr, plain)
	c.want("421 4.3.2", closed)
	for _, c := range open {
		c.quiet()
	}
	if n := srv.Metrics.Refused(RefusedBusy); n != 1 {
		t.Errorf("%d counted as busy", n)
	}
	open[0].say("QUIT\r\n", "221", closed)
	until(t, "room for another", func() bool { return srv.Metrics.Open.Load() == 19 })
	dial(t, addr, plain)
}

// A7: the same from one address. Trusted networks are exempt.
func TestTooManyFromOneAddress(t *testing.T) {
	for _, m := range []mode{plain, authTLS} {
		srv := newServer(m, &outbox{})
		srv.TrustedNetworks = nil
		srv.Limits.MaxPerAddress = 3
		addr := serve(t, srv)
		var open []*client
		for range 3 {
			c := connect(t, addr, m)
			c.want("220")
			open = append(open, c)
		}
		c := connect(t, addr, m)
		if m == plain {
			c.want("421 4.3.2", closed)
		} else {
			c.gone()
		}
		for _, c := range open {
			c.say("NOOP\r\n", "250")
		}
		open[0].conn.Close()
		until(t, "a place is free", func() bool { return srv.Metrics.Open.Load() == 2 })
		connect(t, addr, m).want("220")
	}
	srv := newServer(plain, &outbox{})
	srv.Limits.MaxPerAddress = 1
	addr := serve(t, srv)
	for range 5 {
		dial(t, addr, plain).quiet()
	}
}

// A8: a byte now and then, in every phase. The deadline is the phase's, not the byte's.
func TestSlowloris(t *testing.T) {
	for _, row := range []struct {
		phase  string
		before step
		drip   string
	}{
		{"command", on("NOOP\r\n", "250"), strings.Repeat("N", 1000)},
		{"DATA", toData(), strings.Repeat("x\r\n", 300)},
		{"BDAT", on(envelope+"BDAT 1000 LAST\r\n", "250", "250"), strings.Repeat("x\r\n", 300)},
		{"AUTH", on("AUTH LOGIN\r\n", "334"), strings.Repeat("A", 1000)},
	} {
		for _, m := range []mode{plain, implicit} {
			t.Run(row.phase+"/"+string(m), func(t *testing.T) {
				t.Parallel()
				o := &outbox{}
				srv := newServer(m, o)
				srv.Limits.CommandTimeout = 300 * time.Millisecond
				srv.Limits.DataTimeout = 300 * time.Millisecond
				srv.Limits.MinDataRate = 10_000 // the drip is about 300 B/s
				c := dial(t, serve(t, srv), m)
				c.say(row.before.send, row.before.want...)
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					for i := range len(row.drip) {
						if _, err := c.conn.Write([]byte(row.drip[i : i+1])); err != nil {
							return
						}
						time.Sleep(3 * time.Millisecond)
					}
				}()
				if last := c.gone(); last != "" && !strings.HasPrefix(last, "421 4.4.2") {
					t.Errorf("the last reply was %q", last)
				}
				c.conn.Close()
				<-ended
				story{}.check(t, o)
				if srv.Metrics.Refused(RefusedTimeout) != 1 {
					t.Error("not counted")
				}
			})
		}
	}
}

// A8: in the TLS hello.
func TestSlowHello(t *testing.T) {
	srv := newServer(implicit, &outbox{})
	srv.Limits.HandshakeTimeout = 50 * time.Millisecond
	c := connect(t, serve(t, srv), plain)
	c.send("\x16\x03\x01")
	c.gone()
	until(t, "closed", func() bool { return srv.Metrics.Open.Load() == 0 })
}

// A client that is slow but not too slow is served.
func TestSlowEnough(t *testing.T) {
	o := &outbox{}
	srv := newServer(plain, o)
	srv.Limits.DataTimeout = 500 * time.Millisecond
	srv.Limits.MinDataRate = 1000
	c := dial(t, serve(t, srv), plain)
	c.say(envelope+"DATA\r\n", "250", "250", "354")
	for range 120 { // 600 ms and more, and 40 bytes earn 40 ms each time
		c.send(strings.Repeat("x", 38) + "\r\n")
		time.Sleep(5 * time.Millisecond)
	}
	c.say(".\r\n", "250")
}

// Under stress those who wait already are sent home early.
func TestStress(t *testing.T) {
	srv := newServer(plain, &outbox{})
	srv.Limits.MaxConnections = 8
	srv.Limits.StressTimeout = time.Second // all seven must be there before the first is sent home
	addr := serve(t, srv)
	idle := dial(t, addr, plain)
	for range 6 {
		dial(t, addr, plain)
	}
	idle.want("421 4.4.2", closed)
	until(t, "all gone", func() bool { return srv.Metrics.Open.Load() == 0 })
	if srv.stressed.Load() {
		t.Error("stress does not end")
	}
	dial(t, addr, plain).quiet()
}

// Shutdown: idle clients are told, a transaction in flight is finished.
func TestDrain(t *testing.T) {
	for _, m := range []mode{plain, implicit} {
		t.Run(string(m), func(t *testing.T) {
			o := &outbox{}
			srv := newServer(m, o)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			done := make(chan error)
			go func() { done <- srv.Serve(ctx, l) }()
			addr := l.Addr().String()
			idle, early, busy := dial(t, addr, m), connect(t, addr, m), dial(t, addr, m)
			early.want("220")
			busy.say(envelope+"DATA\r\n", "250", "250", "354")
			stop()
			idle.want("421 4.3.2", closed)
			early.want("421 4.3.2", closed)
			select {
			case err := <-done:
				t.Fatal("Serve returned while a transaction was open:", err)
			case <-time.After(20 * time.Millisecond):
			}
			busy.say("A: b\r\n.\r\n", "250 2.0.0 Ok: queued as ", "421 4.3.2", closed)
			if err := <-done; err != nil {
				t.Error(err)
			}
			story{stored: 1}.check(t, o)
		})
	}
}

// Shutdown does not wait for ever.
func TestDrainTimeout(t *testing.T) {
	for _, m := range []mode{plain, implicit} {
		o := &outbox{}
		srv := newServer(m, o)
		srv.Limits.DrainTimeout = 50 * time.Millisecond
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- srv.Serve(ctx, l) }()
		c := dial(t, l.Addr().String(), m)
		c.say(envelope+"DATA\r\n", "250", "250", "354")
		stop()
		c.gone()
		if err := <-done; err != nil {
			t.Error(err)
		}
		story{}.check(t, o)
	}
}

// PROXY protocol: believed from those who are named, asked of nobody else.
func TestProxy(t *testing.T) {
	srv := newServer(plain, &outbox{})
	srv.TrustedNetworks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	srv.ProxyFrom = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	srv.Limits.HandshakeTimeout = 50 * time.Millisecond
	addr := serve(t, srv)

	c := connect(t, addr, plain)
	c.send("PROXY TCP4 192.0.2.7 198.51.100.1 12345 25\r\n")
	c.want("220")
	c.say("EHLO x.test\r\n", "250")
	c.say(mail, "250")

	c = connect(t, addr, plain)
	c.send("PROXY TCP4 203.0.113.9 198.51.100.1 12345 25\r\n")
	c.want("220")
	c.say("EHLO x.test\r\n", "250")
	c.say(mail, "530 5.7.0 203.0.113.9 is not in")

	connect(t, addr, plain).gone() // no header
	c = connect(t, addr, plain)
	c.send("EHLO x.test\r\n")
	c.gone()

	srv = newServer(plain, &outbox{})
	c = connect(t, serve(t, srv), plain) // a header from nobody
	c.send("PROXY TCP4 192.0.2.7 198.51.100.1 12345 25\r\nEHLO x.test\r\n")
	c.gone()
}

// Two thousand idle connections (attacks.md R10, short form).
func TestIdleMemory(t *testing.T) {
	const n = 2000
	srv := newServer(plain, &outbox{})
	srv.Limits.MaxConnections = 4 * n // not under stress
	addr := serve(t, srv)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	conns := make([]net.Conn, n)
	buf := make([]byte, 1024)
	for i := range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Skip("not enough file descriptors: ", err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		c.Read(buf)
		c.Write([]byte("EHLO x.test\r\n"))
		c.Read(buf)
		conns[i] = c
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := int64(after.HeapInuse+after.StackInuse-before.HeapInuse-before.StackInuse) / n
	t.Logf("%d bytes each, client end included", each)
	if each > 32<<10 {
		t.Errorf("an idle connection takes %d bytes", each)
	}
}

// The memory of a command without end is flat.
func TestEndlessCommandIsFlat(t *testing.T) {
	a, b := net.Pipe()
	w := &wire{nc: a, buf: make([]byte, smallBuffer), authLimit: 12288}
	go func() {
		defer b.Close()
		for range 100 {
			if _, err := b.Write([]byte(strings.Repeat("x", 1000))); err != nil {
				return
			}
		}
	}()
	w.begin(time.Minute)
	if _, err := w.readLine(2048); err != errLongLine {
		t.Fatal(err)
	}
	if _, err := w.skipLine(); err != errGone {
		t.Fatal(err)
	}
	if len(w.buf) != smallBuffer {
		t.Errorf("the buffer grew to %d", len(w.buf))
	}
}
