// Package outbound carries mail to its next hop: it finds the hosts that take
// a domain's mail, speaks SMTP to one of them and turns every reply into a
// gateway.Outcome.
//
// The session is our own, not go-smtp's client: that one cannot pipeline, has
// no deadline while it writes a body and no bound on what it reads, and lets a
// `>` in an address add a parameter (attacks.md §2.3). In the order of a
// message's way the files are
//
//	route, mx, resolver   a domain → gateway.Destination
//	transport             Destination → connection: dial, greeting, STARTTLS, AUTH
//	hello, auth, tls      what happens before MAIL
//	transaction, command  MAIL, RCPT…, DATA in one write where PIPELINING is offered
//	body                  the content: dots stuffed, lines ended by CRLF, nothing bare
//	reply                 the only place that reads a code
//
// # What can go wrong, and what is said of it
//
//   - MAIL was not written (no connection, bad greeting, refused AUTH, notAfter
//     passed): OutcomeUnsent, no attempt. The error of Transport.Open is a
//     *gateway.Outcome of this kind, whatever code the host said: a refusal to
//     talk to us says nothing about the message.
//   - A connection that carried mail before closes before it answers MAIL, or
//     answers 421: OutcomeUnsent too. It was idle for too long or has carried
//     enough; nothing of the message was looked at.
//   - The connection is lost between MAIL and the final dot: OutcomeDeferred,
//     Code 0. It counts as an attempt, because a message that makes its
//     receiver fall over must not be sent for ever.
//   - It is lost after the final dot and before the reply: OutcomeDeferred,
//     "unknown outcome after end of data". The far side may have it; sending it
//     again may double it, not sending may lose it (RFC 1047).
//   - A reply that cannot be understood, is longer than 64 KiB or 100 lines, or
//     is not whole within its phase's deadline closes the connection.
//
// # Not obeyed, on purpose
//
//   - RFC 6152 §3: 8-bit content to a host without 8BITMIME is sent as it is, as
//     Exim does. Recoding would break signatures (design rule 7), a bounce would
//     lose mail which all but a handful of such hosts take unharmed.
//   - RFC 2852: BY;R is not refused towards a host without DELIVERBY: the gateway
//     keeps the deadline until hand-off. The least time that a host names with
//     DELIVERBY is left to the host to insist on.
//   - RFC 7504: a host that greets with 521 or 554 is passed over like one that
//     does not answer; a wrong entry in a smarthost's access list must not bounce
//     a whole queue.
package outbound
