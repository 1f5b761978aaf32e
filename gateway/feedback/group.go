package feedback

import "tidepost/gateway/bounce"

// groupOf says what a bounce is about, from what the far side said. "" is only where it
// said nothing.
func groupOf(status, text string) bounce.Group {
	if status == "" && text == "" {
		return ""
	}
	return bounce.Classify(status, text).Group
}

// orGroup is the group that the text tells, else what the provider makes of it.
func orGroup(status, text string, theirs bounce.Group) bounce.Group {
	if g := groupOf(status, text); g != "" && g != bounce.Unknown || theirs == "" {
		return g
	}
	return theirs
}
