// Package bus carries what happens in Tidepost to NATS: it runs the embedded
// server, keeps the connection to it or to one elsewhere, relays the journal's
// events into the stream TIDEPOST_EVENTS, and brings the signals of the stream
// TIDEPOST_SIGNALS to the gateway.
//
// What can go wrong with events, and what happens then:
//
//   - NATS is away, refuses us, is slow or full. The relay waits and asks again,
//     every 15 s at the latest and at once after a reconnection. The journal is
//     the outbox: nothing piles up in memory (one page of events, at most
//     pageSize), and nobody in the mail's path ever waits for the bus. What
//     limits an outage is retention.history: what the journal has let go of
//     before it was relayed does not reach NATS.
//   - The process dies between an acknowledgement and the saving of the cursor.
//     The relay then goes on after the stream's last event. Where that is
//     another gateway's, the same events are published again with the same ids,
//     and the stream refuses them (Nats-Msg-Id) as long as they lie in its
//     window of duplicates. Past the window a consumer sees them a second time:
//     delivery is at least once, and the id is what a consumer dedupes by.
//   - A batch is refused because one of its events is in the stream already. A
//     batch is taken whole or not at all, so its events are then published one
//     by one; the known ones are acknowledged as duplicates.
//   - One event can never be taken: the stream's limit for a message is below
//     its size, or its kind is none of ours. It is left out, logged as an error
//     and counted in Lag.Skipped; the events behind it flow.
//   - The stream's window of duplicates costs its server 155 bytes of memory an
//     event. Where that server is the embedded one, Stream.Duplicates and
//     Relay.Rate bound it: 2 min at 3,000 events/s are 56 MB.
//   - The embedded server meets a disk error. It then closes JetStream, or lets
//     a stream answer nothing any more, until it is restarted; Embedded.Run
//     does that, at most every 30 s.
//
// Order: one batch is under way at a time and the next one follows its
// acknowledgement, so the stream has the events in the journal's order, and
// with that every delivery's in the order they happened. Several batches under
// way would be faster and would not keep that: when the first is refused, the
// second is stored before it.
//
// What can go wrong with signals:
//
//   - The process dies between applying a signal and saving the cursor, or between
//     saving and acknowledging. The signal is delivered again, and its mailbox
//     knows its place. A mailbox keeps the last place only, so nothing may ever be
//     delivered before what stands before it: a consumer that has anything under
//     way to nobody is made anew at the cursor, and a gap in its count ends the
//     session.
//   - A signal is malformed. It is told on tidepost.signal.rejected, before the
//     cursor passes it, and holds up nothing. What the gateway cannot apply
//     although it can store is rejected too, after some tries; while it can store
//     nothing all wait.
//   - The stream is another than the cursor's. It is read from its beginning under
//     a new epoch, which the mailboxes keep beside the place.
//   - The stream ends before the cursor: it has lost messages. The lane stands,
//     across restarts, until a person accepts that (Signals.Resume).
//   - A million signals of evidence wait. They are applied at Signals.Rate, gulpSize
//     at a time, each time only when no opt-out waits.
//
// The streams' messages are described by EventSchema and SignalSchema.
package bus
