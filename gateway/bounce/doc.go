// Package bounce reads mail that came back: delivery status notifications (RFC
// 3464), the free text of older mail systems, complaints (RFC 5965, RFC 9477), and
// answers of machines (RFC 3834). It is pure, and its time is linear in the length
// of the mail.
//
// The way of a mail: header.go and mime.go take it apart, status.go reads fields
// of delivery status, text.go reads words for people, complaint.go and notice.go
// read complaints, answer.go the answers of machines; original.go finds out which
// mail it is about; classify.go gives each report its reason, with the words of
// phrases/*.txt and the codes of codes.go, and sense.go where no wording is known.
//
// What can go wrong: nothing that Read would return as an error, since a far
// machine may write anything at all. A mail that is not understood has no reports.
// Nesting, parts, fields and reports are bounded, and what lies beyond the bounds
// is not read. A status can lie, so clear words count for more than its digits; and
// words can be new, which gives the group Unknown. Everything here is what
// strangers say: whoever acts on it finds a delivery of ours first.
package bounce
