package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"tidepost/gateway"
	"tidepost/scheduler"
)

// lineType is what a line of replay's input tells.
type lineType uint8

const (
	lineNone lineType = iota
	lineMessage
	lineSignal
	lineMailbox
	lineAdvance
)

// replayLine is one line of replay's input. Its texts lie in the line itself, and
// die with it.
type replayLine struct {
	Number    int // in the input, from 1
	Type      lineType
	At        time.Time
	ID        []byte
	Mailbox   []byte
	Tenant    []byte
	List      []byte
	Campaign  []byte
	Supersede []byte
	Message   []byte
	Class     gateway.Class
	HasClass  bool
	Aim       scheduler.Aim
	Window    time.Duration
	HalfLife  time.Duration
	NotBefore time.Time
	Deadline  time.Time
	Value     float32
	Priority  int8

	Kind  scheduler.Kind
	Human float32
	Soft  bool // a bounce that will pass

	Zone       []byte
	HasKind    bool
	Attributes []byte // JSON
}

// fieldError is a field of a line that cannot be used.
type fieldError struct {
	field string
	err   error
}

func (e fieldError) Error() string { return e.field + ": " + e.err.Error() }

// parse reads a line. Plain ones, flat and without escapes, are read here; all
// others, and all errors, by encoding/json.
func (l *replayLine) parse(line []byte) error {
	*l = replayLine{Human: 1}
	if l.scan(line) && l.check() == nil {
		return nil
	}
	return l.parseSlowly(line)
}

// parseSlowly reads any line, or says what is wrong with it.
func (l *replayLine) parseSlowly(line []byte) error {
	*l = replayLine{Human: 1}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return notJSON(line, err)
	}
	if fields == nil {
		return errors.New("want a JSON object")
	}
	for _, name := range replayFields {
		raw, ok := fields[name]
		if !ok {
			continue
		}
		v := value{'{', raw}
		switch c := raw[0]; {
		case c == '"':
			var s string
			if err := json.Unmarshal(raw, &s); err != nil {
				return fieldError{name, err}
			}
			v = value{'"', []byte(s)}
		case c == '-' || c >= '0' && c <= '9':
			v.kind = '0'
		case c == 't' || c == 'f' || c == 'n':
			v.kind = c
		}
		if err := l.set(name, v); err != nil {
			return fieldError{name, err}
		}
	}
	return l.check()
}

func notJSON(line []byte, err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("not JSON: %w, at byte %d", err, syntax.Offset)
	}
	if trimmed := bytes.TrimSpace(line); len(trimmed) > 0 && trimmed[0] != '{' {
		return errors.New("want a JSON object")
	}
	return fmt.Errorf("not JSON: %w", err)
}

// replayFields are the fields that are read, in the order in which they are
// complained about.
var replayFields = []string{"type", "at", "id", "mailbox", "tenant", "campaign", "class", "list", "window", "not_before",
	"deadline", "value", "half_life", "supersede", "aim", "priority", "kind", "message", "human", "hard", "timezone", "attributes"}

// scan reads a plain line: one flat object whose strings have no escapes. It
// reports whether it could.
func (l *replayLine) scan(b []byte) bool {
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != '{' {
		return false
	}
	if i = skipSpace(b, i+1); i < len(b) && b[i] == '}' {
		return skipSpace(b, i+1) == len(b)
	}
	for {
		name, next := plainString(b, i)
		if next < 0 {
			return false
		}
		if i = skipSpace(b, next); i >= len(b) || b[i] != ':' {
			return false
		}
		v, next := plainValue(b, skipSpace(b, i+1))
		if next < 0 || l.set(string(name), v) != nil {
			return false
		}
		if i = skipSpace(b, next); i >= len(b) {
			return false
		}
		if b[i] == '}' {
			return skipSpace(b, i+1) == len(b)
		}
		if b[i] != ',' {
			return false
		}
		i = skipSpace(b, i+1)
	}
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

// plainString returns the string that begins at i and the place behind it, or -1.
func plainString(b []byte, i int) ([]byte, int) {
	if i >= len(b) || b[i] != '"' {
		return nil, -1
	}
	wide := false
	for j := i + 1; j < len(b); j++ {
		switch c := b[j]; {
		case c == '"':
			if text := b[i+1 : j]; !wide || utf8.Valid(text) {
				return text, j + 1
			}
			return nil, -1
		case c == '\\' || c < ' ':
			return nil, -1
		case c >= utf8.RuneSelf:
			wide = true
		}
	}
	return nil, -1
}

// plainValue returns the value that begins at i and the place behind it, or -1.
func plainValue(b []byte, i int) (value, int) {
	if i >= len(b) {
		return value{}, -1
	}
	switch c := b[i]; {
	case c == '"':
		text, next := plainString(b, i)
		return value{'"', text}, next
	case c == 't':
		return word(b, i, "true")
	case c == 'f':
		return word(b, i, "false")
	case c == 'n':
		return word(b, i, "null")
	case c >= '0' && c <= '9':
		return plainNumber(b, i)
	}
	return value{}, -1
}

func word(b []byte, i int, w string) (value, int) {
	if len(b)-i < len(w) || string(b[i:i+len(w)]) != w {
		return value{}, -1
	}
	return value{w[0], b[i : i+len(w)]}, i + len(w)
}

// plainNumber reads digits with at most a fraction behind them.
func plainNumber(b []byte, i int) (value, int) {
	j := digits(b, i)
	if j-i > 1 && b[i] == '0' {
		return value{}, -1
	}
	if j < len(b) && b[j] == '.' {
		end := digits(b, j+1)
		if end == j+1 {
			return value{}, -1
		}
		j = end
	}
	if j < len(b) && (b[j] == 'e' || b[j] == 'E') {
		return value{}, -1
	}
	return value{'0', b[i:j]}, j
}

func digits(b []byte, i int) int {
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	return i
}

// set takes in one field. null is as if it were not there; fields that are not
// known are not looked at.
func (l *replayLine) set(name string, v value) (err error) {
	switch name {
	case "at":
		l.At, err = v.time()
	case "type":
		l.Type, err = v.lineType()
	case "id":
		l.ID, err = v.string()
	case "mailbox":
		l.Mailbox, err = v.string()
	case "tenant":
		l.Tenant, err = v.string()
	case "list":
		l.List, err = v.string()
	case "campaign":
		l.Campaign, err = v.string()
	case "supersede":
		l.Supersede, err = v.string()
	case "message":
		l.Message, err = v.string()
	case "class":
		l.Class, l.HasClass, err = v.class()
	case "aim":
		l.Aim, err = v.aim()
	case "window":
		l.Window, err = v.duration()
	case "half_life":
		l.HalfLife, err = v.duration()
	case "not_before":
		l.NotBefore, err = v.time()
	case "deadline":
		l.Deadline, err = v.time()
	case "value":
		l.Value, err = v.worth()
	case "priority":
		l.Priority, err = v.priority()
	case "kind":
		l.Kind, l.HasKind, err = v.signal()
	case "human":
		l.Human, err = v.human()
	case "hard":
		l.Soft, err = v.soft()
	case "timezone":
		l.Zone, err = v.string()
	case "attributes":
		l.Attributes, err = v.object()
	}
	return err
}

// check looks for what a line of its type cannot do without.
func (l *replayLine) check() error {
	missing := ""
	switch {
	case l.Type == lineNone:
		missing = "type"
	case l.At.IsZero():
		missing = "at"
	case l.Type != lineAdvance && len(l.Mailbox) == 0:
		missing = "mailbox"
	case l.Type == lineMessage && len(l.ID) == 0:
		missing = "id"
	case l.Type == lineSignal && !l.HasKind:
		missing = "kind"
	default:
		return nil
	}
	return fieldError{missing, errors.New("is missing")}
}
