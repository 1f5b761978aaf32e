package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Accept takes responsibility for a message: when it returns without an error
// the message is on disk with everything that follows from it, and the client
// may be told 250. What follows is planning, which nobody waits for.
func (g *Gateway) Accept(ctx context.Context, s *Submission) (ID, error) {
	m := &s.Message
	m.Received = g.now()
	s.applyParameters()
	if err := g.Reader.Read(s.Header, m, s.Credential); err != nil {
		return ID{}, err
	}
	if err := g.takeQuota(m); err != nil {
		return ID{}, err
	}
	if g.NewID != nil {
		m.ID = g.NewID(m.Received)
	}
	deliveries, err := g.Store.Accept(ctx, m, s.Content)
	if err != nil {
		g.held.add(m.Tenant, -int64(len(m.Recipients)))
		return ID{}, storeReply(err)
	}
	repeated := g.repeats.mark(m)
	g.Metrics.Accepted.Add(int64(len(deliveries)))
	for i, d := range deliveries {
		duplicate := repeated != nil && repeated[i]
		g.enqueue(step{key: d.Mailbox, do: func(t *turn) { t.planNew(d.ID, m, duplicate) }})
	}
	return m.ID, nil
}

// applyParameters puts what SMTP parameters said into the message, before its
// header is read: they win over headers.
func (s *Submission) applyParameters() {
	if !s.HoldUntil.IsZero() {
		s.Message.NotBefore = s.HoldUntil
	}
	if !s.ByDeadline.IsZero() {
		s.Message.Deadline = s.ByDeadline
	}
}

// takeQuota refuses what would pass the tenant's limit, temporarily: the client
// keeps the mail and comes back. What is not refused counts from here on, so
// that many clients at once do not pass it either.
func (g *Gateway) takeQuota(m *Message) error {
	t := g.Tenant(m.Tenant)
	if n, ok := g.held.reserve(m.Tenant, int64(len(m.Recipients)), t.MaxHeld); !ok {
		return &Reply{452, "4.3.1", fmt.Sprintf("tenant %s holds %d deliveries and may hold %d (tenant.max_held); try again later", m.Tenant, n, t.MaxHeld)}
	}
	return nil
}

func storeReply(err error) error {
	switch {
	case errors.Is(err, ErrFull):
		return &Reply{452, "4.3.1", "insufficient storage, try again later"}
	case errors.Is(err, ErrStopped):
		return &Reply{451, "4.3.0", "storage failed, try again later"}
	}
	return err
}

// repeats remembers what was submitted in the last hour, to mark a message
// that comes a second time. It is a hint for people: nothing is dropped by it,
// and a restart forgets it.
type repeats struct {
	mu   sync.Mutex
	seen *lru.Cache[[16]byte, time.Time] // guarded by mu
}

const (
	repeatWindow = time.Hour
	repeatSize   = 100_000
)

func newRepeats() *repeats {
	c, _ := lru.New[[16]byte, time.Time](repeatSize) // fails only for a size below 1
	return &repeats{seen: c}
}

// mark returns which recipients have had this Message-ID from this tenant
// within the hour; nil: none of them.
func (r *repeats) mark(m *Message) []bool {
	if m.MessageID == "" {
		return nil
	}
	var out []bool
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range m.Recipients {
		k := repeatKey(m, &m.Recipients[i])
		if at, ok := r.seen.Get(k); ok && m.Received.Sub(at) < repeatWindow {
			if out == nil {
				out = make([]bool, len(m.Recipients))
			}
			out[i] = true
		}
		r.seen.Add(k, m.Received)
	}
	return out
}

func repeatKey(m *Message, r *Recipient) [16]byte {
	b := make([]byte, 0, 128)
	b = append(b, r.Mailbox[:]...)
	b = append(b, m.Tenant...)
	b = append(b, 0)
	b = append(b, m.MessageID...)
	h := sha256.Sum256(b)
	return [16]byte(h[:16])
}
