package admin

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"time"

	"tidepost/gateway"
)

// journalBatch is how many events are read at a time.
const journalBatch = 4096

func (s *Server) journal() (gateway.Journal, error) {
	if j, ok := s.Store.(gateway.Journal); ok {
		return j, nil
	}
	return nil, cannot("the store keeps no history that can be read")
}

// readJournal calls visit for every event behind a cursor and returns the one
// behind the last. after is called between batches with the time of the last event.
func readJournal(ctx context.Context, j gateway.Journal, from gateway.Cursor, visit func(*gateway.Event), after func(time.Time)) (gateway.Cursor, error) {
	for {
		events, next, err := j.ReadEvents(ctx, from, journalBatch)
		if err != nil {
			return from, err
		}
		for i := range events {
			visit(&events[i])
		}
		if from = next; len(events) == 0 {
			return from, nil
		}
		after(events[len(events)-1].At)
		if err := ctx.Err(); err != nil {
			return from, err
		}
	}
}

// heard is what the event of a signal tells.
type heard struct {
	mailbox gateway.Key
	about   gateway.DeliveryID // zero: it is about none that is known
	tenant  string
	human   bool // more likely a person's than a machine's
}

// surely is how sure it must be that a person did something for it to count.
const surely = 0.5

// hear reads the event of a signal.
func hear(e *gateway.Event) (h heard, ok bool) {
	var detail struct {
		Mailbox, Tenant, Delivery string
		Human                     float32
	}
	if json.Unmarshal([]byte(e.Detail), &detail) != nil {
		return h, false
	}
	key, err := hex.DecodeString(detail.Mailbox)
	if err != nil || len(key) != len(h.mailbox) {
		return h, false
	}
	h.mailbox, h.tenant, h.human = gateway.Key(key), detail.Tenant, detail.Human >= surely
	h.about, _ = gateway.ParseDeliveryID(detail.Delivery) // the zero one where there is none
	return h, true
}

// planned is when the mail was planned that a signal is about, or else when the
// signal came.
func (h *heard) planned(at time.Time) time.Time {
	if h.about.Message.IsZero() {
		return at
	}
	return h.about.Message.Time()
}
