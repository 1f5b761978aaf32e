package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"tidepost/suppression/lists"
)

// unsubscribes is a file as SendGrid exports its global unsubscribes.
func unsubscribes(n int) string {
	var b strings.Builder
	b.WriteString("email,created\n")
	for i := range n {
		fmt.Fprintf(&b, "Reader%d@dest%d.test,%d\n", i, i%97, 1767225600+i)
	}
	return b.String()
}

// desk is a running gateway and a folder with files.
type desk struct {
	*shell
	files string
}

func newDesk(t *testing.T) *desk {
	dir := t.TempDir()
	return &desk{&shell{t, startProcess(t, dir, nil), dir}, t.TempDir()}
}

func (d *desk) file(name, text string) string {
	d.t.Helper()
	path := filepath.Join(d.files, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return path
}

// refuse runs a command that fails with a status and says each text.
func (d *desk) refuse(command string, status int, texts ...string) {
	d.t.Helper()
	got, out := d.run(command)
	if got != status {
		d.t.Errorf("tidepost %s: exit status %d, want %d\n%s", command, got, status, out)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			d.t.Errorf("tidepost %s: no %q in\n%s", command, text, out)
		}
	}
}

// stats are what `suppress stats` adds up to.
func (d *desk) stats() (stats suppressStats) {
	d.t.Helper()
	if err := json.Unmarshal([]byte(d.want("suppress stats --json")), &stats); err != nil {
		d.t.Fatal(err)
	}
	sum := int64(0)
	for _, k := range stats.Kinds {
		sum += k.Entries
	}
	if sum != stats.Entries {
		d.t.Errorf("the kinds add up to %d, not to %d", sum, stats.Entries)
	}
	return stats
}

// Somebody moves in from SendGrid: a wrong file, the right one, mail, an export, an
// outage to undo.
func TestSuppressionLists(t *testing.T) {
	d := newDesk(t)
	good := unsubscribes(20_000)
	lines := strings.SplitAfter(good, "\n")
	lines[777], lines[15_000] = "nobody,1767225600\n", "a@x.test,yesterday\n"
	wrong := d.file("wrong.csv", strings.Join(lines, ""))
	right := d.file("right.csv", good)
	d.refuse("suppress import "+wrong, exitFailed, "name the tenant")
	d.refuse("suppress import --tenant default --dry-run "+wrong, exitFailed, "19998 entries: 19998 unsubscribe", "line 778, column 1", "2 bad", "would be refused")
	d.refuse("suppress import --tenant default "+wrong, exitFailed, "nothing was changed", "2 lines cannot be read", "line 15001")
	d.refuse("suppress import --resume -", exitUsage)
	d.refuse("suppress import "+d.files, exitFailed, "folder")
	if s := d.stats(); s.Entries != 0 || len(s.Lists) != 0 {
		t.Fatalf("a refused file left %+v", s)
	}
	d.want("suppress import --tenant default --dry-run "+right, "20000 entries", "nothing changed")
	d.want("suppress import --tenant default --name sg "+right, "list sg counts now: 20000 entries")
	d.want("suppress import --tenant default --name sg --json "+right, `"published": true`, `"listed": 20000`)
	d.want("suppress lists --json", `"state": "live"`)
	d.want("suppress check READER7+shop@dest7.test", "reader7@dest7.test", "unsubscribe", "all but transactional", "import:sendgrid-unsubscribes")
	d.mailIsDropped("reader7@dest7.test")
	d.want("suppress lists", "sg", "live", "20000")
	d.want("suppress add ann@x.test --reason manual", "suppressed")
	d.want("suppress remove reader8@dest8.test --scope tenant:default", "removed")
	if s := d.stats(); s.Entries != 20_000 || s.Suppressed != 1 {
		t.Errorf("%+v", s)
	}
	d.roundTrip(right)
	d.want("suppress remove --source import --destination dest7.test --dry-run", "207 entries matched", "nothing changed")
	d.want("suppress remove --source import --destination dest7.test --yes", "207 of 207 entries taken back")
	d.refuse("suppress remove --source import", exitFailed, "not confirmed")
	d.refuse("suppress remove", exitUsage)
	d.refuse("suppress remove a@x.test --source import", exitUsage)
	if s := d.stats(); s.Entries != 20_000-207 {
		t.Errorf("after the removal: %d", s.Entries)
	}
	d.want("suppress list --reason manual", "ann@x.test")
	d.want("suppress lists discard again --yes", "discarded")
	d.want("suppress lists", "no list was imported")
	checkMetrics(t, d.p.admin)
	if err := d.p.terminate(); err != nil {
		t.Errorf("it stopped with %v\n%s", err, d.p.log)
	}
}

// mailIsDropped sends a newsletter that a suppression stops.
func (d *desk) mailIsDropped(to string) {
	d.t.Helper()
	c, err := dialSMTP(d.p.smtp)
	if err != nil {
		d.t.Fatal(err)
	}
	defer c.close()
	if err := c.send("news@example.com", to, springMail); err != nil {
		d.t.Fatal(err)
	}
	waitFor(d.t, func() bool {
		_, out := d.run("explain " + to)
		return strings.Contains(out, "suppress")
	})
	waitFor(d.t, func() bool { return d.stats().Suppressed == 1 })
}

// roundTrip exports all, takes the list away, and imports the export.
func (d *desk) roundTrip(list string) {
	d.t.Helper()
	out := filepath.Join(d.files, "out.csv")
	d.want("suppress export -o " + out)
	before, err := os.ReadFile(out)
	if err != nil || bytes.Count(before, []byte("\n")) != 20_002 {
		d.t.Fatalf("the export: %v, %d lines", err, bytes.Count(before, []byte("\n")))
	}
	if n := strings.Count(d.want("suppress export --format jsonl --live"), "\n"); n != 20_000 {
		d.t.Errorf("%d entries are live", n)
	}
	d.want("suppress lists discard sg --yes", "discarded: sg")
	d.want("suppress import --name again "+out, "counts now: 20001 entries")
	after := d.want("suppress export")
	if a, b := sortedLines(string(before)), sortedLines(after); !slices.Equal(a, b) {
		d.t.Errorf("%d lines became %d others", len(a), len(b))
	}
}

func sortedLines(text string) []string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return lines
}

// An import whose client dies in the middle counts nowhere, and goes on with the same
// file alone, even after the gateway died too.
func TestSuppressImportResumes(t *testing.T) {
	d := newDesk(t)
	text := unsubscribes(150_000)
	file, other := d.file("list.csv", text), d.file("other.csv", strings.Replace(text, "Reader5", "reader5", 1))
	sum := sha256.Sum256([]byte(text))
	body := io.MultiReader(strings.NewReader(text[:len(text)*3/4]), iotest.ErrReader(errors.New("the client dies")))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+d.p.admin+"/api/v1/suppressions/import?name=big&tenant=default&digest="+hex.EncodeToString(sum[:]), body)
	if err != nil {
		t.Fatal(err)
	}
	token, err := os.ReadFile(filepath.Join(d.d, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	if answer, err := http.DefaultClient.Do(request); err == nil {
		answer.Body.Close()
		t.Fatal("the client did not die")
	}
	waitFor(t, func() bool { _, out := d.run("suppress lists"); return strings.Contains(out, "partial") })
	d.p.kill()
	d.p = startProcess(t, d.d, nil)
	d.want("suppress lists", "big", "partial", "65536")
	if s := d.stats(); s.Entries != 0 {
		t.Errorf("%d entries count already", s.Entries)
	}
	d.refuse("suppress import --resume --name big --tenant default "+other, exitFailed, "another file", "begin anew")
	d.want("suppress import --resume --name big --tenant default "+file, "150000 entries", "65536 of the lines from an earlier attempt")
	if s := d.stats(); s.Entries != 150_000 {
		t.Errorf("%d entries count", s.Entries)
	}
}

// The manual has every format that is read, and formats prints them.
func TestSuppressFormats(t *testing.T) {
	var out strings.Builder
	if status := run(t.Context(), []string{"suppress", "formats"}, strings.NewReader(""), &out, &out, nil); status != exitDone {
		t.Fatalf("exit status %d: %s", status, out.String())
	}
	manual := readDoc(t, "suppression.md")
	for _, s := range lists.Shapes() {
		row := fmt.Sprintf("| `%s` | %s | `%s` | %s |", s.Format, s.Service, s.Header, s.Becomes)
		if !strings.Contains(manual, row) {
			t.Errorf("docs/suppression.md has no row\n%s", row)
		}
		if !strings.Contains(out.String(), string(s.Format)) {
			t.Errorf("suppress formats does not print %s", s.Format)
		}
	}
	if n := strings.Count(manual, "\n| `"); n < len(lists.Shapes()) {
		t.Errorf("docs/suppression.md has %d rows", n)
	}
}
