// Package rules says what an admin's rules say about plain facts: it compiles them,
// evaluates them for one delivery at a time, and replays the past through two sets
// of them. It decides nothing else, reads no clock and does no I/O but Load's.
//
// A rule is a [[rule]] table:
//
//	[[rule]]
//	name        = "sunset"                          # unique
//	description = "no click for 180 days"
//	state       = "shadow"                          # enabled (default) | shadow | off
//	class       = ["newsletter", "promotional"]     # patterns; also tenant, campaign
//	valid_from  = 2026-12-01T00:00:00Z              # also valid_until
//	when        = "mailbox.last_click > days(180) && mailbox.sends_90d >= 3"
//	then        = "drop('sunset')"
//
// When is CEL over the variables that Variables lists, always if it is missing, with days(n), hours(n) and
// minutes(n) besides CEL's own functions. Then is one of
//
//	allow                        go, whatever rules below say
//	drop('reason')               never go
//	hold(days(2))                wait, until two days after it was accepted
//	hold(timestamp('2026-…'))    wait until then
//	cap(5, days(7))              at most 5 sends in 7 days; 1 to 32, up to 90 days
//	min_gap(hours(16))           not sooner after the last send
//	quiet('21:00', '08:00')      not in these hours of the mailbox's clock
//	priority(-2)                 later than others; sums up, −9 to 9
//	tag('dormant')               a mark for reports
//
// Rules are read in their order until one allows, holds or drops. What those above
// it ask is added up: the lowest cap of each window, the longest gap, all quiet
// hours, the sum of priorities, all tags. Transactional mail is never held, dropped
// or varied, whatever a rule says, and triggered mail only by a rule whose class
// spells that word out.
//
// # What is not known
//
// Silence proves nothing about a reader who could not be heard. So every variable
// that tells of opens or clicks has a value only as far as it could be observed,
// and a condition is true, false or undecided, as in the logic of Kleene: false &&
// unknown is false, true || unknown is true, and all else that hangs on an unknown
// value is undecided. An undecided rule does not fire, and is counted.
//
//   - opens_7d, clicks_90d and the like are known if the mailbox was observable for
//     that whole window.
//   - last_open and last_click are ages, to be compared with a duration. A click
//     that was seen, and nothing missed since, has a known age. Else it is known
//     only that the last one is further back than the mailbox was observable:
//     last_click > days(180) is true where that is 180 days or more, and undecided
//     where it is 30; so are !(last_click <= days(180)) and last_click < days(90).
//   - fatigue, interest and tolerance are known if the gateway has a model of the
//     mailbox; a key of attributes is known if it is there.
//   - sends, domain counts and last_send are our own doing and always known.
//
// has(mailbox.clicks_90d) asks whether a value is known; a rule that wants to act
// on those who cannot be observed can say so by it.
//
// # What may go wrong
//
//   - A rule that cannot be compiled is an Error with file, line, column and remedy;
//     Load and Compile return all of them, and no set.
//   - A rule whose worst case is too much work is refused; one that meets facts
//     larger than foreseen is stopped by a limit when it runs.
//   - A rule that fails when it runs does not fire. Failing ten times within a
//     thousand evaluations it goes to shadow; Verdict.Tripped says so once, for the
//     gateway to store.
package rules
