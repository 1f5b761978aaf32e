package bounce

import (
	"bytes"
	"mime"
	"strings"
)

// Bounds of a mail's structure.
const (
	maxDepth = 8   // multiparts and messages within each other
	maxParts = 200 // leaves
)

// part is a leaf of a mail: a body with the header before it.
type part struct {
	header header
	kind   string // media type in lower case
	params map[string]string
	body   []byte // still in its transfer encoding
}

// leaves takes a body apart into its leaves; an enclosed message is one of them.
// Every level of nesting reads the body once.
func leaves(h header, body []byte) []part {
	var out []part
	split(h, body, 0, &out)
	return out
}

func split(h header, body []byte, depth int, out *[]part) {
	kind, params := mediaType(h.get("content-type"))
	boundary := params["boundary"]
	if strings.HasPrefix(kind, "multipart/") && boundary != "" && depth < maxDepth {
		found := false
		for chunk := range chunks(body, boundary) {
			found = true
			if len(*out) >= maxParts {
				return
			}
			inner, rest := readHeader(chunk)
			split(inner, rest, depth+1, out)
		}
		if found {
			return
		}
	}
	if strings.HasPrefix(kind, "multipart/") {
		kind = "text/plain" // without its boundary, words are what is left
	}
	*out = append(*out, part{h, kind, params, body})
}

// chunks yields what lies between the delimiter lines of a multipart (RFC 2046
// §5.1.1). The last delimiter may be missing.
func chunks(body []byte, boundary string) func(yield func([]byte) bool) {
	delimiter := []byte("--" + boundary)
	return func(yield func([]byte) bool) {
		start := -1
		for at := 0; at < len(body); {
			i := bytes.Index(body[at:], delimiter)
			if i < 0 {
				break
			}
			i += at
			end := i + len(delimiter)
			line, rest := cutLine(body[end:])
			at = len(body) - len(rest)
			last := bytes.HasPrefix(line, []byte("--"))
			if i > 0 && body[i-1] != '\n' || !last && !blank(line) {
				continue // within a line, or the delimiter of another that begins like it
			}
			if start >= 0 && !yield(body[start:max(start, i)]) {
				return
			}
			start = at
			if last {
				return
			}
		}
		if start >= 0 {
			yield(body[start:])
		}
	}
}

// mediaType reads a Content-Type; one that breaks the grammar is read as far as it
// makes sense. Without one, a body is text (RFC 2045 §5.2).
func mediaType(s string) (kind string, params map[string]string) {
	if s == "" {
		return "text/plain", nil
	}
	kind, params, err := mime.ParseMediaType(s)
	if err == nil {
		return kind, params
	}
	kind, rest, _ := strings.Cut(s, ";")
	params = map[string]string{}
	for p := range strings.SplitSeq(rest, ";") {
		name, value, _ := strings.Cut(p, "=")
		value, _, _ = strings.Cut(strings.TrimPrefix(strings.TrimSpace(value), `"`), `"`)
		params[strings.ToLower(strings.TrimSpace(name))] = value
	}
	if words := strings.Fields(kind); len(words) > 0 {
		kind = words[0]
	}
	return strings.ToLower(kind), params
}

// content is the body without transfer encoding, at most limit bytes of it.
func (p *part) content(limit int) []byte {
	switch strings.ToLower(strings.TrimSpace(p.header.get("content-transfer-encoding"))) {
	case "base64":
		return decodeBase64(p.body, limit)
	case "quoted-printable":
		return decodeQuoted(p.body, limit)
	}
	return p.body[:min(len(p.body), limit)]
}

// text is the content in UTF-8.
func (p *part) text(limit int) string {
	return toUTF8(p.content(limit), p.params["charset"])
}
