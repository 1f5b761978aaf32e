package feedback

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// level is an object or array that is being read.
type level struct {
	names  map[string]bool // nil: an array
	value  bool            // the next token of an object is a value
	length int             // of an array, so far
}

// check reports what encoding/json would let through or pay dearly for: nesting
// and lists without end, names said twice, and anything behind the first value.
func check(doc []byte) error {
	d := json.NewDecoder(bytes.NewReader(doc))
	var stack []*level
	for n := 0; ; n++ {
		t, err := d.Token()
		switch {
		case err == io.EOF && len(stack) == 0 && n > 0:
			return nil
		case err == io.EOF:
			return &PayloadError{Problem: "is cut off", Remedy: "send all of it"}
		case err != nil:
			return unreadable("", err)
		}
		if n > 0 && len(stack) == 0 {
			return &PayloadError{Problem: "has something behind its end", Remedy: "send one JSON value"}
		}
		if stack, err = nest(stack, t); err != nil {
			return err
		}
	}
}

func nest(stack []*level, t json.Token) ([]*level, error) {
	switch t {
	case json.Delim('}'), json.Delim(']'):
		return stack[:len(stack)-1], nil
	}
	if len(stack) > 0 {
		if err := stack[len(stack)-1].take(t); err != nil {
			return nil, err
		}
	}
	switch t {
	case json.Delim('{'):
		stack = append(stack, &level{names: map[string]bool{}})
	case json.Delim('['):
		stack = append(stack, &level{})
	}
	if len(stack) > maxDepth {
		return nil, &PayloadError{Problem: fmt.Sprintf("is nested more than %d deep", maxDepth)}
	}
	return stack, nil
}

// take notes one token of a level: in an object a name, then its value.
func (l *level) take(t json.Token) error {
	if l.names == nil {
		if l.length++; l.length > MaxSignals {
			return &PayloadError{Problem: fmt.Sprintf("has a list of more than %d", MaxSignals), Remedy: "send several", TooMany: true}
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
		return &PayloadError{Problem: fmt.Sprintf("says %q twice", shorten(text)), Remedy: "say it once"}
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
