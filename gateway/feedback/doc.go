// Package feedback reads what others report of our mail: is it theirs, and what
// does it say. It is pure; nothing here keeps anything or asks anybody.
//
// A Format is one provider's way of both. What is not verified is never parsed
// (attacks H3), and what is parsed is bounded before it is decoded: in nesting, in
// the length of its lists, and in names that are said twice.
//
// What can go wrong:
//   - The signature is missing, wrong or of another key: ErrSignature.
//   - It was made more than five minutes ago, or will be: ErrStale. A request that
//     was recorded cannot be played again later; within the five minutes its id
//     tells it.
//   - The payload is none of ours: a *PayloadError, which says where.
package feedback
