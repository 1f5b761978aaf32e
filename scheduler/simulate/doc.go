// Package simulate lets policies of sending mail loose on a synthetic audience, in
// closed loop: what a policy sends changes what people read, and what they read is
// all that it learns from.
//
// A [World] names the assumptions. From a seed it makes people who visit their
// inbox at times of their own, campaigns of several tenants, and one lot for
// everything chance decides. All policies of a run meet the same people, the same
// visits, the same campaigns and the same lots, so that they differ by what they do
// and by nothing else.
//
// How a mail is read: a person visits the inbox; each visit gives an unread mail
// attention, much while it is fresh and lies on top, little later; it is read once
// the attention it got exceeds its lot, which the person's interest in the topic
// scales. Volume tires: it lowers interest for a while, and makes people leave.
// Nothing of this is code of the planner, which has other formulas for the same
// things; in the broken worlds it also has the wrong ones.
//
// What can go wrong: figures of a simulator are figures about the simulator. It
// shows mechanisms, order of merit and regressions, not the lift of a real list.
// Reads of a mail are counted in the week in which the mail was handed in,
// whenever it left and was read.
package simulate
