package content

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"time"

	"tidepost/gateway"
	"tidepost/templates"
)

// Reporter words delivery status notifications: multipart/report messages (RFC
// 3464, RFC 6522) that go to the envelope sender, from <>.
//
// A report to an ASCII address is all ASCII, except that a whole message it
// returns keeps its 8-bit bytes; one to an internationalised address uses the
// types of RFC 6533 and wants SMTPUTF8.
type Reporter struct {
	Hostname string
	Language string // of the text for people; "": English
}

var _ gateway.Reporter = (*Reporter)(nil)

// maxReturned is how much of a message a report gives back, in bytes: the
// whole message up to this size where it was asked for, else its header.
const maxReturned = 64 << 10

// Report builds the notification about one delivery.
func (p *Reporter) Report(r *gateway.Report) ([]byte, error) {
	m := r.Stored.Message
	international := !isASCII(m.From)
	returned, err := p.returnedPart(r, international)
	if err != nil {
		return nil, fmt.Errorf("report on %s: %w", r.Delivery.ID, err)
	}
	parts := [][]byte{p.textPart(r), p.statusPart(r, international), returned}
	boundary := boundaryOf(parts)

	b := p.appendHeader(nil, r, boundary)
	for _, part := range parts {
		b = append(append(append(b, "--"...), boundary...), "\r\n"...)
		b = append(b, part...)
		b = append(b, "\r\n"...)
	}
	return append(append(append(b, "--"...), boundary...), "--\r\n"...), nil
}

// boundaryOf makes a boundary that no part can hold, because it depends on all
// of them.
func boundaryOf(parts [][]byte) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return "=_" + hex.EncodeToString(h.Sum(nil)[:16])
}

func (p *Reporter) appendHeader(b []byte, r *gateway.Report, boundary string) []byte {
	m := r.Stored.Message
	b = appendField(b, "From", "Mail Delivery System <MAILER-DAEMON@"+p.Hostname+">")
	b = appendField(b, "To", "<"+m.From+">")
	b = appendField(b, "Subject", mime.QEncoding.Encode("utf-8", p.say(r, "subject")))
	b = appendField(b, "Date", mailDate(r.Now))
	b = appendField(b, "Message-ID", fmt.Sprintf("<%s.%d.%s@%s>", r.Delivery.ID, r.Delivery.Rev, r.Action, p.Hostname))
	if m.MessageID != "" && isFit(m.MessageID, false) {
		b = appendField(b, "In-Reply-To", "<"+m.MessageID+">")
		b = appendField(b, "References", "<"+m.MessageID+">")
	}
	b = appendField(b, "Auto-Submitted", "auto-replied") // RFC 3834 §5
	b = appendField(b, "MIME-Version", "1.0")
	b = appendField(b, "Content-Type", `multipart/report; report-type=delivery-status; boundary="`+boundary+`"`)
	return append(b, "\r\n"...)
}

// say returns the words for one place of the report.
func (p *Reporter) say(r *gateway.Report, place string) string {
	values := map[string]string{
		"host":      p.Hostname,
		"recipient": clean(r.Delivery.Address, maxName),
		"reason":    reason(&r.Outcome),
	}
	if !r.Delivery.Expires.IsZero() {
		values["until"] = mailDate(r.Delivery.Expires)
	}
	return templates.Lookup(p.Language).Text("report."+string(r.Action)+"."+place, values)
}

// reason is what a person is told: who said what.
func reason(o *gateway.Outcome) string {
	text := clean(o.Text, maxDiagnostic)
	if o.Code != 0 {
		text = fmt.Sprintf("%d %s %s", o.Code, clean(o.Status, 16), text)
	}
	if o.Remote != "" && text != "" {
		text = clean(o.Remote, maxName) + ": " + text
	}
	return text
}

// textPart is the part for people.
func (p *Reporter) textPart(r *gateway.Report) []byte {
	text := bytes.ReplaceAll([]byte(p.say(r, "body")+"\n"), []byte("\n"), []byte("\r\n"))
	return appendPart(nil, "text/plain; charset=utf-8", text)
}

// returnedPart gives the sender back what they sent (RFC 3461 §5.1 g): all of it
// for a failure where RET=FULL asked so, otherwise the header. Our control
// fields are not part of it: they were for us.
func (p *Reporter) returnedPart(r *gateway.Report, international bool) ([]byte, error) {
	m, w := r.Stored.Message, &workspace{}
	if err := w.load(r.Stored); err != nil {
		return nil, err
	}
	h := survey(w.in, p.Hostname)
	h.decide(w.in, nil)
	full := r.Action == gateway.ReportFailed && m.Return == "FULL" && r.Stored.Size <= maxReturned
	content := h.appendKept(nil, w.in)
	if !full {
		return appendPart(nil, headersType(m.UTF8 || international), cutFields(content, maxReturned)), nil
	}
	body := make([]byte, r.Stored.Size-int64(h.size))
	if n, err := r.Stored.ReadAt(body, int64(h.size)); n < len(body) {
		return nil, fmt.Errorf("reading the body: %w", err)
	}
	kind := "message/rfc822"
	if m.UTF8 {
		kind = "message/global"
	}
	return appendWhole(nil, kind, append(content, body...)), nil
}

func headersType(utf8 bool) string {
	if utf8 {
		return "message/global-headers"
	}
	return "text/rfc822-headers; charset=utf-8"
}

// cutFields returns the first fields of a header, no more than limit bytes.
func cutFields(header []byte, limit int) []byte {
	s := scanner{b: header}
	end := 0
	for _, ok := s.next(); ok && s.pos <= limit; _, ok = s.next() {
		end = s.pos
	}
	return header[:end]
}

// appendPart appends a part, quoted-printable where it is not ASCII.
func appendPart(b []byte, kind string, content []byte) []byte {
	b = appendField(b, "Content-Type", kind)
	if isASCII(content) {
		return append(append(b, "\r\n"...), content...)
	}
	b = appendField(b, "Content-Transfer-Encoding", "quoted-printable")
	out := bytes.NewBuffer(append(b, "\r\n"...))
	w := quotedprintable.NewWriter(out)
	w.Write(content) // a Buffer takes everything
	w.Close()
	return out.Bytes()
}

// appendWhole appends a message as a part. It must not be encoded (RFC 2046
// §5.2.1), so its 8-bit bytes stay and are announced.
func appendWhole(b []byte, kind string, content []byte) []byte {
	b = appendField(b, "Content-Type", kind)
	if !isASCII(content) {
		b = appendField(b, "Content-Transfer-Encoding", "8bit")
	}
	return append(append(b, "\r\n"...), content...)
}

func isASCII[T string | []byte](s T) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func mailDate(t time.Time) string { return string(appendDate(nil, t)) }
