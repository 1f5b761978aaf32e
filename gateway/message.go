package gateway

import (
	"fmt"
	"time"
)

// Class says what kind of mail a message is; it decides which rules hold it.
type Class uint8

// The classes, by how freely mail of the class may be planned.
const (
	Transactional Class = iota // answers something its reader did: leaves at once, always
	Triggered                  // opt-in mails and the like: no gap, no cap, never dropped
	Newsletter                 // asked for, planned
	Promotional                // planned, lowest worth
)

var classNames = [...]string{"transactional", "triggered", "newsletter", "promotional"}

func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

// Bulk reports whether the class is planned at all.
func (c Class) Bulk() bool { return c >= Newsletter }

// ParseClass reads the name of a class.
func ParseClass(s string) (Class, error) {
	for i, name := range classNames {
		if s == name {
			return Class(i), nil
		}
	}
	return 0, fmt.Errorf("class %q: want transactional, triggered, newsletter or promotional", s)
}

// Notify is the NOTIFY parameter of a recipient (RFC 3461 §4.1), a set.
type Notify uint8

// The members of Notify. Zero means that the client said nothing: failures
// are told, delays and successes are not.
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// Deliver-by modes of a message (RFC 2852).
const (
	ByNone   = 0
	ByNotify = 'N' // after the deadline keep trying, say that it is late
	ByReturn = 'R' // after the deadline give up and return it
)

// Message is accepted content with its envelope: immutable once stored.
type Message struct {
	ID         ID
	Received   time.Time
	Tenant     string
	Audience   string // whose profiles, caps and unsubscribes it shares
	Credential string // name of the credential that submitted it; "" for a trusted network

	From     string // envelope sender; "" for <>
	EnvID    string // ENVID, decoded (RFC 3461 §4.4)
	Return   string // RET: "FULL", "HDRS" or ""
	EightBit bool   // BODY=8BITMIME
	UTF8     bool   // SMTPUTF8
	By       byte   // ByNone, ByNotify or ByReturn
	ByTrace  bool   // the T of BY=
	Returned bool   // came back to our return path and is passed on: nothing in it is our tenant's word
	Priority int8   // MT-PRIORITY, -9..9

	// How it reached us, for the Received field (RFC 5321 §4.4).
	Client     string // address of the client
	Helo       string
	Protocol   string // SMTP, ESMTP, ESMTPS, ESMTPA, ESMTPSA (RFC 3848)
	TLSVersion string // "TLS1.3", "" without TLS
	TLSCipher  string

	Class       Class
	ClassReason string // which rule chose the class, for explain
	Campaign    string
	Tags        []string
	List        string   // List-Id, without brackets
	MessageID   string   // the Message-ID field, without brackets; "" when absent
	Subject     string   // decoded and shortened, for listings
	Notes       []string // control headers that were ignored, and why

	NotBefore    time.Time     // zero: at once
	Deadline     time.Time     // zero: none
	HardDeadline bool          // after Deadline it is dropped; false: Deadline only ends holding
	Window       time.Duration // how long it may be held; 0: the policy's max_hold
	Value        float32       // relative worth; 1 unless said
	HalfLife     time.Duration // of freshness; 0: none
	Supersede    string        // newer mail with this key replaces it
	Variant      string
	Evidence     string // "", none, day, click or full
	Attributes   string // JSON of X-Tidepost-Profile, kept for the mailbox
	Aim          string // "", soonest, hour, reads or now: what its hour is chosen for
	Zone         string // IANA name of the reader's time zone, from X-Tidepost-Profile

	Size       int64 // bytes of content as received
	Header     int64 // bytes of its header, with the empty line
	Recipients []Recipient
	Duplicate  ID // the message that this one repeats (same Message-ID and mailbox within an hour); zero: none
}

// Recipient is one RCPT of a message.
type Recipient struct {
	Address   string // as the client wrote it
	Mailbox   Key
	Canonical string // the mailbox's canonical address
	Notify    Notify
	Original  string // ORCPT as "type;address", decoded (RFC 3461 §4.2)
}

// Content is a message's bytes on their way into a Store: Bytes, or File when
// the message is larger than MemoryLimit.
type Content struct {
	Bytes []byte
	File  SpoolFile
	Size  int64
}

// MemoryLimit is the size in bytes above which content is spooled to a file
// of its own before it is accepted.
const MemoryLimit = 1 << 20
