package scheduler

// Reason is the short stable code of why a plan is what it is. The empty Reason
// means that nothing stands in the way.
type Reason string

// The reasons of this package.
const (
	Transactional Reason = "transactional"
	Triggered     Reason = "triggered"
	NoHold        Reason = "no_hold"
	NotBefore     Reason = "not_before"
	QuietHours    Reason = "quiet_hours"
	MinGap        Reason = "min_gap"
	WeeklyCap     Reason = "weekly_cap"
	WindowEnd     Reason = "window_end"
	Deadline      Reason = "deadline"
	Superseded    Reason = "superseded"
	Limit         Reason = "limit"
)

var sentences = map[Reason]string{
	Transactional: "It is transactional mail, which is never held.",
	Triggered:     "It answers something the reader did, so quiet hours, gap and cap do not apply.",
	NoHold:        "Nothing holds it.",
	NotBefore:     "The client asked that it not leave before this time.",
	QuietHours:    "The mailbox is in its quiet hours.",
	MinGap:        "The mailbox got, or gets first, another mail too shortly before.",
	WeeklyCap:     "The mailbox has had, or gets first, as much mail as one week allows.",
	WindowEnd:     "Gap or cap do not open in time, and it may not be held any longer.",
	Deadline:      "The client's deadline has passed.",
	Superseded:    "A newer message of the same kind waits and replaces it.",
	Limit:         "Gap or cap did not open before its time was up, and the policy says to drop it then.",
}

// Sentence explains the reason in plain English. A code of a later version
// explains itself as well as it can.
func (r Reason) Sentence() string {
	if s := sentences[r]; s != "" {
		return s
	}
	return "The reason is " + string(r) + "."
}
