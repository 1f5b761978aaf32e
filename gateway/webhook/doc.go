// Package webhook calls URLs that somebody else chose: an ESP's webhook, and the
// one-click URL (RFC 8058) that an ESP wrote into its mail.
//
// Client makes one call, safely. Forwarder makes the calls that a reader's
// opt-out owes the ESP, until each has been answered.
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
//     over three days (Forwarder), then given up with an error in the log. Others
//     go on meanwhile: a host has one call at a time.
//   - The process dies between the receiver's answer and our note of it. The
//     call is made once more after the start: at least once, never less. An
//     opt-out twice is an opt-out.
package webhook
