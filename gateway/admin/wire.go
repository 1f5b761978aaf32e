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
	"tidepost/gateway/strict"
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
	if err := strict.Check(doc, strict.Limits{Depth: maxDepth}); err != nil {
		return invalid("body", err.Error(), "send one JSON object that says each thing once")
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
