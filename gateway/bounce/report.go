package bounce

import "time"

// Mail is a mail that came back to a return path, or to an address for complaints.
type Mail struct {
	Reports []Report // none: it reports nothing that we understand

	MessageID string // of the mail itself, without brackets
	Original  Original
}

// Original is what the mail tells about the one that it reports on; each may be "".
type Original struct {
	MessageID  string    // without brackets
	ReturnPath string    // Return-Path, Original-Mail-From or X-Envelope-From: the envelope sender
	Received   []string  // Received fields of the returned header, oldest last, shortened; at most 20
	QueueIDs   []string  // ids that a hop says it gave it, as X-Postfix-Queue-ID, "id=" of Exim, SES's mail id
	Sent       time.Time // Arrival-Date, else Date of the returned header
}

// Report is what a mail says about one recipient.
type Report struct {
	Recipient  string // as the mail went to, without brackets: Final-Recipient, X-Failed-Recipients, …; "" if it is not told
	Intended   string // Original-Recipient, where it differs
	Status     string // RFC 3463; "" if it is not told
	ReplyCode  string // SMTP reply, three digits; "" if it is not told
	Diagnostic string // what the far side said, one line, at most 500 bytes
	Reason     Reason
	Group      Group
	Hard       bool   // there is no use in trying again
	Action     string // failed, delayed, delivered, relayed, expanded (RFC 3464 §2.3.3); complaint; reply
	Feedback   string // of a complaint: abuse, fraud, virus, not-spam, opt-out, … (RFC 5965 §7.3)
}

// Group is the kind of trouble that a bounce is about.
type Group string

// The groups.
const (
	NoSuchUser    Group = "no_such_user"
	MailboxFull   Group = "mailbox_full"
	ContentOrSize Group = "content_or_size"
	BlockedSender Group = "blocked_sender"
	PolicyGroup   Group = "policy"
	Filtered      Group = "filtered"
	NoSuchHost    Group = "no_such_host"
	Unreachable   Group = "unreachable"
	System        Group = "system"
	Suspended     Group = "suspended"
	Unknown       Group = "unknown"
	NotABounce    Group = "not_a_bounce"
)

// Groups are all groups.
func Groups() []Group {
	return []Group{NoSuchUser, MailboxFull, ContentOrSize, BlockedSender, PolicyGroup, Filtered,
		NoSuchHost, Unreachable, System, Suspended, Unknown, NotABounce}
}

// Counts reports whether a temporary bounce of the group says something about the
// address: enough of them, and it is left alone for a while. The others are about
// our mail, about us, or about the far side's machines.
func (g Group) Counts() bool {
	switch g {
	case NoSuchUser, MailboxFull, Filtered, NoSuchHost, Unreachable, Suspended, Unknown:
		return true
	}
	return false
}

// Reason is the finer word below a group, as userunknown or mailboxfull.
type Reason string
