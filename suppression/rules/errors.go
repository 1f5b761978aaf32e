package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Error is one thing wrong with a rule, where, and what to do about it.
type Error struct {
	File         string // empty: the rule did not come from a file
	Line, Column int    // in File, from 1; without File in the expression; 0: the rule as a whole
	Rule         string // its name; empty: none was read yet
	Message      string
}

// Error is "rules/a.toml:3:12: rule sunset: undeclared reference to 'mesage'
// (did you mean 'message'?)".
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File + ":")
	}
	if e.Line > 0 {
		fmt.Fprintf(&b, "%d:%d:", e.Line, e.Column)
	}
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	if e.Rule != "" {
		b.WriteString("rule " + e.Rule + ": ")
	}
	return b.String() + e.Message
}

// Errors is everything wrong with the rules, in order of place. It is never empty
// where it is returned as an error.
type Errors []*Error

// Error is one line for each.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// err is nil for no errors.
func (e Errors) err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// suggest is " (did you mean 'x'?)" with the candidate nearest to the word, or
// nothing if none is near.
func suggest(word string, candidates []string) string {
	best, least := "", len(word)/3+2
	for _, c := range candidates {
		if d := distance(word, c); d < least {
			best, least = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean '%s'?)", best)
}

// distance is how many letters must be added, removed, replaced or swapped with
// their neighbour to make b of a.
func distance(a, b string) int {
	rows := [3][]int{}
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
	}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := range len(a) {
		before, last, row := rows[0], rows[1], rows[2]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		rows[0], rows[1], rows[2] = last, row, before
	}
	return rows[1][len(b)]
}

var (
	undefinedField  = regexp.MustCompile(`^undefined field '([^']*)'$`)
	noOverload      = regexp.MustCompile(`^found no matching overload for '([^']*)' applied to '\((.*)\)'$`)
	undeclared      = regexp.MustCompile(`^undeclared reference to '([^']*)'`)
	arithmeticNames = []string{"_+_", "_-_", "_*_", "_/_", "_%_"}
)

// remedy completes a message of the CEL checker, which does not know our fields.
func remedy(message string, names []string) string {
	message = strings.ReplaceAll(message, " (in container '')", "")
	if m := undefinedField.FindStringSubmatch(message); m != nil {
		return message + suggest(m[1], names)
	}
	if m := undeclared.FindStringSubmatch(message); m != nil && !strings.Contains(message, "did you mean") {
		return message + suggest(m[1], names)
	}
	if m := noOverload.FindStringSubmatch(message); m != nil {
		if slices.Contains(arithmeticNames, m[1]) && strings.Contains(m[2], "double") && strings.Contains(m[2], "int") {
			return message + ": write the whole number with a decimal point, 2.0"
		}
		if strings.Contains(m[2], "age") {
			return message + ": compare an age with a duration, like mailbox.last_click > days(180)"
		}
	}
	return message
}
