package content

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
)

// rewrite puts marks into the HTML parts of a mail. What leaves then is the mail
// in segments: the stored bytes as they are, and each changed part in place of
// the one that came. The reason says why nothing was changed.
func (m *marker) rewrite(out *outgoing, h *headerSurvey) (reason string, err error) {
	if !m.Pixel && !m.Links && !m.Hidden {
		return "", nil
	}
	if !h.ended {
		return UntouchedPlain, nil // it is all header
	}
	parts, reason, err := findHTML(out, out.w.in[:h.size])
	if err != nil || reason != "" {
		return reason, err
	}
	if reason, err = out.decode(parts); err != nil || reason != "" {
		return reason, err
	}
	for i := range parts {
		m.scan(&parts[i], i == len(parts)-1)
	}
	if m.anchors > maxLinks {
		return UntouchedLinks, nil
	}
	out.splice(parts, m.addresses())
	return "", nil
}

// findHTML returns the HTML parts of a message that a reader is shown.
func findHTML(out *outgoing, header []byte) (parts []page, reason string, err error) {
	top := readEntity(header)
	switch top.kind {
	case hypertext:
		return []page{{entity: top, start: out.from, end: out.to}}, "", nil
	case protected:
		return nil, UntouchedProtected, nil
	case uneditable:
		return nil, UntouchedEncoding, nil
	case ambiguous:
		return nil, UntouchedHeader, nil
	case opaque:
		return nil, UntouchedPlain, nil
	}
	body := io.NewSectionReader(out.src, out.from, out.to-out.from)
	if out.w.lines == nil {
		out.w.lines = bufio.NewReaderSize(body, walkBuffer)
	} else {
		out.w.lines.Reset(body)
	}
	defer out.w.lines.Reset(nil)
	var k walk
	if err := k.run(out.w.lines, top, out.from); err != nil {
		return nil, "", fmt.Errorf("reading the body: %w", err)
	}
	switch {
	case k.reason != "":
		return nil, k.reason, nil
	case len(k.found) > 0:
		return k.found, "", nil
	case k.protected:
		return nil, UntouchedProtected, nil
	case k.strange:
		return nil, UntouchedEncoding, nil
	}
	return nil, UntouchedPlain, nil
}

// decode reads the parts into memory, decoded.
func (o *outgoing) decode(parts []page) (reason string, err error) {
	var stored int64
	for i := range parts {
		if stored += parts[i].end - parts[i].start; stored > maxStored {
			return UntouchedLarge, nil
		}
	}
	w := o.w
	w.html = slices.Grow(w.html[:0], int(stored))
	for i := range parts {
		p := &parts[i]
		from := len(w.html)
		if ok, err := o.decodePage(p); err != nil {
			return "", fmt.Errorf("reading the body: %w", err)
		} else if !ok {
			return UntouchedEncoding, nil
		}
		p.text = w.html[from:len(w.html):len(w.html)]
		if bytes.IndexByte(p.text, 0) >= 0 {
			return UntouchedEncoding, nil // some UTF-16 that says it is something else
		}
	}
	if len(w.html) > maxHTML {
		return UntouchedLarge, nil
	}
	return "", nil
}

// decodePage appends a page to w.html; ok is false where its encoding is broken.
func (o *outgoing) decodePage(p *page) (ok bool, err error) {
	w, n := o.w, int(p.end-p.start)
	if p.encoding == identity {
		from := len(w.html)
		w.html = w.html[:from+n]
		return true, o.readRun(w.html[from:], p.start)
	}
	w.raw = slices.Grow(w.raw[:0], n)[:n]
	if err := o.readRun(w.raw, p.start); err != nil {
		return false, err
	}
	if p.encoding == base64Encoding {
		p.end -= int64(eolOf(w.raw)) // the last line end is none of the code: it stays
	}
	w.html, ok = p.encoding.appendDecoded(w.html, w.raw)
	return ok, nil
}

// readRun fills p from the stored message.
func (o *outgoing) readRun(p []byte, at int64) error {
	n, err := o.src.ReadAt(p, at)
	switch {
	case n == len(p):
		return nil
	case err == nil || err == io.EOF:
		return io.ErrUnexpectedEOF // shorter than stored
	}
	return err
}

// splice replaces the parts that have edits.
func (o *outgoing) splice(parts []page, addresses []string) {
	w, end := o.w, o.to
	w.made = w.made[:0]
	last := &o.segment
	o.more = make([]segment, 0, len(parts))
	for i := range parts {
		p := &parts[i]
		if len(p.edits) == 0 {
			continue
		}
		from := len(w.made)
		if p.encoding == identity {
			w.made = p.appendMarked(w.made, addresses)
		} else {
			w.raw = p.appendMarked(w.raw[:0], addresses)
			w.made = p.encoding.appendEncoded(w.made, w.raw)
		}
		last.to = p.start
		o.more = append(o.more, segment{text: w.made[from:len(w.made):len(w.made)], from: p.end, to: end})
		last = &o.more[len(o.more)-1]
	}
}
