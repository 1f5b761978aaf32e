// Package admin is the gateway's HTTP API for people and their programs: what
// waits and why, what to do about it, sums, suppressions, status and metrics.
//
//	request ─ whole path? ─ cross-origin? ─ route ─ token, role ─ decode ─ do ─ JSON or problem
//
// Reading costs what is read: listings are pages in the order of mailbox keys,
// each made in slices of the store's scan and ended by rows or by time, so that
// ten million mailboxes never stand behind one request. A report reads the whole
// history; one is made at a time, and what it joins is bounded by taking a part of
// the mailboxes, chosen by hash.
//
// What can go wrong:
//   - A token is wrong: 401, and after a few of them 429 for that client's
//     address. Tokens of 32 random bytes still pass then; passwords do not.
//   - A token may not do it: 403. A browser sends it from another site: 403.
//   - The path is none of ours, or the id is of nothing we keep: 404.
//   - The body is larger than 1 MiB, not JSON, or says what we do not know: 413,
//     415, 400. Every refusal is a problem document (RFC 9457) that names the
//     field and the remedy.
//   - An action stops in the middle, because its client went away or the gateway
//     stops: what is done is done; asking again does the rest.
//
// Everything that came from mail leaves as JSON in which control characters and
// those that turn the direction of writing are escaped. Sentences, which people
// read, show them as \x1b or \u202e.
package admin
