// Package feedback reads what others report of our mail: is it theirs, and what
// does it say. It is pure; nothing here keeps anything or asks anybody. (The one
// signature that needs a certificate gets it by Request.Fetch.)
//
// A Format is one provider's way of both. What is not verified is never parsed
// (attacks H3): where the signature is in the body, nothing else of it is looked at
// before. What is parsed is bounded before it is decoded: in nesting, in the length of
// its lists, and in names that are said twice.
//
// What an event becomes is careful in two ways. No opt-out is made of what is none: of
// an administrator's hand, of a list that the provider keeps, of a complaint that could
// be either of two readers'. And mail that came back says no more against an address
// than the far side's words do: a refusal for the sender's sake is none for the
// reader's, whatever the provider calls it.
//
// What can go wrong:
//   - The signature is missing, wrong or of another key: ErrSignature.
//   - It was made more than five minutes ago, or will be: ErrStale. A request that
//     was recorded cannot be played again later; within the five minutes its id
//     tells it. SNS repeats a message for long and signs it once: it may be a day
//     old. Mautic and those who send a password sign no time: their reports are known
//     by their bytes, their events by their ids.
//   - A certificate cannot be fetched: another error, since nobody knows then.
//   - The payload is none of ours: a *PayloadError, which says where. Nothing of the
//     report is taken then. An event about nobody whose address can be read is left
//     out instead: for its sake all others would come again and again.
package feedback
