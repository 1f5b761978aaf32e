package bounce

import (
	"embed"
	"iter"
	"strings"
	"sync"
)

// The tables of phrases: a section begins with its name in brackets, a reason and a
// level but for signs.txt; then follows a phrase a line, as fold writes text.
//
//go:embed phrases/*.txt
var phraseFiles embed.FS

// tabled is a line of a table.
type tabled struct{ section, text string }

// readPhrases yields the phrases of a table. The tables are part of the program, so
// a fault in one is a fault of the program.
func readPhrases(name string) iter.Seq[tabled] {
	table, err := phraseFiles.ReadFile("phrases/" + name)
	if err != nil {
		panic(err)
	}
	return func(yield func(tabled) bool) {
		section := ""
		for line := range strings.Lines(string(table)) {
			line = strings.TrimSpace(line)
			switch {
			case line == "" || line[0] == '#':
			case line[0] == '[':
				section = strings.Trim(line, "[]")
			default:
				if !yield(tabled{section, line}) {
					return
				}
			}
		}
	}
}

// phraseTables are those whose phrases tell a reason.
var phraseTables = []string{"address.txt", "mail.txt", "sender.txt", "route.txt", "foreign.txt"}

var levelNames = map[string]level{"vague": vague, "clear": clear, "firm": firm}

// phrasebook is what servers write, with what it tells. It is made when the first
// mail is read: few processes read any.
var phrasebook = sync.OnceValue(func() *matcher {
	m := &matcher{}
	for _, name := range phraseTables {
		for p := range readPhrases(name) {
			reason, level, _ := strings.Cut(p.section, " ")
			m.add(Reason(reason), levelNames[level], p.text)
		}
	}
	return m
})
