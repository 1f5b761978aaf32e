// Package scheduler says when a delivery should leave, and why.
//
// It is pure: time is passed in, nothing is kept, nothing is locked. The engine
// hands it one mailbox's send ring ([Gates]) and everything that waits for that
// mailbox ([Item]), and gets back a [Plan] with a [Reason] for each. It knows no
// classes: the caller says what a class means (Bypass, Exempt, Droppable).
//
// How a plan is made, first rule that speaks wins:
//
//  1. A hard deadline that is past drops the item. The client's newer item with
//     the same supersede key drops the older one.
//  2. Not-before is a lower bound for everybody.
//  3. Bypass (transactional) and Exempt (triggered) items go now.
//  4. Everything else goes at the first instant at which quiet hours, minimum
//     gap and weekly cap all permit it, taking its turn behind the items before it.
//  5. No hold outlasts the item's window: at its end the item goes although gap
//     or cap are closed, or is dropped where the operator said so. Quiet hours
//     hold even then: an end at night is moved to the last instant of the evening
//     before, and only if there was none to the morning after.
//
// That is all while the policy observes. Live, the mailbox's [Arm] chooses among
// the instants that 4 and 5 leave open; in the model's arm so:
//
//  6. The choices are the clock hours of the mailbox from now to the end of the
//     window, in each of them one instant of the item's own. Each has a utility:
//     what a reading is worth, how likely it is if the item leaves then (its [Aim]
//     says which reading counts), less what the pressure of one more mail may cost.
//     All of it is a function of the absolute hour, so a plan made again says the
//     same until something happens.
//  7. The item leaves in the first hour that is good enough given those after it.
//     Of several items that gap or cap keep apart, the order and the hours are
//     those of the greatest sum.
//  8. Of a person of whom no hours are known mail leaves at once.
//  9. An item whose best utility is surely negative is dropped, where that is
//     allowed and the plan before said so too, or at the end of its window.
//     Otherwise it goes in its best hour.
//
// A [Profile] is what is known of a person, a [Model] what is known of all; a
// [Decision] is why the model decides as it does.
//
// What can go wrong: a clock that goes back. Sends and acceptances dated more
// than an hour ahead of now are not believed (see clockSlack); a plan is never
// later than now plus the window, quiet hours and not-before aside.
// Times are kept in seconds from 1970 to 2106.
package scheduler
