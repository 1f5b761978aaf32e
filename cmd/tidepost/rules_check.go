package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"tidepost/suppression/rules"
)

// ruleText is rules as they are written, in one file or several.
type ruleText struct {
	files []ruleFile
}

type ruleFile struct{ name, text string }

// readRules reads a file of rules, all *.toml files of a folder in the order of
// their names, or standard input for -.
func readRules(name string, stdin io.Reader) (ruleText, error) {
	var t ruleText
	if name == "-" {
		text, err := io.ReadAll(stdin)
		t.files = []ruleFile{{"-", string(text)}}
		return t, err
	}
	names := []string{name}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		if names, err = filepath.Glob(filepath.Join(globQuote(name), "*.toml")); err != nil {
			return t, err
		}
		slices.Sort(names)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return t, err
		}
		t.files = append(t.files, ruleFile{name, strings.TrimPrefix(string(text), "\ufeff")})
	}
	return t, nil
}

// globQuote keeps a folder's own name from being a pattern.
func globQuote(name string) string {
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`).Replace(name)
}

// compile reads the rules. What is wrong comes as rules.Errors, with places.
func (t *ruleText) compile() ([]rules.Rule, error) {
	var list []rules.Rule
	var all rules.Errors
	for _, f := range t.files {
		some, err := rules.Parse(f.name, []byte(f.text))
		if wrong := (rules.Errors)(nil); errors.As(err, &wrong) {
			all = append(all, wrong...)
			continue // what was half read would be complained of twice
		}
		list = append(list, some...)
	}
	_, err := rules.Compile(list)
	if wrong := (rules.Errors)(nil); errors.As(err, &wrong) {
		all = append(all, wrong...)
	}
	if len(all) > 0 {
		return nil, all
	}
	return list, nil
}

// joined is all of it as one text. A file of rules is tables alone, so that one may
// follow another.
func (t *ruleText) joined() string {
	if len(t.files) == 1 {
		return t.files[0].text
	}
	var b strings.Builder
	for _, f := range t.files {
		fmt.Fprintf(&b, "# %s\n", strings.Map(plainName, filepath.Base(f.name)))
		b.WriteString(f.text)
		if !strings.HasSuffix(f.text, "\n") {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// plainName keeps a file's name within the comment that it stands in.
func plainName(r rune) rune {
	if unsafeRune(r) || r == utf8.RuneError {
		return '_'
	}
	return r
}

// line is a line of a file, from 1.
func (t *ruleText) line(file string, n int) (string, bool) {
	for _, f := range t.files {
		if lines := strings.Split(f.text, "\n"); f.name == file && n >= 1 && n <= len(lines) {
			return strings.TrimRight(lines[n-1], "\r"), true
		}
	}
	return "", false
}

// printFaults writes what is wrong with rules, each with the place it is at.
func (t *ruleText) printFaults(w io.Writer, all rules.Errors) {
	for _, e := range all {
		fmt.Fprintln(w, safe(e.Error()))
		line, ok := t.line(e.File, e.Line)
		if !ok || e.Column < 1 {
			continue
		}
		runes := []rune(line)
		before := string(runes[:min(e.Column-1, len(runes))])
		// Tabs stay, so that the mark stands below its place.
		pad := strings.Map(func(r rune) rune {
			if r == '\t' {
				return r
			}
			return ' '
		}, before)
		fmt.Fprintf(w, "    %s\n    %s^\n", strings.Join(safeParts(line), "\t"), pad)
	}
}

// safeParts makes a line fit for a terminal but for its tabs.
func safeParts(line string) []string {
	parts := strings.Split(line, "\t")
	for i := range parts {
		parts[i] = safe(parts[i])
	}
	return parts
}

type rulesCheckCmd struct {
	File string `arg:"" help:"File of rules, a folder of them, or - for standard input." placeholder:"FILE"`
	JSON bool   `help:"Print JSON, for programs." name:"json"`
}

// checked is the answer of check for programs.
type checked struct {
	OK     bool           `json:"ok"`
	Rules  int            `json:"rules"`
	Errors []checkedFault `json:"errors"`
}

type checkedFault struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Rule    string `json:"rule,omitempty"`
	Message string `json:"message"`
}

// Run reads rules and says what is wrong with them.
func (r *rulesCheckCmd) Run(a *app) error {
	text, err := readRules(r.File, a.Stdin)
	if err != nil {
		return err
	}
	list, err := text.compile()
	var wrong rules.Errors
	if err != nil && !errors.As(err, &wrong) {
		return err
	}
	if r.JSON {
		doc := checked{OK: err == nil, Rules: len(list), Errors: []checkedFault{}}
		for _, e := range wrong {
			doc.Errors = append(doc.Errors, checkedFault(*e))
		}
		if err := printJSON(a.Stdout, doc); err != nil {
			return err
		}
	} else if wrong != nil {
		text.printFaults(a.Stderr, wrong)
	}
	if wrong != nil {
		return errQuiet
	}
	if r.JSON {
		return nil
	}
	states := map[rules.State]int64{}
	for _, one := range list {
		states[one.State]++
	}
	return a.print(false, nil, fmt.Sprintf("%s: nothing wrong: %d enabled, %d in shadow, %d off", count(int64(len(list)), "rule", "rules"),
		states[rules.Enabled], states[rules.Shadow], states[rules.Off]))
}
