package templates

import (
	"errors"
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
)

// The limits of a template, in bytes but for MaxPlaces.
const (
	MaxText   = 1 << 20
	MaxPlaces = 10_000
	MaxName   = 64
	MaxValue  = 64 << 10
	MaxOutput = 8 << 20
)

// ErrTooLarge says that a template or what it renders passes a limit.
var ErrTooLarge = errors.New("too large")

// Template is a parsed text. It may be used by many goroutines at once.
type Template struct {
	HTML bool // values are escaped for HTML; fallbacks are the author's and are not

	parts []part
}

// part is literal text and then a place; the last part has no place.
type part struct {
	literal  string
	name     string
	fallback string
}

// Parse reads a template. With known names given, a place for any other name
// must have a fallback.
func Parse(text string, known ...string) (*Template, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("template of %d bytes: %w", len(text), ErrTooLarge)
	}
	t := &Template{}
	for rest := text; ; {
		literal, after, found := strings.Cut(rest, "{{")
		if !found {
			t.parts = append(t.parts, part{literal: literal})
			return t, nil
		}
		if len(t.parts) == MaxPlaces {
			return nil, fmt.Errorf("template with more than %d places: %w", MaxPlaces, ErrTooLarge)
		}
		inner, next, closed := strings.Cut(after, "}}")
		if !closed {
			return nil, fmt.Errorf("line %d: {{ without }}", lineAt(text, after))
		}
		p, err := parsePlace(literal, inner, known)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", lineAt(text, after), err)
		}
		t.parts = append(t.parts, p)
		rest = next
	}
}

// lineAt returns the line of text on which its end part rest begins.
func lineAt(text, rest string) int {
	return 1 + strings.Count(text[:len(text)-len(rest)], "\n")
}

func parsePlace(literal, inner string, known []string) (part, error) {
	name, fallback, hasFallback := strings.Cut(inner, "|")
	name = strings.TrimSpace(name)
	if !isName(name) {
		return part{}, fmt.Errorf("{{%.80s}}: want {{name}} or {{name|fallback}}", inner)
	}
	if len(known) > 0 && !hasFallback && !slices.Contains(known, name) {
		return part{}, fmt.Errorf("{{%s}}: there is no such value, and no fallback as in {{%s|friend}}", name, name)
	}
	return part{literal, name, fallback}, nil
}

func isName(s string) bool {
	if s == "" || len(s) > MaxName {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		ok := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.'
		if !ok {
			return false
		}
	}
	return true
}

// Names returns the names of the places, each once, in the text's order.
func (t *Template) Names() []string {
	var names []string
	for _, p := range t.parts {
		if p.name != "" && !slices.Contains(names, p.name) {
			names = append(names, p.name)
		}
	}
	return names
}

// Render writes the text with the values in their places. A value that is
// missing or empty is replaced by the place's fallback.
func (t *Template) Render(w io.Writer, values map[string]string) error {
	size := 0
	for _, p := range t.parts {
		value := p.fallback
		if v := values[p.name]; v != "" && p.name != "" {
			value = v
			if len(value) > MaxValue {
				return fmt.Errorf("value of %s: %w", p.name, ErrTooLarge)
			}
			if t.HTML {
				value = html.EscapeString(value)
			}
		}
		if size += len(p.literal) + len(value); size > MaxOutput {
			return fmt.Errorf("rendered text: %w", ErrTooLarge)
		}
		if _, err := io.WriteString(w, p.literal); err != nil {
			return err
		}
		if _, err := io.WriteString(w, value); err != nil {
			return err
		}
	}
	return nil
}
