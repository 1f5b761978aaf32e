package local

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"
)

// The buckets of state.db.
var (
	bucketMailbox = []byte("mailbox") // key → appendBox: the whole state
	bucketDue     = []byte("due")     // key → appendDue: only mailboxes with something to release
	bucketEntries = []byte("entries") // hash of an address → appendEntryList
	bucketSetting = []byte("setting") // name → value
	bucketTotals  = []byte("totals")  // tenant or campaign → totals, as of the positions
	bucketSegment = []byte("segment") // log segment → segmentUse, as of the positions
	bucketCursor  = []byte("cursor")  // reader → place in the journal
	bucketMeta    = []byte("meta")    // positions and the mark of a restored store
)

var allBuckets = [][]byte{bucketMailbox, bucketDue, bucketEntries, bucketSetting, bucketTotals, bucketSegment, bucketCursor, bucketMeta}

var (
	metaPositions = []byte("positions")
	metaHeld      = []byte("held")
	metaLists     = []byte("lists") // the table of live lists
	metaTally     = []byte("tally") // counts of entries, as of the positions
)

// bucketEntryText is where an earlier version kept entries, by their address's text.
var bucketEntryText = []byte("entry")

func createBuckets(tx *bbolt.Tx) error {
	for _, name := range allBuckets {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return nil
}

// positions are the places from which both logs are replayed.
type positions struct{ log, journal place }

// positionsVersion 2 tells an earlier version that it would look for the entries
// in vain.
const positionsVersion = 2

func appendPositions(b []byte, p positions) []byte {
	return appendPlace(appendPlace(append(b, positionsVersion), p.log), p.journal)
}

func decodePositions(b []byte) (p positions, err error) {
	if b == nil {
		return p, nil // a new store: from the beginning
	}
	d := decoder{b: b}
	d.version(positionsVersion)
	p = positions{log: d.place(), journal: d.place()}
	if err := d.finish(); err != nil {
		return p, fmt.Errorf("positions in state.db: %w", err)
	}
	return p, nil
}

func segmentKey(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
