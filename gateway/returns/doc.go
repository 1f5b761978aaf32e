// Package returns takes mail that came back: bounces to the return paths that our mail
// leaves with, and complaints. It finds the mail that each report is about, tells the
// gateway what it means for the mailbox, and passes it on to whoever sent the mail.
//
// What can go wrong, and what happens then:
//
//   - A bounce is forged. What came to a sealed return path, or names an id of the mail
//     that it shares with no other, comes from somebody who had the mail. A report that
//     names no more than an address can be anybody's, and one that names an id which
//     several readers have, or the return path of a mail that is forgotten, can be
//     another reader's. Brought by an admin it is believed; from the wire it counts as a
//     temporary bounce, once in 30 days, and as no complaint at all.
//   - A mail goes round in circles: with more than a hundred hops behind it, it is refused.
//   - A report has many records: of the same mail they count once, and when twenty are
//     about nothing that we know, the rest is taken for the same.
//   - A report is about no mail that we know: it is kept as a file, counted, and not
//     guessed at. The newest thousand stay, in at most 64 MiB.
//   - The store cannot take it in: the sender is told to come again (451), and a
//     report that comes twice is applied once.
//   - It is 10 MiB of MIME made to hurt: gateway/bounce reads it in linear time, at
//     most two at a time.
package returns
