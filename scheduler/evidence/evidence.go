package evidence

import (
	"net/netip"
	"sync"
	"time"
)

// Action is what was requested.
type Action uint8

// Open is a fetch of the tracking pixel, Click one of a wrapped link.
const (
	Open Action = iota
	Click
)

// Request is what was seen of one open or click.
type Request struct {
	At        time.Time
	Action    Action
	Method    string     // "GET", "HEAD" …; "": not known
	UserAgent string     // "" with Known false: not known
	Known     bool       // UserAgent and Addr are what the client sent, also where empty
	Addr      netip.Addr // invalid: not known
	Tenant    string
	Mailbox   [16]byte  // zero: not known
	Delivery  uint64    // hash of the delivery's id; 0: none
	Link      uint64    // of a click: which link; 0: not known
	Links     int       // distinct links of the message; 0: not known
	Hidden    bool      // the honeypot link that no reader sees
	Delivered time.Time // when the next hop answered 250; zero: not known
	Sending   bool      // it has not answered yet
	Domain    string    // of the mailbox, in one spelling, for the scanner share of its destination; "": not known
	Confirmed bool      // a person was seen to come of this click: a second page, a reply, a purchase
}

// Verdict is who was behind a request.
type Verdict uint8

// The verdicts, from the one that teaches most to the one that teaches nothing.
const (
	Human Verdict = iota
	Doubtful
	Machine
)

// String is the verdict in lower case.
func (v Verdict) String() string {
	return [...]string{"human", "doubtful", "machine"}[min(v, Machine)]
}

// Judgement is the verdict on one request with what led to it.
type Judgement struct {
	Verdict Verdict

	// Weight is what the request may teach: a machine's 0; a doubtful one's 0.3, or 0 where
	// Google's proxy fetched too early or again; a person's 1, or 0.9 where it
	// came less than 100 s after delivery, which is less than releases held mail.
	Weight float32

	Score   int      // the sum of the scores
	Reasons []string // stable words for people, in the order of the rules; shared, not to be changed
	Retract bool     // earlier clicks of the same delivery within the last minute were a machine's too
}

// The scores, and the sums from which a verdict follows (decision model 2.1). A
// decisive finding is so high that a later sign of a person does not undo it.
const (
	doubtfulFrom = 2
	machineFrom  = 4
	decisive     = 8

	scoreSeconds = 3 // less than secondsAfter after delivery
	scoreEarly   = 1 // less than earlyAfter after delivery
	scoreScanned = 2 // the same at a domain that is scanned
	scoreLinks   = 4 // too many links too fast
	scoreRange   = 2
	scoreMany    = 2 // one address for many mailboxes: an open
	scoreManyHit = 3 // a click
	scorePerson  = -4
	scoreProxy   = 2 // Google's proxy too early or again: doubtful
)

// The weights of the verdicts.
const (
	weightHuman    = 1
	weightEarly    = .9
	weightDoubtful = .3
)

// The times after delivery that separate machines from people.
const (
	atOnce       = 2 * time.Second
	secondsAfter = 10 * time.Second
	earlyAfter   = 100 * time.Second
	prefetched   = 60 * time.Second // Google's proxy: until then it may have been a prefetch
)

// Classifier judges requests. The zero value is usable. Its fields are set before
// use; Judge is safe for concurrent use, and costs the same whatever was asked before.
//
// It remembers no more than this, with the default Size, the maps and lists included:
//
//	65,536 deliveries  220 bytes each, up to 750 where 32 links were clicked in a minute; 14 MB (49 MB)
//	65,536 addresses   330 bytes each with the last 5 mailboxes seen there; 21 MB
//	16,384 domains     130 bytes each; 2 MB
//
// The least recently used is forgotten first. Keys are of fixed size: no string of a
// request is kept. Addresses are kept in memory only and never given out.
type Classifier struct {
	Ranges []netip.Prefix // data centres and mail gateways; nil: a short built-in list
	Relays []netip.Prefix // where Apple's relays leave; nil: a short built-in list
	Size   int            // deliveries remembered, and addresses; a quarter as many domains; 0: 65,536

	once   sync.Once
	ranges ranges
	relays ranges

	mu     sync.Mutex // guards memory
	memory memory
}

func (c *Classifier) start() {
	c.ranges, c.relays = newRanges(c.Ranges, builtinRanges), newRanges(c.Relays, builtinRelays)
	c.memory.start(c.Size)
}

// Judge says who was behind the request and remembers it.
func (c *Classifier) Judge(r Request) Judgement {
	c.once.Do(c.start)
	var (
		f     findings
		agent = agentOf(&r)
		addr  = r.Addr.Unmap().WithZone("")
		relay = addr.IsValid() && c.relays.contain(addr)
	)
	f.request(&r, agent)
	if r.Action == Open && (relay || agent == agentPlain) {
		f.add(applePrivacy, decisive)
		return f.judgement()
	}
	if r.Action == Open && agent == agentGoogle && f.score == 0 {
		return c.google(&r)
	}
	// Relays and image proxies fetch for many people: their address tells nothing.
	if relay || r.Action == Open && (agent == agentGoogle || agent == agentProxy) {
		addr = netip.Addr{}
	}
	if addr.IsValid() && c.ranges.contain(addr) {
		f.add(knownRange, scoreRange)
	}
	if r.Confirmed && r.Action != Open {
		f.add(confirmed, scorePerson)
	}
	c.mu.Lock()
	c.memory.judge(&r, addr, &f)
	c.mu.Unlock()
	return f.judgement()
}

// google judges an open that Google's image proxy fetched.
func (c *Classifier) google(r *Request) Judgement {
	c.mu.Lock()
	first := c.memory.firstFetch(r)
	c.mu.Unlock()

	f := findings{reasons: googleProxy}
	age, known := r.age()
	switch {
	case r.Sending || known && age <= prefetched:
		f.add(prefetch, scoreProxy)
		f.mute = true
	case !first:
		f.add(refetch, scoreProxy)
		f.mute = true
	case !known:
		f.early = true
	case age < earlyAfter:
		f.add(early, scoreEarly)
		f.early = true
	}
	return f.judgement()
}

// age is the time since delivery; not known where no delivery is.
func (r *Request) age() (age time.Duration, known bool) {
	return r.At.Sub(r.Delivered), !r.Delivered.IsZero() && !r.Sending
}
