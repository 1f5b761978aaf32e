package smtptest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dial connects and returns a func that writes lines and reads one line.
func dial(t *testing.T, s *Server) (net.Conn, func(string) string) {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(c)
	return c, func(write string) string {
		if write != "" { // writing nothing would take the error of a reset
			io.WriteString(c, write)
		}
		line, err := r.ReadString('\n')
		if err != nil {
			return err.Error()
		}
		return strings.TrimRight(line, "\r\n")
	}
}

func TestModes(t *testing.T) {
	for name, s := range map[string]*Server{"go-smtp": New(t), "script": Scripted(t, Polite)} {
		_, say := dial(t, s)
		for _, row := range []struct{ write, want string }{
			{"", "220"}, {"HELO x\r\n", "250"}, {"MAIL FROM:<a@x> BODY=8BITMIME\r\n", "250"}, {"RCPT TO:<b@x>\r\n", "250"}, {"RCPT TO:<c@x>\r\n", "250"},
			{"DATA\r\n", "354"}, {"..one\r\ntwo\r\n.\r\n", "250"}, {"QUIT\r\n", "221"},
		} {
			if got := say(row.write); !strings.HasPrefix(got, row.want) {
				t.Errorf("%s: %q: %s, want %s", name, row.write, got, row.want)
			}
		}
		m := s.Messages()
		if len(m) != 1 || m[0].From != "a@x" || fmt.Sprint(m[0].To) != "[b@x c@x]" || string(m[0].Data) != ".one\r\ntwo\r\n" {
			t.Errorf("%s: %+v", name, m)
		}
		if s.Script != nil && (string(m[0].Wire) != "..one\r\ntwo\r\n.\r\n" || m[0].Commands[0] != "MAIL FROM:<a@x> BODY=8BITMIME") {
			t.Errorf("%s: %+v", name, m[0])
		}
		if s.Accepted.Load() != 1 || s.Connections.Load() != 1 {
			t.Errorf("%s: counters", name)
		}
	}
}

func TestContentEndsAtCRLF(t *testing.T) {
	s := Scripted(t, Polite)
	_, say := dial(t, s)
	say("")
	for _, line := range []string{"MAIL FROM:<a@x>\r\n", "RCPT TO:<b@x>\r\n", "DATA\r\n"} {
		say(line)
	}
	body := "a\n.\nb\r\n.\nc\n.\r\nd\r\n" + strings.Repeat("x", 100_000) + "\r\n"
	if got := say(body + ".\r\n"); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	if m := s.Messages(); string(m[0].Wire) != body+".\r\n" {
		t.Errorf("%d bytes on the wire, want %d", len(m[0].Wire), len(body)+3)
	}
}

func TestFaults(t *testing.T) {
	for _, row := range []struct {
		name string
		step Step
		want string
	}{
		{"close", Step{Reply: "220 x", Then: Close}, "EOF"},
		{"reset", Step{Reply: "220 x", Then: Reset}, "connection reset"},
		{"repeat", Step{Reply: "220-x", Then: Repeat}, "220-x"},
		{"drip", Step{Reply: "220 x\r\n220 y\r\n", Every: time.Millisecond}, "220 y"},
		{"stall", Step{Reply: "220 x", Then: Stall}, "timeout"},
	} {
		s := Scripted(t, func(cmd string) Step {
			if cmd == "" {
				return Polite(cmd)
			}
			return row.step
		})
		c, say := dial(t, s)
		c.SetDeadline(time.Now().Add(200 * time.Millisecond))
		say("")
		say("NOOP\r\n")
		if got := say(""); !strings.Contains(got, row.want) {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
		s.Close()
		s.Close()
	}
}

func TestEncrypt(t *testing.T) {
	cert, pool := Certificate(t, "127.0.0.1", "sink.test")
	s := &Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
	s.Script = func(cmd string) Step {
		if cmd == "STARTTLS" {
			return Step{Reply: "220 go", Then: Encrypt}
		}
		return Polite(cmd)
	}
	s.Start(t)
	c, say := dial(t, s)
	say("")
	say("STARTTLS\r\n")
	tc := tls.Client(c, &tls.Config{RootCAs: pool, ServerName: "sink.test"})
	io.WriteString(tc, "NOOP\r\n")
	if got, err := bufio.NewReader(tc).ReadString('\n'); got != "250 2.0.0 ok\r\n" {
		t.Error(got, err)
	}
}

func TestPipe(t *testing.T) {
	for _, script := range []func(string) Step{nil, Polite} {
		s := &Server{Script: script}
		s.StartPipe(t)
		ours, theirs := net.Pipe()
		s.ServeConn(theirs)
		if got, err := bufio.NewReader(ours).ReadString('\n'); !strings.HasPrefix(got, "220") {
			t.Error(got, err)
		}
		ours.Close()
	}
}
