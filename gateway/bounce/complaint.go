package bounce

import (
	"bytes"
	"strings"
)

// complaint reads a feedback report (RFC 5965). RFC 9477 (CFBL) sends the same.
func (m *Mail) complaint(in *letter) bool {
	var fields header
	for _, p := range in.feedback {
		h, _ := readHeader(bytes.TrimLeft(p.content(maxStatus), "\n"))
		fields = append(fields, h...)
	}
	if len(fields) == 0 {
		if fields = oldComplaint(in); fields == nil {
			return false
		}
	}
	kind := strings.ToLower(strings.TrimSpace(fields.get("feedback-type")))
	if kind == "" {
		kind = "abuse"
	}
	for _, a := range complained(fields, in) {
		m.Reports = append(m.Reports, Report{Recipient: a, Reason: Complaint, Group: NotABounce, Action: "complaint",
			Feedback: kind, Diagnostic: oneLine(in.words)})
	}
	o := &m.Original
	o.ReturnPath = mailbox(fields.get("original-mail-from"))
	if o.Sent = date(fields.get("arrival-date")); o.Sent.IsZero() {
		o.Sent = date(fields.get("received-date"))
	}
	return true
}

// complained are those who complained; one that is blacked out may still stand in
// the returned mail.
func complained(fields header, in *letter) (out []string) {
	seen := map[string]bool{}
	for _, name := range []string{"original-rcpt-to", "removal-recipient", "x-hmxmroriginalrecipient"} {
		for _, value := range fields.all(name) {
			a := mailbox(value)
			if key := strings.ToLower(a); a != "" && !seen[key] && !redacted(a) && len(out) < maxReports {
				seen[key] = true
				out = append(out, a)
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	for _, name := range []string{"x-hmxmroriginalrecipient", "to", "x-original-to", "delivered-to"} {
		if a := mailbox(in.returned.get(name)); a != "" && !redacted(a) {
			return []string{a}
		}
	}
	return []string{""}
}

// redacted holds for addresses that a provider has made unreadable (RFC 6590).
func redacted(a string) bool {
	local, domain, _ := strings.Cut(strings.ToLower(a), "@")
	return strings.Contains(local, "redacted") || strings.Contains(local, "xxxx") || strings.Trim(local, "*x.-") == "" || strings.Contains(domain, "redacted")
}

// oldComplaint reads the complaints that Hotmail sent before there was a format: the
// mail itself, enclosed, with a field for the recipient; and reports whose fields
// stand in plain text.
func oldComplaint(in *letter) header {
	if in.returned != nil && strings.HasPrefix(strings.ToLower(in.header.text("subject")), "complaint about message from") {
		return header{{"feedback-type", "abuse"}, {"original-rcpt-to", in.returned.get("x-hmxmroriginalrecipient")}}
	}
	words := lowerASCII(in.words[:min(len(in.words), 8<<10)])
	i := strings.Index(words, "feedback-type:")
	if i < 0 || i > 0 && words[i-1] != '\n' || !strings.Contains(words, "\nuser-agent:") && !in.structure {
		return nil
	}
	if from := strings.LastIndex(words[:i], "\n\n"); from >= 0 {
		i = from + 2
	}
	h, _ := readHeader([]byte(in.words[i:]))
	return h
}

// lowerASCII keeps every byte where it is, which strings.ToLower does not.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
