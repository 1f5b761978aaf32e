package main

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := docs.ReadFile("docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var keyRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (.+?) \\| ")

// Every key of Config has a row in config.md and every row is a key, with the
// default it really has.
func TestConfigDocument(t *testing.T) {
	documented := map[string]string{}
	for _, row := range keyRow.FindAllStringSubmatch(readDoc(t, "config.md"), -1) {
		if _, twice := documented[row[1]]; twice {
			t.Errorf("%s is documented twice", row[1])
		}
		documented[row[1]] = row[2]
	}
	for _, k := range configKeys() {
		if k.Kind == kindTable || k.Elem == kindTable {
			continue
		}
		name := k.name()
		if strings.HasPrefix(name, "policy.tenants.") {
			continue // the same keys as [policy]
		}
		text, ok := documented[name]
		if !ok {
			t.Errorf("%s is not in docs/config.md", name)
		}
		delete(documented, name)
		checkDefault(t, k, text)
	}
	for name := range documented {
		t.Errorf("docs/config.md has %s, which is no key", name)
	}
}

// checkDefault sets a key to the default that the document names, which must
// change nothing.
func checkDefault(t *testing.T, k keyInfo, text string) {
	t.Helper()
	value, code := strings.CutPrefix(text, "`")
	if !code || slices.Contains(k.Path, "*") || slices.Contains(k.Path, "[]") {
		return
	}
	want, _, err := LoadConfig("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := LoadConfig("", []string{k.name() + "=" + strings.TrimSuffix(value, "`")}, nil)
	if err != nil {
		t.Errorf("%s: the documented default is refused: %v", k.name(), err)
	} else if diff := want.Diff(got); len(diff) > 0 {
		t.Errorf("%s: %s is not the default", k.name(), text)
	}
}

func TestDestinationDefaultsInDocument(t *testing.T) {
	text := readDoc(t, "config.md")
	d := DefaultConfig().Destination("any")
	for _, want := range []string{
		"connections` | `2`", "messages_per_connection` | `100`",
		"rate` | `\"" + d.Rate.String() + "\"`", "rate_max` | `\"" + d.RateMax.String() + "\"`",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("docs/config.md does not say %s", want)
		}
	}
	if d.Connections != 2 || d.MessagesPerConnection != 100 {
		t.Errorf("defaults changed: %+v", d)
	}
}

var metricName = regexp.MustCompile(`tidepost_[a-z_]+`)

// Each alert links a section of the runbook that exists, and uses metrics that
// exist.
func TestAlerts(t *testing.T) {
	alerts, runbook, metrics := readDoc(t, "alerts.yml"), readDoc(t, "runbook.md"), readDoc(t, "metrics.md")
	blocks := strings.Split(alerts, "- alert: ")[1:]
	if len(blocks) < 5 {
		t.Fatalf("found only %d alerts", len(blocks))
	}
	linked := map[string]bool{}
	for _, b := range blocks {
		name, _, _ := strings.Cut(b, "\n")
		_, anchor, _ := strings.Cut(b, "runbook: tidepost help runbook#")
		anchor, _, _ = strings.Cut(anchor, "\n")
		linked[anchor] = true
		if _, ok := docSection(runbook, anchor); anchor == "" || !ok {
			t.Errorf("%s links %q, which is no section of runbook.md", name, anchor)
		}
		used := metricName.FindAllString(b, -1)
		if len(used) == 0 {
			t.Errorf("%s uses no metric", name)
		}
		for _, m := range used {
			m = strings.TrimSuffix(m, "_bucket")
			if !strings.Contains(metrics, "`"+m+"`") && !strings.Contains(metrics, "`"+m+"{") {
				t.Errorf("%s uses %s, which is not in metrics.md", name, m)
			}
		}
	}
	for line := range strings.Lines(runbook) {
		if title, ok := strings.CutPrefix(line, "## "); ok && !linked[anchorOf(title)] {
			t.Errorf("no alert leads to the section %q", strings.TrimSpace(title))
		}
	}
}

// Links between sections of one document lead somewhere.
func TestDocumentLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(#([^)]+)\)`)
	files, _ := fs.Glob(docs, "docs/*.md")
	for _, f := range files {
		text := readDoc(t, strings.TrimPrefix(f, "docs/"))
		if !strings.HasPrefix(text, "# ") {
			t.Errorf("%s does not begin with a title", f)
		}
		for _, l := range link.FindAllStringSubmatch(text, -1) {
			if _, ok := docSection(text, l[1]); !ok {
				t.Errorf("%s links #%s, which is no section of it", f, l[1])
			}
		}
	}
}

// Commands and keys that a document names exist.
func TestDocumentCommands(t *testing.T) {
	files, _ := fs.Glob(docs, "docs/*")
	command := regexp.MustCompile("(?m)(?:`|^    |exec tidepost )tidepost ([a-z-]+)")
	for _, f := range files {
		for _, m := range command.FindAllStringSubmatch(readDoc(t, strings.TrimPrefix(f, "docs/")), -1) {
			var stdout, stderr strings.Builder
			if status := run(t.Context(), []string{m[1], "--help"}, strings.NewReader(""), &stdout, &stderr, nil); status != exitDone {
				t.Errorf("%s names the command %q: %s", f, m[1], stderr.String())
			}
		}
	}
}
