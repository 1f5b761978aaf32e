package outbound

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/smtptest"
)

// hostile answers one command, "" being the greeting, with a step of its own.
func hostile(cmd string, step smtptest.Step) func(string) smtptest.Step {
	return func(got string) smtptest.Step {
		if got == cmd || cmd != "" && strings.HasPrefix(got, cmd) {
			return step
		}
		return smtptest.Polite(got)
	}
}

// TestHostile is A18: hosts that are silent, slow or endless, over pipes and
// with the timeouts of RFC 5321 on a virtual clock.
func TestHostile(t *testing.T) {
	long := strings.Repeat("x", 100<<10)
	for _, row := range []struct {
		name   string
		script func(string) smtptest.Step
		want   string        // the outcome; of Open where it fails
		within time.Duration // that it takes at most
		text   string
	}{
		{"no banner", hostile("", smtptest.Step{Then: smtptest.Stall}), "unsent 0", 5 * time.Minute, "greeting: timeout"},
		{"banner drip", hostile("", smtptest.Step{Reply: "220 " + long, Every: time.Second}), "unsent 0", 5 * time.Minute, "greeting: timeout"},
		{"banner drip in lines", hostile("", smtptest.Step{Reply: strings.Repeat("220-x\r\n", 90), Every: time.Second}), "unsent 0", 5 * time.Minute, "greeting: timeout"},
		{"endless banner", hostile("", smtptest.Step{Reply: "220-x", Then: smtptest.Repeat}), "unsent 0", time.Second, "greeting: reply is too long"},
		{"100 KB banner", hostile("", smtptest.Step{Reply: "220 " + long}), "unsent 0", time.Second, "greeting: reply is too long"},
		{"554 banner", hostile("", smtptest.Step{Reply: "554 5.3.2 no mail here"}), "unsent 554 5.3.2", time.Second, "greeting: no mail here"},
		{"closed at the banner", hostile("", smtptest.Step{Then: smtptest.Close}), "unsent 0", time.Second, "greeting: connection closed"},
		{"endless EHLO", hostile("EHLO", smtptest.Step{Reply: "250-PIPELINING", Then: smtptest.Repeat}), "unsent 0", time.Second, "EHLO: reply is too long"},
		{"no reply to MAIL", hostile("MAIL", smtptest.Step{Then: smtptest.Stall}), "deferred 0", 5 * time.Minute, "connection lost: timeout"},
		{"RCPT drips", hostile("RCPT", smtptest.Step{Reply: "250 " + long, Every: time.Second}), "deferred 0", 5 * time.Minute, "connection lost: timeout"},
		{"endless reply to RCPT", hostile("RCPT", smtptest.Step{Reply: "250-x", Then: smtptest.Repeat}), "deferred 0", time.Second, "connection lost: reply is too long"},
		{"no reply to DATA", hostile("DATA", smtptest.Step{Then: smtptest.Stall}), "deferred 0", 2 * time.Minute, "connection lost: timeout"},
		{"354 then zero window", hostile("DATA", smtptest.Step{Reply: "354 go", Then: smtptest.Stall}), "deferred 0", 3 * time.Minute, "connection lost in the content: timeout"},
		{"no reply to the final dot", hostile(".", smtptest.Step{Then: smtptest.Stall}), "deferred 0", 10 * time.Minute, "unknown outcome after end of data: timeout"},
		{"drip after the final dot", hostile(".", smtptest.Step{Reply: "250 " + long, Every: 900 * time.Millisecond}), "deferred 0", 10 * time.Minute, "unknown outcome after end of data: timeout"},
		{"endless reply to the final dot", hostile(".", smtptest.Step{Reply: "250-ok", Then: smtptest.Repeat}), "deferred 0", time.Second, "unknown outcome after end of data: reply is too long"},
		{"250 then closed", hostile(".", smtptest.Step{Reply: "250 ok", Then: smtptest.Close}), "delivered 250", time.Second, "ok"},
		{"half a reply to the final dot", hostile(".", smtptest.Step{Reply: "250-o\n", Then: smtptest.Close}), "deferred 0", time.Second, "unknown outcome after end of data: connection closed"},
		{"reply with CR, LF, ESC and HTML", hostile(".", smtptest.Step{Reply: "550-5.7.1 a\rb\n550 5.7.1 \x1b]0;c\x07<script>"}), "failed 550 5.7.1", time.Second, `a\x0db \x1b]0;c\x07<script>`},
		{"2xx to RCPT, 5xx at the dot", hostile(".", smtptest.Step{Reply: "554 5.6.0 no"}), "failed 554 5.6.0", time.Second, "no"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				o := deliver(t, row.script, Timeouts{})
				if took := time.Since(start); took > row.within+2*time.Second || row.within >= time.Minute && took < row.within {
					t.Errorf("took %v, want %v", took, row.within)
				}
				want(t, []gateway.Outcome{o}, row.want)
				if !strings.HasPrefix(o.Text, row.text) {
					t.Errorf("text %q, want %q", o.Text, row.text)
				}
			})
		})
	}
}

// deliver sends letter through a pipe, and returns the outcome of Send, or of
// Open where that fails.
func deliver(t *testing.T, script func(string) smtptest.Step, timeouts Timeouts) gateway.Outcome {
	t.Helper()
	s, err := pipeTransport(t, script, timeouts).Open(context.Background(), destination("mx.test:25"))
	var o *gateway.Outcome
	if errors.As(err, &o) {
		return *o
	} else if err != nil {
		t.Fatalf("Open: %v is no outcome", err)
	}
	defer s.Close()
	return send(s, envelope("a@x"))[0]
}

// pipeTransport is a Transport whose connections are pipes to a script.
func pipeTransport(t *testing.T, script func(string) smtptest.Step, timeouts Timeouts) *Transport {
	t.Helper()
	sink := &smtptest.Server{Script: script}
	sink.StartPipe(t)
	return &Transport{Timeouts: timeouts, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		sink.ServeConn(theirs)
		return ours, nil
	}}
}

// TestSlowReader has a host that reads a byte a minute: the total ends that,
// where no single deadline does.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &Transport{Dial: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				defer theirs.Close()
				io.WriteString(theirs, "220 x\r\n")
				theirs.Read(make([]byte, 100))
				io.WriteString(theirs, "250-x\r\n250 PIPELINING\r\n")
				theirs.Read(make([]byte, 1000))
				io.WriteString(theirs, "250 ok\r\n250 ok\r\n354 go\r\n")
				for err := error(nil); err == nil; time.Sleep(time.Minute) {
					_, err = io.CopyN(io.Discard, theirs, 40<<10)
				}
			}()
			return ours, nil
		}}
		s := open(t, tr, "mx.test:25")
		start := time.Now()
		out := send(s, envelope("a@x"), strings.Repeat("A line.\r\n", 1<<20))
		want(t, out, "deferred 0")
		if took := time.Since(start); took != time.Hour {
			t.Errorf("took %v, want the total of an hour", took)
		}
		s.Close()
		time.Sleep(time.Minute) // the host sees it
	})
}

// TestZeroWindow is the same attack on a socket, whose buffers take a part.
func TestZeroWindow(t *testing.T) {
	sink := smtptest.Scripted(t, hostile("DATA", smtptest.Step{Reply: "354 go", Then: smtptest.Stall}))
	s := open(t, &Transport{Timeouts: Timeouts{Block: 100 * time.Millisecond, Quit: time.Millisecond}}, sink.Addr())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	out := s.Send(context.Background(), envelope("a@x"), io.LimitReader(endless{}, 1<<30), time.Time{})
	runtime.ReadMemStats(&after)
	want(t, out, "deferred 0")
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 2<<20 {
		t.Errorf("%d bytes allocated for a peer that does not read", grown)
	}
}

// endless is a body without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	copy(p, "a line\r\n")
	for n := 8; n < len(p); n *= 2 {
		copy(p[n:], p[:n])
	}
	return len(p), nil
}

// TestReset has a host that resets the connection: after its 250 the message
// is delivered, in place of it that is unknown.
func TestReset(t *testing.T) {
	for _, row := range []struct{ name, cmd, reply, want, next string }{
		{"250 then RST", ".", "250 2.0.0 ok", "delivered 250 2.0.0", "unsent 0"},
		{"RST for a reply", ".", "", "deferred 0", "unsent 0 busy"},
		{"RST at RCPT", "RCPT", "", "deferred 0", "unsent 0 busy"},
	} {
		t.Run(row.name, func(t *testing.T) {
			sink := smtptest.Scripted(t, hostile(row.cmd, smtptest.Step{Reply: row.reply, Then: smtptest.Reset}))
			s := open(t, &Transport{}, sink.Addr())
			out := send(s, envelope("a@x"))
			if row.reply != "" && kinds(out) == "deferred 0" {
				t.Skip("the RST overtook the reply")
			}
			want(t, out, row.want)
			if row.reply != "" {
				want(t, send(s, envelope("a@x")), row.next)
			}
		})
	}
}

// TestEarlyRefusal has a host that refuses the content before its end.
func TestEarlyRefusal(t *testing.T) {
	sink := smtptest.Scripted(t, hostile("DATA", smtptest.Step{Reply: "354 go\r\n552 5.3.4 too large\r\n", Then: smtptest.Close}))
	s := open(t, &Transport{}, sink.Addr())
	out := s.Send(context.Background(), envelope("a@x"), io.LimitReader(endless{}, 64<<20), time.Time{})
	want(t, out, "failed 552 5.3.4")
}

// TestIdleClosed has a host that hangs up, with or without a word, while the
// connection waits for its next message.
func TestIdleClosed(t *testing.T) {
	for _, row := range []struct{ word, want string }{{"", "unsent 0"}, {"421 4.4.2 idle\r\n", "unsent 421 4.4.2"}} {
		synctest.Test(t, func(t *testing.T) {
			hangUp := make(chan struct{})
			tr := &Transport{Dial: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				sink := &smtptest.Server{Script: smtptest.Polite}
				sink.StartPipe(t)
				a, b := net.Pipe()
				sink.ServeConn(b)
				go func() { io.Copy(a, theirs); a.Close() }()
				go func() { io.Copy(theirs, a) }()
				go func() { <-hangUp; io.WriteString(theirs, row.word); theirs.Close() }()
				return ours, nil
			}}
			s := open(t, tr, "mx.test:25")
			want(t, send(s, envelope("a@x")), "delivered 250 2.0.0")
			time.Sleep(time.Minute)
			want(t, send(s, envelope("a@x")), "delivered 250 2.0.0")
			close(hangUp)
			time.Sleep(time.Minute)
			want(t, send(s, envelope("a@x")), row.want)
			if s.Usable() {
				t.Error("usable")
			}
		})
	}
}

// TestContextEnds ends the context in the middle of a transaction.
func TestContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := pipeTransport(t, hostile(".", smtptest.Step{Then: smtptest.Stall}), Timeouts{})
		s := open(t, tr, "mx.test:25")
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Minute, cancel)
		start := time.Now()
		out := s.Send(ctx, envelope("a@x"), strings.NewReader(letter), time.Time{})
		want(t, out, "deferred 0")
		if took := time.Since(start); took != time.Minute || s.Usable() || !strings.HasPrefix(out[0].Text, "unknown outcome after end of data") {
			t.Errorf("took %v, usable %v, %q", took, s.Usable(), out[0].Text)
		}
	})
}

// TestLateMail has a host that does not read MAIL until it is too late.
func TestLateMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := pipeTransport(t, hostile("EHLO", smtptest.Step{Reply: "250 x", Then: smtptest.Stall}), Timeouts{})
		s := open(t, tr, "mx.test:25")
		start := time.Now()
		want(t, s.Send(context.Background(), envelope("a@x"), strings.NewReader(letter), start.Add(10*time.Second)), "unsent 0 busy")
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}
