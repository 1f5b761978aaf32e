package content

import (
	"bytes"
	"slices"

	"golang.org/x/net/html"
)

// optOut is the attribute by which the maker of a mail keeps us from a link:
// <a data-tidepost="off" href="…">.
const optOut = "data-tidepost"

// edit replaces a run of a part's text by one of the addresses that are made
// when all links of the mail are known.
type edit struct {
	start, end int    // with the quotes, where there are any
	quote      string // around the address
	address    int    // which one
}

// block is the number of what stands at the end of the HTML: pixel and hidden
// link. The links have the numbers from 1.
const block = 0

// scan notes what is to be changed in a part. It walks over tokens, never over
// a tree: what lies between the edits leaves byte for byte, however broken it
// is. Scripts, styles, comments (with them what is for Outlook alone), CDATA and
// the like are single tokens, into which nobody looks.
func (m *marker) scan(p *page, last bool) {
	z := html.NewTokenizer(bytes.NewReader(p.text))
	z.AllowCDATA(true)
	at, tail := 0, -1
	for m.anchors <= maxLinks {
		kind := z.Next()
		if kind == html.ErrorToken {
			break // at is before a tag without an end, which is no place for a block
		}
		raw := p.text[at : at+len(z.Raw())]
		switch {
		case kind == html.EndTagToken && isBodyEnd(raw):
			tail = at
		case kind != html.StartTagToken && kind != html.SelfClosingTagToken:
		case m.Links && toLower(raw[1]) == 'a':
			m.anchor(p, z, raw, at)
		}
		at += len(raw)
	}
	if tail < 0 {
		tail = at
	}
	if last && (m.Pixel || m.Hidden) {
		i, _ := slices.BinarySearchFunc(p.edits, tail, func(e edit, at int) int { return e.start - at })
		p.edits = slices.Insert(p.edits, i, edit{start: tail, end: tail, address: block})
	}
}

func isBodyEnd(tag []byte) bool {
	const name = "</body"
	return len(tag) > len(name) && equalFold(tag[:len(name)], name) && (tag[len(name)] == '>' || isHTMLSpace(tag[len(name)]))
}

// anchor notes the link of an <a> or <area>.
func (m *marker) anchor(p *page, z *html.Tokenizer, raw []byte, at int) {
	name, more := z.TagName()
	if !more || string(name) != "a" && string(name) != "area" {
		return
	}
	var href []byte
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		switch {
		case string(key) == "href":
			href = value
		case string(key) == optOut && bytes.EqualFold(bytes.TrimSpace(value), []byte("off")):
			return
		}
	}
	value, ok := findHref(raw, 1+len(name))
	if !ok || !sameValue(raw[value.start:value.end], href) {
		return
	}
	target, ok := m.target(p, raw[value.start:value.end], href)
	if !ok {
		return
	}
	e := edit{start: at + value.start, end: at + value.end, address: m.number(target)}
	if q := raw[value.start-1]; value.end < len(raw) && raw[value.end] == q && (q == '"' || q == '\'') {
		e.start, e.end, e.quote = e.start-1, e.end+1, string(q)
	}
	p.edits = append(p.edits, e)
	m.anchors++
}

// number returns the number of a target: from 1, the same for the same target.
func (m *marker) number(target string) int {
	n, ok := m.numbers[target]
	if !ok {
		if m.numbers == nil {
			m.numbers = make(map[string]int)
		}
		m.targets = append(m.targets, target)
		n = len(m.targets)
		m.numbers[target] = n
	}
	return n
}

// sameValue holds what the tokenizer read against where we found it. It decodes
// character references and line ends; without either the two must be the same.
func sameValue(raw, value []byte) bool {
	return bytes.ContainsAny(raw, "&\r") || bytes.Equal(raw, value)
}

// findHref returns where the value of the first href stands in a tag: the same
// states as in the tokenizer, which does not tell (HTML §13.2.5.32 to 40).
func findHref(tag []byte, i int) (value span, ok bool) {
	for {
		for i < len(tag) && (isHTMLSpace(tag[i]) || tag[i] == '/') {
			i++
		}
		if i >= len(tag) || tag[i] == '>' {
			return span{}, false
		}
		name := i
		for i++; i < len(tag) && tag[i] != '=' && tag[i] != '/' && tag[i] != '>' && !isHTMLSpace(tag[i]); i++ {
		}
		isHref := i-name == len("href") && equalFold(tag[name:i], "href")
		for i < len(tag) && isHTMLSpace(tag[i]) {
			i++
		}
		if i >= len(tag) || tag[i] != '=' {
			if isHref {
				return span{}, false // it has no value
			}
			continue
		}
		for i++; i < len(tag) && isHTMLSpace(tag[i]); i++ {
		}
		value, i = valueAt(tag, i)
		if isHref {
			return value, true
		}
	}
}

// valueAt returns where the value stands that begins at i, and what follows it.
func valueAt(tag []byte, i int) (value span, next int) {
	if i < len(tag) && (tag[i] == '"' || tag[i] == '\'') {
		end := bytes.IndexByte(tag[i+1:], tag[i])
		if end < 0 {
			return span{i + 1, len(tag)}, len(tag)
		}
		return span{i + 1, i + 1 + end}, i + 2 + end
	}
	start := i
	for i < len(tag) && tag[i] != '>' && !isHTMLSpace(tag[i]) {
		i++
	}
	return span{start, i}, i
}

func isHTMLSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'
}

// maxLine is how long a line may be in a mail without its line end (RFC 5322
// §2.1.1).
const maxLine = 998

// appendMarked appends a part's text with its edits made. In a part without a
// transfer encoding a line that would become too long is broken beside the
// address, where white space means nothing to HTML.
func (p *page) appendMarked(dst []byte, addresses []string) []byte {
	bounded := p.encoding == identity
	at, column := 0, 0
	for i, e := range p.edits {
		dst = append(dst, p.text[at:e.start]...)
		column = columnAfter(column, p.text[at:e.start])
		at = e.end
		if e.address == block {
			dst, column = appendBlock(dst, addresses[block], column)
			continue
		}
		address := addresses[e.address]
		n := len(address) + 2*len(e.quote)
		broken := false
		if bounded {
			next := len(p.text)
			if i+1 < len(p.edits) {
				next = p.edits[i+1].start
			}
			broken = column+n+untilLineEnd(p.text[at:next]) > maxLine
		}
		if broken {
			dst, column = append(dst, "\r\n"...), 0
		}
		dst = append(append(append(dst, e.quote...), address...), e.quote...)
		column += n
		if broken {
			dst, column = append(dst, "\r\n "...), 1 // the space: two dashes may follow, and be taken for a boundary
		}
	}
	return append(dst, p.text[at:]...)
}

// appendBlock appends pixel and hidden link on a line of their own: white space
// there is no part of the page.
func appendBlock(dst []byte, html string, column int) ([]byte, int) {
	if column > 0 {
		dst = append(dst, "\r\n"...)
	}
	return append(append(dst, html...), "\r\n"...), 0
}

func columnAfter(column int, text []byte) int {
	if i := bytes.LastIndexByte(text, '\n'); i >= 0 {
		return len(text) - i - 1
	}
	return column + len(text)
}

func untilLineEnd(text []byte) int {
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		return i
	}
	return len(text)
}
