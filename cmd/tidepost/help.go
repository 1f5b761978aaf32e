package main

import (
	"embed"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"
)

// docs is the manual.
//
//go:embed docs
var docs embed.FS

type helpCmd struct {
	Topic string `arg:"" optional:"" help:"A topic, or a section of one like runbook#bus-behind." placeholder:"TOPIC"`
}

// Run prints a topic of the manual, or lists the topics.
func (h *helpCmd) Run(a *app) error {
	topics, err := helpTopics()
	if err != nil {
		return err
	}
	if h.Topic == "" {
		return listTopics(a.Stdout, topics)
	}
	name, section, _ := strings.Cut(h.Topic, "#")
	file, ok := topics[name]
	if !ok {
		return usagef("help %s: no such topic%s; `tidepost help` lists them", name, didYouMean(name, topicNames(topics), " "))
	}
	text, err := docs.ReadFile(file)
	if err != nil {
		return err
	}
	if section != "" {
		part, ok := docSection(string(text), section)
		if !ok {
			return usagef("help %s: %s has no such section", h.Topic, name)
		}
		text = []byte(part)
	}
	_, err = a.Stdout.Write(text)
	return err
}

// helpTopics maps the names of topics to their files.
func helpTopics() (map[string]string, error) {
	files, err := fs.Glob(docs, "docs/*")
	topics := map[string]string{}
	for _, f := range files {
		base := path.Base(f)
		if path.Ext(base) == ".svg" {
			continue // a picture, for the README
		}
		topics[strings.TrimSuffix(base, path.Ext(base))] = f
	}
	return topics, err
}

func topicNames(topics map[string]string) (names []string) {
	for name := range topics {
		names = append(names, name)
	}
	return names
}

// listTopics prints each topic with the first line of its text.
func listTopics(w io.Writer, topics map[string]string) error {
	t := newTable(w, "TOPIC", "WHAT IT IS")
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		text, err := docs.ReadFile(topics[name])
		if err != nil {
			return err
		}
		title, _, _ := strings.Cut(string(text), "\n")
		t.row(name, strings.TrimLeft(title, "# "))
	}
	if err := t.flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "\nRead one with `tidepost help TOPIC`. Every command explains itself with --help.")
	return err
}

// docSection cuts one section, with its subsections, out of a Markdown text.
func docSection(text, anchor string) (string, bool) {
	var out strings.Builder
	level := 0
	for line := range strings.Lines(text) {
		title := strings.TrimLeft(line, "#")
		depth := len(line) - len(title)
		if heading := depth > 0 && strings.HasPrefix(title, " "); heading {
			switch {
			case level > 0 && depth <= level:
				return out.String(), true
			case level == 0 && anchorOf(title) == anchor:
				level = depth
			}
		}
		if level > 0 {
			out.WriteString(line)
		}
	}
	return out.String(), level > 0
}

// anchorOf is a heading's name in a link: lower case, words joined by dashes.
func anchorOf(title string) string {
	var out strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(title)) {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' || r == '-':
			out.WriteRune(r)
		case r == ' ':
			out.WriteByte('-')
		}
	}
	return out.String()
}
