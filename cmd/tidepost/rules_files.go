package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"tidepost/gateway"
	"tidepost/gateway/admin"
	"tidepost/suppression/rules"
)

// ruleFiles are the files that rules come from, with serve --rules.
type ruleFiles struct {
	dir     string // "": rules are set over the API
	problem atomic.Pointer[string]
}

// filesActor is who changes rules that come from files.
const filesActor = "files"

// told is what the admin API says of them; nil: rules do not come from files.
func (f *ruleFiles) told() *admin.RuleFiles {
	if f.dir == "" {
		return nil
	}
	doc := &admin.RuleFiles{Dir: f.dir}
	if p := f.problem.Load(); p != nil {
		doc.Problem = *p
	}
	return doc
}

// loadRuleFiles puts the rules of the folder into force, at the start and on SIGHUP.
// Files with a mistake, or none at all, change nothing: the rules before stay, which is
// told in the log and in status. It fails for a folder that is none: that is --rules
// used wrongly.
func (s *server) loadRuleFiles(ctx context.Context) error {
	dir := s.ruleFiles.dir
	if dir == "" {
		return nil
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		s.ruleFiles.keep(s, fmt.Errorf("%s cannot be read as a folder", dir))
		return usagef("--rules %s: want a folder with *.toml files", dir)
	}
	version, err := s.takeRuleFiles(ctx, dir)
	if err != nil {
		s.ruleFiles.keep(s, err)
		return nil
	}
	s.ruleFiles.problem.Store(nil)
	s.log.Info("the rules are those of the files", "dir", dir, "version", version)
	return nil
}

// takeRuleFiles returns the version that the files' rules are in force as. Rules that
// are so already stay as they are: one of them that failed too often goes on in shadow
// until its file changes.
func (s *server) takeRuleFiles(ctx context.Context, dir string) (int, error) {
	text, err := readRules(dir, nil)
	if err != nil {
		return 0, err
	}
	if len(text.files) == 0 {
		return 0, fmt.Errorf("%s has no *.toml file; to have no rules, put an empty one there", dir)
	}
	if _, err := text.compile(); err != nil {
		return 0, err
	}
	whole := text.joined()
	for {
		was := s.gateway.Rulebook()
		if was.Version > 0 && was.Text == whole {
			return was.Version, nil
		}
		b, err := s.gateway.SetRules(ctx, whole, was.Version, filesActor, "from "+dir)
		if errors.Is(err, gateway.ErrRulesChanged) {
			continue
		}
		if err != nil {
			return 0, err
		}
		return b.Version, nil
	}
}

// keep tells that the rules before stay in force, and why.
func (f *ruleFiles) keep(s *server, err error) {
	var wrong rules.Errors
	if errors.As(err, &wrong) {
		for _, e := range wrong {
			s.log.Error("a mistake in the files of rules", "at", e.Error())
		}
	}
	s.log.Error("the files of rules are not in force; the rules before stay", "dir", f.dir, "error", err)
	first, _, more := strings.Cut(err.Error(), "\n")
	if more {
		first += fmt.Sprintf(" (and %d more)", strings.Count(err.Error(), "\n"))
	}
	f.problem.Store(&first)
}
