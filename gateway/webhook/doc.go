// Package webhook calls URLs that somebody else chose: an ESP's webhook, and the
// one-click URL (RFC 8058) that an ESP wrote into its mail.
//
// Client makes one call, safely. Forwarder makes the calls that a reader's
// opt-out owes the ESP, until each has been answered. Sender posts the journal's
// events to the endpoints of the configuration:
//
//	journal ─ lane (one an endpoint: kinds, tenant) ─ caller (mail's fields, format, signature) ─ Client
//	              └─ refused alone: the list, on its own schedule
//
// The journal is the queue: an endpoint's cursor moves past what was taken, was given
// up, or stands on its list, and nothing else is stored of what waits. An event is
// told at least once, under one id; no order is promised.
//
// What can go wrong, and what happens then:
//
//   - The URL leads inside: to this machine, its network, a cloud's metadata.
//     CheckURL refuses what can be seen in the text, and the dialer looks at
//     every address that it is about to connect to, after DNS, so that a name
//     that changes in between gains nothing. Redirects are not followed, no proxy
//     is asked, and a connection is reused for the host it was made for only.
//     What no list can know: public addresses of one's own behind which
//     something inside answers, and a NAT64 prefix of one's own; Client.Refuse
//     takes them.
//   - The receiver never answers, answers a byte a second, or for ever. A call
//     ends after 15 s; 64 KiB of an answer are read, as they are on the wire.
//   - The receiver is down. What was to be said is said again with growing waits
//     over three days, then given up with an error in the log. Others go on
//     meanwhile: a Forwarder's host has one call at a time, an endpoint its own
//     lane. A lane asks with one call for all, and reads no further in the journal.
//   - The receiver refuses one event and takes others: that one goes on the list. It
//     refuses all: the list is full, and it counts as down.
//   - The receiver is gone (410): the endpoint is disabled until a person says that it
//     is back. Three days of its events are kept.
//   - The process dies between the receiver's answer and our note of it. The
//     call is made once more after the start: at least once, never less. A cursor
//     reaches the disk a second later, so an endpoint may hear a second's events
//     again, under the same ids.
//   - The store takes no notes. Calls that depend on them wait, and are made again.
//   - The mail that an event is about is forgotten: it is told without the mail's
//     fields. Its reader was erased: without the address, or not at all.
package webhook
