package gateway

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Credential is who may submit mail and what that mail may say of itself.
type Credential struct {
	Name         string
	PasswordHash string // argon2id in PHC form; "" where Networks alone decide
	Tenant       string
	BulkClass    Class
	Classes      []Class  // allowed; empty: all
	Senders      []string // envelope and From domains allowed; empty: any
	Networks     []netip.Prefix
}

// MayClass reports whether the credential's mail may be of class c.
func (c *Credential) MayClass(class Class) bool {
	return len(c.Classes) == 0 || slices.Contains(c.Classes, class)
}

// MaySend reports whether the credential may use a sender of that domain.
// The null sender has no domain and is always allowed.
func (c *Credential) MaySend(domain string) bool {
	if len(c.Senders) == 0 || domain == "" {
		return true
	}
	return slices.ContainsFunc(c.Senders, func(s string) bool { return strings.EqualFold(s, domain) })
}

// Submission is what intake hands over at the end of a transaction: the
// envelope part of the message is filled in, header and content are not read
// yet. HoldUntil and By come from SMTP parameters and win over headers.
type Submission struct {
	Message     Message
	Credential  *Credential
	Content     Content
	Header      []byte // the first bytes of the content, through the empty line, at most 256 KiB
	HoldUntil   time.Time
	ByDeadline  time.Time
	Prioritised bool // MT-PRIORITY was written
}
