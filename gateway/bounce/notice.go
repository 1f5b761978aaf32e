package bounce

import (
	"encoding/json"
	"strings"
)

// notice is what Amazon SES writes about a mail, as SNS puts it into mail.
type notice struct {
	Kind      string `json:"notificationType"`
	Event     string `json:"eventType"`
	Complaint struct {
		Recipients []struct {
			Address string `json:"emailAddress"`
		} `json:"complainedRecipients"`
		Kind string `json:"complaintFeedbackType"`
	} `json:"complaint"`
	Bounce struct {
		Kind       string `json:"bounceSubType"`
		Recipients []struct {
			Address    string `json:"emailAddress"`
			Action     string `json:"action"`
			Status     string `json:"status"`
			Diagnostic string `json:"diagnosticCode"`
		} `json:"bouncedRecipients"`
	} `json:"bounce"`
	Delivery struct {
		Recipients []string `json:"recipients"`
		Response   string   `json:"smtpResponse"`
	} `json:"delivery"`
	Mail struct {
		Timestamp string `json:"timestamp"`
		ID        string `json:"messageId"`
		Source    string `json:"source"`
	} `json:"mail"`
}

// noticed are kinds of bounces as SES tells them apart, for those without a word of
// the far side.
var noticed = map[string]Reason{"MailboxFull": FullMailbox, "MessageTooLarge": MessageTooBig, "ContentRejected": SpamDetected,
	"AttachmentRejected": PolicyViolation, "Suppressed": FilteredOut, "OnAccountSuppressionList": FilteredOut}

// notice reads such a mail. Long lines of it are broken, with a space at each break.
func (m *Mail) notice(in *letter) bool {
	text := strings.TrimLeft(in.words, " \t\n")
	if !strings.HasPrefix(text, "{") || !strings.Contains(text, `"mail"`) {
		return false
	}
	var n notice
	if !decodeNotice(text, &n) {
		return false
	}
	switch kind := n.Kind + n.Event; {
	case strings.HasPrefix(kind, "Complaint"):
		for _, r := range n.Complaint.Recipients {
			feedback := n.Complaint.Kind
			if feedback == "" {
				feedback = "abuse"
			}
			m.Reports = append(m.Reports, Report{Recipient: r.Address, Reason: Complaint, Group: NotABounce, Action: "complaint", Feedback: feedback})
		}
	case strings.HasPrefix(kind, "Bounce"):
		for _, r := range n.Bounce.Recipients {
			t := told{recipient: r.Address, action: r.Action, status: cleanStatus(r.Status), diagnostic: withoutType(r.Diagnostic), category: noticed[n.Bounce.Kind]}
			m.Reports = append(m.Reports, t.report())
		}
	case strings.HasPrefix(kind, "Delivery"):
		for _, a := range n.Delivery.Recipients {
			t := told{recipient: a, action: "delivered", diagnostic: n.Delivery.Response}
			m.Reports = append(m.Reports, t.report())
		}
	}
	if len(m.Reports) > maxReports {
		m.Reports = m.Reports[:maxReports]
	}
	m.Original.ReturnPath = mailbox(n.Mail.Source)
	m.Original.Sent = date(n.Mail.Timestamp)
	if n.Mail.ID != "" {
		m.Original.QueueIDs = append(m.Original.QueueIDs, oneLine(n.Mail.ID))
	}
	return len(m.Reports) > 0
}

func decodeNotice(text string, n *notice) bool {
	whole := strings.NewReplacer("\n ", "", "\n", "").Replace(text)
	for _, s := range []string{text, whole} {
		if json.NewDecoder(strings.NewReader(s)).Decode(n) == nil {
			return true
		}
	}
	return false
}
