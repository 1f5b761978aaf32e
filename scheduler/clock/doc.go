// Package clock says in which hours of the week a person reads.
//
// A [Clock] is all that is kept of one person: at most [MaxEncoded] bytes. It
// takes two kinds of evidence:
//
//   - An activity is seen whenever it happens, so its hour speaks for itself.
//   - A read can only happen while mail lies unread. What is sent at 10:00 is read
//     at 10:00 by whoever is there, and counting reads would learn the sender's
//     habit. So every hour that mail lies unread is counted too, as the reads that
//     a person of the shared curve would have made in it (decision model 4.1 b, c).
//
// Both end up as observed and expected counts by hour of the day and by weekday,
// forgotten with a half-life of 240 days. Only their ratio by hour matters, not
// their sums: an overrated mass (dropout, fatigue) is not mistaken for absence.
//
// A [Prior] is what all persons share. From it and the counts a curve is made in
// three steps:
//
//	types   which of some shapes, each shifted by some hours, does the person resemble?
//	        (an unknown zone is a shift, and learned by itself)
//	pool    ln share = sum of weight * (shared, types', own, own of late, ...), where
//	        the weights depend on how much was seen; days and hours separately
//	spread  day share * hour share (working day or weekend) * residue of the shared curve
//
// The plain histogram of a person's hours is worse than one curve for all, even
// after a hundred events: shrinkage is the method, not a refinement.
//
// On the 708 "eval" persons of devclock (log-loss in nats per event over 168 hours,
// uniform 5.124, standard error .013, of differences .002 to .004), history being the
// first 70 % of each: shared curve 4.83; embedded prior, fitted on other persons,
// 4.630; prior fitted on everybody's first 70 % 4.627, and 4.605 with clocks kept up
// to date. Gradient boosting with 30 inputs has 4.629 and 4.605. Every fitted number
// comes from first parts; the form of the model (which inputs, which constants) was
// chosen with the later parts of these persons in sight, so expect new audiences to
// do slightly worse.
//
// What can go wrong: the hours passed in are whole hours of the week, so in a zone
// of half hours exposure is off by up to half an hour; a weekend is Saturday and
// Sunday everywhere; Rotate does not move the end of the day. Times before the last
// touch add their event but no exposure; a last touch more than 400 days ahead of
// an event is taken for a wrong date.
//
// Nothing here is locked, and a Prior is immutable: any number of goroutines may
// read one.
package clock
