package webhook

import (
	"context"

	lru "github.com/hashicorp/golang-lru/v2"

	"tidepost/gateway"
)

// recentPieces is how many readings of the journal are kept for other lanes.
const recentPieces = 16

// piece is what a reading of the journal brought. It stays right: the journal only
// grows.
type piece struct {
	events []gateway.Event // never changed
	next   gateway.Cursor
}

// recent lets lanes that are at the same place read the journal once. Each of them
// reads for itself where nobody did: one that is far behind holds up no other.
type recent struct {
	journal Journal
	pieces  *lru.Cache[gateway.Cursor, piece]
}

func newRecent(j Journal) *recent {
	pieces, _ := lru.New[gateway.Cursor, piece](recentPieces) // fails only for a size below 1
	return &recent{j, pieces}
}

// read returns up to pageEvents events behind a place.
func (r *recent) read(ctx context.Context, at gateway.Cursor) ([]gateway.Event, gateway.Cursor, error) {
	if p, ok := r.pieces.Get(at); ok {
		return p.events, p.next, nil
	}
	events, next, err := r.journal.ReadEvents(ctx, at, pageEvents)
	if err == nil && len(events) > 0 {
		r.pieces.Add(at, piece{events, next})
	}
	return events, next, err
}
