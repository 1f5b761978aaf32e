package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what is read.
const (
	maxBody  = 1 << 20 // bytes of a JSON body
	maxDepth = 32      // of its nesting
)

// writeJSON writes a document in which nothing can move a cursor or turn the
// direction of writing.
func writeJSON(w http.ResponseWriter, status int, kind string, v any) {
	doc, err := json.Marshal(v)
	if err != nil { // none of our types can fail
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	w.Write(append(escape(doc), '\n'))
}

// escape writes characters that a terminal or a page obeys as JSON escapes. They
// stand in strings alone, so that the document means the same.
func escape(doc []byte) []byte {
	if bytes.IndexFunc(doc, unsafeRune) < 0 {
		return doc
	}
	var b bytes.Buffer
	for _, r := range string(doc) {
		if unsafeRune(r) {
			fmt.Fprintf(&b, `\u%04x`, r) // all of them are below U+10000
			continue
		}
		b.WriteRune(r)
	}
	return b.Bytes()
}

// mark makes text fit for a sentence: such characters are shown, not obeyed.
func mark(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, unsafeRune) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case !unsafeRune(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func unsafeRune(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// shorten cuts text to about n bytes, at a character.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// decode reads the body into v: one JSON value without fields we do not know,
// fields said twice or anything behind it.
func (c *call) decode(v any) error {
	doc, err := io.ReadAll(http.MaxBytesReader(c.w, c.Body, maxBody))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return &Problem{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("a body may have %d bytes", maxBody), Remedy: "send less at a time"}
		}
		return invalid("body", "cannot be read: "+err.Error(), "send it again")
	}
	if len(doc) == 0 {
		return invalid("body", "is missing", "send a JSON object")
	}
	if kind, _, err := mime.ParseMediaType(c.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &Problem{Status: http.StatusUnsupportedMediaType, Detail: "the body is not said to be JSON",
			Field: "Content-Type", Remedy: "send Content-Type: application/json"}
	}
	if err := checkJSON(doc); err != nil {
		return invalid("body", "is no JSON of ours: "+err.Error(), "send one JSON object that says each thing once")
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return badJSON(err)
	}
	return nil
}

// decodeNothing reads the body of a request that has nothing to say.
func (c *call) decodeNothing() error {
	if c.ContentLength == 0 {
		return nil
	}
	return c.decode(&struct{}{})
}

// badJSON names the field of what could not be decoded.
func badJSON(err error) *Problem {
	text := strings.TrimPrefix(err.Error(), "json: ")
	if name, ok := strings.CutPrefix(text, "unknown field "); ok {
		return invalid(strings.Trim(name, `"`), "is no field here", "leave it out; `tidepost help api` lists the fields")
	}
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return invalid(kind.Field, "is a "+kind.Value, "write a "+kind.Type.String())
	}
	return invalid("body", "cannot be read: "+text, "write what `tidepost help api` shows")
}

// checkJSON reports what encoding/json would let through: names said twice,
// values behind the first, nesting without end.
func checkJSON(doc []byte) error {
	d := json.NewDecoder(bytes.NewReader(doc))
	var stack []*jsonLevel
	for n := 0; ; n++ {
		t, err := d.Token()
		switch {
		case err == io.EOF && len(stack) > 0:
			return io.ErrUnexpectedEOF
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		if n > 0 && len(stack) == 0 {
			return errors.New("there is something behind the first value")
		}
		if stack, err = nest(stack, t); err != nil {
			return err
		}
	}
}

// jsonLevel is an object or array that is being read.
type jsonLevel struct {
	names map[string]bool // nil: an array
	value bool            // the next token of an object is a value
}

func nest(stack []*jsonLevel, t json.Token) ([]*jsonLevel, error) {
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
		stack = append(stack, &jsonLevel{names: map[string]bool{}})
	case json.Delim('['):
		stack = append(stack, &jsonLevel{})
	}
	if len(stack) > maxDepth {
		return nil, fmt.Errorf("it is nested more than %d deep", maxDepth)
	}
	return stack, nil
}

// take notes the token of a level: in an object a name, then its value.
func (l *jsonLevel) take(t json.Token) error {
	if l.names == nil {
		return nil
	}
	if l.value {
		l.value = false
		return nil
	}
	text, _ := t.(string)
	name := strings.ToLower(text) // as encoding/json matches them
	if l.names[name] {
		return fmt.Errorf("%q is said twice", name)
	}
	l.names[name], l.value = true, true
	return nil
}
