package scheduler

import (
	"testing"
	"time"

	"tidepost/scheduler/experiment"
)

// The arms that are compared have the same numbers and names where they are drawn and
// where they are counted.
func TestArmsAreThoseOfExperiments(t *testing.T) {
	for a, want := range map[Arm]experiment.Arm{ArmModel: experiment.Model, ArmControl: experiment.Control, ArmRandom: experiment.Random, ArmNone: experiment.None} {
		if experiment.Arm(a) != want || a.String() != want.String() {
			t.Errorf("%v is %d here and %v, %d there", a, a, want, want)
		}
	}
	if ArmNone+1 != experiment.Arms {
		t.Errorf("%d arms are compared, %d are known here", experiment.Arms, ArmNone+1)
	}
}

// A plan's arm is the one that is drawn, in live only, and turns with the quarter of
// those who count.
func TestPolicyDrawsTheArm(t *testing.T) {
	p := Policy{Live: true, Salt: 7, Arms: experiment.Shares{experiment.Model: 50, experiment.Control: 50}}
	turned := 0
	for mailbox := range uint64(400) {
		before := time.Date(2026, 7, 5, 23, 59, 0, 0, time.UTC) // Sunday: the last of the quarter
		last, first := Request{Mailbox: mailbox, Now: before}, Request{Mailbox: mailbox, Now: before.Add(time.Minute)}
		if got, want := p.arm(&first), Arm(p.Arms.Of(7, mailbox, first.Now)); got != want {
			t.Errorf("mailbox %d: %v, drawn is %v", mailbox, got, want)
		}
		if p.arm(&last) != p.arm(&first) {
			turned++
		}
	}
	if turned < 140 || turned > 260 {
		t.Errorf("%d of 400 mailboxes are in another arm in the next quarter, want about half", turned)
	}
	p.Live = false
	if got := p.arm(&Request{Mailbox: 1, Now: time.Now()}); got != ArmModel {
		t.Errorf("under observation: %v", got)
	}
}
