// Package history brings in what other services recorded of past mail: sends, opens,
// clicks, bounces, complaints and opt-outs, from files that they export.
//
// [Read] gives the rows of a file. An [Importer] takes them through the same
// judgement and the same learning as what comes live:
//
//	read ─▶ sort by mailbox and time ─▶ who was it? ─▶ the mailbox's owner
//	        (runs on disk)               (evidence)     (gateway.PastImport)
//
// Nothing is taught before the whole file was read, so that a file with a bad line
// changes nothing. A mailbox's rows are one commit. The same rows again, alone or in
// a longer file, change nothing: each mailbox knows how far its history was brought.
//
// Opens and clicks with a user agent or an address are judged as live ones are, with
// what is known here: when the mail was delivered, and the other clicks of the same
// mail. That one address was busy with several mailboxes is not looked for, because
// rows come by mailbox. An open of which nothing was recorded but its time is half a
// person's: about half of all opens are fetched by mail programs on their own.
//
// Which of several records of one mail is its sending: where a file tells of
// deliveries, these; what was merely handed in counts in files without them.
//
// What can go wrong:
//   - A bad line: an error with its number and a remedy, and the file is refused,
//     unless bad lines are to be left out.
//   - A file that is broken, of another format, or without the columns that it needs:
//     one error, and the end.
//   - The disk fills while rows are sorted: the import ends and its runs go. They need
//     about as much room as the file, unpacked, and are made in the data directory.
//   - The process is killed: runs are removed by the next start or import. Mailboxes
//     that were committed stay; the same file again brings the rest.
//   - A mailbox that has had mail of ours meanwhile: rows older than that teach
//     nothing, because a profile cannot go back in time. They are counted.
//   - Times in the future, or before 1990: a bad line.
package history
