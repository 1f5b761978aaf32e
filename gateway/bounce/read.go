package bounce

import (
	"bytes"
	"io"
	"strings"
)

// MaxMail is how much of a mail is read, in bytes.
const MaxMail = 10 << 20

// maxForwards is how many mails within each other are looked into for a report.
const maxForwards = 2

// Read reads a mail that came back. The error is that of r: whatever the mail is, it
// is read as far as it can be.
func Read(r io.Reader) (*Mail, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxMail))
	if err != nil {
		return nil, err
	}
	return Parse(b), nil
}

// Parse is Read for a mail in memory. The mail is not changed, nor kept.
func Parse(b []byte) *Mail {
	b = b[:min(len(b), MaxMail)]
	if bytes.IndexByte(b, '\r') >= 0 {
		b = bytes.ReplaceAll(b, []byte("\r\r\n"), []byte("\n"))
		b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
		b = bytes.ReplaceAll(b, []byte("\r"), []byte("\n"))
	}
	m := &Mail{}
	in := open(b)
	m.MessageID = messageID(in.header.get("message-id"))
	for range maxForwards {
		if m.read(in) || len(in.enclosed) == 0 {
			break
		}
		in = open(in.enclosed)
	}
	return m
}

// letter is a mail taken apart into what reports are made of.
type letter struct {
	header    header
	raw       []byte // the body
	statuses  []*part
	feedback  []*part
	enclosed  []byte // the first message in it
	returned  header // of the mail that it is about
	words     string // for people
	structure bool   // it says that it is a report (RFC 6522)
}

// open takes a mail apart.
func open(b []byte) *letter {
	in := &letter{}
	in.header, in.raw = readHeader(bytes.TrimLeft(b, "\r\n\t "))
	kind, params := mediaType(in.header.get("content-type"))
	in.structure = kind == "multipart/report" && !strings.EqualFold(params["report-type"], "disposition-notification")
	var hyper string
	parts := leaves(in.header, in.raw)
	for i := range parts {
		in.sort(&parts[i], &hyper)
	}
	if strings.TrimSpace(in.words) == "" {
		in.words = hyper
	}
	words, returned := cutReturned(in.words)
	if returned != "" {
		in.words = words
		if in.returned == nil {
			in.returned, _ = readHeader([]byte(returned))
		}
	}
	return in
}

// sort puts a part to its like.
func (in *letter) sort(p *part, hyper *string) {
	switch p.kind {
	case "message/delivery-status", "message/global-delivery-status", "message/x-delivery-status", "text/delivery-status":
		in.statuses = append(in.statuses, p)
	case "message/feedback-report", "message/x-feedback-report":
		in.feedback = append(in.feedback, p)
	case "message/rfc822", "message/global", "message/news":
		in.enclose(p)
	case "text/rfc822-headers", "text/rfc822-header", "message/rfc822-headers", "message/global-headers", "text/rfc822":
		if in.returned == nil {
			in.returned, _ = readHeader(bytes.TrimLeft(p.content(maxText), "\n"))
		}
	case "text/html":
		if *hyper == "" {
			*hyper = fromHypertext(p.text(maxText))
		}
	case "text/plain", "text", "":
		if len(in.words) < maxText {
			in.words += p.text(maxText) + "\n\n"
		}
	}
}

func (in *letter) enclose(p *part) {
	body := p.content(MaxMail)
	if in.enclosed == nil {
		in.enclosed = body
	}
	if in.returned == nil {
		in.returned, _ = readHeader(bytes.TrimLeft(body, "\n"))
	}
}

// read makes reports of a mail. It returns whether there are any.
func (m *Mail) read(in *letter) bool {
	for _, as := range []func(*letter) bool{m.complaint, m.status, m.notice, m.text, m.answer} {
		if as(in) {
			m.Original.fill(in.returned)
			if m.Original.MessageID == "" {
				m.Original.MessageID = in.answered()
			}
			for i := range m.Reports {
				m.Reports[i].clean()
			}
			return true
		}
	}
	return false
}

// answered is the id of the mail that this one is an answer to (RFC 5322 §3.6.4), for
// reports that return no header.
func (in *letter) answered() string {
	if id := messageID(in.header.get("in-reply-to")); id != "" {
		return id
	}
	list := in.header.get("references")
	return messageID(list[max(0, strings.LastIndexByte(list, '<')):])
}

// clean makes what strangers wrote valid and short.
func (r *Report) clean() {
	for _, f := range []struct {
		value *string
		size  int
	}{{&r.Recipient, 320}, {&r.Intended, 320}, {&r.Action, 20}, {&r.Feedback, 40}, {&r.Diagnostic, 500}} {
		*f.value = strings.ToValidUTF8((*f.value)[:min(len(*f.value), f.size)], "")
	}
}

// status reads the delivery status of a mail, wherever it is.
func (m *Mail) status(in *letter) bool {
	var all status
	for _, p := range in.statuses {
		s := readStatus([]byte(p.text(maxStatus)))
		all.message = append(all.message, s.message...)
		all.recipients = append(all.recipients, s.recipients...)
	}
	if len(all.recipients) == 0 && (len(in.statuses) > 0 || in.structure || isForward(in.header) || isBounce(in.header, in.words, in.returned != nil)) {
		if block := findStatus(in.raw); block != nil {
			all = readStatus(block)
		}
	}
	if len(all.recipients) == 0 {
		return false
	}
	if len(all.recipients) > maxReports {
		all.recipients = all.recipients[:maxReports]
	}
	m.addStatus(in, &all)
	m.Original.message(all.message)
	return true
}

// addStatus adds the recipients of a status, with the words around them.
func (m *Mail) addStatus(in *letter, all *status) {
	blocks := map[string]string{}
	if len(all.recipients) > 1 {
		for _, t := range readText(in.words, nil) {
			blocks[strings.ToLower(t.recipient)] = t.around
		}
	}
	for i := range all.recipients {
		t := &all.recipients[i]
		if t.around = in.words; len(all.recipients) > 1 {
			t.around = blocks[strings.ToLower(t.recipient)]
		}
		if t.recipient == "" {
			t.recipient = in.failed()
		}
		m.Reports = append(m.Reports, t.report())
	}
}

// failed is the recipient of a mail that names none where it should.
func (in *letter) failed() string {
	if a := mailbox(in.header.get("x-failed-recipients")); a != "" {
		return a
	}
	for _, t := range readText(in.words, in.aside()) {
		return t.recipient
	}
	return in.addressee()
}

// addressee is to whom the returned mail was addressed.
func (in *letter) addressee() string {
	for _, name := range []string{"x-failed-recipients", "x-envelope-to", "envelope-to", "x-original-to", "x-rcpt-to", "delivered-to", "to", "cc"} {
		if a := mailbox(in.returned.get(name)); a != "" {
			return a
		}
	}
	for _, r := range in.returned.all("received") {
		if _, after, ok := strings.Cut(r, " for "); ok {
			if a := mailbox(after[:min(len(after), 330)]); a != "" {
				return a
			}
		}
	}
	return ""
}

// aside are addresses in the words that are not the recipient's: to whom the report
// goes, and from whom mail and report come.
func (in *letter) aside() []string {
	var out []string
	for _, value := range []string{in.header.get("to"), in.header.get("from"), in.returned.get("from"), in.returned.get("return-path"),
		in.returned.get("reply-to"), in.header.get("delivered-to")} {
		if a := mailbox(value); a != "" {
			out = append(out, a)
		}
	}
	return out
}

// text reads a bounce that is only words.
func (m *Mail) text(in *letter) bool {
	if !in.structure && len(in.statuses) == 0 && !isBounce(in.header, in.words, in.returned != nil) {
		return false
	}
	all := in.failures()
	for i := range all {
		t := &all[i]
		if i >= maxReports {
			break
		}
		t.tidy(in, len(all))
		m.Reports = append(m.Reports, t.report())
	}
	return len(all) > 0
}

// failures finds the recipients of words: by X-Failed-Recipients (Exim, Gmail), in
// the words, and at last in the returned mail.
func (in *letter) failures() []told {
	found := readText(in.words, in.aside())
	if list := in.header.get("x-failed-recipients"); list != "" {
		if all := listed(list, readText(in.words, nil)); len(all) > 0 {
			return all
		}
	}
	if len(found) == 0 {
		if found = readText(in.words, nil); len(found) > 0 && in.addressee() != "" {
			found = nil
		}
	}
	if len(found) > 0 {
		return found
	}
	if a := in.addressee(); a != "" {
		return []told{{recipient: a, around: in.words}}
	}
	return nil
}

// listed gives the recipients of a list the words that were found for them.
func listed(list string, found []told) (all []told) {
	for _, a := range addresses(list) {
		t := told{recipient: list[a.from:a.to]}
		for _, f := range found {
			if sameMailbox(f.recipient, t.recipient) {
				t.around = f.around
			}
		}
		all = append(all, t)
	}
	return all
}

// tidy takes the words of a recipient for what the far side said, and all words for
// what is around them. A mail about several keeps them apart.
func (t *told) tidy(in *letter, n int) {
	t.diagnostic = t.around
	t.expanded()
	if n == 1 {
		t.around = in.words + "\n" + in.header.text("subject")
	}
	if strings.Contains(strings.ToLower(in.header.get("subject")), "warning") || strings.Contains(strings.ToLower(in.words), "will be retried") {
		t.action = "delayed"
	}
	if n == 1 {
		t.around += "\n" + in.header.text("subject")
	}
}

// expanded finds the address that was written to where another stands in for it, as
// Exim tells: "(generated from ann@far.test)".
func (t *told) expanded() {
	for _, mark := range []string{"(generated from ", "(expanded from: "} {
		_, rest, ok := strings.Cut(t.around, mark)
		before, _, closed := strings.Cut(rest, ")")
		if a := mailbox(before); ok && closed && t.intended == "" && !sameMailbox(a, t.recipient) {
			t.intended = a
		}
	}
}
