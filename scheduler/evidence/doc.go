// Package evidence says of an open or a click: machine, doubtful or human.
//
// Each request is scored by what it shows and by what was seen shortly before.
// The scores are added; from 4 on it was a machine, 2 and 3 are doubtful, below
// that it was a person:
//
//	before the next hop's 250, or less than 2 s after it     machine
//	2–10 s after                                             +3
//	10–100 s after                                           +1; clicks at a scanned domain +2
//	HEAD, OPTIONS, no user agent, a library's, a gateway's   machine
//	the honeypot link; clicks of its delivery within 60 s    machine
//	80 % of the links (at least 3) in 60 s, or 2 in 2 s      +4 (clicks)
//	one address for 5 mailboxes of the tenant in 60 s        +2 open, +3 click
//	an address of a data centre or mail gateway              +2
//	open by Apple's mail privacy                             machine, says nothing of the person
//	open by Google's image proxy                             see below
//	a person was seen to come of it                          -4 (clicks)
//
// Google's proxy fetches for all of Gmail, so that its address and agent say
// nothing: its first fetch of a delivery more than 60 s after it is a person,
// any other is doubtful with weight 0. It is not called a machine because where
// that was done all opens of Gmail were lost.
//
// What is not known adds nothing, with one exception: a fetch by Google's proxy
// at an unknown time after the delivery counts as an early one, because it may
// have been a prefetch.
//
// What can go wrong, and what it costs:
//   - A restart forgets everything below. For a minute a scanner's first clicks
//     count alone; a second fetch by Google's proxy counts as the first; which
//     domains are scanned is learned anew from three deliveries each. Nobody
//     is taken for a machine because of it.
//   - The same is true of what is forgotten because there is more of it than
//     room. All tenants share the room.
//   - Requests come late or in the wrong order: what was seen is compared by
//     its distance in time in both directions. A request seen twice counts once.
//   - The public listener is behind a proxy that does not pass on addresses.
//     Loopback and private addresses therefore count for nobody.
//   - Somebody follows links of mail they received in order to be taken for a
//     machine. They can spoil their own evidence, and with several deliveries
//     make early clicks at their domain doubtful for all tenants.
//   - People behind one address (an office, a mobile carrier) read at once: from
//     the fifth on they are doubtful for that minute.
package evidence
