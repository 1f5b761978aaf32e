package content

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"tidepost/gateway"
)

// maxDiagnostic is how much of a reply is told, in bytes.
const maxDiagnostic = 512

// statusPart is the part for programs: fields about the message, then fields
// about the recipient (RFC 3464 §2.1).
func (p *Reporter) statusPart(r *gateway.Report, international bool) []byte {
	kind, encoding := "message/delivery-status", ""
	if international {
		kind, encoding = "message/global-delivery-status", "8bit" // RFC 6533 §4
	}
	b := appendField(nil, "Content-Type", kind)
	b = appendField(b, "Content-Transfer-Encoding", encoding)
	b = append(b, "\r\n"...)
	b = p.appendMessageFields(b, r.Stored.Message)
	b = append(b, "\r\n"...)
	return p.appendRecipientFields(b, r, international)
}

// appendMessageFields follows RFC 3464 §2.2, RFC 2852 §4 and RFC 4865 §5.
func (p *Reporter) appendMessageFields(b []byte, m *gateway.Message) []byte {
	b = appendField(b, "Original-Envelope-Id", printable(m.EnvID))
	b = appendField(b, "Reporting-MTA", "dns; "+p.Hostname)
	b = appendField(b, "Arrival-Date", mailDate(m.Received))
	if m.By != gateway.ByNone && !m.Deadline.IsZero() {
		b = appendField(b, "Deliver-By-Date", mailDate(m.Deadline))
	}
	if !m.NotBefore.IsZero() {
		b = appendField(b, "Future-Release-Request", "until;"+m.NotBefore.UTC().Format(time.RFC3339))
	}
	return b
}

// appendRecipientFields follows RFC 3464 §2.3.
func (p *Reporter) appendRecipientFields(b []byte, r *gateway.Report, international bool) []byte {
	d, o := r.Delivery, &r.Outcome
	b = appendField(b, "Original-Recipient", originalRecipient(r.Recipient.Original, international))
	b = appendField(b, "Final-Recipient", typedAddress(d.Address, international))
	b = appendField(b, "Action", string(r.Action))
	b = appendField(b, "Status", status(r))
	if o.Remote != "" {
		b = appendField(b, "Remote-MTA", "dns; "+printable(clean(o.Remote, maxName)))
	}
	b = appendField(b, "Diagnostic-Code", diagnostic(o))
	if !d.Started.IsZero() {
		b = appendField(b, "Last-Attempt-Date", mailDate(d.Started))
	}
	if r.Action == gateway.ReportDelayed && !d.Expires.IsZero() {
		b = appendField(b, "Will-Retry-Until", mailDate(d.Expires))
	}
	return b
}

// diagnostic is what the far side said. Words of our own are of a type of our
// own, so that nobody takes them for a reply.
func diagnostic(o *gateway.Outcome) string {
	text := printable(clean(o.Text, maxDiagnostic))
	switch {
	case o.Code != 0:
		return strings.TrimSpace(fmt.Sprintf("smtp; %d %s %s", o.Code, clean(o.Status, 16), text))
	case text != "":
		return "x-tidepost; " + text
	}
	return ""
}

// status returns the enhanced status code (RFC 3463), or the general one of the
// action where the far side gave none. A 4xx on which we gave up stays a 4: the
// sender's bounce handling tells a full mailbox from a missing one by it.
func status(r *gateway.Report) string {
	if isStatus(r.Outcome.Status) {
		return r.Outcome.Status
	}
	switch class := r.Outcome.Code / 100; {
	case r.Action == gateway.ReportDelayed:
		return "4.0.0"
	case r.Action != gateway.ReportFailed:
		return "2.0.0"
	case class == 4:
		return "4.4.7"
	}
	return "5.0.0"
}

func isStatus(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || len(parts[0]) != 1 || !strings.Contains("245", parts[0]) {
		return false
	}
	for _, p := range parts {
		if len(p) > 3 || !isDigits(p) {
			return false
		}
	}
	return true
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// originalRecipient is ORCPT, which was kept as "type;address".
func originalRecipient(orcpt string, international bool) string {
	kind, address, ok := strings.Cut(orcpt, ";")
	if !ok {
		return ""
	}
	if kind == "" || !isFit(kind, false) {
		return ""
	}
	return kind + "; " + escapeAddress(address, international)
}

func typedAddress(address string, international bool) string {
	if isASCII(address) {
		return "rfc822; " + escapeAddress(address, international)
	}
	return "utf-8; " + escapeAddress(address, international)
}

// escapeAddress writes an address as utf-8-addr-xtext where the report must be
// ASCII, as utf-8-addr-unitext where it may not (RFC 6533 §3). What could end
// the line is escaped in both.
func escapeAddress(address string, international bool) string {
	var b strings.Builder
	for _, r := range address {
		if unicode.IsControl(r) || isBidi(r) || r == '\\' || r > '~' && !international {
			b.WriteString(`\x{` + strings.ToUpper(strconv.FormatInt(int64(r), 16)) + `}`)
			continue
		}
		b.WriteRune(r)
	}
	return clean(b.String(), maxMessageID)
}

// printable replaces what is not ASCII, for fields that have no other form.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r > '~' {
			return '?'
		}
		return r
	}, s)
}

// appendField appends a field, unless its value is empty. The value cannot end
// the field (attacks A12); it is folded at spaces, and cut where a line would
// pass the 998 of RFC 5322 §2.1.1.
func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(append(b, name...), ':')
	line := len(name) + 1
	for i, word := range strings.Fields(clean(value, 4*maxMessageID)) {
		if i > 0 && line+1+len(word) > foldAt {
			b, line = append(b, "\r\n"...), 0
		}
		word = clean(word, maxMessageID-line-1)
		b = append(append(b, ' '), word...)
		line += 1 + len(word)
	}
	return append(b, "\r\n"...)
}
