package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// masks hide what differs from run to run in the README's output.
var masks = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`[0-9A-HJKMNP-TV-Z]{26}`), "ULID"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`), "TIME"},
}

func masked(s string) string {
	for _, m := range masks {
		s = m.pattern.ReplaceAllString(s, m.with)
	}
	return strings.TrimSpace(s)
}

// TestReadme runs the session that README.md shows and compares what is
// printed. `swaks` is played by our own client.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &shell{t, startProcess(t, dir, nil), dir}
	ran := 0
	for _, block := range consoleBlocks(string(text)) {
		for _, part := range strings.Split("\n"+block, "\n$ ")[1:] {
			command, want, _ := strings.Cut(part, "\n")
			if got := masked(s.readme(command)); got != masked(want) {
				t.Errorf("README.md shows for `%s`:\n%s\nand a real run prints:\n%s", command, masked(want), got)
			}
			ran++
		}
	}
	if ran < 4 {
		t.Errorf("only %d commands of README.md were run", ran)
	}
}

func consoleBlocks(text string) []string {
	var blocks []string
	for _, part := range strings.Split(text, "```console\n")[1:] {
		block, _, _ := strings.Cut(part, "\n```")
		blocks = append(blocks, block)
	}
	return blocks
}

// readme runs one command of the README and returns what it prints.
func (s *shell) readme(command string) string {
	s.t.Helper()
	if args, ok := strings.CutPrefix(command, "swaks "); ok {
		return s.swaks(args)
	}
	_, out := s.run(strings.TrimPrefix(command, "tidepost "))
	return out
}

var swaksArg = regexp.MustCompile(`--(\S+) ('[^']*'|\S+)`)

// swaks submits as the README's swaks command says and returns the reply that
// swaks shows. It waits until the message is captured.
func (s *shell) swaks(args string) string {
	s.t.Helper()
	header, from, to := "", "", ""
	for _, m := range swaksArg.FindAllStringSubmatch(args, -1) {
		switch value := strings.Trim(m[2], "'"); m[1] {
		case "from":
			from = value
		case "to":
			to = value
		case "h-Subject":
			header += "Subject: " + value + "\r\n"
		case "add-header":
			header += value + "\r\n"
		}
	}
	c, err := dialSMTP(s.p.smtp)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.close()
	for _, step := range [][2]string{{"MAIL FROM:<" + from + ">", "250"}, {"RCPT TO:<" + to + ">", "250"}, {"DATA", "354"}} {
		if err := c.do(step[0], step[1]); err != nil {
			s.t.Fatal(err)
		}
	}
	c.conn.Write([]byte("From: <" + from + ">\r\nTo: <" + to + ">\r\n" + header + "\r\nThis is a test mailing\r\n.\r\n"))
	reply, err := c.reply("250")
	if err != nil {
		s.t.Fatal(err)
	}
	waitFor(s.t, func() bool {
		_, out := s.run("queue list --state captured --count")
		return strings.HasSuffix(out, "1\n")
	})
	return "<-  " + reply
}
