package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDataDirectoryIsForOne: a second gateway on the same data directory does
// not start and says why; the first is not disturbed.
func TestDataDirectoryIsForOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := startProcess(t, dir, nil)
	second, err := start(t, setup{dir: dir})
	if err == nil {
		t.Fatal("two gateways run on one data directory")
	}
	for _, want := range []string{dir, "another process uses it"} {
		if !strings.Contains(second.log.String(), want) {
			t.Errorf("no %q in what the second says:\n%s", want, second.log)
		}
	}
	if code := second.cmd.ProcessState.ExitCode(); code != exitFailed {
		t.Errorf("the second ended with exit status %d, want %d", code, exitFailed)
	}
	if err := mustDial(t, first.smtp).send("a@esp.test", "b@dest.test", letter("x", 10)); err != nil {
		t.Errorf("the first, afterwards: %v", err)
	}
	first.kill()
	startProcess(t, dir, nil) // a kill leaves no lock behind
}

// TestDataDirectoryOfAnotherVersion: what a newer version wrote, or another
// program, is refused before anything in it is touched.
func TestDataDirectoryOfAnotherVersion(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ format, want string }{
		{"tidepost data, format 99\n", "written by a newer version of tidepost (format 99"},
		{"something else\n", "not a data directory of tidepost"},
		{"", "not a data directory of tidepost"},
	} {
		dir := t.TempDir()
		startProcess(t, dir, nil).terminate()
		if err := os.WriteFile(filepath.Join(dir, "format"), []byte(test.format), 0o600); err != nil {
			t.Fatal(err)
		}
		before := listing(t, dir)
		p, err := start(t, setup{dir: dir})
		if err == nil {
			t.Errorf("it starts on format %q", test.format)
			p.kill()
			continue
		}
		if log := p.log.String(); !strings.Contains(log, test.want) || !strings.Contains(log, dir) {
			t.Errorf("format %q: no %q in what it says:\n%s", test.format, test.want, log)
		}
		if after := listing(t, dir); after != before {
			t.Errorf("format %q: the directory was touched:\n%s\n%s", test.format, before, after)
		}
	}
}

// listing is every file of a directory with its size and time.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			fmt.Fprintln(&b, path, info.Size(), info.ModTime())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
