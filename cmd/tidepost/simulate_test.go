package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tidepost/scheduler/simulate"
)

func simulated(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	status = run(t.Context(), append([]string{"simulate"}, args...), strings.NewReader(""), &out, &errs, nil)
	return status, out.String(), errs.String()
}

func TestSimulate(t *testing.T) {
	picture := filepath.Join(t.TempDir(), "weeks.svg")
	small := []string{"--world", "matching", "--seeds", "1", "--people", "40", "--weeks", "6", "--policies", "immediate", "--policies", "model"}
	status, stdout, stderr := simulated(t, append(small, "--out", picture)...)
	if status != exitDone || stderr != "" {
		t.Fatalf("status %d: %s", status, stderr)
	}
	for _, want := range []string{"matching: ", "\nimmediate ", "\nmodel "} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if svg, err := os.ReadFile(picture); err != nil || !strings.HasPrefix(string(svg), "<svg ") {
		t.Errorf("the picture is %.40q, %v", svg, err)
	}

	_, stdout, _ = simulated(t, append(small, "--json")...)
	var report simulate.Report
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatal(err)
	}
	if w := report.World("matching"); w == nil || w.Policy("model") == nil || len(w.Policy("model").Weekly) != 6 {
		t.Errorf("the report lacks the model's weeks: %.400s", stdout)
	}
}

func TestSimulateUsage(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--world nowhere", `no world is called "nowhere"`},
		{"--policies modell", `no policy is called "modell"; did you mean model?`},
		{"--seeds 0", "at least one seed"},
		{"--weeks 99", "one to 52 weeks"},
		{"--set policy.min_gap=never", "min_gap"},
	} {
		status, _, stderr := simulated(t, strings.Fields(c.args)...)
		if status != exitUsage || !strings.Contains(stderr, c.want) {
			t.Errorf("simulate %s: status %d, %q; want %q", c.args, status, stderr, c.want)
		}
	}
}

// The document and the command name the same worlds and policies.
func TestSimulateDocument(t *testing.T) {
	text := readDoc(t, "simulate.md")
	_, listed, _ := simulated(t, "--list")
	names, _ := simulate.Policies()
	for _, w := range simulate.Worlds() {
		names = append(names, w.Name)
	}
	for _, name := range names {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("docs/simulate.md does not tell of %s", name)
		}
		if !strings.Contains(listed, "\n"+name+" ") {
			t.Errorf("--list does not show %s:\n%s", name, listed)
		}
	}
}
