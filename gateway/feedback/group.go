package feedback

import (
	"strings"

	"tidepost/gateway/bounce"
)

// groupWords are what far sides say, in lower case, by what it means. The first that
// is found counts: those about the address come before those about us, since a refusal
// for our sake often names the address, too, but hardly ever the other way round.
var groupWords = []struct {
	group bounce.Group
	words []string
}{
	{bounce.MailboxFull, []string{"mailbox full", "mailbox is full", "over quota", "overquota", "quota exceeded", "exceeded its quota", "out of storage", "insufficient storage"}},
	{bounce.NoSuchHost, []string{"domain not found", "host not found", "host or domain name not found", "nxdomain", "unrouteable", "does not accept mail", "null mx", "unable to resolve", "no mx"}},
	{bounce.BlockedSender, []string{"spamhaus", "blocklist", "blacklist", "block list", "blocked using", "client host blocked", "bad reputation", "poor reputation", "rate limit", "too many connections", "too many messages"}},
	{bounce.Suspended, []string{"account disabled", "account is disabled", "mailbox disabled", "account suspended", "has been suspended", "account inactive", "mailbox is inactive", "inactive user", "is inactive"}},
	{bounce.NoSuchUser, []string{"user unknown", "unknown user", "no such user", "no such recipient", "no such mailbox", "does not exist", "doesn't exist", "user not found", "recipient not found",
		"mailbox not found", "unknown recipient", "invalid recipient", "invalid mailbox", "recipient address rejected: access denied", "recipient rejected", "not a valid mailbox", "unknown address"}},
	{bounce.PolicyGroup, []string{"spam", "dmarc", "spf", "dkim", "policy", "virus", "unsolicited", "relaying denied", "relay access denied", "relay not permitted"}},
	{bounce.ContentOrSize, []string{"message too large", "size limit", "message size", "too big"}},
	{bounce.Unreachable, []string{"timed out", "timeout", "connection refused", "connection reset", "connection lost", "no route to host", "too old", "expired"}},
	{bounce.System, []string{"local error", "internal error", "server error", "temporarily unavailable", "try again later", "greylist"}},
	{bounce.NoSuchUser, []string{"mailbox unavailable"}}, // RFC 5321 §4.2.3 has these words for policy, too
}

// groupStatus are the codes of RFC 3463 and its registry, without their class, by what
// they mean; those of two parts stand for all of their subject.
var groupStatus = map[string]bounce.Group{
	"1.0": bounce.NoSuchUser, "1.1": bounce.NoSuchUser, "1.2": bounce.NoSuchHost, "1.3": bounce.NoSuchUser, "1.6": bounce.NoSuchUser,
	"1.7": bounce.PolicyGroup, "1.8": bounce.PolicyGroup, "1.10": bounce.NoSuchHost,
	"2.0": bounce.Unknown, "2.1": bounce.Suspended, "2.2": bounce.MailboxFull, "2.3": bounce.ContentOrSize,
	"3": bounce.System, "3.4": bounce.ContentOrSize, "4": bounce.Unreachable, "4.4": bounce.NoSuchHost, "4.5": bounce.BlockedSender,
	"5": bounce.System, "6": bounce.ContentOrSize, "7": bounce.PolicyGroup,
}

// groupOf says what a bounce is about, from what the far side said. "" is only where it
// said nothing.
func groupOf(status, text string) bounce.Group {
	lower := strings.ToLower(text)
	for _, g := range groupWords {
		for _, w := range g.words {
			if strings.Contains(lower, w) {
				return g.group
			}
		}
	}
	if _, detail, ok := strings.Cut(status, "."); ok {
		if g, ok := groupStatus[detail]; ok {
			return g
		}
		subject, _, _ := strings.Cut(detail, ".")
		if g, ok := groupStatus[subject]; ok {
			return g
		}
	}
	if status == "" && text == "" {
		return ""
	}
	return bounce.Unknown
}

// orGroup is the group that the text tells, else what the provider makes of it.
func orGroup(status, text string, theirs bounce.Group) bounce.Group {
	if g := groupOf(status, text); g != "" && g != bounce.Unknown || theirs == "" {
		return g
	}
	return theirs
}
