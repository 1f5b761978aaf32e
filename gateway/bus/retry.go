package bus

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	firstWait   = 250 * time.Millisecond
	longestWait = 15 * time.Second

	manySilences = 3 // after as many tries without an answer the embedded server is suspect
)

// retry is the patience of what goes on trying for ever. One goroutine owns it.
type retry struct {
	told     bool          // the log has the reason why nothing moves
	silences int           // tries in a row that got no answer
	wait     time.Duration // before the next try; grows to most
	most     time.Duration // 0: longestWait
}

// answered notes that something moves.
func (r *retry) answered() { r.silences, r.told = 0, false }

// tell reports whether the reason why nothing moves belongs into the log: once
// for each reason, and not for a moment's wait as at the start.
func (r *retry) tell(news bool) bool {
	if news {
		r.told = false
	}
	if r.told || r.wait == 0 {
		return false
	}
	r.told = true
	return true
}

// failed notes a try without success. A slow disk answers the second time; a
// server that goes on giving no answer is suspect.
func (r *retry) failed(c *Conn, err error) {
	if !silence(err) {
		return
	}
	if r.silences++; r.silences >= manySilences {
		c.unanswered()
	}
}

// silence reports whether an error is that no answer came.
func silence(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout)
}

// pause waits before the next try: longer each time, and no longer than until
// the next connection or until it is woken.
func (r *retry) pause(ctx context.Context, again, wake <-chan struct{}) {
	most := r.most
	if most == 0 {
		most = longestWait
	}
	r.wait = min(max(2*r.wait, firstWait), most)
	t := time.NewTimer(r.wait/2 + rand.N(r.wait/2))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-again:
	case <-wake:
	}
}
