// Package content reads, classifies, edits and signs messages.
//
// A message passes here three times. Reader looks at its header on the way in
// and fills in what the gateway plans by. Composer makes the bytes that leave
// from the bytes that came, once per delivery. Report writes the message that
// tells a sender what became of theirs.
//
// What can go wrong, and what happens then:
//
//   - A header too large for any parser, a mail loop and two From fields are
//     refused, each with a reply that says so. Nothing else about a header is
//     worth losing a message for: what cannot be read is ignored, with a note.
//   - Bytes are never re-serialised. Composer copies runs of the stored header
//     and leaves single fields out, so that a signature made before us
//     verifies after us (RFC 6376 §3.7). A field that such a signature covers
//     stays, even one of ours.
//   - A body is never parsed, so its shape cannot cost anything: what is read
//     of it is hashed and copied.
//   - A message that cannot be signed (a From field that names no domain)
//     leaves unsigned; an error of the key itself is an error of Compose.
package content
