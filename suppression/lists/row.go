package lists

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"tidepost/suppression"
	"tidepost/suppression/address"
)

// Longest texts of an entry, see suppression.Entry.Validate.
const maxText = 1000

const lineRemedy = "correct it, or take the line out"

// row is what the cells of a line mean.
func (d *decoder) row(c *cells, line int) (Row, *Error) {
	row := &d.current
	*row = Row{Line: line, Format: d.shape.Format}
	if d.shape.Format == Tidepost {
		bad := d.own(c, row)
		return *row, bad
	}
	e := &row.Entry
	e.Source, e.Reason = d.source, d.shape.reason
	bad := d.dates(c, e)
	if bad == nil {
		bad = d.meaning(c, row)
	}
	if bad != nil {
		return Row{}, bad
	}
	if row.Skipped == "" && !e.Expires.IsZero() && !d.opt.Now.Before(e.Expires) {
		row.Skipped = "it has run out"
	}
	if row.Skipped != "" {
		row.Original, row.Entry = clip(string(c.value[colAddress])), suppression.Entry{}
		return *row, nil
	}
	if d.shape.Format == Hashed {
		bad = d.hash(c, row)
	} else {
		bad = d.address(c, row)
	}
	if bad == nil {
		d.texts(c, row)
		bad = d.scope(e, line)
	}
	if bad == nil {
		bad = check(row)
	}
	return *row, bad
}

// check runs the entry's own check, which is also the store's.
func check(row *Row) *Error {
	e := &row.Entry
	if row.Hash.Kind != "" {
		// All of it but the address, which is not known.
		e.Address = "hash@example.com"
		defer func() { e.Address = "" }()
	}
	if err := e.Validate(); err != nil {
		return &Error{Line: row.Line, Problem: strings.ReplaceAll(err.Error(), "\n", "; ")}
	}
	return nil
}

// meaning sets the reason.
func (d *decoder) meaning(c *cells, row *Row) *Error {
	if s := d.shape; s.said != nil {
		d.word = fold(d.word[:0], c.value[s.in])
		reason, ok := s.said[string(d.word)]
		if !ok {
			return c.bad(s.in, "the word "+show(string(c.value[s.in]))+" is not known from "+s.Service, lineRemedy)
		}
		row.Entry.Reason = reason
	}
	if d.shape.special == nil {
		return nil
	}
	return d.shape.special(d, c, row)
}

func (d *decoder) dates(c *cells, e *suppression.Entry) *Error {
	e.Created = d.opt.Now
	if b := c.value[colCreated]; len(b) > 0 {
		t, ok := d.clock.read(b)
		if !ok {
			return c.bad(colCreated, "the date "+show(string(b))+" cannot be read", whenRemedy)
		}
		e.Created = t
	}
	if b := c.value[colExpires]; len(b) > 0 && !never(b) {
		t, ok := d.clock.read(b)
		if !ok {
			return c.bad(colExpires, "the date "+show(string(b))+" cannot be read", whenRemedy+", or leave it empty for never")
		}
		e.Expires = t
	}
	return nil
}

func never(b []byte) bool { return bytes.EqualFold(b, []byte("never")) }

func (d *decoder) address(c *cells, row *Row) *Error {
	b := c.value[colAddress]
	if len(b) == 0 {
		return c.bad(colAddress, "there is no address", lineRemedy)
	}
	// "Ann <ann@example.com>", and what stands in front of it is nobody's business.
	if n := len(b); b[n-1] == '>' {
		b = b[bytes.LastIndexByte(b, '<')+1 : n-1]
	}
	row.Original = string(b)
	a, err := address.Parse(row.Original)
	if err != nil {
		return c.bad(colAddress, show(string(c.value[colAddress]))+" cannot be read: "+err.Error(), lineRemedy)
	}
	row.Entry.Address = a.Mailbox().String()
	return nil
}

func (d *decoder) hash(c *cells, row *Row) *Error {
	b := c.value[colHash]
	digest, ok := readDigest(b)
	switch {
	case ok:
		row.Hash = digest
		return nil
	case isHash(b):
		return c.bad(colHash, "the hash is neither SHA-256 nor MD5", "export the list as SHA-256 of the lower-cased address: 64 hex digits")
	}
	return c.bad(colHash, show(string(b))+" is no hash", "a SHA-256 has 64 hex digits, an MD5 32")
}

// scope sets the entry's scope: what was asked for, or by its reason.
func (d *decoder) scope(e *suppression.Entry, line int) *Error {
	switch {
	case d.opt.Scope != nil:
		e.Scope = *d.opt.Scope
	case e.Reason == suppression.HardBounce || e.Reason == suppression.Invalid || e.Reason == suppression.Role:
		e.Scope = suppression.Scope{}
	case d.opt.Tenant == "":
		return &Error{Line: line, Problem: "reason " + string(e.Reason) + " is about one sender, and none is named",
			Remedy: "name the tenant, or a scope", Fatal: true}
	default:
		e.Scope = suppression.Scope{Kind: suppression.Tenant, Name: d.opt.Tenant}
	}
	return nil
}

// texts sets evidence and note.
func (d *decoder) texts(c *cells, row *Row) {
	e := &row.Entry
	d.word = d.word[:0]
	for _, col := range d.shape.hint {
		if b := c.value[col]; len(b) > 0 {
			if len(d.word) > 0 {
				d.word = append(d.word, ' ')
			}
			d.word = append(d.word, b...)
		}
	}
	if len(d.word) > 0 {
		e.Evidence = clip(string(d.word))
	}
	d.word = d.word[:0]
	for _, col := range d.shape.narrow {
		if b := c.value[col]; len(b) > 0 {
			d.word = append(append(append(d.word, c.name[col]...), ": "...), b...)
		}
	}
	if row.Original != "" && !sameButCase(row.Original, e.Address) {
		if len(d.word) > 0 {
			d.word = append(d.word, "; "...)
		}
		d.word = append(append(d.word, "written "...), row.Original...)
	}
	if len(d.word) > 0 {
		e.Note = clip(string(d.word))
	}
}

// sameButCase compares ASCII without case, and the rest as it is.
func sameButCase(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		if x >= 'A' && x <= 'Z' {
			x += 'a' - 'A'
		}
		if x != y {
			return false
		}
	}
	return true
}

// clip makes text of a file fit for an entry: valid, on one line, short.
func clip(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= utf8.RuneSelf {
			s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", " ")
			s = strings.Map(oneLine, s)
			break
		}
	}
	if len(s) <= maxText {
		return s
	}
	cut := maxText - len("…")
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

func oneLine(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

// own reads a line of our own export, as it is: run out and taken back entries too.
func (d *decoder) own(c *cells, row *Row) *Error {
	if d.csv {
		for col, b := range c.value {
			// What Write puts in front of a formula.
			if len(b) > 1 && b[0] == '\'' && hidden(b[1:]) {
				c.value[col] = b[1:]
			}
		}
	}
	if bad := d.address(c, row); bad != nil {
		return bad
	}
	e := &row.Entry
	if bad := d.dates(c, e); bad != nil {
		return bad
	}
	if b := c.value[colRemoved]; len(b) > 0 {
		var ok bool
		if e.Removed, ok = d.clock.read(b); !ok {
			return c.bad(colRemoved, "the date "+show(string(b))+" cannot be read", whenRemedy)
		}
	}
	e.Reason = suppression.Reason(c.value[colReason])
	e.Source, e.Evidence, e.Note = c.text(colSource), c.text(colEvidence), c.text(colNote)
	if e.Source == "" {
		e.Source = d.source
	}
	if name := c.text(colScope); name != "" {
		var err error
		if e.Scope, err = suppression.ParseScope(name); err != nil {
			return c.bad(colScope, err.Error(), "")
		}
	} else if bad := d.scope(e, row.Line); bad != nil {
		return bad
	}
	return check(row)
}

// trim takes blanks off a cell, except from the texts of our own export, or of what
// may still turn out to be it.
func (d *decoder) trim(col column, b []byte) []byte {
	if (col == colSource || col == colEvidence || col == colNote) && (d.shape == nil || d.shape.Format == Tidepost) {
		return b
	}
	return bytes.TrimSpace(b)
}

// text is a cell as it is, in valid UTF-8.
func (c *cells) text(col column) string { return strings.ToValidUTF8(string(c.value[col]), "\uFFFD") }
