// Package intake takes mail in over SMTP submission (RFC 6409): it owns the
// wire and hands each whole, checked message to [Server.Submit]. With
// [Server.Inbound] it takes bounces and complaints from the world in place of that,
// over the same wire.
//
// # Why it owns the wire
//
// The package speaks the Backend and Session vocabulary of
// github.com/emersion/go-smtp, and a [Server] is a go-smtp Backend, but
// go-smtp's own server is not the edge. Measured against v0.25.1: it does not see
// <CR><CR><LF>.<CR><LF> as an end and hangs; it loses a CR in <CRLF>.<CR>x; it ends
// commands at a bare LF; after a malformed BDAT, or when DATA times out, it reads
// the body as commands; a failed STARTTLS goes on in clear text; bare CR, bare
// LF and NUL reach the backend unchanged. Most of this cannot be repaired from
// outside, and a second parser in front of it would itself be the smuggling bug:
// two readers that disagree on where a message ends are how one message becomes
// two (CVE-2023-51764 to 51766). So there is one parser, this one, and go-smtp's
// server over the same session is the oracle of differential fuzzing.
//
// # What can go wrong, and what is done
//
//   - Commands end in CRLF, data ends in CRLF.CRLF, and in nothing else. What is
//     malformed is read to its true end, answered once, and never parsed again;
//     where the true end is unknown (a malformed BDAT size) the connection closes.
//   - Bare CR, bare LF and NUL in a message: refused with 550 5.5.2, or, with
//     BareNewline "normalize", replaced, so that none remains. Only CRLF lines are
//     ever stored.
//   - A message is submitted only when its end was seen: a connection that
//     breaks, stalls or drips leaves nothing behind.
//   - 250 is written only after Submit returned, that is after the message is
//     durable.
//   - Memory: an idle connection costs about 12 KiB with its stack; a message at
//     most 1 MiB, then a spool file; all messages together [Server.Budget]. A
//     session that holds memory never waits for more (it goes to its spool file
//     instead), so that waiting ones always get their turn.
//
// # Layers
//
// wire (line.go) is bytes, buffers and deadlines. dataReader and bdatReader turn
// them into one message's content, with scanner judging it. conn (conn.go,
// command.go, …) is the protocol's state. session (backend.go) is policy and knows
// nothing of the wire: it runs under go-smtp's server just as well. inbound
// (inbound.go) is the policy towards the world.
package intake
