package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// shell runs commands against one running gateway.
type shell struct {
	t *testing.T
	p *process
	d string // its data directory
}

// run runs one command and returns its exit status and all it printed.
func (s *shell) run(command string) (int, string) {
	s.t.Helper()
	var out strings.Builder
	env := []string{"TIDEPOST_SERVER=http://" + s.p.admin, "TIDEPOST_DATA_DIR=" + s.d}
	status := run(s.t.Context(), strings.Fields(command), strings.NewReader(""), &out, &out, env)
	return status, out.String()
}

// want runs a command that succeeds and checks that it prints each text.
func (s *shell) want(command string, texts ...string) string {
	s.t.Helper()
	status, out := s.run(command)
	if status != exitDone {
		s.t.Errorf("tidepost %s: exit status %d\n%s", command, status, out)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			s.t.Errorf("tidepost %s: no %q in\n%s", command, text, out)
		}
	}
	return out
}

const springMail = "From: News <news@example.com>\r\nTo: ada@example.org\r\nSubject: Spring\r\n" +
	"Message-ID: <1@example.com>\r\nList-Id: <news.example.com>\r\nX-Tidepost-Campaign: spring\r\n\r\nHello."

// A person's first session: mail comes in, is looked at, explained, counted
// and recalled, while nothing leaves.
func TestCommandsAgainstARunningGateway(t *testing.T) {
	dir := t.TempDir()
	s := &shell{t, startProcess(t, dir, nil), dir}
	c, err := dialSMTP(s.p.smtp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for _, to := range []string{"ada@example.org", "bob@example.org"} {
		if err := c.send("news@example.com", to, springMail); err != nil {
			t.Fatal(err)
		}
	}
	s.want("healthcheck", "ready")
	waitFor(t, func() bool {
		_, out := s.run("queue list --state captured --count")
		return strings.HasSuffix(out, "2\n")
	})
	out := s.want("queue list", captureWarning, "ada@example.org", "bob@example.org", "spring", "newsletter")
	id := strings.Fields(strings.Split(out, "\n")[2])[0]
	s.want("queue show "+id, id, "captured")
	message, _, _ := strings.Cut(id, ".")
	s.want("queue show "+message, "Spring", "1@example.com")
	if raw := s.want("queue show --content " + message); !strings.Contains(raw, "Hello.") || !strings.Contains(raw, "X-Tidepost-Campaign") {
		t.Errorf("the content is what was accepted:\n%s", raw)
	}
	s.want("explain ada@example.org", "captured")
	s.want("campaigns", "spring")
	s.want("campaigns show default spring", "= delivered", "+ captured")
	s.want("suppress add bob@example.org --reason unsubscribe --scope tenant:default", "suppressed: bob@example.org, tenant:default, unsubscribe, for ever")
	s.want("suppress check bob@example.org", "unsubscribe")
	s.want("suppress remove bob@example.org --scope tenant:default", "removed")
	s.want("queue pause --tenant default", "paused")
	s.want("queue resume --tenant default", "resumed")
	s.want("status --json", `"mode": "capture"`)
	s.want("queue drop --campaign spring --dry-run", "2 deliveries matched, nothing changed")
	s.want("queue drop --campaign spring --yes", "2 of 2 deliveries changed")
	s.want("queue list", "nothing matches")
	checkMetrics(t, s.p.admin)
	if err := s.p.terminate(); err != nil {
		t.Errorf("it stopped with %v\n%s", err, s.p.log)
	}
}

// checkMetrics compares what the gateway exports with docs/metrics.md.
func checkMetrics(t *testing.T, admin string) {
	t.Helper()
	answer, err := http.Get("http://" + admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	documented := readDoc(t, "metrics.md")
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) == 4 && f[1] == "TYPE" && strings.HasPrefix(f[2], "tidepost_") &&
			!strings.Contains(documented, "`"+f[2]+"`") && !strings.Contains(documented, "`"+f[2]+"{") {
			t.Errorf("%s is exported and not in docs/metrics.md", f[2])
		}
	}
}

// waitFor waits until something is so, for as long as a slow machine may need.
func waitFor(t *testing.T, so func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not become so")
		}
	}
}
