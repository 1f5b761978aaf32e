package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// demoRun is the output of a demo in a process of its own, which must leave nothing.
func demoRun(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	temp := t.TempDir()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"demo"}, args...)...)
	cmd.Env = append(os.Environ(), runAsProgram, "TMPDIR="+temp)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &errs, 5*time.Second
	if err := cmd.Run(); err != nil {
		t.Fatalf("demo %v: %v\n%s", args, err, errs.String())
	}
	if left, _ := filepath.Glob(filepath.Join(temp, "*")); len(left) > 0 {
		t.Errorf("demo %v left %v", args, left)
	}
	return out.String(), errs.String()
}

// number returns what an expression finds as its first group; the test fails where
// it finds nothing.
func number(t *testing.T, text, expression string) int {
	t.Helper()
	m := regexp.MustCompile(expression).FindStringSubmatch(strings.Join(strings.Fields(text), " "))
	if m == nil {
		t.Fatalf("nothing like %s in\n%s", expression, text)
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// The same seed prints the same, another one something else, and every mail is
// accounted for.
func TestDemo(t *testing.T) {
	t.Parallel()
	small := []string{"--people", "40", "--weeks", "2"}
	first, stderr := demoRun(t, small...)
	if !regexp.MustCompile(`^the demo took [0-9.]+m?s\n$`).MatchString(stderr) {
		t.Errorf("on standard error: %q", stderr)
	}
	if again, _ := demoRun(t, small...); again != first {
		t.Errorf("the same seed printed\n%s\nand then\n%s", first, again)
	}

	accepted := number(t, first, `(\d+) accepted = `)
	delivered := number(t, first, ` = (\d+) delivered \+ 0 waiting`)
	dropped := 0
	_, sum, _ := strings.Cut(strings.Join(strings.Fields(first), " "), " waiting")
	sum, _, _ = strings.Cut(sum, ". ")
	for _, m := range regexp.MustCompile(`\+ (\d+) `).FindAllStringSubmatch(sum, -1) {
		n, _ := strconv.Atoi(m[1])
		dropped += n
	}
	if accepted != delivered+dropped {
		t.Errorf("%d accepted, %d delivered and %d dropped", accepted, delivered, dropped)
	}
	if got := number(t, first, `mails handed in \d+ (\d+)`); got != accepted {
		t.Errorf("%d handed in, %d accepted", got, accepted)
	}
	for _, expression := range []string{`The mail server got (\d+)`, `mails delivered \d+ (\d+)`} {
		if got := number(t, first, expression); got != delivered {
			t.Errorf("%s: %d; the gateway delivered %d", expression, got, delivered)
		}
	}
	if !strings.Contains(first, "Promotions beyond the cap of 7 mails in 7 days: none.") {
		t.Error("promotions passed the weekly cap")
	}
	in, out := 0, 0
	for _, m := range regexp.MustCompile(`(?m)^(?:week \d+|after) +(\d+) +\d+ +(\d+)`).FindAllStringSubmatch(first, -1) {
		i, _ := strconv.Atoi(m[1])
		o, _ := strconv.Atoi(m[2])
		in, out = in+i, out+o
	}
	if in != accepted || out != delivered {
		t.Errorf("the weeks sum to %d in and %d out; want %d and %d", in, out, accepted, delivered)
	}
}

func TestDemoQuiet(t *testing.T) {
	t.Parallel()
	tiny := []string{"--people", "5", "--weeks", "1", "--quiet"}
	one, _ := demoRun(t, tiny...)
	if other, _ := demoRun(t, append(tiny, "--seed", "2")...); other == one {
		t.Error("two seeds print the same")
	}
	if strings.Contains(one, "week 1") || !strings.Contains(one, "accepted = ") {
		t.Errorf("--quiet prints\n%s", one)
	}
}

func TestDemoUsage(t *testing.T) {
	for _, args := range []string{"--people 0", "--weeks 0", "--weeks 53", "--people 1000000"} {
		var stdout, stderr strings.Builder
		status := run(t.Context(), append([]string{"demo"}, strings.Fields(args)...), strings.NewReader(""), &stdout, &stderr, nil)
		if status != exitUsage || !strings.Contains(stderr.String(), "52 weeks") {
			t.Errorf("demo %s: status %d, %q", args, status, stderr.String())
		}
	}
}

// An interrupted demo says so and leaves nothing either.
func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	temp := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "demo", "--people", "200")
	cmd.Env = append(os.Environ(), runAsProgram, "TMPDIR="+temp)
	var errs bytes.Buffer
	cmd.Stderr, cmd.WaitDelay = &errs, 5*time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out.Read(make([]byte, 1)) // the introduction: the gateway runs
	time.Sleep(300 * time.Millisecond)
	cmd.Process.Signal(os.Interrupt)
	for buffer := make([]byte, 4096); ; {
		if _, err := out.Read(buffer); err != nil {
			break
		}
	}
	cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status != exitFailed || errs.String() != "tidepost: interrupted\n" {
		t.Errorf("status %d, %q", status, errs.String())
	}
	if left, _ := filepath.Glob(filepath.Join(temp, "*")); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}
