package experiment

import (
	"fmt"
	"math/bits"
)

// Tally is what one arm came to in one quarter: sums that add up in any order.
// Squares and products are over mailboxes, which is what is drawn; people's weeks
// are alike.
type Tally struct {
	Mailboxes uint64 `json:"mailboxes"`        // that entered the arm
	Expected  uint64 `json:"expected"`         // mailboxes that should have, in ten-thousandths
	Moved     uint64 `json:"moved,omitempty"`  // mailbox-weeks treated as another arm than the mailbox entered in
	Weeks     uint64 `json:"weeks"`            // mailbox-weeks with bulk mail planned
	WeeksSq   uint64 `json:"weeks_sq"`         // Σ weeks²
	Clicked   Sums   `json:"clicked,omitzero"` // mailbox-weeks with a human click
	Read      Sums   `json:"read,omitzero"`    // mailbox-weeks with a human read

	Unsubscribed uint64 `json:"unsubscribed,omitempty"` // mailboxes, once a quarter
	Complained   uint64 `json:"complained,omitempty"`   // mailboxes, once a quarter
	Bounced      uint64 `json:"bounced,omitempty"`      // mailboxes, once a quarter
	Mails        uint64 `json:"mails,omitempty"`        // sent
	Dropped      uint64 `json:"dropped,omitempty"`      // mails not sent
	Held         uint64 `json:"held,omitempty"`         // seconds from acceptance to release, of the mails sent
}

// Sums are of an outcome y (weeks of a mailbox in which it came), of the number
// of weeks n, and of what the past lets expect, t = n × x, where x is the number
// of weeks, of the eight before the mailbox entered its arm, in which it came.
type Sums struct {
	Y  uint64 `json:"y"`
	YY uint64 `json:"yy"`
	YN uint64 `json:"yn"`
	T  uint64 `json:"t,omitempty"`
	TT uint64 `json:"tt,omitempty"`
	TY uint64 `json:"ty,omitempty"`
	TN uint64 `json:"tn,omitempty"`
}

// past is how many weeks before the arm count as the past.
const past = 8

// maxSum bounds every sum: what is read from a file cannot overflow what is
// added to it.
const maxSum = 1 << 62

func sum(a, b uint64) uint64 {
	s, carry := bits.Add64(a, b, 0)
	if carry > 0 || s > maxSum {
		return maxSum
	}
	return s
}

// Merge adds the sums of another tally.
func (t *Tally) Merge(o Tally) {
	other := o.fields()
	for i, f := range t.fields() {
		*f = sum(*f, *other[i])
	}
}

// fields are all the sums, in the order of the binary codec.
func (t *Tally) fields() [25]*uint64 {
	return [...]*uint64{
		&t.Mailboxes, &t.Expected, &t.Moved, &t.Weeks, &t.WeeksSq,
		&t.Clicked.Y, &t.Clicked.YY, &t.Clicked.YN, &t.Clicked.T, &t.Clicked.TT, &t.Clicked.TY, &t.Clicked.TN,
		&t.Read.Y, &t.Read.YY, &t.Read.YN, &t.Read.T, &t.Read.TT, &t.Read.TY, &t.Read.TN,
		&t.Unsubscribed, &t.Complained, &t.Bounced, &t.Mails, &t.Dropped, &t.Held,
	}
}

// HeldHours is the time that mail spent waiting.
func (t *Tally) HeldHours() float64 { return float64(t.Held) / 3600 }

// Outcome is what is compared.
type Outcome uint8

// The outcomes: two that are wanted, and three guardrails that are not.
const (
	Clicked Outcome = iota
	Read
	Unsubscribed
	Complained
	Bounced
)

var outcomeNames = [...]string{"clicks", "reads", "unsubscribes", "complaints", "bounces"}

// String is like clicks.
func (o Outcome) String() string { return outcomeNames[min(o, Bounced)] }

// Guardrail reports whether more of it is worse.
func (o Outcome) Guardrail() bool { return o >= Unsubscribed }

// sums returns those of an outcome. Guardrails come once a quarter: their square
// is themselves, and to leave their product with the weeks out makes the variance
// a little larger than it is.
func (t *Tally) sums(o Outcome) Sums {
	switch o {
	case Clicked:
		return t.Clicked
	case Read:
		return t.Read
	}
	n := [...]uint64{t.Unsubscribed, t.Complained, t.Bounced}[min(o, Bounced)-Unsubscribed]
	return Sums{Y: n, YY: n}
}

// MarshalText writes the outcome's name.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads the outcome's name.
func (o *Outcome) UnmarshalText(b []byte) error {
	for i, name := range outcomeNames {
		if string(b) == name {
			*o = Outcome(i)
			return nil
		}
	}
	return fmt.Errorf("outcome %q: want one of clicks, reads, unsubscribes, complaints, bounces", b)
}
