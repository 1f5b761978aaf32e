// Package gateway carries a message from submission to its last outcome.
//
// What can go wrong, and what then holds:
//
//   - The process is killed. What was answered 250 is on disk; what was on the
//     wire is in doubt and goes again with the same Message-ID.
//   - The disk fails. A failed sync stops accepting and releasing for good;
//     clients get 451, nothing is tried as if nothing had happened.
//   - The next hop is away. No attempt is counted; the destination is probed
//     once a minute and what is due follows when it answers.
//   - The suppression list cannot be read. Bulk mail waits; transactional mail
//     goes.
//   - The clock jumps. Due times are instants, not durations: what was held
//     stays held, and nothing leaves more than a second early.
//
// # The flow
//
//	Accept ─ read header ─ quota ─ STORE ─ 250
//	                                 │
//	          ┌──────────────────────┘
//	          ▼
//	        plan ── drop, suppressed ─────────────────────────┐
//	          │ hold: until Due                               │
//	          │ now                                           ▼
//	        queue ─ choose ─ compose ─ CLAIM ─ send ─ SETTLE ─ history
//	          ▲                          │               │
//	          └──── held, taken back ◀───┴─── deferred ◀─┘
//
// Only Accept's way to STORE is synchronous with a client. The five verbs are
// five files — accept, plan, release (with claim), settle, observe — and, read in that
// order, they are the program. STORE, CLAIM and SETTLE are commits of a Store;
// events are part of them.
//
// # What is learned
//
// A signal (Learn) and a delivery that the next hop took (settle) change the
// mailbox's profile in the commit that tells of them, and what waits for the
// mailbox is planned anew. What is learned above the person, a model for each
// tenant, is published beside the flow and stored each hour; planning reads it
// without a lock. Every bulk delivery carries its decision, also under observe,
// where the gates alone decide. Where the model fails, mail goes as the gates say.
//
// # Who owns what
//
// A mailbox is an address in one audience. Sixteen shards own the mailboxes by
// the hash of the address, one goroutine each: planning, claiming, settling
// and what people do are steps that the owner takes one after another, so a
// cap or an opt-out is checked and counted in one place and nothing can come
// in between. Connections are workers that take turns from a queue; they
// decide nothing that the owner does not check again in its claim.
//
// # A delivery's states
//
//	from      what happens                 to         slot in the send ring
//	—         accepted                     waiting    —
//	waiting   plan: later                  waiting    —
//	waiting   plan, rule or person: never  dropped    returned
//	waiting   suppressed                   dropped    returned
//	waiting   claim                        sending    claimed, once per delivery
//	waiting   we tried for long enough     bounced    returned
//	waiting   the client's deadline        dropped    returned
//	waiting   route mode capture           captured   —
//	sending   2xx                          delivered  kept, dated now
//	sending   4xx, or no reply after dot   waiting    kept
//	sending   5xx, or 4xx at the end       bounced    returned
//	sending   4xx at the client's deadline dropped    returned
//	sending   MAIL not written in 10 s     waiting    returned if it was the first try
//	sending   the process died             waiting    kept; event in_doubt
//	captured  a person releases it         waiting    —
//
// A retry holds its slot already: it asks for permission, deadline and quiet
// hours again, never for cap or gap, so that one delivery counts once.
//
// # Crash rules
//
//   - Killed before STORE is durable: the client has no 250 and keeps the mail.
//   - Killed after it: the delivery is found with revision 0 and planned anew.
//   - Killed between CLAIM and the final dot: nothing was delivered; it goes
//     again.
//   - Killed between the final dot and SETTLE: it goes twice, with the same
//     Message-ID. RFC 1047 says why this cannot be helped.
//   - A notification (DSN) is accepted before the settle commit that it tells
//     of: killed in between, it is written twice, never not at all. While it is
//     written nothing else is decided about the delivery.
package gateway
