package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// State is whether a rule acts.
type State uint8

// The states.
const (
	Enabled State = iota // acts
	Shadow               // is evaluated and reported, and changes nothing
	Off                  // is not evaluated
)

var stateNames = [...]string{"enabled", "shadow", "off"}

// String is the state as it is written in rules.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// MarshalText is String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// ParseState reads enabled, shadow or off; nothing is enabled.
func ParseState(s string) (State, error) {
	if s == "" {
		return Enabled, nil
	}
	if i := slices.Index(stateNames[:], s); i >= 0 {
		return State(i), nil
	}
	return Off, fmt.Errorf("state '%s': use enabled, shadow or off%s", s, suggest(s, stateNames[:]))
}

// Rule is what an admin wrote.
type Rule struct {
	Name        string // unique in a set: a-z, 0-9, - and _
	Description string
	Version     int // 1 and up; who stores rules counts it
	State       State
	When        string // CEL, a bool; empty: always
	Then        string // CEL, an action: "drop('sunset')"

	// Whose mail it is for, as patterns with * and ?; empty: all. A rule that holds,
	// drops, caps, spaces or quiets never reaches transactional mail, and triggered
	// mail only where Class spells that word out.
	Tenant, Class, Campaign []string

	ValidFrom  time.Time // zero: always was
	ValidUntil time.Time // first moment it no longer is; zero: always will be

	origin origin
}

// origin is where a rule was read, so that mistakes are reported there.
type origin struct {
	file         string
	line, column int              // of its table
	values       map[string]place // where each of its values starts
}

// globs compares a value with a rule's patterns.
func globs(patterns []string, value string) bool {
	if len(patterns) == 0 {
		return true
	}
	for _, p := range patterns {
		if glob(p, value) {
			return true
		}
	}
	return false
}

// glob reports whether the whole value fits the pattern, in which * stands for any
// text and ? for one character. It takes at most pattern × value steps.
func glob(pattern, value string) bool {
	star, mark := -1, 0
	p, v := 0, 0
	for v < len(value) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, v
			p++
		case p < len(pattern) && pattern[p] == '?':
			_, size := utf8.DecodeRuneInString(value[v:])
			p, v = p+1, v+size
		case p < len(pattern) && pattern[p] == value[v]:
			p, v = p+1, v+1
		case star >= 0:
			_, size := utf8.DecodeRuneInString(value[mark:])
			mark += size
			p, v = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// errorf makes an Error of this rule, at the value of that key or else at its table.
func (r *Rule) errorf(key, format string, args ...any) *Error {
	e := &Error{File: r.origin.file, Line: r.origin.line, Column: r.origin.column, Rule: r.Name, Message: fmt.Sprintf(format, args...)}
	if at, ok := r.origin.values[key]; ok {
		e.Line, e.Column = at.line, at.column
	}
	return e
}

// faultIn makes an Error of a place inside an expression.
func (r *Rule) faultIn(key string, f fault) *Error {
	e := r.errorf(key, "%s: %s", key, f.message)
	if f.line < 1 {
		return e
	}
	if at, ok := r.origin.values[key]; ok {
		e.Line, e.Column = at.inside(f.line, f.column)
	} else if r.origin.file == "" {
		e.Line, e.Column = f.line, f.column+1
	}
	return e
}

// check reports what is wrong with a rule besides its expressions.
func (r *Rule) check() Errors {
	var all Errors
	switch {
	case r.Name == "":
		all = append(all, r.errorf("name", "has no name: add name = \"…\""))
	case len(r.Name) > 64 || strings.Trim(r.Name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "":
		all = append(all, r.errorf("name", "name '%s': use up to 64 of a-z, 0-9, - and _", r.Name))
	}
	if r.Version < 0 {
		all = append(all, r.errorf("version", "version %d: use 1 or more", r.Version))
	}
	if !r.ValidFrom.IsZero() && !r.ValidUntil.IsZero() && !r.ValidUntil.After(r.ValidFrom) {
		all = append(all, r.errorf("valid_until", "valid_until is not after valid_from: it would never act"))
	}
	for _, class := range r.Class {
		if !reachesClass(class) {
			all = append(all, r.errorf("class", "class '%s' fits no class: use transactional, triggered, newsletter or promotional%s", class, suggest(class, classNames)))
		}
	}
	return all
}

var classNames = []string{"transactional", "triggered", "newsletter", "promotional"}

func reachesClass(pattern string) bool {
	return slices.ContainsFunc(classNames, func(c string) bool { return glob(pattern, c) })
}
