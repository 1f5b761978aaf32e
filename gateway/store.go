package gateway

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"tidepost/suppression"
)

// Store keeps everything that must survive a crash. gateway/local is the one
// for a single machine; gateway/storetest says what every Store must do.
//
// A mailbox has one owner at a time: only its owner commits changes of it, so
// conflicts are accidents, not the normal case.
type Store interface {
	// Accept makes messages durable together with their deliveries: when it
	// returns nil, nothing is lost whatever is killed. Each recipient's mailbox
	// then holds a waiting delivery of revision 0; the mailbox's own revision,
	// which counts what its owner commits, stays. It fills in m.ID when that is
	// zero and returns the deliveries in the recipients' order.
	Accept(ctx context.Context, m *Message, c Content) ([]*Delivery, error)

	// Body reads a message back. The caller closes Stored.
	Body(ctx context.Context, r Ref) (*Stored, error)

	// Mailbox returns the state of a mailbox; one never heard of has Rev 0.
	Mailbox(ctx context.Context, k Key) (*Mailbox, error)

	// Due calls yield for every mailbox with a waiting delivery, in no order,
	// with what a queue needs to know of it. It is how queues are built at start.
	Due(ctx context.Context, yield func(Due) error) error

	// Commit applies changes, each whole or not at all. Durable changes are on
	// disk when it returns; changes marked Relaxed are only written. The error
	// is ErrConflict (wrapped) when any change was computed from an old
	// revision; such a change fails alone and has Failed set.
	Commit(ctx context.Context, changes ...*Change) error
}

// Due is one mailbox's next instant of interest.
type Due struct {
	Mailbox Key
	Domain  string // of the address, canonical
	Tenant  string // of the delivery that is due first
	Bulk    bool   // false where a transactional or triggered delivery is due first
	At      time.Time
}

// Stored is a message read back from a Store.
type Stored struct {
	Message *Message
	io.ReaderAt
	Size   int64
	Closer io.Closer // nil when there is nothing to close
}

// Close releases what the Store holds for the reader.
func (s *Stored) Close() error {
	if s.Closer == nil {
		return nil
	}
	return s.Closer.Close()
}

// Change is a mailbox's step from one revision to the next, with the events
// that tell of it. A zero Key is a change that concerns no mailbox.
type Change struct {
	Key        Key
	Expect     uint64              // the revision it was computed from
	Head       *Mailbox            // new state of all but Deliveries; nil: as it was
	Deliveries []*Delivery         // new states; settled ones leave the mailbox
	Entries    []suppression.Entry // added, replaced, or removed where Removed is set
	Forget     []string            // addresses to forget: no entry of theirs stays, nor do mailboxes keep them
	Settings   []Setting
	Events     []Event
	Relaxed    bool // need not wait for the disk

	Failed bool // set by Commit where the change conflicted
}

// Setting is a small named value that a person changed at run time. A nil
// Value removes it.
type Setting struct {
	Name  string
	Value []byte
}

// ErrConflict says that a change was computed from an old revision.
var ErrConflict = errors.New("the mailbox changed meanwhile")

// ErrFull says that the store cannot take more mail now; a client is told 452.
var ErrFull = errors.New("storage is low")

// ErrStopped says that the store stopped accepting, after a failed sync or
// because it was closed.
var ErrStopped = errors.New("the store has stopped")

// ErrDamaged says that a record could not be read back; it is quarantined.
var ErrDamaged = errors.New("the stored record is damaged")

// ErrNotFound says that there is no such message, delivery or mailbox.
var ErrNotFound = errors.New("not found")

// SpoolFile takes the content of a large message before it is accepted.
// Accept takes it over; Discard throws it away.
type SpoolFile interface {
	io.Writer
	Discard()
}

// The powers below are optional in the sense of io.WriterTo: what runs on a
// Store asks for the ones it needs when it starts.
type (
	// Spooler makes files for messages above MemoryLimit.
	Spooler interface {
		Spool() (SpoolFile, error)
	}

	// Entries is the read side of the suppression list.
	Entries interface {
		// Entries returns all entries of a canonical address, tombstones too.
		Entries(ctx context.Context, canonical string) ([]suppression.Entry, error)
	}

	// Lists takes whole lists of suppressions, beside the entries that come one by
	// one. An entry that came one by one, a tombstone too, stands over the same
	// (address, scope, reason) of a list, and a list over those published before it.
	Lists interface {
		// Stage sorts entries into a list that nobody sees yet. The same name again
		// replaces what was staged. After an interruption AllLists tells in Lines how
		// many entries are durable; a caller with the same source leaves those out
		// and says so in skip, or begins anew with 0. A caller whose source fails
		// cancels ctx. progress, which may be nil, is told of the entries taken so far.
		Stage(ctx context.Context, name string, skip int, entries iter.Seq[suppression.Entry], progress func(lines int)) (StagedList, error)
		// Publish makes a staged list live in one small commit, in the place of a live
		// one of that name; nothing is live before.
		Publish(ctx context.Context, name, actor string) error
		// Discard throws away a staged list or, where there is none, the live one of
		// that name.
		Discard(ctx context.Context, name, actor string) error
		// AllLists returns what is staged, wholly or in part, and what is live, by name.
		AllLists() []StagedList
		// ScanEntries yields every entry in force, tombstones too, in the order of
		// their hashes, from behind a cursor on; "" is the beginning.
		ScanEntries(ctx context.Context, after string, yield func(cursor string, e suppression.Entry) bool) error
		// Suppressed counts the entries in force, without tombstones.
		Suppressed() map[SuppressedKind]int64
		// HasHashed reports whether there are entries under a digest of an address,
		// "sha256:HEX" or "md5:HEX" in its place: only then need they be looked up.
		HasHashed() (sha256, md5 bool)
	}

	// Settings is the read side of Change.Settings.
	Settings interface {
		Settings() map[string][]byte
	}

	// Journal reads events in the order they were committed, for any number of
	// readers, each with a cursor of its own.
	Journal interface {
		// ReadEvents returns up to max events after the cursor, and the cursor
		// after them. It returns no events at the end of the journal.
		ReadEvents(ctx context.Context, after Cursor, max int) ([]Event, Cursor, error)
		// Cursor returns a reader's saved cursor; the zero one starts at the
		// oldest event kept.
		Cursor(reader string) Cursor
		SaveCursor(reader string, c Cursor) error
		// Committed is closed and replaced whenever events were added.
		Committed() <-chan struct{}
	}

	// Traces finds deliveries again by names that others gave them.
	Traces interface {
		// Trace notes names of a delivery. It costs no sync: after a crash the last
		// seconds' may be missing.
		Trace(t Trace, names ...string)
		// Traced returns the deliveries noted under a name since an instant, latest
		// first, at most max. Two names may be taken for one, in one of 10^12 cases.
		Traced(ctx context.Context, name string, since time.Time, max int) ([]Trace, error)
	}

	// Browser looks over all mailboxes, for people.
	Browser interface {
		// Scan calls yield for mailboxes with unsettled deliveries in key order,
		// from the first key ≥ from, until yield returns false.
		Scan(ctx context.Context, from Key, yield func(*Mailbox) bool) error
		// History returns the events about one message (Event.About), oldest first, as far as
		// they are kept.
		History(ctx context.Context, id ID) ([]Event, error)
		// Message finds a message by its id.
		Message(ctx context.Context, id ID) (*Message, Ref, error)
		// Totals returns the sums of every campaign and of every tenant.
		Totals() (campaigns map[CampaignKey]Totals, tenants map[string]Totals)
		// Usage tells what the store takes on disk and what is left.
		Usage() Usage
	}
)

// Trace is a delivery with its mailbox.
type Trace struct {
	Delivery DeliveryID
	Mailbox  Key
}

// StagedList is what is known of a list of suppressions.
type StagedList struct {
	Name    string
	Entries int64     // in it; 0 while it is staged in part
	Lines   int       // entries of the source that are durable, repeated ones too
	Ready   bool      // staged whole: it can be published
	Live    bool      // it counts
	Bytes   int64     // on disk; a file that several live lists share counts for each
	At      time.Time // of its staging or, live, its publication
	Damaged string    // what is wrong with its file; bulk mail waits meanwhile
}

// SuppressedKind is what Lists.Suppressed counts by.
type SuppressedKind struct {
	Reason suppression.Reason
	Scope  suppression.ScopeKind
}

// Cursor is a place in the journal. The zero value is its beginning.
type Cursor struct {
	Segment uint32
	Offset  uint32
}

// CampaignKey names a campaign of a tenant.
type CampaignKey struct{ Tenant, Campaign string }

// Totals add up: Accepted = Waiting + Sending + Delivered + Bounced + Captured
// + the sum of Dropped.
type Totals struct {
	Accepted, Waiting, Sending, Delivered, Bounced, Captured int64
	Dropped                                                  map[string]int64 // by reason
	First, Last                                              time.Time        // of acceptance
}

// Usage is what a store takes on disk, in bytes.
type Usage struct {
	Log, Journal, Index, Free int64
	Segments                  int
	Quarantined               int
}
