package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// replayStory makes an input of messages, signals, news of mailboxes and passing
// time, with signals that are late, repeated, out of order and about nothing.
func replayStory(seed uint64, lines, mailboxes int) []byte {
	r := rand.New(rand.NewPCG(seed, 7))
	var out bytes.Buffer
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	zones := []string{"Europe/Berlin", "America/New_York", "Asia/Kolkata", ""}
	for n := range lines {
		at = at.Add(time.Duration(r.IntN(2*3600*1000/mailboxes)) * time.Second)
		stamp := at.Format(time.RFC3339)
		box := fmt.Sprintf("p%d@example.org", r.IntN(mailboxes))
		switch k := r.IntN(100); {
		case k < 5:
			fmt.Fprintf(&out, `{"at":%q,"type":"mailbox","mailbox":%q,"timezone":%q,"attributes":{"plan":"pro"}}`, stamp, box, zones[r.IntN(4)])
		case k < 55:
			class := []string{"transactional", "triggered", "newsletter", "newsletter", "promotional", "promotional"}[r.IntN(6)]
			fmt.Fprintf(&out, `{"at":%q,"type":"message","id":"m%d","mailbox":%q,"tenant":"t%d","campaign":"c","class":%q,"window":"%dh","value":%.2f`,
				stamp, n, box, r.IntN(2), class, r.IntN(60), r.Float64()*3)
			if r.IntN(5) == 0 {
				fmt.Fprintf(&out, `,"not_before":%q`, at.Add(time.Duration(r.IntN(30))*time.Hour).Format(time.RFC3339))
			}
			if r.IntN(5) == 0 {
				fmt.Fprintf(&out, `,"deadline":%q,"half_life":"6h"`, at.Add(time.Duration(r.IntN(60))*time.Hour).Format(time.RFC3339))
			}
			if r.IntN(5) == 0 {
				fmt.Fprintf(&out, `,"supersede":"k%d"`, r.IntN(2))
			}
			out.WriteString("}")
		case k < 90:
			kind := []string{"opened", "opened", "opened", "clicked", "active"}[r.IntN(5)]
			fmt.Fprintf(&out, `{"at":%q,"type":"signal","kind":%q,"mailbox":%q,"message":"m%d","human":%v}`, stamp, kind, box, r.IntN(n+1), r.IntN(4) > 0)
		case k < 91:
			kind := []string{"unsubscribed", "complained", "bounced"}[r.IntN(3)]
			fmt.Fprintf(&out, `{"at":%q,"type":"signal","kind":%q,"mailbox":%q}`, stamp, kind, box)
		default:
			fmt.Fprintf(&out, `{"at":%q,"type":"advance"}`, stamp)
		}
		out.WriteByte('\n')
	}
	return out.Bytes()
}

// replayAll runs replay over an input.
func replayAll(t testing.TB, input io.Reader, args ...string) (string, string, int) {
	t.Helper()
	var stdout, stderr strings.Builder
	status := run(context.Background(), append([]string{"replay"}, args...), input, &stdout, &stderr, nil)
	return stdout.String(), stderr.String(), status
}

var replayCaps = []string{"--set", "policy.min_gap=16h", "--set", "policy.weekly_cap=3", "--set", "policy.quiet_hours=21:00-08:00",
	"--set", "policy.time_zone=UTC", "--set", "policy.drop=[\"promotional\"]", "--set", "policy.at_limit=drop", "--set", "policy.max_hold=48h"}

// The same input and seed give the same output, whatever policy decides and in
// whatever pieces the input comes.
func TestReplayIsDeterministic(t *testing.T) {
	input := replayStory(1, 4000, 60)
	outputs := map[string]string{}
	for _, policy := range []string{"immediate", "fixed-hour", "histogram", "model", ""} {
		args := append([]string{"--seed", "7"}, replayCaps...)
		if policy != "" {
			args = append(args, "--policy", policy)
		}
		first, log, status := replayAll(t, bytes.NewReader(input), args...)
		if status != exitDone {
			t.Fatalf("%s: %s", policy, log)
		}
		outputs[policy] = first
		if second, _, _ := replayAll(t, &inPieces{input, rand.New(rand.NewPCG(2, 2))}, args...); second != first {
			t.Errorf("%s: read in pieces, the output is another", policy)
		}
		if n := strings.Count(first, `{"type":"ok"`); n != 4000 {
			t.Errorf("%s: %d of 4000 lines answered", policy, n)
		}
		checkReplayed(t, policy, input, first)
	}
	if outputs["model"] == outputs["immediate"] {
		t.Log("the model decides as a plain relay would")
	}
}

// inPieces is a reader that gives a few bytes at a time.
type inPieces struct {
	rest []byte
	r    *rand.Rand
}

func (p *inPieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:min(len(p.rest), 1+p.r.IntN(300))])
	p.rest = p.rest[n:]
	return n, nil
}

// replayed is one line of output.
type replayed struct {
	At, Until         *time.Time
	Type, ID, Mailbox string
	Reason, Arm       string
	Propensity        float64
	Next              *time.Time
}

// checkReplayed checks what must hold whatever was decided: order of time, one end
// for each message, holds that end after they begin, gap and cap.
func checkReplayed(t *testing.T, policy string, input []byte, output string) {
	t.Helper()
	bulk := map[string]bool{}
	for line := range bytes.Lines(input) {
		var in struct{ Type, ID, Class string }
		if err := json.Unmarshal(line, &in); err != nil {
			t.Fatal(err)
		}
		if in.Type == "message" {
			bulk[in.ID] = in.Class == "newsletter" || in.Class == "promotional"
		}
	}
	var last time.Time
	ended, sends := map[string]bool{}, map[string][]time.Time{}
	for line := range strings.Lines(output) {
		var d replayed
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if d.At.Before(last) {
			t.Fatalf("%s: time goes back at %s", policy, line)
		}
		last = *d.At
		if d.Type == "ok" {
			if d.Next != nil && !d.Next.After(*d.At) {
				t.Fatalf("%s: next is not ahead: %s", policy, line)
			}
			continue
		}
		if ended[d.ID] || d.Reason == "" || d.Propensity <= 0 || d.Propensity > 1 {
			t.Fatalf("%s: %s", policy, line)
		}
		ended[d.ID] = d.Type != "hold"
		if (d.Type == "hold") != (d.Until != nil) || d.Until != nil && !d.Until.After(*d.At) {
			t.Fatalf("%s: %s", policy, line)
		}
		if d.Type == "release" && bulk[d.ID] {
			tenant := d.Mailbox // two tenants, two audiences: caps are each one's own
			sends[tenant] = append(sends[tenant], *d.At)
		}
	}
	for box, times := range sends {
		for i := range times {
			if i > 5 && times[i].Sub(times[i-6]) < 168*time.Hour {
				t.Errorf("%s: %s got seven mails from %v to %v, and each of its two senders may send three a week", policy, box, times[i-6], times[i])
			}
		}
	}
}

// Driven line by line through pipes, each line is answered before the next is
// written, with what one run over all of it says.
func TestReplayAsCoprocess(t *testing.T) {
	input := replayStory(3, 400, 20)
	args := append([]string{"--policy", "model"}, replayCaps...)
	want, _, _ := replayAll(t, bytes.NewReader(input), args...)
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"replay"}, args...)...)
	cmd.Env = append(os.Environ(), runAsProgram)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer stuck.Stop()
	answers := bufio.NewReader(stdout)
	var got strings.Builder
	for line := range bytes.Lines(input) {
		if _, err := stdin.Write(line); err != nil {
			t.Fatal(err)
		}
		for {
			answer, err := answers.ReadString('\n')
			if err != nil {
				t.Fatalf("no answer to %s: %v", line, err)
			}
			got.WriteString(answer)
			if strings.HasPrefix(answer, `{"type":"ok"`) {
				break
			}
		}
	}
	stdin.Close()
	if rest, err := io.ReadAll(answers); err != nil || len(rest) > 0 {
		t.Errorf("behind the last answer: %q, %v", rest, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if got.String() != want {
		t.Error("line by line the output is another than all at once")
	}
}

// A bad line says which, and of it which field; what came before it is answered.
func TestReplayBadLines(t *testing.T) {
	const good = `{"at":"2026-03-02T10:00:00Z","type":"message","id":"m1","mailbox":"a","class":"promotional"}` + "\n"
	for _, c := range []struct{ line, want string }{
		{`{"at":"2026-03-02T10:00:00Z","type":"advance"`, "line 2: not JSON: unexpected end of JSON input"},
		{`[]`, "line 2: want a JSON object"},
		{`null`, "line 2: want a JSON object"},
		{`{"at":"2026-03-02T10:00:00Z"}`, "line 2: type: is missing"},
		{`{"type":"advance"}`, "line 2: at: is missing"},
		{`{"at":"2026-03-02 10:00","type":"advance"}`, `line 2: at: "2026-03-02 10:00" is not a time: write it like`},
		{`{"at":"1969-03-02T10:00:00Z","type":"advance"}`, "line 2: at: \"1969-03-02T10:00:00Z\" lies outside of 1970 to 2105"},
		{`{"at":"2026-03-02T09:59:59Z","type":"advance"}`, "line 2: at: 2026-03-02T09:59:59Z lies before 2026-03-02T10:00:00Z"},
		{`{"at":"2026-03-02T10:00:00Z","type":"mail"}`, `line 2: type: "mail": want message, signal, mailbox or advance`},
		{`{"at":"2026-03-02T10:00:00Z","type":"message","mailbox":"a"}`, "line 2: id: is missing"},
		{`{"at":"2026-03-02T10:00:00Z","type":"message","id":"m"}`, "line 2: mailbox: is missing"},
		{`{"at":"2026-03-02T10:00:00Z","type":"message","id":7,"mailbox":"a"}`, "line 2: id: want text"},
		{`{"at":"2026-03-02T10:00:00Z","type":"message","id":"m","mailbox":"a","class":"spam"}`, `line 2: class: class "spam": want transactional`},
		{`{"at":"2026-03-02T10:00:00Z","type":"message","id":"m","mailbox":"a","window":"soon"}`, `line 2: window: "soon" is not a length of time`},
		{`{"at":"2026-03-02T10:00:00Z","type":"message","id":"m","mailbox":"a","value":-1}`, "line 2: value: -1: want a number from 0 to"},
		{`{"at":"2026-03-02T10:00:00Z","type":"message","id":"m","mailbox":"a","priority":1.5}`, "line 2: priority: 1.5: want a whole number"},
		{`{"at":"2026-03-02T10:00:00Z","type":"signal","mailbox":"a"}`, "line 2: kind: is missing"},
		{`{"at":"2026-03-02T10:00:00Z","type":"signal","mailbox":"a","kind":"seen"}`, `line 2: kind: "seen" is no kind of signal`},
		{`{"at":"2026-03-02T10:00:00Z","type":"signal","mailbox":"a","kind":"opened","human":"yes"}`, "line 2: human: want true, false or a number"},
		{`{"at":"2026-03-02T10:00:00Z","type":"mailbox","mailbox":"a","timezone":"Mars/Base"}`, `line 2: timezone: "Mars/Base" is not a time zone`},
		{`{"at":"2026-03-02T10:00:00Z","type":"mailbox","mailbox":"a","attributes":[]}`, "line 2: attributes: want a JSON object"},
		{strings.Repeat("x", 3<<20), "line 2: longer than"},
	} {
		out, log, status := replayAll(t, strings.NewReader(good+c.line+"\n"))
		if status != exitFailed || !strings.Contains(log, c.want) {
			t.Errorf("%.90s: exit status %d, %q, want %q", c.line, status, log, c.want)
		}
		if !strings.Contains(out, `"type":"release","id":"m1"`) || strings.Count(out, `"ok"`) != 1 {
			t.Errorf("%.90s: what was decided before it is lost: %q", c.line, out)
		}
	}
}

// A mailbox's signals reach the mail that they are about, whoever sent it.
func TestReplayFindsTheSender(t *testing.T) {
	lines := []string{
		`{"at":"2026-03-02T10:00:00Z","type":"signal","kind":"active","mailbox":"ada"}`,
		`{"at":"2026-03-02T10:00:00Z","type":"message","id":"a1","mailbox":"ada","tenant":"acme","class":"newsletter"}`,
		`{"at":"2026-03-02T10:00:00Z","type":"message","id":"b1","mailbox":"ada","tenant":"bell","class":"newsletter"}`,
		`{"at":"2026-03-02T11:00:00Z","type":"signal","kind":"unsubscribed","mailbox":"ada","message":"b1"}`,
		`{"at":"2026-03-02T12:00:00Z","type":"message","id":"a2","mailbox":"ada","tenant":"acme","class":"newsletter"}`,
		`{"at":"2026-03-02T12:00:00Z","type":"message","id":"b2","mailbox":"ada","tenant":"bell","class":"newsletter"}`,
		`{"at":"2026-03-02T12:00:00Z","type":"message","id":"b3","mailbox":"ada","tenant":"bell","class":"transactional"}`,
		`{"at":"2026-03-02T13:00:00Z","type":"signal","kind":"bounced","mailbox":"ada","message":"b3","hard":false}`,
		`{"at":"2026-03-02T13:00:00Z","type":"message","id":"a3","mailbox":"ada","tenant":"acme","class":"newsletter"}`,
		`{"at":"2026-03-02T14:00:00Z","type":"signal","kind":"bounced","mailbox":"ada","message":"b3"}`,
		`{"at":"2026-03-02T15:00:00Z","type":"message","id":"a4","mailbox":"ada","tenant":"acme","class":"transactional"}`,
	}
	out, log, status := replayAll(t, strings.NewReader(strings.Join(lines, "\n")))
	if status != exitDone {
		t.Fatal(log)
	}
	for id, want := range map[string]string{"a1": "release", "b1": "release", "a2": "release", "b2": "drop", "b3": "release", "a3": "release", "a4": "drop"} {
		if !strings.Contains(out, fmt.Sprintf(`"type":%q,"id":%q`, want, id)) {
			t.Errorf("%s is no %s in\n%s", id, want, out)
		}
	}
}

// FuzzReplayLine compares the reader of plain lines with encoding/json.
func FuzzReplayLine(f *testing.F) {
	for line := range bytes.Lines(replayStory(1, 60, 5)) {
		f.Add(bytes.TrimSpace(line))
	}
	for _, line := range []string{
		`{}`, `{"at":"2026-03-02T10:00:00+01:00","type":"advance","x":[1,{"y":"}"}]}`, `{"at":"2026-03-02T10:00:00.5Z","type":"advance"} `,
		`{"id":"\u00e9\"","type":"message","at":"2026-03-02T10:00:00Z","mailbox":"é","value":0.5e1,"priority":-3,"human":null}`,
		`{"type":"signal","type":"advance","at":"2026-03-02T10:00:00Z"}`, `{"value":01}`, `{"value":1.}`, `{"human":0.25,"hard":false}`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var fast, slow replayLine
		fast.Human = 1
		if !fast.scan(line) || fast.check() != nil {
			var fields map[string]json.RawMessage
			err := slow.parseSlowly(line)
			if valid := json.Unmarshal(line, &fields) == nil; err == nil && !valid {
				t.Errorf("%q is no JSON object and was read", line)
			}
			return
		}
		if err := slow.parseSlowly(line); err != nil {
			t.Fatalf("%q is read, and encoding/json says %v", line, err)
		}
		if got, want := fmt.Sprintf("%q %+v", fast.texts(), fast), fmt.Sprintf("%q %+v", slow.texts(), slow); got != want {
			t.Errorf("%q is read as\n%s\nand by encoding/json as\n%s", line, got, want)
		}
	})
}

func (l *replayLine) texts() []string {
	return []string{string(l.ID), string(l.Mailbox), string(l.Tenant), string(l.List), string(l.Campaign), string(l.Supersede), string(l.Message), string(l.Zone)}
}

// BenchmarkReplay is the whole way from line to line.
func BenchmarkReplay(b *testing.B) {
	for _, policy := range []string{"immediate", "model"} {
		b.Run(policy, func(b *testing.B) {
			const lines = 200_000
			input := replayStory(5, lines, 20_000)
			cfg, _, err := LoadConfig("", []string{"policy.min_gap=16h", "policy.weekly_cap=5"}, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			for range b.N {
				p := newReplayer(cfg, policy, 1, bufio.NewWriterSize(io.Discard, 1<<16))
				if err := p.run(b.Context(), bytes.NewReader(input)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}
