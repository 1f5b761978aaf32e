package bounce

// The reasons.
const (
	UserUnknown     Reason = "userunknown"
	HasMoved        Reason = "hasmoved"
	FullMailbox     Reason = "mailboxfull"
	MessageTooBig   Reason = "mesgtoobig"
	EmailTooLarge   Reason = "emailtoolarge"
	ExceedLimit     Reason = "exceedlimit"
	ContentError    Reason = "contenterror"
	Blocked         Reason = "blocked"
	BadReputation   Reason = "badreputation"
	RequirePTR      Reason = "requireptr"
	NotCompliant    Reason = "notcompliantrfc"
	TooManyConn     Reason = "toomanyconn"
	RateLimited     Reason = "ratelimited"
	Speeding        Reason = "speeding"
	SpamDetected    Reason = "spamdetected"
	VirusDetected   Reason = "virusdetected"
	PolicyViolation Reason = "policyviolation"
	SecurityError   Reason = "securityerror"
	Rejected        Reason = "rejected"
	AuthFailure     Reason = "authfailure"
	NoRelaying      Reason = "norelaying"
	FailedSTARTTLS  Reason = "failedstarttls"
	FilteredOut     Reason = "filtered"
	HostUnknown     Reason = "hostunknown"
	NotAccept       Reason = "notaccept"
	NetworkError    Reason = "networkerror"
	Expired         Reason = "expired"
	SystemError     Reason = "systemerror"
	SystemFull      Reason = "systemfull"
	MailerError     Reason = "mailererror"
	SyntaxError     Reason = "syntaxerror"
	Suspend         Reason = "suspend"
	OnHold          Reason = "onhold"
	Undefined       Reason = "undefined"
	Complaint       Reason = "feedback"
	Vacation        Reason = "vacation"
	Delivered       Reason = "delivered"
)

var groups = map[Reason]Group{
	UserUnknown: NoSuchUser, HasMoved: NoSuchUser,
	FullMailbox:   MailboxFull,
	MessageTooBig: ContentOrSize, EmailTooLarge: ContentOrSize, ExceedLimit: ContentOrSize, ContentError: ContentOrSize,
	Blocked: BlockedSender, BadReputation: BlockedSender, RequirePTR: BlockedSender, NotCompliant: BlockedSender,
	TooManyConn: BlockedSender, RateLimited: BlockedSender, Speeding: BlockedSender,
	SpamDetected: PolicyGroup, VirusDetected: PolicyGroup, PolicyViolation: PolicyGroup, SecurityError: PolicyGroup,
	Rejected: PolicyGroup, AuthFailure: PolicyGroup, NoRelaying: PolicyGroup, FailedSTARTTLS: PolicyGroup,
	FilteredOut: Filtered,
	HostUnknown: NoSuchHost, NotAccept: NoSuchHost,
	NetworkError: Unreachable, Expired: Unreachable,
	SystemError: System, SystemFull: System, MailerError: System, SyntaxError: System,
	Suspend: Suspended,
	OnHold:  Unknown, Undefined: Unknown,
	Complaint: NotABounce, Vacation: NotABounce, Delivered: NotABounce,
}

// Group is the group that a reason is in.
func (r Reason) Group() Group {
	if g, ok := groups[r]; ok {
		return g
	}
	return Unknown
}

// Hard reports whether the reason means that the address takes no mail, now or later.
// A server that says so with a temporary code means the same.
func (r Reason) Hard() bool {
	switch r {
	case UserUnknown, HasMoved, HostUnknown, NotAccept:
		return true
	}
	return false
}

// precedence orders reasons where a text has the words of several: the more telling
// come first.
var precedence = []Reason{
	FullMailbox, MessageTooBig, EmailTooLarge, ExceedLimit, HasMoved, Suspend, NoRelaying, AuthFailure, FailedSTARTTLS, RequirePTR,
	NotCompliant, VirusDetected, HostUnknown, NotAccept, UserUnknown, FilteredOut, BadReputation, SpamDetected, RateLimited, Speeding,
	TooManyConn, Blocked, ContentError, PolicyViolation, Rejected, SecurityError, SystemFull, MailerError, SyntaxError,
	NetworkError, SystemError, Expired, OnHold,
}

var rank = func() map[Reason]int {
	m := map[Reason]int{}
	for i, r := range precedence {
		m[r] = i
	}
	return m
}()
