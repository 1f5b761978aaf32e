package scheduler

import (
	"tidepost/scheduler/clock"
	"tidepost/scheduler/interest"
)

// Model is what is known above the person: what a curve, an interest or a
// tolerance is shrunk towards. It is immutable; learning publishes a new one.
type Model struct {
	Version  uint32 // grows by one with each refit; 0 is the built-in one
	Clock    *clock.Prior
	Interest *interest.Prior

	// Observed is set once people's opens or clicks come back at all. Before that
	// silence says nothing about a person.
	Observed bool

	// Demand is what the mail planned of late is expected to be read.
	Demand Demand

	// Resolved is told of each outcome that a profile takes in, before it does;
	// nil: nobody learns from them. It must not keep the state.
	Resolved func(before *interest.State, m interest.Mail, read, clicked bool)
}

// BuiltIn is the model of a gateway that has learned nothing yet.
func BuiltIn() *Model {
	return &Model{Clock: clock.BuiltIn(), Interest: interest.BuiltIn()}
}

// supported reports whether the shared curve was learned from people who get this
// mail. The built-in one holds nothing: with no data mail goes at once.
func (m *Model) supported() bool { return m.Version > 0 }
