package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers holds every package of the module. An import must lead to a layer
// further down; packages of one layer never import each other.
var layers = map[string]int{
	"suppression/address":  0,
	"suppression/rules":    0,
	"scheduler/clock":      0,
	"scheduler/interest":   0,
	"scheduler/throttle":   0,
	"scheduler/experiment": 0,
	"templates":            0,
	"gateway/smtptest":     0,
	"gateway/token":        0,
	"gateway/bounce":       0,
	"gateway/strict":       0,
	"gateway/signature":    0,
	"scheduler/evidence":   0,

	"suppression": 1,
	"scheduler":   1,

	"scheduler/replay":  2,
	"suppression/lists": 2,

	"scheduler/simulate": 3,
	"gateway":            3,

	"gateway/intake":    4,
	"gateway/content":   4,
	"gateway/outbound":  4,
	"gateway/feedback":  4,
	"gateway/bus":       4,
	"gateway/local":     4,
	"gateway/admin":     4,
	"gateway/storetest": 4,
	"gateway/webhook":   4,
	"gateway/returns":   4,

	"gateway/public":  5,
	"gateway/history": 5,

	"cmd/tidepost": 6,
}

// engines decide and know nothing of the world: besides the standard library
// they see only what is listed here.
var (
	engines = []string{"suppression/address", "suppression", "scheduler", "scheduler/clock", "scheduler/interest",
		"scheduler/throttle", "scheduler/experiment", "scheduler/evidence", "scheduler/replay", "scheduler/simulate", "templates", "suppression/rules", "suppression/lists"}
	engineImports = []string{"github.com/hashicorp/golang-lru/v2", "golang.org/x/net/idna", "cel.dev/cel-go", "github.com/pelletier/go-toml/v2"}
)

// testSupport is never linked into the binary: only tests may import it.
var testSupport = []string{"gateway/storetest", "gateway/smtptest"}

func TestLayers(t *testing.T) {
	problems, modules, err := checkLayers(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p)
	}
	t.Logf("%d packages; %d modules in go.sum", len(layers), modules)
}

// The check itself fails where it should, on a tree that does everything wrong.
func TestLayersCatchBadImports(t *testing.T) {
	problems, _, err := checkLayers(os.DirFS("testdata/layers"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"scheduler/upward.go: scheduler imports gateway, which is not below it",
		"gateway/intake/sideways.go: gateway/intake imports gateway/content, which is not below it",
		"scheduler/outside.go: scheduler is an engine and imports github.com/emersion/go-message",
		"gateway/intake/support.go: gateway/intake imports gateway/smtptest, which is for tests",
		"gateway/unknown/unknown.go: gateway/unknown has no layer",
		"gateway/intake/stranger.go: gateway/intake imports gateway/nowhere, which has no layer",
	} {
		if !slices.Contains(problems, want) {
			t.Errorf("not found: %s\nin %q", want, problems)
		}
	}
	if len(problems) != 6 {
		t.Errorf("found %d problems, want 6: %q", len(problems), problems)
	}
}

// checkLayers parses every Go file of a module. It reads the files itself,
// rather than ask `go list`, because the test cache sees what a test opens and
// not what a subprocess does: a bad import would pass from the cache.
func checkLayers(module fs.FS) (problems []string, modules int, err error) {
	err = fs.WalkDir(module, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".")) {
			return fs.SkipDir
		}
		if d.IsDir() || path.Ext(name) != ".go" {
			return nil
		}
		imports, err := importsOf(module, name)
		if err != nil {
			return err
		}
		problems = append(problems, checkFile(name, imports)...)
		return nil
	})
	if sums, err := fs.ReadFile(module, "go.sum"); err == nil {
		modules = countModules(string(sums))
	}
	return problems, modules, err
}

func importsOf(module fs.FS, name string) ([]string, error) {
	text, err := fs.ReadFile(module, name)
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var imports []string
	for _, spec := range file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		imports = append(imports, p)
	}
	return imports, nil
}

// checkFile applies the rules to one file.
func checkFile(name string, imports []string) (problems []string) {
	pkg, test := path.Dir(name), strings.HasSuffix(name, "_test.go")
	fail := func(format string, args ...any) {
		problems = append(problems, name+": "+fmt.Sprintf(format, args...))
	}
	layer, known := layers[pkg]
	if !known {
		fail("%s has no layer", pkg)
		return problems
	}
	for _, imported := range imports {
		ours, isOurs := strings.CutPrefix(imported, "tidepost/")
		below, found := layers[ours]
		switch {
		case !isOurs:
			if !test && slices.Contains(engines, pkg) && strings.Contains(imported, ".") && !allowedInEngine(imported) {
				fail("%s is an engine and imports %s", pkg, imported)
			}
		case !found:
			fail("%s imports %s, which has no layer", pkg, ours)
		case slices.Contains(testSupport, ours):
			if !test && !slices.Contains(testSupport, pkg) {
				fail("%s imports %s, which is for tests", pkg, ours)
			}
		case test && ours == pkg: // an external test package
		case below >= layer:
			fail("%s imports %s, which is not below it", pkg, ours)
		}
	}
	return problems
}

func allowedInEngine(imported string) bool {
	return slices.ContainsFunc(engineImports, func(allowed string) bool {
		return imported == allowed || strings.HasPrefix(imported, allowed+"/")
	})
}

// countModules counts the modules that go.sum has contents of.
func countModules(sums string) int {
	seen := map[string]bool{}
	for line := range strings.Lines(sums) {
		if f := strings.Fields(line); len(f) == 3 && !strings.HasSuffix(f[1], "/go.mod") {
			seen[f[0]] = true
		}
	}
	return len(seen)
}

// A package without files has no business in the table.
func TestLayersNameRealPackages(t *testing.T) {
	for pkg := range layers {
		files, err := filepath.Glob(filepath.Join("../..", pkg, "*.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("layers has %s, which has no files", pkg)
		}
	}
}
