package bounce

import (
	"strings"
	"sync"
)

// said returns the most telling reason whose words are in a text, for each level.
func said(text string) (best [levels]Reason) {
	if text == "" {
		return best
	}
	phrasebook().scan(fold(text), func(p *phrase) bool {
		better(&best[p.level], p.tells)
		if p.level == clear && p.tells != UserUnknown {
			better(&best[beside], p.tells)
		}
		return true
	})
	return best
}

func better(best *Reason, r Reason) {
	if *best == "" || rank[r] < rank[*best] {
		*best = r
	}
}

// report gives what was told its codes and its reason.
func (t *told) report() Report {
	r := Report{Recipient: t.recipient, Intended: t.intended, Action: t.action, Status: t.status}
	code, status := codes(t.diagnostic)
	if code == "" && status == "" {
		code, status = codes(t.around)
	}
	if r.Status == "" || status != "" && !strings.HasSuffix(status, ".0.0") && (vagueStatus(r.Status) || !vagueStatus(status)) {
		r.Status = status
	}
	r.ReplyCode = code
	if t.stage == "" {
		t.stage = stageOf(t.diagnostic, t.around)
	}
	r.Reason = t.reason(&r)
	r.Diagnostic = oneLine(t.diagnostic)
	if r.Diagnostic == "" {
		r.Diagnostic = oneLine(t.around)
	}
	if r.Action == "" || r.Action == "expired" {
		r.Action = actionOf(&r)
	}
	r.Group, r.Hard = r.Reason.Group(), r.Reason.Hard()
	return r
}

func actionOf(r *Report) string {
	switch {
	case r.Reason == Delivered:
		return "delivered"
	case r.Status != "" && r.Status[0] == '4' && r.ReplyCode == "":
		return "delayed"
	}
	return "failed"
}

// reason weighs words, status and the command that was answered. Clear words of the
// far side come first: 5.1.1 is given for full mailboxes, and 5.7.1 for anything.
func (t *told) reason(r *Report) Reason {
	switch t.action {
	case "delivered", "relayed", "expanded":
		return Delivered
	}
	if strings.HasPrefix(r.Status, "2.") && t.action != "failed" {
		return Delivered
	}
	byStatus := statusReason(r.Status)
	far := farWords(t.diagnostic)
	if far == "" {
		_, far, _ = strings.Cut(t.around, "Transcript of session follows")
	}
	words := said(far)
	if _, why, ok := strings.Cut(t.around, "was automatically rejected"); ok { // by the reader's own script (RFC 5429)
		if w := said(why); w[clear] != "" {
			words = w
		}
	}
	if words[firm] == "" && words[clear] == "" && byStatus == "" {
		around := said(t.around)
		for l := range words {
			if words[l] == "" {
				words[l] = around[l]
			}
		}
	}
	sense := sync.OnceValue(func() Reason { return senseOf(far) })
	switch {
	case words[firm] == Expired && (words[clear] == FullMailbox || words[clear] == Suspend):
		return words[clear] // why it waited so long
	case words[firm] == Expired && byStatus != "":
		return byStatus
	case words[firm] != "":
		return words[firm]
	case t.local && words[clear] != FullMailbox && words[clear] != MessageTooBig && words[clear] != SystemFull:
		return MailerError
	case words[clear] != "":
		return t.unveil(words[clear], words[beside], r)
	case t.category != "":
		return t.category
	case byStatus != "" && (byStatus != FilteredOut || sense() == ""): // X.2.1 is given for anything about a mailbox
		return t.unveil(byStatus, "", r)
	case sense() != "" && (words[vague] != UserUnknown && words[vague] != FilteredOut || rank[sense()] < rank[words[vague]]):
		return t.unveil(sense(), "", r)
	case words[vague] == Rejected && (t.stage == stageConnect || t.stage == stageHello):
		return Blocked
	case words[vague] == UserUnknown && bySubject(r.Status) != "" && strings.Contains(far, "ddress rejected: "):
		return bySubject(r.Status) // Postfix says so of all that a table refuses
	case words[vague] == UserUnknown && (strings.HasPrefix(r.ReplyCode, "4") || r.ReplyCode == "" && strings.HasPrefix(r.Status, "4")):
		return OnHold // it may know the user yet
	case words[vague] != "":
		return t.unveil(words[vague], "", r)
	}
	return t.guess(r)
}

// farWords takes off what a mail system writes around the answer of the far side: an
// IronPort "5.3.0 - Other mail system problem 550-'…' (delivery attempts: 0)", and
// Gmail a sentence that ends in "the other server returned was:".
func farWords(s string) string {
	if _, rest, ok := strings.Cut(s, "other server returned was:"); ok {
		return rest
	}
	if status, rest := cutStatus(s); status != "" && strings.HasPrefix(rest, " - ") {
		if i := strings.Index(rest, "-'"); i > 3 && isDigits(rest[i-3:i]) {
			rest, _, _ = strings.Cut(rest[i-3:], "' (delivery attempts")
			return rest
		}
	}
	return s
}

// unveil takes "no such user" for true where it answers RCPT, or has the status for
// it. Said later, without one, or with that of another trouble, it is how a filter
// keeps what it does to itself; and a mailbox is not given up for that. What is said
// beside it then counts for more.
func (t *told) unveil(found, besides Reason, r *Report) Reason {
	switch {
	case (t.stage == stageConnect || t.stage == stageHello) && beforeMail[found]:
		return Blocked // it knows no more than our name and address
	case t.stage == stageConnect && (found == NetworkError || found == Expired) && strings.HasPrefix(r.ReplyCode, "5"):
		return Blocked // an answer did come
	case t.stage == stageMail && (found == UserUnknown || found == FilteredOut || found == SecurityError || found == HostUnknown):
		return Rejected // it speaks of the sender
	case (found == MessageTooBig || found == ExceedLimit) && strings.HasSuffix(r.Status, ".2.2"):
		return FullMailbox // what is over a size is the mailbox
	case found != UserUnknown || t.stage == stageRcpt || t.category == UserUnknown || t.bare || ofGateway(t.recipient):
		return found
	}
	_, detail, _ := strings.Cut(r.Status, ".")
	switch by := statusReasons[detail]; {
	case by == UserUnknown || detail == "1.10" || detail == "1.0":
		return found
	case besides != "":
		return besides
	case by != "":
		return by
	}
	return FilteredOut
}

// beforeMail are reasons that speak of a mailbox or a mail, of which a server knows
// nothing before it has answered HELO.
var beforeMail = map[Reason]bool{HostUnknown: true, UserUnknown: true, FilteredOut: true, SyntaxError: true, SecurityError: true, SpamDetected: true, Rejected: true, Suspend: true}

// ofGateway holds for addresses of a text message gateway, which knows its numbers.
func ofGateway(a string) bool {
	_, domain, _ := strings.Cut(strings.ToLower(a), "@")
	return domain == "vtext.com" || domain == "vzwpix.com"
}

// guess has no words that it knows: the command and the codes must do.
func (t *told) guess(r *Report) Reason {
	permanent := strings.HasPrefix(r.Status, "5") || strings.HasPrefix(r.ReplyCode, "5")
	switch {
	case t.action == "delayed" || t.action == "expired":
		return Expired
	case t.stage == stageConnect || t.stage == stageHello:
		return Blocked
	case t.stage == stageMail && permanent:
		return Rejected
	case bySubject(r.Status) != "":
		return bySubject(r.Status)
	case t.stage == stageRcpt && permanent && (r.ReplyCode == "550" || r.ReplyCode == "551" || r.ReplyCode == "553"):
		return UserUnknown
	case r.ReplyCode == "552":
		return FullMailbox
	case r.ReplyCode == "421":
		return Blocked
	case r.ReplyCode == "500" || r.ReplyCode == "501" || r.ReplyCode == "502" || r.ReplyCode == "503" || r.ReplyCode == "504":
		return SyntaxError
	case t.stage == stageData && r.ReplyCode == "550":
		return FilteredOut
	case strings.HasPrefix(r.Status, "4.") || strings.HasPrefix(r.ReplyCode, "4"):
		return OnHold
	}
	return Undefined
}

// bySubject is what the subject of a status (RFC 3463 §2) tells where its detail tells
// nothing; "" where it would be about the address, which other signs tell better.
func bySubject(status string) Reason {
	if len(status) < 5 {
		return ""
	}
	switch status[2:4] {
	case "3.":
		return SystemError
	case "4.":
		return NetworkError
	case "6.":
		return ContentError
	case "7.":
		return SecurityError
	}
	return ""
}

// statusReason is what a status (RFC 3463 §3, and IANA's registry of them) means by
// itself; "" for one that only names a subject. A temporary one says nothing final
// about a host.
func statusReason(status string) Reason {
	if len(status) < 5 {
		return ""
	}
	by := statusReasons[status[2:]]
	if status[0] == '4' {
		switch by {
		case HostUnknown:
			return NetworkError
		case NotAccept:
			return SystemError
		}
	}
	return by
}

var statusReasons = map[string]Reason{
	"1.0": "", "1.1": UserUnknown, "1.2": HostUnknown, "1.3": UserUnknown, "1.4": FilteredOut, "1.5": "", "1.6": HasMoved,
	"1.7": Rejected, "1.8": Rejected, "1.9": "", "1.10": NotAccept, "1.351": UserUnknown,
	"2.1": FilteredOut, "2.2": FullMailbox, "2.3": ExceedLimit, "2.4": FilteredOut,
	"3.1": SystemFull, "3.2": NotAccept, "3.3": SystemError, "3.4": MessageTooBig, "3.5": SystemError,
	"4.1": Expired, "4.2": NetworkError, "4.3": SystemError, "4.4": HostUnknown, "4.5": Blocked, "4.6": NetworkError,
	"4.7": Expired, "4.8": NetworkError,
	"5.0": "", "5.1": "", "5.2": SyntaxError, "5.3": Undefined, "5.4": SyntaxError, "5.5": SystemError,
	"6.0": ContentError, "6.1": ContentError, "6.2": ContentError, "6.3": ContentError, "6.4": ContentError, "6.5": ContentError, "6.6": ContentError,
	"6.7": ContentError, "6.8": ContentError, "6.9": ContentError,
	"7.2": FilteredOut, "7.3": SecurityError, "7.4": SecurityError, "7.5": SecurityError, "7.6": SecurityError, "7.7": SecurityError,
	"7.8": SecurityError, "7.9": SecurityError, "7.10": FailedSTARTTLS, "7.13": Suspend, "7.14": SecurityError, "7.15": RateLimited,
	"7.16": RateLimited, "7.17": HasMoved, "7.18": HasMoved, "7.19": Rejected, "7.20": AuthFailure, "7.21": AuthFailure, "7.22": AuthFailure,
	"7.23": AuthFailure, "7.24": AuthFailure, "7.25": RequirePTR, "7.26": AuthFailure, "7.27": Rejected, "7.28": RateLimited,
	"7.29": AuthFailure, "7.30": AuthFailure, "7.509": AuthFailure, "7.606": Blocked, "7.607": Blocked,
	"4.312": NetworkError, "4.310": HostUnknown, "4.316": Expired, "4.317": Expired, "4.300": Expired,
	"7.133": SecurityError, "7.134": SecurityError, "7.136": SecurityError, "7.124": SecurityError, "7.57": SecurityError,
	"7.64": SecurityError, "7.501": Blocked, "7.502": Blocked, "7.503": Blocked, "7.508": RateLimited, "7.511": Blocked, "7.512": NotCompliant,
	"7.703": PolicyViolation, "7.705": RateLimited, "7.708": Blocked, "7.750": Blocked,
	"7.317": FailedSTARTTLS, "7.321": FailedSTARTTLS, "7.322": FailedSTARTTLS, "7.323": FailedSTARTTLS, "7.324": FailedSTARTTLS, "7.325": FailedSTARTTLS,
	"6.11": ContentError, "2.120": ExceedLimit, "2.121": RateLimited, "2.122": RateLimited,
}

// oneLine is a text in one line of at most 500 bytes.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s[:min(len(s), 2<<10)]), " ")
	s = s[:min(len(s), 500)]
	return strings.ToValidUTF8(s, "")
}
