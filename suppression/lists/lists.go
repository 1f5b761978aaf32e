package lists

import (
	"bufio"
	"bytes"
	"io"
	"iter"
	"time"

	"tidepost/suppression"
)

// Options say what a file does not.
type Options struct {
	Format   Format             // empty: recognised by its header
	Tenant   string             // whose opt-outs and complaints these are
	Scope    *suppression.Scope // of all entries; nil: global for hard_bounce, invalid and role, the tenant for others
	Reason   suppression.Reason // where the format has none: plain and hashed lists (needed), Cloudflare, listmonk
	Now      time.Time          // date of lines without one, and what has run out by now is left out; zero: the present
	Source   string             // of the entries; empty: "import:" and the format
	MaxBytes int64              // of a gzip file, unpacked; 0: 8 GiB
}

// Row is what one line says.
type Row struct {
	Line     int
	Format   Format // as given or recognised
	Original string // the address as the file has it; empty for a hash
	Entry    suppression.Entry
	Hash     Digest // set: the line is a hash, and Entry lacks the address only
	Skipped  string // set: why the line is no entry, and Entry is empty
}

// Read gives the rows of a file in its order. Every error is an [Error]; after one
// that is Fatal there are no more rows.
func Read(r io.Reader, opt Options) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		d := &decoder{opt: opt, yield: yield}
		if bad := d.run(r); bad != nil && !d.stopped {
			bad.Fatal = true
			yield(Row{}, bad)
		}
	}
}

// decoder turns cells into rows and hands them on.
type decoder struct {
	opt     Options
	shape   *shape
	csv     bool // our own export hides formulas in CSV, not in JSON
	source  string
	clock   clock
	word    []byte // room for folding and joining
	current Row
	yield   func(Row, error) bool
	stopped bool // the consumer wants no more
}

func (d *decoder) run(r io.Reader) *Error {
	if d.opt.Now.IsZero() {
		d.opt.Now = time.Now()
	}
	// The store keeps milliseconds.
	d.opt.Now = d.opt.Now.UTC().Truncate(time.Millisecond)
	if d.opt.MaxBytes == 0 {
		d.opt.MaxBytes = defaultMaxBytes
	}
	if d.opt.Format != "" {
		s := shapeOf(d.opt.Format)
		if s == nil {
			return &Error{Problem: "the format " + show(string(d.opt.Format)) + " is unknown", Remedy: "use one of " + formatNames()}
		}
		if bad := d.use(s); bad != nil {
			return bad
		}
	}
	in, bad := open(r, d.opt.MaxBytes)
	if bad != nil {
		return bad
	}
	b := bufio.NewReaderSize(in, 4096)
	if head, _ := b.Peek(4096); isJSON(head) && d.opt.Format != Plain {
		return newJSON(b, d).run()
	}
	d.csv = true
	return d.text(newLines(b))
}

// isJSON looks for the bracket in front. No header and no usual address starts so.
func isJSON(head []byte) bool {
	head = bytes.TrimLeft(head, " \t\r\n")
	return len(head) > 0 && (head[0] == '{' || head[0] == '[')
}

// use settles the shape and checks that the options have what it needs.
func (d *decoder) use(s *shape) *Error {
	d.shape = s
	if d.source = d.opt.Source; d.source == "" {
		d.source = "import:" + string(s.Format)
	}
	switch {
	case d.lines() && d.opt.Reason == "":
		return &Error{Problem: "a list of format " + string(s.Format) + " does not say why its addresses are in it",
			Remedy: "give the reason: hard_bounce, complaint, unsubscribe, manual, invalid or role"}
	case d.opt.Reason != "" && !d.opt.Reason.Valid():
		return &Error{Problem: "the reason " + show(string(d.opt.Reason)) + " is unknown",
			Remedy: "use hard_bounce, complaint, unsubscribe, manual, invalid or role"}
	}
	return nil
}

// lines reports a format of one thing a line.
func (d *decoder) lines() bool {
	return d.shape != nil && (d.shape.Format == Plain || d.shape.Format == Hashed)
}

// hand gives a row or an error to the consumer; false: no more.
func (d *decoder) hand(row Row, bad *Error) bool {
	if bad == nil {
		d.stopped = !d.yield(row, nil)
		return !d.stopped
	}
	d.stopped = !d.yield(Row{}, bad) || bad.Fatal
	return !d.stopped
}

// text reads a file of lines.
func (d *decoder) text(l *lines) *Error {
	rec := &records{lines: l, comma: ','}
	for {
		text, more, bad := l.scan()
		if !more {
			return bad
		}
		if bad == nil && (blank(text) || comment(text)) {
			continue
		}
		if bad == nil {
			rec.comma = separator(text)
			bad = rec.split(text)
			if bad != nil && (d.lines() || d.shape == nil && named(text)) {
				// "Smith, Ann" <ann@example.com> is no CSV.
				rec.fields, rec.at, bad = append(rec.fields[:0], text), append(rec.at[:0], 0), nil
			}
		}
		if bad == nil {
			return d.first(rec)
		}
		if !d.lines() {
			return bad // without a header nothing else can be read
		}
		if !d.hand(Row{}, bad) {
			return nil
		}
	}
}

// first looks at the first record: is it a header, and of what?
func (d *decoder) first(rec *records) *Error {
	h := newHeader(rec.fields)
	headed := h.isHeader() && !bytes.ContainsRune(bytes.Join(rec.fields, nil), '@')
	if d.shape == nil {
		s, bad := guess(rec, h, headed)
		if bad == nil {
			bad = d.use(s)
		}
		if bad != nil {
			bad.Line, bad.Column = rec.line, 1
			return bad
		}
	}
	switch lone := d.lines(); {
	case headed && lone && len(rec.fields) == 1:
		return d.lone(rec, false)
	case headed:
		return d.table(rec, h, false)
	case lone:
		return d.lone(rec, true)
	}
	return d.table(rec, newHeader(bytes.Split([]byte(d.shape.Header), []byte(","))), true)
}

// guess tells the shape by the first record.
func guess(rec *records, h *header, headed bool) (*shape, *Error) {
	first := bytes.TrimSpace(rec.fields[0])
	n := len(rec.fields)
	for n > 1 && blank(rec.fields[n-1]) {
		n--
	}
	switch {
	case headed:
		return recognise(h.folded)
	case n == 1 && isHash(first):
		return shapeOf(Hashed), nil
	case !bytes.ContainsRune(bytes.Join(rec.fields, nil), '@'):
		return recognise(h.folded)
	case n == 1 || named(rec.buf[rec.pos:rec.next]):
		return shapeOf(Plain), nil
	case n == 2 && (h.folded[1] == "bounce" || h.folded[1] == "complaint"):
		return shapeOf(SES), nil // what SES takes as an import has no header
	case n <= 3 && new(clock).fits(rec.fields[1]):
		return shapeOf(Cloudflare), nil
	}
	return nil, &Error{Problem: "the first line is no header and has several fields", Remedy: "name the format, one of " + formatNames()}
}

// table reads records with columns, from the current one on or from the next.
func (d *decoder) table(rec *records, h *header, current bool) *Error {
	c := &cells{place: rec.place}
	for i, col := range h.cols {
		c.name[col] = h.names[i]
	}
	// Without a header the columns at the end may be missing.
	headless := current
	for more := true; more; current = false {
		var bad *Error
		if !current {
			if more, bad = rec.read(); !more {
				return bad
			}
		}
		if bad == nil && !(headless && len(rec.fields) < len(h.cols)) {
			bad = rec.width(len(h.cols))
		}
		var row Row
		if bad == nil {
			for i, col := range h.cols {
				c.value[col], c.at[col] = nil, 0
				if i < len(rec.fields) {
					c.value[col], c.at[col] = d.trim(col, rec.fields[i]), rec.at[i]
				}
			}
			row, bad = d.row(c, rec.line)
		}
		if !d.hand(row, bad) {
			return nil
		}
	}
	return nil
}

// lone reads a file of one address or hash a line. The separators of CSV mean
// nothing here: a display name may have them.
func (d *decoder) lone(rec *records, current bool) *Error {
	c := &cells{place: rec.place}
	col := colAddress
	if d.shape.Format == Hashed {
		col = colHash
	}
	if current {
		// The quotes of a display name may have joined lines.
		rec.next, rec.taken = rec.firstEnd(), 1
	}
	for {
		var text []byte
		var bad *Error
		if current {
			text, current = rec.buf[rec.pos:rec.next], false
		} else {
			var more bool
			if text, more, bad = rec.scan(); !more {
				return bad
			}
		}
		line := bytes.TrimSpace(text)
		if bad == nil && (len(line) == 0 || comment(line)) {
			continue
		}
		if i := bytes.IndexByte(line, 0); i >= 0 {
			bad = rec.wrong(i, "there is a NUL byte", "the line is damaged or no text: write it again")
		}
		var row Row
		if bad == nil {
			line = bytes.TrimRight(line, ",; \t")
			c.value[col], c.at[col] = unquote(line), len(text)-len(bytes.TrimLeft(text, " \t"))
			row, bad = d.row(c, rec.line)
		}
		if !d.hand(row, bad) {
			return nil
		}
	}
}

// firstEnd is where the first line of the current record ends, with its line end.
func (l *lines) firstEnd() int {
	n := bytes.IndexAny(l.buf[l.pos:l.next], "\r\n")
	if n < 0 {
		return l.next
	}
	n += l.pos + 1
	if l.buf[n-1] == '\r' && n < l.end && l.buf[n] == '\n' {
		n++
	}
	return n
}

// unquote takes the quotes around a whole line away.
func unquote(line []byte) []byte {
	if n := len(line); n >= 2 && line[0] == '"' && line[n-1] == '"' {
		return bytes.TrimSpace(line[1 : n-1])
	}
	return line
}

// named reports a line that ends with an address in angle brackets.
func named(line []byte) bool {
	line = bytes.TrimSpace(line)
	return bytes.HasSuffix(line, []byte(">")) && bytes.IndexByte(line, '<') >= 0
}

func blank(b []byte) bool { return len(bytes.TrimSpace(b)) == 0 }

// comment reports a line that is a remark. An address may start with # but rarely
// does; one that does is kept.
func comment(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) > 0 && line[0] == '#' && (len(line) == 1 || line[1] == ' ' || bytes.IndexByte(line, '@') < 0)
}
