// Package local keeps all state of one machine in one directory: accepted
// messages in a segment log, what changes in a journal of the same make, and
// what is true now in bbolt, a checkpoint of both written behind.
//
// What can go wrong, and what happens then:
//
//   - The process or the machine dies. What was acknowledged is in one of the
//     logs, synced. Open reads the checkpoint and replays the tails of both
//     logs over it; each mailbox state carries the places of the last records
//     it holds, so replay applies every record exactly once.
//   - The last group of records was half written. Nobody was told that it was
//     stored; the tail is cut at the last whole record.
//   - A record in the middle is damaged. It is copied to quarantine/, counted
//     and logged; the records around it live on.
//   - A write or a sync fails. What the disk holds is now unknown, and a second
//     sync would claim success for pages the kernel has dropped. The store
//     stops for good: every waiter and every later call gets ErrStopped, reads
//     go on, and the next Open finds out what is there.
//   - The disk fills up. New mail is refused with ErrFull before a reserve is
//     touched; commits may use the reserve, so that delivery goes on and makes
//     room.
//   - state.db cannot be read. Open fails and names `tidepost recover`, which
//     rebuilds it from both logs with everything held.
//   - The file of a suppression list is damaged or missing. The start goes on;
//     questions whose answer may be in the damaged part fail, so that bulk mail
//     to those addresses waits, until the list is discarded or restored.
//   - A list is being staged or published. Its files count for nothing until one
//     journal record names them, and go when no checkpoint names them any more.
//   - The names under which others know a delivery (Traces) are lost or damaged.
//     The start goes on; what cannot be read is dropped with a line in the log,
//     and a webhook or bounce that knows such a name finds no delivery by it.
//     They are written without a sync and are in no backup.
//   - A second process opens the directory. It is refused.
//
// The order that keeps this true: a record is synced before it is
// acknowledged; it is applied to memory in the order of its log; the journal is
// synced past every change before a state that holds it reaches bbolt; and the
// positions from which replay starts are captured before the states are
// written and stored after them.
package local
