package intake

import (
	"bufio"
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// localPipe is one end of a net.Pipe that claims to be of this machine.
type localPipe struct{ net.Conn }

func (localPipe) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2000} }

// How long the defaults wait, on a clock of the test's own.
func TestDefaultTimeouts(t *testing.T) {
	for _, row := range []struct {
		phase    string
		say      []string // each waits for a reply
		then     string   // sent without waiting
		min, max time.Duration
	}{
		{"greeting", nil, "", 5 * time.Minute, 6*time.Minute + 15*time.Second},
		{"command", []string{"EHLO x.test\r\n"}, "NOO", 5 * time.Minute, 6*time.Minute + 15*time.Second},
		{"between MAIL and RCPT", []string{"EHLO x.test\r\n", mail}, "", 5 * time.Minute, 6*time.Minute + 15*time.Second},
		{"DATA", []string{"EHLO x.test\r\n", mail, "RCPT TO:<b@x.test>\r\n", "DATA\r\n"}, "A: b\r\n", 3 * time.Minute, 3*time.Minute + 5*time.Second},
		{"BDAT", []string{"EHLO x.test\r\n", mail, "RCPT TO:<b@x.test>\r\n"}, "BDAT 9\r\nA: b\r\n", 3 * time.Minute, 3*time.Minute + 5*time.Second},
		{"DATA at 1 B/s", []string{"EHLO x.test\r\n", mail, "RCPT TO:<b@x.test>\r\n", "DATA\r\n"}, "drip", 3 * time.Minute, 3*time.Minute + 5*time.Second},
	} {
		t.Run(row.phase, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &outbox{}
				srv := newServer(plain, o)
				srv.TLS, srv.Limits = nil, Limits{}
				l := newScriptListener()
				ctx, cancel := context.WithCancel(context.Background())
				done := make(chan struct{})
				go func() { defer close(done); srv.Serve(ctx, l) }()
				near, far := net.Pipe()
				l.conns <- localPipe{far}
				r := bufio.NewReader(near)
				readReply(t, r)
				for _, s := range row.say {
					near.Write([]byte(s))
					readReply(t, r)
				}
				start := time.Now()
				go sendSlowly(near, row.then)
				line, err := r.ReadString('\n')
				if err != nil || !strings.HasPrefix(line, "421 4.4.2") {
					t.Errorf("%q, %v", line, err)
				}
				if d := time.Since(start); d < row.min || d > row.max {
					t.Errorf("waited %v, want %v to %v", d, row.min, row.max)
				}
				near.Close()
				cancel()
				<-done
				time.Sleep(2 * time.Second) // sendSlowly looks up
				story{}.check(t, o)
			})
		})
	}
}

func sendSlowly(c net.Conn, s string) {
	if s != "drip" {
		c.Write([]byte(s))
		return
	}
	for range 1000 {
		if _, err := c.Write([]byte("x")); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

func readReply(t *testing.T, r *bufio.Reader) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line[3] == ' ' {
			return
		}
	}
}
