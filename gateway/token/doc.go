// Package token makes the words in the links that we put into mail: what a link
// is about, sealed so that only we can read it, and that nobody else can make.
//
// A token is its own record: it says which delivery, whose mailbox and which
// list it is about, so that an unsubscribe link still works when the mail itself
// is long forgotten. It is deterministic: a retry of a mail carries the same
// links.
//
// The local part of our return path is such a word too, shorter, because an
// address has room for 64 characters, and readable in either case.
//
// What can go wrong: a key that is lost makes every link in mail already sent
// worthless. Keys are therefore kept beside the mail, backed up with it, and a
// new key is put in front of the old ones, which go on opening what they sealed.
package token
