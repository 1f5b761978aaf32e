package public

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tidepost/gateway/token"
)

// A thousand unsubscribes in a second from one address: most are told to come later,
// and other addresses do not notice (attacks H5).
func TestTooManyUnsubscribes(t *testing.T) {
	w := newWorld(t, func(w *world) { w.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} })
	path := w.seal(token.Unsubscribe, nil)
	counts := map[int]int{}
	for range 1000 {
		a := w.form(path, oneClick, "X-Forwarded-For", "203.0.113.9")
		counts[a.StatusCode]++
		if a.StatusCode == 429 && a.Header.Get("Retry-After") != "1" {
			t.Fatalf("Retry-After: %q", a.Header.Get("Retry-After"))
		}
	}
	if counts[200] != actBurst || counts[429] != 1000-actBurst {
		t.Errorf("answered %v", counts)
	}
	if a := w.form(path, oneClick, "X-Forwarded-For", "203.0.113.10"); a.StatusCode != 200 {
		t.Errorf("another address: %s", a.Status)
	}
	w.pass(time.Second)
	if a := w.form(path, oneClick, "X-Forwarded-For", "203.0.113.9"); a.StatusCode != 200 {
		t.Errorf("a second later: %s", a.Status)
	}
}

// Opens and clicks over the limit are answered and teach nothing.
func TestTooManyClicks(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.start()
		w.seen = newLimiter(1, 2)
	})
	path := w.seal(token.Click, func(x *token.Token) { x.Target = "https://shop.example" })
	for range 4 {
		if a := w.get(path); a.StatusCode != 302 {
			t.Error(a.Status)
		}
	}
	if n := len(w.told.signals()); n != 2 || w.Metrics.Untaught.Load() != 2 {
		t.Errorf("%d told, %d not", n, w.Metrics.Untaught.Load())
	}
}

// Anybody can write X-Forwarded-For; only a trusted proxy is believed, and of what it
// hands on only what it wrote itself (attacks H11).
func TestForwardedFor(t *testing.T) {
	for _, tt := range []struct {
		story, forwarded string
		trusted          []string
		want             string
	}{
		{"made up", "203.0.113.9", nil, "127.0.0.1"},
		{"by a trusted proxy", "203.0.113.9", []string{"127.0.0.0/8"}, "203.0.113.9"},
		{"made up in front of a trusted proxy", "198.51.100.1, 203.0.113.9", []string{"127.0.0.0/8"}, "203.0.113.9"},
		{"through two proxies", "203.0.113.9, 10.0.0.1", []string{"127.0.0.0/8", "10.0.0.0/8"}, "203.0.113.9"},
		{"rubbish", "unknown", []string{"127.0.0.0/8"}, "invalid IP"},
		{"nothing", "", []string{"127.0.0.0/8"}, "invalid IP"},
		{"mapped", "::ffff:203.0.113.9", []string{"127.0.0.0/8"}, "203.0.113.9"},
	} {
		w := newWorld(t, func(w *world) {
			for _, p := range tt.trusted {
				w.TrustedProxies = append(w.TrustedProxies, netip.MustParsePrefix(p))
			}
		})
		w.get(w.seal(token.Open, nil), "X-Forwarded-For", tt.forwarded)
		if got := w.only().Seen.Addr.String(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.story, got, tt.want)
		}
	}
}

// Headers of 1 MB are refused.
func TestLargeHeader(t *testing.T) {
	w := newWorld(t, nil)
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nX-Large: %s\r\n\r\n", strings.Repeat("x", 1<<20))
	}()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	line, _ := bufio.NewReader(c).ReadString('\n')
	if !strings.Contains(line, " 431 ") {
		t.Errorf("answered %q", line)
	}
}

// Connections over the cap end at once, and leave room when they end.
func TestConnectionCap(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	s := &Server{}
	d := s.capped(inner).(*door)
	d.max, d.each = 3, 2
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			c, err := d.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	dial()
	first := <-accepted
	dial()
	<-accepted
	third := dial()
	third.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := third.Read(make([]byte, 1)); err != io.EOF && !isReset(err) {
		t.Errorf("the third of one address: %v", err)
	}
	if n := s.Metrics.Refused.Load(); n != 1 {
		t.Errorf("%d refused", n)
	}
	first.Close()
	first.Close() // as net/http may
	dial()
	select {
	case <-accepted:
	case <-time.After(10 * time.Second):
		t.Error("there is no room again")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open != 2 || len(d.of) != 1 {
		t.Errorf("%d open, of %v", d.open, d.of)
	}
}

func isReset(err error) bool { return err != nil && strings.Contains(err.Error(), "reset") }

// Whoever sends a byte now and then is hung up on at the deadline (attacks A8).
func TestSlowloris(t *testing.T) {
	for _, tt := range []struct {
		story, start, drip string
		within             time.Duration
	}{
		{"in the header", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", "x", headerTimeout + time.Second},
		{"before it", "", "G", headerTimeout + time.Second},
		{"in the body of an unsubscribe", "POST /u/x HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 5000\r\n\r\n", "x", readTimeout + time.Second},
		{"in a report", "POST /hooks/esp HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n", "x", readTimeout + time.Second},
		{"after an answer", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "", idleTimeout + time.Second},
	} {
		t.Run(tt.story, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newPipes()
				w := newServer(t)
				w.Hooks = func(string) (Hook, bool) { return Hook{}, true }
				done := make(chan error, 1)
				go func() { done <- w.Serve(t.Context(), l) }()
				c := l.dial()
				start := time.Now()
				var wg sync.WaitGroup
				wg.Go(func() {
					_, err := io.WriteString(c, tt.start)
					for err == nil && tt.drip != "" && time.Since(start) < 5*time.Minute {
						time.Sleep(time.Second)
						_, err = io.WriteString(c, tt.drip)
					}
				})
				io.Copy(io.Discard, c) // until the far side hangs up
				if took := time.Since(start); took > tt.within {
					t.Errorf("hung up after %v", took)
				}
				c.Close()
				wg.Wait()
				l.Close()
				<-done
			})
		})
	}
}

// Bytes that are no HTTP do not trouble others.
func TestGarbage(t *testing.T) {
	w := newWorld(t, nil)
	for _, text := range []string{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "EHLO x\r\n", "GET\r\n\r\n", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "POST /hooks/esp HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nzz"} {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, text)
		c.(*net.TCPConn).CloseWrite()
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		answer, _ := io.ReadAll(c)
		c.Close()
		if strings.HasPrefix(string(answer), "HTTP/1.1 5") {
			t.Errorf("%q: %.40q", text, answer)
		}
	}
	if a := w.get("/healthz"); a.StatusCode != http.StatusOK {
		t.Error(a.Status)
	}
}
