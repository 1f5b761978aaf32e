// Package strict checks JSON that comes from outside for what encoding/json would
// let through or pay dearly for: nesting and lists without end, names said twice,
// and anything behind the first value.
package strict

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Limits bound a document; 0 is none.
type Limits struct {
	Depth int // of nesting
	List  int // elements of a list
}

// Fault is what is wrong with a document.
type Fault struct {
	Problem string // after the document's name: "is cut off"
	Remedy  string
	Large   bool  // it passes a limit on lists
	Err     error // of encoding/json, where that could not read it
}

func (f *Fault) Error() string { return f.Problem }

// Unwrap returns what encoding/json said.
func (f *Fault) Unwrap() error { return f.Err }

// level is an object or array that is being read.
type level struct {
	names  map[string]bool // nil: an array
	value  bool            // the next token of an object is a value
	length int             // of an array, so far
}

// checker walks over the tokens of one document.
type checker struct {
	limits Limits
	stack  []*level
}

// Check returns a *Fault, or nil for one whole value within the limits.
func Check(doc []byte, limits Limits) error {
	d := json.NewDecoder(bytes.NewReader(doc))
	c := checker{limits: limits}
	for n := 0; ; n++ {
		t, err := d.Token()
		switch {
		case err == io.EOF && len(c.stack) == 0 && n > 0:
			return nil
		case err == io.EOF:
			return &Fault{Problem: "is cut off", Remedy: "send all of it"}
		case err != nil:
			return &Fault{Problem: "is no JSON: " + err.Error(), Remedy: "send JSON", Err: err}
		case n > 0 && len(c.stack) == 0:
			return &Fault{Problem: "has something behind its end", Remedy: "send one JSON value"}
		}
		if fault := c.take(t); fault != nil {
			return fault
		}
	}
}

func (c *checker) take(t json.Token) *Fault {
	switch t {
	case json.Delim('}'), json.Delim(']'):
		c.stack = c.stack[:len(c.stack)-1]
		return nil
	}
	if len(c.stack) > 0 {
		if fault := c.stack[len(c.stack)-1].take(t, c.limits.List); fault != nil {
			return fault
		}
	}
	switch t {
	case json.Delim('{'):
		c.stack = append(c.stack, &level{names: map[string]bool{}})
	case json.Delim('['):
		c.stack = append(c.stack, &level{})
	}
	if c.limits.Depth > 0 && len(c.stack) > c.limits.Depth {
		return &Fault{Problem: fmt.Sprintf("is nested more than %d deep", c.limits.Depth), Remedy: "nest less"}
	}
	return nil
}

// take notes one token of a level: in an object a name, then its value.
func (l *level) take(t json.Token, most int) *Fault {
	if l.names == nil {
		if l.length++; most > 0 && l.length > most {
			return &Fault{Problem: fmt.Sprintf("has a list of more than %d", most), Remedy: "send several", Large: true}
		}
		return nil
	}
	if l.value {
		l.value = false
		return nil
	}
	text, _ := t.(string)
	name := strings.ToLower(text) // as encoding/json matches them
	if l.names[name] {
		return &Fault{Problem: fmt.Sprintf("says %q twice", shorten(text)), Remedy: "say it once"}
	}
	l.names[name], l.value = true, true
	return nil
}

// shorten cuts a name for an error.
func shorten(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
