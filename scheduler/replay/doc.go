// Package replay runs the decision engine in memory, on the clock of its input.
//
// An [Engine] is told what a gateway would be told (a message, a signal, news of
// a mailbox) and that time passes, and says what is decided: released, held or
// dropped, when and why. It keeps for each mailbox what the gateway keeps: the
// ring of sends, the profile, the time zone and what waits. A release counts as
// sent.
//
//	Message, Signal, Mailbox ──► the mailbox's bulk is planned anew
//	Advance, or any later At ──► what falls due on the way, in order of time
//
// Time comes from the input alone and must not go back: what is dated before the
// latest time known counts as of that time. The same calls give the same
// decisions, to the bit: wake-ups at one instant come in the order in which their
// mailboxes were made, and draws are hashes.
//
// What is due at the very instant of a message or signal is decided after it: an
// unsubscribe stops what would leave in the same second. Wake-ups fall on whole
// seconds, rounded up, so nothing leaves early.
//
// An Engine is not safe for concurrent use, and a function that it yields to must
// not call it.
package replay
