package main

// feedbackCmd is about mail that came back.
type feedbackCmd struct {
	Classify  feedbackClassifyCmd  `cmd:"" help:"What bounces and complaints mean: one JSON line a report. Needs no gateway."`
	Learn     feedbackLearnCmd     `cmd:"" help:"Bring mails to the gateway that came back elsewhere, as to an ESP's mailbox for bounces."`
	Unmatched feedbackUnmatchedCmd `cmd:"" help:"Reports about no mail that we know: list them, print one, remove one."`
}
