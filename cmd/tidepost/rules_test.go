package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"tidepost/suppression/rules"
)

// put writes a file of a test and returns its name.
func put(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func springRule(state string) string {
	return "[[rule]]\nname = \"slow-spring\"\nstate = \"" + state + "\"\nwhen = \"message.campaign == 'spring'\"\nthen = \"hold(hours(6))\"\n"
}

// A rule's life: a typo, a back-test, shadow, live, and back.
func TestRulesAgainstARunningGateway(t *testing.T) {
	dir, files := t.TempDir(), t.TempDir()
	s := &shell{t, startProcess(t, dir, nil), dir}
	typo := put(t, files, "typo.toml", strings.Replace(springRule("shadow"), "campaign", "campain", 1))
	shadow, live := put(t, files, "shadow.toml", springRule("shadow")), put(t, files, "live.toml", springRule("enabled"))
	c, err := dialSMTP(s.p.smtp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	send := func(to string) {
		if err := c.send("news@example.com", to, springMail); err != nil {
			t.Fatal(err)
		}
	}

	for _, command := range []string{"rules check ", "rules apply --yes ", "rules backtest "} {
		if status, out := s.run(command + typo); status != exitFailed || !strings.Contains(out, "typo.toml:4:16: rule slow-spring: when: undefined field 'campain' (did you mean 'campaign'?)") {
			t.Errorf("%s: status %d: %s", command, status, out)
		}
	}
	s.want("rules list", "there are no rules")
	s.want("rules check "+shadow, "1 rule: nothing wrong: 0 enabled, 1 in shadow, 0 off")
	s.want("rules apply --dry-run "+shadow, "+ slow-spring (version 1, shadow): hold(hours(6))", "planned anew under these rules: 0 deliveries", "nothing changed")
	if status, out := s.run("rules apply " + shadow); status != exitFailed || !strings.Contains(out, "not confirmed") {
		t.Errorf("without an answer: status %d: %s", status, out)
	}
	s.want("rules apply --yes --note first "+shadow, "version 1 is in force")

	send("ada@example.org")
	waitFor(t, func() bool {
		_, out := s.run("queue list --state captured --count")
		return strings.HasSuffix(out, "1\n")
	})
	waitFor(t, func() bool { // the journal is read as far as it is on disk
		_, out := s.run("rules backtest --since 1d " + live)
		return strings.Contains(out, "1 decision from")
	})
	s.want("rules list", "version 1, by local", "first", "slow-spring", "shadow")
	s.want("rules backtest --shadows --since 1d "+live, "1 decision from", "tried under the rules in force (version 1)", "would have treated 1 of them (100.0 %) differently: 0 dropped, 1 held",
		"No estimate: none of the 1 changed decisions was made by lot", "slow-spring", "campaign")
	s.want("rules backtest", "would have treated none of them differently")
	s.want("rules backtest --shadows", "1 held")

	s.applyLive(live, send)
	if err := s.p.terminate(); err != nil {
		t.Errorf("it stopped with %v\n%s", err, s.p.log)
	}
}

// applyLive lets the rule act, sees it named, and goes back.
func (s *shell) applyLive(live string, send func(to string)) {
	s.t.Helper()
	s.want("rules apply --yes "+live, "~ slow-spring (version 2, was 1)", "state: shadow → enabled", "version 2 is in force")
	send("bob@example.org")
	waitFor(s.t, func() bool {
		_, out := s.run("queue list --state waiting --count")
		return strings.HasSuffix(out, "1\n")
	})
	s.want("explain bob@example.org", "Rule slow-spring (version 2) holds it until", `message.campaign was "spring"`)
	s.want("rules history", "2 (in force)", "first")
	if out := s.want("rules show 1"); out != springRule("shadow") {
		s.t.Errorf("version 1 is\n%s", out)
	}
	s.want("rules rollback --yes 1", "state: enabled → shadow", "version 3 is in force")
	waitFor(s.t, func() bool { // what waited for the rule goes
		_, out := s.run("queue list --state captured --count")
		return strings.HasSuffix(out, "2\n")
	})
	s.want("audit", "rule_changed changed", "rules version 3", "back to version 1")
	s.want("audit --export csv --kind rule_changed", "at,kind,what,by,subject,before,after,note,id", "hold(hours(6))")
	s.want("rules rollback --yes 0", "- slow-spring", "version 4 is in force")
}

// Rules in a folder: what is right is in force, what is wrong changes nothing.
func TestRulesInFiles(t *testing.T) {
	dir, folder := t.TempDir(), t.TempDir()
	put(t, folder, "10-spring.toml", springRule("enabled"))
	put(t, folder, "20-night.toml", "[[rule]]\nname = \"night\"\nthen = \"quiet('22:00', '07:00')\"") // no newline at its end
	p := mustStart(t, setup{dir: dir, wrap: []string{"sh", "-c", `exec "$0" "$@" --rules "$RULES"`}, env: []string{"RULES=" + folder}})
	s := &shell{t, p, dir}
	s.want("rules list", "by files", "they come from the files in "+folder, "slow-spring", "night")
	live := put(t, t.TempDir(), "live.toml", springRule("off"))
	for _, command := range []string{"rules apply --yes " + live, "rules rollback --yes 0"} {
		if status, out := s.run(command); status != exitFailed || !strings.Contains(out, "the rules come from the files in "+folder) {
			t.Errorf("%s: status %d: %s", command, status, out)
		}
	}
	hangup := func(text string) {
		p.cmd.Process.Signal(syscall.SIGHUP)
		waitFor(t, func() bool { _, out := s.run("rules list"); return strings.Contains(out, text) })
	}
	put(t, folder, "20-night.toml", "[[rule]]\nname = \"night\"\nthen = \"quite('22:00', '07:00')\"\n")
	hangup("PROBLEM: ")
	s.want("rules list", "version 1, ", "20-night.toml:3:14", "night")
	if status, out := s.run("status"); status != exitFailed || !strings.Contains(out, "are not in force, those before are") {
		t.Errorf("status %d: %s", status, out)
	}
	put(t, folder, "20-night.toml", "# none\n")
	hangup("version 2, ")
	if status, out := s.run("status"); status != exitDone {
		t.Errorf("status %d: %s", status, out)
	}
	for _, name := range []string{"10-spring.toml", "20-night.toml"} {
		os.Remove(filepath.Join(folder, name))
	}
	hangup("has no *.toml file")
	s.want("rules list", "version 2, ", "slow-spring")
	if err := p.terminate(); err != nil {
		t.Errorf("it stopped with %v\n%s", err, p.log)
	}
}

// Every variable and every verdict is in the manual, and nothing else is.
func TestRulesDocument(t *testing.T) {
	text := readDoc(t, "rules.md")
	variables, ok := docSection(text, "variables")
	if !ok {
		t.Fatal("rules.md has no section on variables")
	}
	for _, v := range rules.Variables() {
		row := "| `" + v.Name + "` | " + v.Type + " | " + v.Doc + " |\n"
		if !strings.Contains(variables, row) {
			t.Errorf("docs/rules.md does not have %s", row)
		}
		variables = strings.Replace(variables, row, "", 1)
	}
	if strings.Contains(variables, "| `") {
		t.Errorf("docs/rules.md has variables that there are not:\n%s", variables)
	}
	verdicts, _ := docSection(text, "verdicts")
	for k := rules.Allow; k <= rules.Tag; k++ {
		if !strings.Contains(verdicts, "| `"+k.String()) {
			t.Errorf("docs/rules.md does not have the verdict %s", k)
		}
	}
	for line := range strings.Lines(verdicts) {
		if row, ok := strings.CutPrefix(line, "| `"); ok {
			then, _, _ := strings.Cut(row, "`")
			checkRule(t, "[[rule]]\nname = \"a\"\nthen = \""+then+"\"\n")
		}
	}
	example, _ := docSection(text, "a-rule")
	var lines []string
	for line := range strings.Lines(example) {
		if code, ok := strings.CutPrefix(line, "    "); ok {
			lines = append(lines, code)
		}
	}
	checkRule(t, strings.Join(lines, ""))
}

func checkRule(t *testing.T, text string) {
	t.Helper()
	if _, err := (&ruleText{[]ruleFile{{"rules.md", text}}}).compile(); err != nil {
		t.Errorf("the manual's rule is wrong: %v\n%s", err, text)
	}
}
