package rules

import "time"

// Facts is all that rules see of one decision: whether this message may go to
// this mailbox now. The gateway fills it; a zero field reads as written beside
// it. Facts are only read here.
type Facts struct {
	Tenant  string    // whose mail it is
	Now     time.Time // of the decision, in the mailbox's time zone: rules read its wall clock
	Message Message
	Mailbox Mailbox
}

// Message is what is asked to leave.
type Message struct {
	Class    string // transactional, triggered, newsletter or promotional
	Campaign string
	List     string // List-Id without its brackets
	Subject  string // decoded
	Tags     []string
	Size     int64         // bytes
	Value    float64       // relative worth as its client said; 1 is usual
	Age      time.Duration // since it was accepted
}

// Counts is how often something happened in the last 1, 7, 30 and 90 days, each
// window sliding and ending now.
type Counts struct{ D1, D7, D30, D90 uint32 }

// Mailbox is who it would go to.
type Mailbox struct {
	Local    string // canonical part before the @
	Domain   string // canonical part after it
	Provider string // who runs its servers: gmail, microsoft, …

	Attributes map[string]string // as imported, or as X-Tidepost-Profile said
	Segments   []string

	Sends  Counts // our bulk mail to it; always known
	Opens  Counts // by a person; a window counts only if OpensVisible covers it
	Clicks Counts // likewise with ClicksVisible

	LastSend  time.Time // zero: never
	LastOpen  time.Time // zero: none was seen
	LastClick time.Time // zero: none was seen

	// For how long, without a break and up to now, an open or a click of this
	// mailbox would have been seen: since tracking began, the reader consented,
	// the evidence mode allowed it. Zero: it cannot be seen, and no rule may
	// conclude anything from silence.
	OpensVisible, ClicksVisible time.Duration

	Modelled  bool    // the next three are known; false: they are absent
	Fatigue   float64 // pressure of recent mail; at Tolerance it is too much
	Interest  float64 // 0 to 1
	Tolerance float64 // fatigue the mailbox bears

	Complaints uint32 // ever, as far as its provider tells

	// What the last 7 days saw of all mailboxes of the domain.
	DomainSends, DomainBounces uint32
}
