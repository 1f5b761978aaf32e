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

	ReadingHour Reason = "reading_hour"
	Fatigue     Reason = "fatigue"
	Explored    Reason = "explored"
	ControlArm  Reason = "control_arm"
	RandomArm   Reason = "random_arm"
	NoneArm     Reason = "none_arm"
	FixedHour   Reason = "fixed_hour"
	Histogram   Reason = "histogram"
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
	ReadingHour:   "The reader is expected to see it sooner after this time.",
	Fatigue:       "The reader has had as much mail lately as they bear; one more would cost more than it brings.",
	Explored:      "It is in the share that leaves at a random permitted hour, so that the model keeps learning.",
	ControlArm:    "The mailbox is in the control group, whose mail leaves as soon as it may.",
	RandomArm:     "The mailbox is in the group whose mail leaves at a random permitted hour.",
	NoneArm:       "The mailbox is in the group that gets no promotional mail.",
	FixedHour:     "All mail leaves at one fixed hour, for comparison.",
	Histogram:     "Mail leaves at the hour in which its reader was seen most, for comparison.",
}

// Sentence explains the reason in plain English. A code of a later version
// explains itself as well as it can.
func (r Reason) Sentence() string {
	if s := sentences[r]; s != "" {
		return s
	}
	return "The reason is " + string(r) + "."
}

// OfModel reports whether the model or an arm gave the reason, not a gate, the
// client or the class.
func (r Reason) OfModel() bool {
	switch r {
	case ReadingHour, Fatigue, Explored, RandomArm, NoneArm, FixedHour, Histogram:
		return true
	}
	return false
}
