// Package interest answers whether a person will read one more mail, and what
// that mail costs.
//
// Two layers make a probability. A small Bayesian filter holds, for each person,
// a belief about the latent level of interest: 16 levels of log-odds, drifting
// at random from mail to mail, returning quietly towards the newcomer's belief
// when nothing is sent. A logistic layer shared by all persons, its weights
// learned online, then weighs the filter's log-odds with recency, decayed
// counts, clicks, load and the topic of the mail. The filter follows the person,
// the layer follows the list: its rate, its seasons and its cadence.
//
//	Mail ──► State.Foresee                        before it is sent
//	     ──► State.Evidence, State.Sent           it was delivered: pressure rises
//	     ──► Learner.ObserveSent, State.Resolve   its outcome is known
//	     Learner.Snapshot ──► Prior               from time to time
//
// The cost of a mail is pressure: two fading stocks of mails sent, measured
// against the tolerance of the person (x = 1: exactly at tolerance). Pressure
// lowers the openness for every mail and raises the hazards of leaving.
//
// What can go wrong, and what happens then:
//   - Nothing is known of the person: the answers are those of the Prior. Fewer
//     than three resolved mails (State.Mails) are thin evidence; callers never
//     drop a mail on it.
//   - The list behaves unlike the one the built-in Prior was fitted on: the
//     Learner's weights follow; Fit starts afresh from recorded history.
//   - An outcome comes late, or never: it simply has not been resolved;
//     State.Provisional says what an unread mail of some age means meanwhile.
//   - A mail whose reading cannot be observed must not be resolved: silence
//     would be taken for lack of interest.
//
// Everything here is a pure function of its arguments: time is passed in, there
// is no global state and no lock. A State is a plain value that encodes in at
// most MaxStateSize bytes; decoding gives back exactly the value encoded.
package interest
