package gateway

import (
	"fmt"
	"time"

	"tidepost/scheduler"
)

// State is where a delivery stands; doc.go holds the table of transitions.
type State uint8

// The states of a delivery.
const (
	Waiting   State = iota // planned, or about to be
	Sending                // released: it may be on the wire (design rule 5)
	Delivered              // the next hop answered 2xx
	Bounced                // the next hop refused it, or we gave up
	Dropped                // a policy, a rule, a deadline or a person stopped it
	Captured               // route mode capture: kept to be looked at, never sent by itself
)

var stateNames = [...]string{"waiting", "sending", "delivered", "bounced", "dropped", "captured"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// ParseState reads the name of a state.
func ParseState(s string) (State, error) {
	for i, name := range stateNames {
		if s == name {
			return State(i), nil
		}
	}
	return 0, fmt.Errorf("state %q: want one of waiting, sending, delivered, bounced, dropped, captured", s)
}

// Settled reports whether nothing more will happen to a delivery in this
// state: such deliveries leave their mailbox's state and live on in history.
func (s State) Settled() bool { return s == Delivered || s == Bounced || s == Dropped }

// Ref says where a Store keeps a message's record. It means something to that
// Store alone.
type Ref struct {
	Segment uint32
	Offset  uint32
	Length  uint32
}

// Delivery is one message for one mailbox: the unit that is planned, released
// and retried. Once given to a Store it is never changed; a new state is a
// copy with a higher Rev.
type Delivery struct {
	ID      DeliveryID
	Rev     uint32 // grows by one with each stored state; 0: accepted, not planned yet
	State   State
	Ref     Ref
	Mailbox Key

	Address  string // as the client wrote it, for RCPT TO
	Tenant   string
	Campaign string
	List     string
	Class    Class
	Notify   Notify
	Priority int8
	Value    float32

	Accepted     time.Time
	NotBefore    time.Time
	Deadline     time.Time
	HardDeadline bool // the client asked for the message back after Deadline
	Window       time.Duration
	HalfLife     time.Duration
	Supersede    string
	Aim          scheduler.Aim  // what its hour is chosen for
	Sees         scheduler.Sees // what the message lets us learn from
	Size         int64

	Due       time.Time // when it should next be looked at; zero: now
	Reason    string    // why Due is what it is: a scheduler.Reason or "retry", "admin", …
	Paused    bool      // an admin holds it
	Forced    bool      // an admin released it: the gates are not asked, permission is
	Attempts  uint16    // release commits that were followed by a try
	Slot      time.Time // when its slot in the send ring was claimed; zero: it holds none
	Started   time.Time // of the attempt under way, or the last one
	Expires   time.Time // when trying ends
	Late      bool      // the delay DSN was written
	Reply     string    // what the far side said last
	Duplicate bool      // repeats a message of the last hour
	Spared    bool      // the model would have dropped it, and policy.max_drop did not let it
	Decision  []byte    // scheduler.Decision, encoded: why the model decides as it does; ≤ 256 bytes
}

// Settled reports whether nothing more will happen to the delivery.
func (d *Delivery) Settled() bool { return d.State.Settled() }

// Next returns a copy to be changed into the delivery's next state.
func (d *Delivery) Next() *Delivery {
	n := *d
	n.Rev++
	return &n
}
