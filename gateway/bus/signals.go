package bus

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"tidepost/gateway"
)

// The durable consumers of TIDEPOST_SIGNALS.
const (
	PermissionConsumer = "tidepost-permission" // unsubscribed, complained, bounced, consent
	EvidenceConsumer   = "tidepost-evidence"   // all others
)

// DefaultSignalRate is how many signals of evidence are applied a second at most,
// so that a queue of a million takes a minute and mail goes on beside it.
const DefaultSignalRate = 15_000

// Hearer is what signals are brought to: *gateway.Gateway.
type Hearer interface {
	Hear(s gateway.Signal, done func(news bool, err error))
	StreamCursor(l gateway.Lane) gateway.StreamCursor
	SaveStreamCursor(ctx context.Context, l gateway.Lane, c gateway.StreamCursor) error
}

// Signals brings what lies in TIDEPOST_SIGNALS to the gateway, each signal once:
// a mailbox remembers the place of the last one it applied, the cursor is saved
// behind that, and JetStream is acknowledged last. What is permission has its own
// lane, and evidence waits while there is anything in it (design rule 10).
//
// One gateway reads the stream: a second one would read with the same consumers,
// and both would begin anew for ever. Its fields are not changed after Run was
// called.
type Signals struct {
	To      Hearer
	Conn    *Conn
	Stream  Stream
	Tenants func(name string) bool // whether there is such a tenant; nil: there are all
	Rate    int                    // signals of evidence a second at most; 0: DefaultSignalRate
	Log     *slog.Logger           // nil: nothing is logged
	Now     func() time.Time       // nil: time.Now

	// Took hears how long it took from a signal's publishing, as the stream has it,
	// until it was applied. It is called by whoever applies; nil: nobody asks.
	Took func(kind gateway.SignalKind, since time.Duration)

	once  sync.Once
	lanes [2]*lane // by gateway.Lane
	drain gate     // open while nothing waits in the lane of permission

	most time.Duration // the longest wait between tries; 0: longestWait
}

// setup makes the lanes. Whoever comes first does it: Run, Lag or Resume.
func (s *Signals) setup() {
	s.once.Do(func() {
		s.lanes[gateway.LanePermission] = newLane(s, gateway.LanePermission, PermissionConsumer)
		s.lanes[gateway.LaneEvidence] = newLane(s, gateway.LaneEvidence, EvidenceConsumer)
	})
}

// Run applies signals until ctx is done, and returns nil then. Whatever NATS or
// the gateway say, it goes on trying: an error is only ever that it is not wired up.
func (s *Signals) Run(ctx context.Context) error {
	if s.To == nil || s.Conn == nil {
		return errors.New("signals: need a hearer and a connection")
	}
	s.setup()
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, l := range s.lanes {
		wg.Go(func() { l.run(ctx) })
	}
	return nil
}

// Resume accepts, for a person, a stream that had lost messages: what stands goes
// on from where the stream ended when that was noticed, so that nothing that was
// published since is left out. It needs no connection.
func (s *Signals) Resume(ctx context.Context) error {
	if s.To == nil {
		return errors.New("signals: need a hearer")
	}
	s.setup()
	none := true
	for _, l := range s.lanes {
		c := s.To.StreamCursor(l.lane)
		id, behind := strings.CutSuffix(c.Stream, behindMark)
		if !behind {
			continue
		}
		none = false
		c.Stream, c.Epoch = id, c.Epoch+1
		if err := s.To.SaveStreamCursor(ctx, l.lane, c); err != nil {
			return err
		}
		s.log().Warn("signals go on behind what the stream lost", "consumer", l.name, "after", c.Seq)
		select {
		case l.wake <- struct{}{}:
		default: // it is awake already
		}
	}
	if none {
		return errors.New("no lane of signals stands: there is nothing to accept")
	}
	return nil
}

func (s *Signals) log() *slog.Logger { return logger(s.Log) }

func (s *Signals) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Signals) rate() int {
	if s.Rate > 0 {
		return s.Rate
	}
	return DefaultSignalRate
}

// gate lets one lane wait for the other. It is shut at first.
type gate struct {
	mu   sync.Mutex
	open chan struct{} // guarded by mu; closed while the gate is open; nil: never asked for
}

func (g *gate) chanLocked() chan struct{} {
	if g.open == nil {
		g.open = make(chan struct{})
	}
	return g.open
}

// set opens or shuts the gate.
func (g *gate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.chanLocked()
	select {
	case <-c:
		if !open {
			g.open = nil
		}
	default:
		if open {
			close(c)
		}
	}
}

// wait returns when the gate is open, or with ctx.
func (g *gate) wait(ctx context.Context) error {
	g.mu.Lock()
	c := g.chanLocked()
	g.mu.Unlock()
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
