package suppression

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"tidepost/suppression/address"
)

// Longest texts an entry may carry, in bytes.
const (
	maxSource   = 100
	maxEvidence = 1000
	maxNote     = 1000
)

// Reason is why a mailbox must not be written to.
type Reason string

// The reasons, hardest first: of several entries that stop a mail, the one with
// the hardest reason is reported.
const (
	HardBounce  Reason = "hard_bounce" // the mailbox does not exist, says its server
	SoftBounce  Reason = "soft_bounce" // its server has refused again and again, for now
	Invalid     Reason = "invalid"     // the address cannot exist
	Complaint   Reason = "complaint"   // the reader called a mail spam
	Manual      Reason = "manual"      // an operator's decision
	Unsubscribe Reason = "unsubscribe" // the reader's wish
	Pause       Reason = "pause"       // the same, for a while
	Role        Reason = "role"        // postmaster, abuse and the like
	Rule        Reason = "rule"        // an admin's rule, fatigue among them
)

// reasons in order of hardness.
var reasons = [...]Reason{HardBounce, Invalid, Complaint, Manual, Unsubscribe, Pause, SoftBounce, Role, Rule}

// rank is the reason's place in reasons; an unknown one comes last.
func (r Reason) rank() int {
	for i, known := range reasons {
		if r == known {
			return i
		}
	}
	return len(reasons)
}

// Valid reports whether the reason is one of this package's.
func (r Reason) Valid() bool { return r.rank() < len(reasons) }

// Entry is one suppression: who must not be written to, in which scope, until when.
type Entry struct {
	Address  string // canonical text of the mailbox (address.Mailbox.String)
	Scope    Scope
	Reason   Reason
	Source   string    // who made it: "cli", "dsn", "api:ops"
	Evidence string    // what it rests on: an SMTP reply, a message id
	Note     string    // an operator's words
	Created  time.Time // never zero
	Expires  time.Time // zero: never
	Removed  time.Time // tombstone: when it was taken back; zero: it was not
}

// Live reports whether the entry counts at that time. An entry from the future
// does: after a clock went back, permission stays closed.
func (e *Entry) Live(now time.Time) bool {
	return e.Removed.IsZero() && (e.Expires.IsZero() || now.Before(e.Expires))
}

// Validate reports the first thing wrong with the entry, naming the field and the
// remedy.
func (e Entry) Validate() error {
	if err := checkAddress(e.Address); err != nil {
		return err
	}
	if err := e.Scope.Validate(); err != nil {
		return err
	}
	if !e.Reason.Valid() {
		return fmt.Errorf("reason %q is unknown: use one of %v", e.Reason, reasons)
	}
	if e.Scope.Kind == Global && !e.Reason.aboutAddress() {
		return fmt.Errorf("scope global does not go with reason %s, which is about one sender: name an audience, tenant, list, category or class", e.Reason)
	}
	return errors.Join(e.checkTimes(), e.checkTexts())
}

// aboutAddress reports whether the reason holds for every sender alike. Manual is
// among them because the operator of the whole gateway may say so.
func (r Reason) aboutAddress() bool {
	return r == HardBounce || r == SoftBounce || r == Invalid || r == Role || r == Manual
}

func checkAddress(text string) error {
	a, err := address.Parse(text)
	if err != nil {
		return fmt.Errorf("address: %w", err)
	}
	if canonical := a.Mailbox().String(); canonical != text {
		return fmt.Errorf("address is not canonical: use %q", canonical)
	}
	return nil
}

func (e *Entry) checkTimes() error {
	switch {
	case e.Created.IsZero():
		return errors.New("created is missing: set it to the time of the fact")
	case !e.Expires.IsZero() && !e.Expires.After(e.Created):
		return errors.New("expires is not after created: leave it empty for never")
	case !e.Removed.IsZero() && e.Removed.Before(e.Created):
		return errors.New("removed is before created: an entry cannot be taken back before it is made")
	}
	return nil
}

func (e *Entry) checkTexts() error {
	for _, text := range []struct {
		name, value string
		limit       int
	}{{"source", e.Source, maxSource}, {"evidence", e.Evidence, maxEvidence}, {"note", e.Note, maxNote}} {
		if len(text.value) > text.limit {
			return fmt.Errorf("%s is %d bytes long: shorten it to %d", text.name, len(text.value), text.limit)
		}
		if strings.ContainsAny(text.value, "\r\x00") {
			return fmt.Errorf("%s contains a NUL or carriage return: remove it", text.name)
		}
	}
	return nil
}
