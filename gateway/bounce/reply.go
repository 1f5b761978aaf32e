package bounce

// Classify says what an answer of a far side means, as a provider passes it on: its
// status (RFC 3463) and its words. Either may be "".
func Classify(status, text string) Report {
	t := told{status: cleanStatus(status), diagnostic: text, action: "failed"}
	return t.report()
}
