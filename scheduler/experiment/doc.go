// Package experiment is the arithmetic that says whether the gateway's
// decisions are worth anything, and for whom: who is in which arm, what is
// counted of them, and what may honestly be said of the counts.
//
// What is compared. A mailbox is drawn into an arm by a keyed hash, stays there
// for a quarter of the year and is drawn anew in the next. It is counted by the
// week: a mailbox-week counts in its arm from the first bulk mail planned for
// the mailbox in that week, whatever becomes of the mail (intention to treat:
// dropped and unsent mail is mail that was not clicked). What a person does
// counts for the week in which the mail was planned, not for the week in which
// they did it; otherwise an arm that holds mail over a Sunday night would lose
// its clicks. The primary outcome is a human click that week, the second a read;
// unsubscribes, complaints and bounces are guardrails.
//
// What can go wrong, and what is done about it:
//   - People differ, so the weeks of one mailbox are alike. The variance is taken
//     between mailboxes, not between mailbox-weeks; the latter finds effects that
//     are not there.
//   - People look at results every day and stop when they like them. Intervals
//     are those of a mixture sequential test: they hold at every look.
//   - The arms turn out unequal because something loses or duplicates
//     mailboxes. A chi-square test of the mailboxes entered against those expected
//     invalidates the quarter, and no number is shown for it.
//   - Arms change size in the middle of a quarter. Expected counts are summed as
//     mailboxes enter, each at the shares then in force, and a mailbox keeps the
//     arm it entered in.
//   - Rates drift from quarter to quarter. Arms are compared inside a quarter,
//     and the differences averaged.
//   - The past tells readers from others before the experiment begins; with it
//     the same interval needs less mail (CUPED). The past is that of the eight
//     weeks before the mailbox entered its arm, which no arm can have changed.
package experiment
