package outbound

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"tidepost/gateway"
	"tidepost/gateway/smtptest"
)

// script answers by the prefix of a command, and politely else. It keeps the
// commands it saw.
type script struct {
	answers map[string]string // a reply, or "reply!" to close after it
	mu      sync.Mutex
	seen    []string // guarded by mu
}

func (s *script) step(cmd string) smtptest.Step {
	s.mu.Lock()
	s.seen = append(s.seen, cmd)
	s.mu.Unlock()
	best, found := "", false
	for prefix := range s.answers {
		if strings.HasPrefix(cmd, prefix) && len(prefix) >= len(best) && (prefix != "" || cmd == "") {
			best, found = prefix, true
		}
	}
	if !found {
		return smtptest.Polite(cmd)
	}
	reply, closes := strings.CutSuffix(s.answers[best], "!")
	step := smtptest.Step{Reply: reply}
	if closes {
		step.Then = smtptest.Close
	}
	return step
}

// commands are those after EHLO, joined.
func (s *script) commands() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, c := range s.seen {
		if c != "" && !strings.HasPrefix(c, "EHLO") {
			list = append(list, c)
		}
	}
	return strings.Join(list, "|")
}

const lockstep = "250-sink\r\n250 DSN" // an EHLO reply without PIPELINING

func TestTransaction(t *testing.T) {
	for _, row := range []struct {
		name     string
		answers  map[string]string
		want     string // for a@x, b@x, c@x
		after    string // for a second message, "" where the session is over
		commands string // of both, without pipelining; "": not looked at
	}{
		{name: "all well", want: "delivered 250 2.0.0, delivered 250 2.0.0, delivered 250 2.0.0", after: "delivered 250 2.0.0",
			commands: "MAIL|RCPT a|RCPT b|RCPT c|DATA|.|MAIL|RCPT a|DATA|."},
		{name: "one recipient is refused", answers: map[string]string{"RCPT TO:<b": "550 5.1.1 who"},
			want: "delivered 250 2.0.0, failed 550 5.1.1, delivered 250 2.0.0", after: "delivered 250 2.0.0"},
		{name: "each recipient its own reply", answers: map[string]string{"RCPT TO:<b": "450 4.2.1 later", "RCPT TO:<c": "552 5.2.2 full"},
			want: "delivered 250 2.0.0, deferred 450 4.2.1, failed 552 5.2.2", after: "delivered 250 2.0.0"},
		{name: "too many recipients in the words of RFC 821", answers: map[string]string{"RCPT TO:<c": "552 too many"},
			want: "delivered 250 2.0.0, delivered 250 2.0.0, deferred 552", after: "delivered 250 2.0.0"},
		{name: "MAIL is refused", answers: map[string]string{"MAIL": "550 5.7.1 not you", "RCPT": "503 what", "DATA": "503 what"},
			want: "failed 550 5.7.1, failed 550 5.7.1, failed 550 5.7.1", after: "failed 550 5.7.1",
			commands: "MAIL|RSET|MAIL"},
		{name: "no recipient is taken, DATA neither", answers: map[string]string{"RCPT": "550 5.1.1 who", "DATA": "554 none"},
			want: "failed 550 5.1.1, failed 550 5.1.1, failed 550 5.1.1", after: "failed 550 5.1.1",
			commands: "MAIL|RCPT a|RCPT b|RCPT c|RSET|MAIL|RCPT a"},
		{name: "no recipient is taken, DATA is", answers: map[string]string{"RCPT": "550 5.1.1 who"},
			want: "failed 550 5.1.1, failed 550 5.1.1, failed 550 5.1.1", after: "failed 550 5.1.1"},
		{name: "MAIL is refused, the rest is taken", answers: map[string]string{"MAIL": "450 4.3.0 no"},
			want: "deferred 450 4.3.0, deferred 450 4.3.0, deferred 450 4.3.0", after: "deferred 450 4.3.0"},
		{name: "DATA is refused", answers: map[string]string{"DATA": "451 4.3.0 later"},
			want: "deferred 451 4.3.0, deferred 451 4.3.0, deferred 451 4.3.0", after: "deferred 451 4.3.0",
			commands: "MAIL|RCPT a|RCPT b|RCPT c|DATA|RSET|MAIL|RCPT a|DATA"},
		{name: "refused at the final dot", answers: map[string]string{".": "554 5.7.1 spam", "RCPT TO:<b": "450 4.2.1 later"},
			want: "failed 554 5.7.1, deferred 450 4.2.1, failed 554 5.7.1", after: "failed 554 5.7.1"},
		{name: "deferred at the final dot", answers: map[string]string{".": "452 4.3.1 disk"},
			want: "deferred 452 4.3.1, deferred 452 4.3.1, deferred 452 4.3.1", after: "deferred 452 4.3.1"},
		{name: "421 mid-pipeline", answers: map[string]string{"RCPT TO:<a": "550 5.1.1 who", "RCPT TO:<b": "421 4.3.2 bye!"},
			want: "failed 550 5.1.1, deferred 421 4.3.2 busy, deferred 421 4.3.2 busy"},
		{name: "421 after a recipient was taken", answers: map[string]string{"RCPT TO:<c": "421 4.3.2 bye!"},
			want: "deferred 421 4.3.2 busy, deferred 421 4.3.2 busy, deferred 421 4.3.2 busy"},
		{name: "421 to MAIL", answers: map[string]string{"MAIL": "421 4.7.0 slow!"},
			want: "deferred 421 4.7.0 busy, deferred 421 4.7.0 busy, deferred 421 4.7.0 busy"},
		{name: "421 at the final dot", answers: map[string]string{".": "421 4.3.2 bye!"},
			want: "deferred 421 4.3.2 busy, deferred 421 4.3.2 busy, deferred 421 4.3.2 busy"},
		{name: "closed after MAIL", answers: map[string]string{"MAIL": "!"}, want: "deferred 0, deferred 0, deferred 0"},
		{name: "closed after RCPT", answers: map[string]string{"RCPT TO:<b": "!", "RCPT TO:<a": "550 no"}, want: "failed 550, deferred 0, deferred 0"},
		{name: "closed after the final dot", answers: map[string]string{".": "!"}, want: "deferred 0, deferred 0, deferred 0"},
		{name: "garbage for a reply", answers: map[string]string{"RCPT TO:<a": "what?"}, want: "deferred 0, deferred 0, deferred 0"},
		{name: "250 to DATA", answers: map[string]string{"DATA": "250 ok"}, want: "deferred 250, deferred 250, deferred 250"},
		{name: "354 at the final dot", answers: map[string]string{".": "354 more"}, want: "deferred 354, deferred 354, deferred 354", after: "deferred 354"},
	} {
		for _, pipelining := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/%v", row.name, pipelining), func(t *testing.T) {
				sc := &script{answers: map[string]string{}}
				for k, v := range row.answers {
					sc.answers[k] = v
				}
				if !pipelining {
					sc.answers["EHLO"] = lockstep
				}
				sink := smtptest.Scripted(t, sc.step)
				s := open(t, &Transport{}, sink.Addr())
				want(t, send(s, envelope("a@x", "b@x", "c@x")), row.want)
				if s.Usable() != (row.after != "") {
					t.Errorf("usable %v", s.Usable())
				}
				if row.after != "" {
					want(t, send(s, envelope("a@x")), row.after)
				}
				short := strings.NewReplacer(" FROM:<sender@example.com>", "", " TO:<", " ", "@x>", "").Replace(sc.commands())
				if row.commands != "" && !pipelining && short != row.commands {
					t.Errorf("commands %s, want %s", short, row.commands)
				}
			})
		}
	}
}

func TestAllRefusedSendsNothing(t *testing.T) {
	sc := &script{answers: map[string]string{"RCPT": "550 5.1.1 who"}}
	sink := smtptest.Scripted(t, sc.step)
	s := open(t, &Transport{}, sink.Addr())
	send(s, envelope("a@x"))
	m := sink.Messages()
	if len(m) != 1 || string(m[0].Wire) != ".\r\n" {
		t.Errorf("after a 354 without recipients %+v was sent, want a lone dot (RFC 2920 §3.1)", m)
	}
}

func TestManyRecipients(t *testing.T) {
	sink := smtptest.Scripted(t, func(cmd string) smtptest.Step {
		if strings.HasPrefix(cmd, "RCPT") && strings.Contains(cmd, "7@") {
			return smtptest.Step{Reply: "550 5.1.1 " + strings.Repeat("long ", 80)}
		}
		return smtptest.Polite(cmd)
	})
	var to []string
	for i := range 1000 {
		to = append(to, fmt.Sprintf("%s%d@example.net", strings.Repeat("x", 50), i))
	}
	failed := 0
	for i, o := range send(open(t, &Transport{}, sink.Addr()), envelope(to...)) {
		if bad := i%10 == 7; bad != (o.Kind == gateway.OutcomeFailed) {
			t.Fatalf("recipient %d: %v", i, o)
		} else if bad {
			failed++
		}
	}
	if m := sink.Messages(); failed != 100 || len(m) != 1 || len(m[0].To) != 900 {
		t.Errorf("%d failed, %d messages", failed, len(m))
	}
}

func TestUnsent(t *testing.T) {
	sc := &script{}
	sink := smtptest.Scripted(t, sc.step)
	s := open(t, &Transport{}, sink.Addr())
	e := envelope("a@x", "b@x")
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	want(t, s.Send(context.Background(), e, strings.NewReader(letter), time.Now()), "unsent 0, unsent 0")
	if sc.commands() != "" {
		t.Errorf("%s was written after notAfter", sc.commands())
	}
	want(t, send(s, e), "delivered 250 2.0.0, delivered 250 2.0.0")
	want(t, s.Send(ended, e, strings.NewReader(letter), time.Time{}), "unsent 0, unsent 0")
	if s.Usable() {
		t.Error("usable after its context ended")
	}
	want(t, send(s, e), "unsent 0, unsent 0")
}

func TestOldConnection(t *testing.T) {
	for _, row := range []struct {
		name, mail, want string
	}{
		{"closed", "!", "unsent 0"},
		{"421 for having been idle", "421 4.4.2 idle!", "unsent 421 4.4.2"},
		{"421 for too much", "421 4.7.0 rate limited!", "unsent 421 4.7.0 busy"},
	} {
		t.Run(row.name, func(t *testing.T) {
			mails := 0
			sink := smtptest.Scripted(t, func(cmd string) smtptest.Step {
				if strings.HasPrefix(cmd, "MAIL") {
					if mails++; mails == 2 {
						reply, _ := strings.CutSuffix(row.mail, "!")
						return smtptest.Step{Reply: reply, Then: smtptest.Close}
					}
				}
				return smtptest.Polite(cmd)
			})
			s := open(t, &Transport{}, sink.Addr())
			want(t, send(s, envelope("a@x")), "delivered 250 2.0.0")
			want(t, send(s, envelope("a@x")), row.want)
			if s.Usable() {
				t.Error("usable")
			}
		})
	}
}

func TestUnsolicitedReply(t *testing.T) {
	sink := smtptest.Scripted(t, func(cmd string) smtptest.Step {
		if cmd == "." {
			return smtptest.Step{Reply: "250 ok\r\n250 for the next one, too"}
		}
		return smtptest.Polite(cmd)
	})
	s := open(t, &Transport{}, sink.Addr())
	want(t, send(s, envelope("a@x")), "delivered 250")
	want(t, send(s, envelope("b@x")), "unsent 250")
	if n := len(sink.Messages()); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// TestTalksOutOfTurn has a host that does so from the start: that counts as an
// attempt, or we would connect to it for ever.
func TestTalksOutOfTurn(t *testing.T) {
	sink := smtptest.Scripted(t, func(cmd string) smtptest.Step {
		if strings.HasPrefix(cmd, "EHLO") {
			return smtptest.Step{Reply: "250 x\r\n250 y"}
		}
		return smtptest.Polite(cmd)
	})
	want(t, send(open(t, &Transport{}, sink.Addr()), envelope("a@x")), "deferred 250")
}

func TestResetRefused(t *testing.T) {
	for _, row := range []struct{ reply, want string }{{"550 5.5.1 no", "unsent 550 5.5.1"}, {"421 4.3.2 bye!", "unsent 421 4.3.2 busy"}, {"!", "unsent 0"}} {
		for _, hello := range []string{"250-x\r\n250 PIPELINING", lockstep} {
			sc := &script{answers: map[string]string{"EHLO": hello, "RCPT": "550 5.1.1 who", "DATA": "554 none", "RSET": row.reply}}
			s := open(t, &Transport{}, smtptest.Scripted(t, sc.step).Addr())
			want(t, send(s, envelope("a@x")), "failed 550 5.1.1")
			want(t, send(s, envelope("a@x")), row.want)
			if s.Usable() {
				t.Error("usable")
			}
		}
	}
}

func TestRemote(t *testing.T) {
	sink := smtptest.New(t)
	s := open(t, &Transport{}, sink.Addr())
	if out := send(s, envelope("a@x", "<")); out[0].Remote != "127.0.0.1" || out[1].Remote != "" {
		t.Errorf("remotes %q and, for what we said ourselves, %q", out[0].Remote, out[1].Remote)
	}
}

func TestBodyUnreadable(t *testing.T) {
	sink := smtptest.New(t)
	s := open(t, &Transport{}, sink.Addr())
	out := s.Send(context.Background(), envelope("a@x"), iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(letter))), time.Time{})
	want(t, out, "deferred 0")
	if !strings.Contains(out[0].Text, "could not be read") || s.Usable() {
		t.Errorf("%q, usable %v", out[0].Text, s.Usable())
	}
	s.Close()
	sink.Close()
	if n := len(sink.Messages()); n != 0 {
		t.Errorf("%d messages arrived of half a body", n)
	}
	if !errors.Is(errors.Join(errSource), errSource) {
		t.Error("errSource is lost in a join")
	}
}

func TestOwesSuccess(t *testing.T) {
	for _, row := range []struct {
		hello   string
		relayed bool
	}{{"250 sink", true}, {lockstep, false}} {
		sc := &script{answers: map[string]string{"EHLO": row.hello}}
		s := open(t, &Transport{}, smtptest.Scripted(t, sc.step).Addr())
		e := envelope("a@x", "b@x")
		e.Recipients[0].Notify = gateway.NotifySuccess
		out := send(s, e)
		if out[0].Relayed != row.relayed || out[1].Relayed {
			t.Errorf("%q: relayed %v and %v", row.hello, out[0].Relayed, out[1].Relayed)
		}
	}
}
