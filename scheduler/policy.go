package scheduler

import (
	"time"

	"tidepost/scheduler/clock"
	"tidepost/scheduler/experiment"
)

// maxWindow bounds what a client may ask for in X-Tidepost-Window.
const maxWindow = 100 * time.Hour

// Policy is an operator's tunables, as far as they concern time. The zero value
// holds nothing, observes and leaves every mailbox to the model.
type Policy struct {
	Zone        *time.Location // where a mailbox's is unknown; nil: quiet hours are skipped there
	MaxHold     time.Duration  // longest hold from acceptance; 0: gap and cap hold nothing
	Quiet       Quiet          // mailbox-local; zero: none
	MinGap      time.Duration  // between two bulk sends to a mailbox; 0: off
	WeeklyCap   int            // bulk sends to a mailbox in any 168 hours; 0: off, more than 32 count as 32
	DropAtLimit bool           // drop droppable items that gap or cap still stop when their hold ends
	Jitter      time.Duration  // releases at the edges of quiet hours are spread over this; 0: all on the dot

	Live     bool              // false: gates alone decide, and each Decision records what the model would have done
	Arms     experiment.Shares // in force when Live; drawn anew with each quarter of the year
	Explore  float32           // share of the model arm's mail that leaves at a random permitted hour
	Salt     uint64            // of the hashes that draw arms and exploration
	Only     *Arm              // every mailbox is in this arm, live (replay, simulate); nil: as Arms say
	Momentum bool              // release because the person is active right now
	Aim      Aim               // of items that state none
	Keep     float32           // share of the readings expected that drops must leave; 0: drops go by utility alone, 1: there are none
	Costs    Costs             // what leaving and pressing people costs; the zero value is the defaults
}

// Costs weigh what a mail may cost against what it may bring, in reads' worth of
// value 1. A zero field is its default.
type Costs struct {
	Leave      float32 // losing a reader by unsubscribe; default 5
	Reputation float32 // of a complaint, besides losing the reader; default 5
}

// Item is one waiting delivery as the engine sees it: not its class, only what the
// class means.
type Item struct {
	ID           uint64        // hash of the delivery's id, stable; breaks ties and spreads jitter
	Accepted     time.Time     // when the client had our 250
	NotBefore    time.Time     // zero: none
	Deadline     time.Time     // zero: none
	HardDeadline bool          // the client wants it dropped past the deadline (BY;R, X-Tidepost-Deadline)
	Window       time.Duration // the client's X-Tidepost-Window, at most 100 h; 0: the policy's MaxHold
	Bypass       bool          // transactional: nothing but not-before holds it
	Exempt       bool          // triggered: no quiet hours, gap or cap, and it does not count for them
	Counted      bool          // a retry that already holds a slot: gap and cap are not asked again, quiet hours are
	Droppable    bool          // policy may drop it
	Limited      bool          // its reader asked for the cap: what the cap still stops when its hold ends is dropped
	Priority     int8          // MT-PRIORITY, higher goes first
	Value        float32       // relative worth; 0: the default of 1
	HalfLife     time.Duration // of freshness; 0: does not age
	Supersede    string        // key of the sender's, unique to its tenant: newer replaces older; empty: none
	Weight       uint8         // 0 to 3, into Send.Weight

	Topic     uint32  // hash of List-Id or class: interest is per topic too
	Pressure  float32 // what its class weighs on the reader: promotional 1, newsletter 0.6, triggered 0.4, transactional 0.1; 0: 1
	Aim       Aim     // what its hour is chosen for
	Sensitive bool    // its list uses shared curves only, no personal profile
	Doomed    bool    // the plan before this one would have dropped it: the model drops only what it would drop twice
}

// Request is everything a plan depends on: one mailbox at one time.
type Request struct {
	Now   time.Time
	Zone  *time.Location // the mailbox's; nil: unknown
	Gates *Gates         // nil: no sends
	Items []Item         // all that waits for the mailbox, in any order

	Mailbox uint64       // hash of its key: draws arm and exploration
	Profile *Profile     // nil: nothing is known of its owner
	Model   *Model       // nil: gates alone decide
	Sees    Sees         // what may be used of the profile
	Curve   *clock.Curve // Profile.Clock's under Model, where the caller keeps it while both last; nil: it is computed
	Price   float32      // of the destination's capacity, in value; 0: there is room
}

// Action is what to do with a delivery.
type Action uint8

// Now releases, Hold waits until Plan.At and plans again, Drop ends it unsent.
const (
	Now Action = iota
	Hold
	Drop
)

// String is the action in lower case.
func (a Action) String() string {
	return [...]string{"now", "hold", "drop"}[min(a, Drop)]
}

// Plan says what to do with one delivery, and why.
type Plan struct {
	Action Action
	At     time.Time // when to release or to plan again; for Now and Drop the request's Now
	Reason Reason

	Decision Decision // the model's; zero where it has no say
}

func (p *Policy) zone(mailbox *time.Location) *time.Location {
	if mailbox != nil {
		return mailbox
	}
	return p.Zone
}
