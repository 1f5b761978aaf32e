package admin

import (
	"fmt"
	"time"

	"tidepost/gateway"
	"tidepost/scheduler"
)

// sentences are for the reasons that the flow gives; the scheduler words its own.
var sentences = map[string]string{
	"admin":                  "A person decided so.",
	"capture":                "The route's mode is capture: it is kept, not sent.",
	"damaged":                "Its content cannot be read back; it is kept from leaving wrong.",
	"delivered":              "The next hop took it.",
	"expired":                "It could not be delivered before its time was up.",
	"in_doubt":               "It was on the wire when the gateway stopped and may have left already.",
	"max_drop":               "More of the hour's bulk mail than policy.max_drop allows would be dropped; it is held instead.",
	"refused":                "The next hop refused it for good.",
	"retry":                  "The last attempt was put off and it is tried again.",
	"rule":                   "A rule of yours says so.",
	"suppressed":             "A suppression stops it.",
	"suppression_unreadable": "The suppression list cannot be read, so bulk mail waits.",
	"unsent":                 "The connection ended before it was begun; that was no attempt.",
}

// sentence explains a reason in plain English.
func sentence(reason string) string {
	if reason == "" {
		return ""
	}
	if s, ok := sentences[reason]; ok {
		return s
	}
	return mark(scheduler.Reason(reason).Sentence())
}

// at writes an instant in a sentence.
func at(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// with appends a sentence where there is one.
func with(text, more string) string {
	if more == "" {
		return text
	}
	return text + " " + more
}

// standing says in one sentence where a delivery stands. last is when it came
// there, zero where that is not known.
func standing(d *gateway.Delivery, now, last time.Time) string {
	when := ""
	if !last.IsZero() {
		when = " at " + at(last)
	}
	switch d.State {
	case gateway.Waiting:
		return waiting(d, now)
	case gateway.Sending:
		return "It is on the wire since " + at(d.Started) + "."
	case gateway.Delivered:
		return fmt.Sprintf("It was delivered%s; the next hop said: %s", when, mark(d.Reply))
	case gateway.Bounced:
		return with(fmt.Sprintf("It bounced%s.", when), with(sentence(d.Reason), reply(d)))
	case gateway.Dropped:
		return with(fmt.Sprintf("It was dropped%s.", when), sentence(d.Reason))
	case gateway.Captured:
		return fmt.Sprintf("It was captured%s and is not sent; `tidepost queue release --captured` sends it.", when)
	}
	return "It is " + d.State.String() + "."
}

func waiting(d *gateway.Delivery, now time.Time) string {
	why := sentence(d.Reason)
	switch {
	case d.Paused && d.Reason == "admin":
		return "A person holds it; `tidepost queue resume` lets it go."
	case d.Paused:
		return with("It is held until a person resumes it.", why)
	case d.Rev == 0:
		return "It was just accepted and is about to be planned."
	case d.Due.After(now):
		return with("It waits until "+at(d.Due)+".", why)
	}
	return with("It is due and leaves at its turn.", why)
}

func reply(d *gateway.Delivery) string {
	if d.Reply == "" {
		return ""
	}
	return "The last answer was: " + mark(d.Reply)
}
