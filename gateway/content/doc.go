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
//   - A body is parsed only where marks are put into it (pixel, links), in one
//     pass over its lines and within limits; over them it leaves as it came. All
//     else that is read of it is hashed and copied.
//   - What is marked is HTML that a reader is shown, by its tokens, never as a
//     tree: everything but the links and the pixel's block is the same to the
//     byte, as are all other parts. Mail that somebody else signed (DKIM, ARC),
//     S/MIME, PGP, attachments and forwarded mail are not marked (design rule 7).
//     Marks that cannot be put in are left out; that is no error.
//   - A link leads where it led: <a> and <area> with an absolute http or https
//     address. Relative ones stay, also beside <base href>, as do those with
//     data-tidepost="off", the unsubscribe links of List-Unsubscribe, leftovers
//     of templates, what has no host, a user name or control characters, and
//     what is longer than token.MaxTarget. Content-MD5 (obsolete, RFC 1864) is
//     not made anew.
//   - A message that cannot be signed (a From field that names no domain)
//     leaves unsigned; an error of the key itself is an error of Compose.
package content
