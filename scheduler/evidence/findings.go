package evidence

import "math/bits"

// reasons is a set of findings.
type reasons uint32

// The findings in the order in which they are listed.
const (
	beforeDelivery reasons = 1 << iota
	atDelivery
	seconds
	early
	scannedDomain
	head
	noAgent
	libraryAgent
	gatewayAgent
	honeypot
	nearHoneypot
	burst
	allLinks
	manyMailboxes
	knownRange
	applePrivacy
	googleProxy
	prefetch
	refetch
	confirmed
)

// words names the findings. The words are in records and in people's heads: they stay.
var words = [...]string{
	"before_delivery", // the next hop had not answered yet
	"at_delivery",     // less than 2 s after it did
	"seconds_after",   // less than 10 s
	"early",           // less than 100 s
	"scanned_domain",  // less than 100 s, and the mailbox's domain is scanned
	"head",            // a HEAD or OPTIONS request
	"no_agent",        // an empty user agent
	"library_agent",   // a program's or a crawler's user agent
	"gateway_agent",   // one that names a mail-security product
	"honeypot",        // the link that no reader sees
	"near_honeypot",   // within a minute of it
	"burst",           // two links in two seconds, or within a minute of that
	"all_links",       // nearly all links of the message in a minute
	"many_mailboxes",  // its address is busy with several mailboxes
	"known_range",     // its address is a data centre's or a gateway's
	"apple_privacy",   // Apple fetches all images of all mail
	"google_proxy",    // Google's image proxy
	"prefetch",        // … so early that nobody need have asked for it
	"refetch",         // … for the second time
	"confirmed",       // a person was seen to come of it
}

// single holds the lists of one word, so that judging a person allocates nothing.
var single = func() (lists [len(words)][]string) {
	for i := range words {
		lists[i] = words[i : i+1 : i+1]
	}
	return lists
}()

// list is the words of the set.
func (r reasons) list() []string {
	switch n := bits.OnesCount32(uint32(r)); n {
	case 0:
		return nil
	case 1:
		return single[bits.TrailingZeros32(uint32(r))]
	case 2:
		if r == googleProxy|early {
			return earlyProxy[:len(earlyProxy):len(earlyProxy)]
		}
	}
	list := make([]string, 0, bits.OnesCount32(uint32(r)))
	for ; r != 0; r &= r - 1 {
		list = append(list, words[bits.TrailingZeros32(uint32(r))])
	}
	return list
}

// earlyProxy is the one pair that people commonly have.
var earlyProxy = []string{"early", "google_proxy"}

// findings is what a request shows.
type findings struct {
	reasons reasons
	score   int
	prior   int  // what of the score is there only because the domain is scanned
	early   bool // a person, if it was one, came soon after delivery
	mute    bool // whatever the verdict, it teaches nothing
	retract bool
}

func (f *findings) add(r reasons, score int) {
	f.reasons |= r
	f.score += score
}

// request looks at the request itself.
func (f *findings) request(r *Request, a agent) {
	if r.Method == "HEAD" || r.Method == "OPTIONS" {
		f.add(head, decisive)
	}
	switch a {
	case agentEmpty:
		f.add(noAgent, decisive)
	case agentLibrary:
		f.add(libraryAgent, decisive)
	case agentGateway:
		f.add(gatewayAgent, decisive)
	}
}

// timing looks at when it came; scanned is whether the domain's mail is scanned.
// The prior counts for clicks only: images are fetched by readers' own programs
// at delivery too often for a scanner to be told from them.
func (f *findings) timing(r *Request, scanned bool) {
	age, known := r.age()
	f.early = known && age < earlyAfter
	switch {
	case r.Sending:
		f.add(beforeDelivery, decisive)
	case !known || age >= earlyAfter:
	case age < 0:
		f.add(beforeDelivery, decisive)
	case age < atOnce:
		f.add(atDelivery, decisive)
	case age < secondsAfter:
		f.add(seconds, scoreSeconds)
	case scanned && r.Action != Open:
		f.add(scannedDomain, scoreScanned)
		f.prior = scoreScanned - scoreEarly
	default:
		f.add(early, scoreEarly)
	}
}

// judgement sums up.
func (f *findings) judgement() Judgement {
	j := Judgement{Score: f.score, Reasons: f.reasons.list()}
	switch {
	case f.score >= machineFrom:
		j.Verdict, j.Retract = Machine, f.retract
	case f.score >= doubtfulFrom:
		j.Verdict, j.Weight = Doubtful, weightDoubtful
	case f.early:
		j.Weight = weightEarly
	default:
		j.Weight = weightHuman
	}
	if f.mute {
		j.Weight = 0
	}
	return j
}
