// Package lists reads the suppression lists that other mail services export, and
// writes and reads our own.
//
// [Read] takes a file as a stream, recognises whose it is by its header (or is told
// by [Options].Format), and gives one [Row] a line: an entry, a hash of an address,
// or a word on why the line is none. [DryRun] reads all of it and keeps the counts
// and the first bad lines. [Write] is the export. [Shapes] is the table of what is
// recognised, for the documentation to print.
//
// What a line becomes is decided per service, in the table of [Shapes]; the rules
// behind it are three. A temporary failure is never a hard bounce: SendGrid's blocks
// become soft_bounce entries that last [BlockFor] from their date, in the tenant's scope
// since they are about its reputation too, and a 4yz code in any list of bounces is
// left out. A wish narrower than our scopes (a
// SendGrid group, a Mailgun tag, a sending domain of Cloudflare's or a group of
// Telnyx's) becomes an opt-out from the whole tenant, with the narrower name in the
// note: closing too much is repaired by a complaint to us, closing too little by a
// complaint about us. [Options].Scope narrows it for a file that is one list. And
// what lists bulk opt-outs must not stop a password reset: SparkPost's
// non_transactional entries of an operator and listmonk's blocklisted become
// unsubscribe, not manual.
//
// The canonical address goes into the entry. The one in the file is Row.Original,
// and stands in the entry's note if it differs by more than letter case. What the
// service said (an SMTP reply, a status) is the entry's evidence.
//
// What can go wrong, and what happens:
//
//   - A header that nobody here knows, one that two lists share (SendGrid's bounces
//     and blocks have the same columns), UTF-16, a ZIP file, a gzip bomb, quotes that
//     are opened again and again and never closed (each costs a look ahead), a broken
//     stream, a missing tenant or reason: one [Error] with Fatal set, and the end.
//   - A bad line: an [Error] with line, column and remedy, and the reader goes on
//     with the next. After an unclosed quote it goes on with the line behind the
//     opening one, so that one stray quote does not swallow the file.
//   - A file cut off in the middle of a line is not told from a whole one, unless the
//     reader says so (gzip does); then the torn line is not a row.
//   - A line twice in the file is a row twice: memory does not grow with the file.
//     The store keeps one entry an address and scope.
//
// Files are UTF-8 with or without mark, lines end in LF, CRLF or CR, separators are
// comma, semicolon or tab, and gzip is unpacked. A line, or a record of several
// lines, is at most 64 KiB. Column order and the case of column names do not matter,
// nor do spaces, hyphens and underscores in them.
package lists
