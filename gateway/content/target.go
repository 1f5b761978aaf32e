package content

import (
	"bytes"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"tidepost/gateway/token"
)

// sealedExtra is more than a token has beside its target.
const sealedExtra = token.MaxLen*3/4 - token.MaxTarget + 1

// leftovers are the signs of a template that was not filled in. Such a link
// leads nowhere; sealed, it could not even be seen what is wrong with it.
var leftovers = []string{"{{", "}}", "{%", "%}", "${", "*|", "<%", "%%"}

// target returns where a link leads, when it is one to be rewritten: a web
// address that a browser takes as it stands. White space around it does not
// count. Relative ones stay, with or without <base href>, and so does what would
// have to be repaired before anybody could follow it.
func (m *marker) target(p *page, raw, value []byte) (string, bool) {
	value = bytes.Trim(value, " \t\r\n\f")
	if len(value) > token.MaxTarget || len(value) < len("http://x") || toLower(value[0]) != 'h' {
		return "", false
	}
	if p.encoding == identity && len(m.url)+len("'/c/'")+(len(value)+sealedExtra)*4/3 > maxLine {
		return "", false // no line could hold it
	}
	if !p.utf8 && !isASCII(raw) || !utf8.Valid(value) {
		return "", false
	}
	s := string(value)
	if !isHTTP(s) || !isWhole(s) || m.isOurs(s) || slices.Contains(m.own, s) {
		return "", false
	}
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Opaque != "" {
		return "", false
	}
	return s, true
}

// isWhole reports whether an address has nothing in it that browsers and servers
// read differently (attacks H4), and no leftovers.
func isWhole(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == 0x7F || c == '\\' {
			return false
		}
	}
	return !slices.ContainsFunc(leftovers, func(l string) bool { return strings.Contains(s, l) })
}

// addresses makes the addresses that edits name by number: first the block, then
// the links. It is called when all links of the mail are known.
func (m *marker) addresses() []string {
	made := make([]string, 1, 1+len(m.targets))
	made[block] = m.block()
	for i, target := range m.targets {
		made = append(made, m.click(i+1, target))
	}
	return made
}

// block is what a reader never sees: an image of one pixel, out of the flow of
// the page where that is understood, and a link for machines alone. The image is
// not hidden: some readers' programs do not fetch what is.
func (m *marker) block() string {
	var b strings.Builder
	if m.Pixel {
		b.WriteString(`<img src="` + m.open() + `" alt="" width="1" height="1" border="0" style="position:absolute;width:1px;height:1px;margin:0;padding:0;border:0">`)
	}
	if m.Pixel && m.Hidden {
		b.WriteString("\r\n")
	}
	if m.Hidden {
		b.WriteString(`<a href="` + m.click(0, m.url+"/") + `" style="display:none;mso-hide:all" aria-hidden="true" tabindex="-1" rel="nofollow"></a>`)
	}
	return b.String()
}
