package bounce

import (
	"bytes"
	"strings"
)

// Bounds of what one mail reports.
const (
	maxReports = 1000
	maxStatus  = 1 << 20 // bytes of a delivery status
	maxText    = 64 << 10
)

// told is what a mail says about one recipient, before it has a reason.
type told struct {
	recipient, intended string
	action, status      string
	diagnostic          string // the far side's words
	around              string // the words for people about this recipient
	stage               stage
	local               bool // said by a program that delivers on the same machine
	category            Reason
	bare                bool // in a delivery status, but without a Status
}

// status is a delivery status (RFC 3464 §2): fields about the message, and fields
// about each recipient.
type status struct {
	message    header
	recipients []told
}

// readStatus reads a delivery status. Systems forget the empty line between two
// recipients, or put one between the fields of one; so a recipient ends where one of
// its fields begins again.
func readStatus(b []byte) (s status) {
	b = b[:min(len(b), maxStatus)]
	var r recipientFields
	for len(b) > 0 && len(s.recipients) < maxReports {
		b = bytes.TrimLeft(b, " \t\n")
		fields, rest := readHeader(b)
		if len(fields) == 0 {
			_, rest = cutLine(b)
		}
		for _, f := range fields {
			if r.ends(f) {
				s.add(&r)
			}
			if !r.take(f) && len(s.message) < maxFields {
				s.message = append(s.message, f)
			}
		}
		if r.final != "" && (r.action != "" || r.status != "") {
			s.add(&r)
		}
		b = rest
	}
	s.add(&r)
	return s
}

// recipientFields are the fields of a recipient (RFC 3464 §2.3) that count here.
type recipientFields struct {
	final, original, actual  string
	action, status, explains string
	local                    bool
	category                 Reason
}

func (r *recipientFields) ends(f field) bool {
	return f.name == "final-recipient" && r.final != "" || f.name == "original-recipient" && r.original != "" && r.final != ""
}

// take keeps a field about a recipient. It returns false for one about the message.
func (r *recipientFields) take(f field) bool {
	first := func(to *string, value string) {
		if *to == "" {
			*to = value
		}
	}
	switch f.name {
	case "final-recipient":
		first(&r.final, typed(f.value))
	case "original-recipient":
		first(&r.original, typed(f.value))
	case "x-actual-recipient":
		first(&r.actual, typed(f.value))
	case "action":
		word, _, _ := strings.Cut(strings.ToLower(f.value), " ")
		first(&r.action, strings.Trim(word, " ;()"))
	case "status":
		first(&r.status, f.value)
	case "diagnostic-code", "x-notes-diagnostic", "x-display-name-diagnostic":
		r.local = r.local || hasFold([]byte(f.value), "x-unix;")
		first(&r.explains, withoutType(decodeWords(f.value)))
	case "x-powermta-bouncecategory":
		r.category = categories[strings.ToLower(f.value)]
	case "remote-mta", "last-attempt-date", "will-retry-until", "final-log-id":
	default:
		return false
	}
	return true
}

// categories are what PowerMTA makes of an answer.
var categories = map[string]Reason{"bad-mailbox": UserUnknown, "inactive-mailbox": Suspend, "bad-domain": HostUnknown, "quota-issues": FullMailbox,
	"spam-related": SpamDetected, "virus-related": VirusDetected, "policy-related": PolicyViolation, "content-related": ContentError,
	"message-expired": Expired, "no-answer-from-host": NetworkError, "bad-connection": NetworkError, "routing-errors": NetworkError,
	"invalid-sender": Rejected, "relaying-issues": NoRelaying, "protocol-errors": SyntaxError, "bad-configuration": SystemError}

// withoutType takes "smtp; " off a value.
func withoutType(value string) string {
	kind, rest, ok := strings.Cut(value, ";")
	if ok && len(kind) < 40 && !strings.ContainsAny(strings.TrimSpace(kind), " \t") && digits(kind) == 0 {
		return strings.TrimSpace(rest)
	}
	return value
}

func (s *status) add(r *recipientFields) {
	recipient := r.final
	for _, other := range []string{r.original, r.actual} {
		if recipient == "" || !strings.Contains(recipient, "@") && strings.Contains(other, "@") {
			recipient = other
		}
	}
	if recipient != "" || r.status != "" && r.action != "" {
		t := told{recipient: recipient, action: r.action, status: cleanStatus(r.status), diagnostic: r.explains, local: r.local, category: r.category, bare: r.status == ""}
		if !sameMailbox(r.original, recipient) {
			t.intended = r.original
		}
		if t.status == "" && t.diagnostic == "" {
			t.diagnostic = r.status
		}
		s.recipients = append(s.recipients, t)
	}
	*r = recipientFields{}
}

// findStatus finds the fields of a delivery status in a mail whose structure is
// broken, or hidden in text.
func findStatus(b []byte) []byte {
	for at := 0; at < len(b); {
		line, rest := cutLine(b[at:])
		quote := line[:len(line)-len(bytes.TrimLeft(line, "> \t"))]
		line = line[len(quote):]
		if (hasFold(line, "final-recipient:") || hasFold(line, "original-recipient:")) && mailbox(string(line[:min(len(line), 400)])) != "" {
			if len(quote) > 0 {
				return unquote(b[at:], quote)
			}
			return statusBlock(b, at)
		}
		at = len(b) - len(rest)
	}
	return nil
}

// unquote takes the marks of a quotation off the lines that have them, up to the
// first that has none.
func unquote(b, quote []byte) []byte {
	var out []byte
	for len(b) > 0 && len(out) < maxText {
		line, rest := cutLine(b)
		if !bytes.HasPrefix(line, bytes.TrimRight(quote, " \t")) {
			break
		}
		out = append(append(out, bytes.TrimPrefix(line, quote)...), '\n')
		b = rest
	}
	return out
}

// statusBlock widens to the beginning of the paragraph before b[at:], where the
// fields about the message are, and ends where fields end.
func statusBlock(b []byte, at int) []byte {
	if i := bytes.LastIndex(b[max(0, at-4096):at], []byte("\n\n")); i >= 0 {
		from := max(0, at-4096) + i
		if j := bytes.LastIndex(b[max(0, from-4096):from], []byte("\n\n")); j >= 0 {
			from = max(0, from-4096) + j
		}
		at = from
	}
	b = b[at:]
	if i := bytes.Index(b[min(len(b), 1):], []byte("\n--")); i >= 0 && bytes.Contains(bytes.ToLower(b[:i]), []byte("final-recipient")) {
		b = b[:i+1]
	}
	return b
}

func hasFold(line []byte, prefix string) bool {
	return len(line) >= len(prefix) && strings.EqualFold(string(line[:len(prefix)]), prefix)
}
