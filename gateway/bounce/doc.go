// Package bounce reads mail that came back: delivery status notifications (RFC
// 3464), the free text of older mail systems, complaints (RFC 5965, RFC 9477), and
// answers of machines. It is pure, and its time is linear in the length of the mail.
package bounce
