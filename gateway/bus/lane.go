package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"tidepost/gateway"
)

const (
	gulpSize  = 500                    // signals under way to the gateway at most, and as many in memory behind them
	gulpBytes = 8 << 20                // of messages that wait in memory
	ackWait   = 10 * time.Minute       // a lane that waits longer begins anew at its cursor
	saveEvery = 100 * time.Millisecond // evidence; what is permission is saved at once

	// Tries of one signal while the gateway can store others: some seconds of
	// evidence, some minutes of permission, where mail waits rather than go wrong.
	triesOfEvidence   = 6
	triesOfPermission = 20
)

// lane is one consumer and the goroutine that empties it.
type lane struct {
	of    *Signals
	lane  gateway.Lane
	name  string
	wake  chan struct{} // a token asks for a try now
	gauge laneGauge

	// Owned by run.
	retry      retry
	why        string // nothing moved last
	publisher  *publisher
	cursor     gateway.StreamCursor // how far everything is applied or rejected
	unsaved    int                  // messages up to cursor whose place is not saved
	since      time.Time            // of the first of them
	last       *nats.Msg            // the one at cursor: its acknowledgement stands for all before; nil: none yet
	delivered  uint64               // what the consumer has delivered, in its own count
	missed     uint64               // the stream's beginning when it was last found behind the cursor
	stuck      uint64               // what could not be applied last
	tries      int                  // of stuck
	complained time.Time            // in the log, about rejections
	refused    time.Time            // the same, about rejections that were refused
}

func newLane(s *Signals, l gateway.Lane, name string) *lane {
	return &lane{of: s, lane: l, name: name, wake: make(chan struct{}, 1), retry: retry{most: s.most}}
}

func (l *lane) run(ctx context.Context) {
	for ctx.Err() == nil {
		again := l.of.Conn.reconnected()
		err := l.session(ctx)
		l.drained(false)
		if ctx.Err() != nil {
			return
		}
		l.stall(err)
		l.retry.pause(ctx, again, l.wake)
	}
}

// stall notes why nothing moves, and says it once.
func (l *lane) stall(err error) {
	l.gauge.stall(err)
	news := l.why != err.Error()
	l.why = err.Error()
	switch tell := l.retry.tell(news); {
	case errors.Is(err, errBehind) && news:
		l.of.log().Error("signals stand", "consumer", l.name, "error", err)
	case errors.Is(err, errBehind):
	case tell:
		l.of.log().Warn("signals wait; mail does not", "consumer", l.name, "error", err)
	}
	l.retry.failed(l.of.Conn, err)
}

// session applies signals while there is a connection and nothing refuses.
func (l *lane) session(ctx context.Context) error {
	ctx, end := l.of.Conn.during(ctx)
	defer end()
	err := l.open(ctx)
	if err == nil {
		err = l.follow(ctx)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// open finds the stream, the place in it and the consumer.
func (l *lane) open(ctx context.Context) error {
	nc, err := l.of.Conn.current(ctx)
	if err != nil {
		return err
	}
	opening, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	s, err := l.of.Stream.ensure(opening, nc, signalShape, l.of.log())
	if err != nil {
		return err
	}
	info, err := s.Info(opening)
	if err != nil {
		return fmt.Errorf("stream %s: %w", SignalStream, plain(err))
	}
	l.publisher = &publisher{nc: nc, batches: info.Config.AllowAtomicPublish, timeout: ackTimeout}
	l.publisher.skipped = l.tooLarge
	if err := l.locate(opening, info); err != nil {
		return err
	}
	return l.consumer(opening, s)
}

// follow applies messages for ever, and saves the place meanwhile.
func (l *lane) follow(ctx context.Context) error {
	p, err := pull(l.publisher.nc, l.name)
	if err != nil {
		return fmt.Errorf("fetching signals: %w", plain(err))
	}
	defer p.close()
	for {
		msgs, err := p.gulp(ctx, l.saving())
		if err == nil && len(msgs) > 0 {
			err = l.process(ctx, msgs)
		}
		if err == nil && l.due() {
			err = l.save(ctx)
		}
		if err != nil {
			return err
		}
		if len(msgs) > 0 {
			l.retry.wait, l.why = 0, ""
			l.retry.answered()
			l.drained(l.gauge.waits() == 0)
		}
	}
}

// saving returns what tells that the place is to be saved; nil while it is.
func (l *lane) saving() <-chan time.Time {
	if l.unsaved == 0 {
		return nil
	}
	return time.After(saveEvery - time.Since(l.since))
}

// due reports whether the place is to be saved now.
func (l *lane) due() bool {
	return l.unsaved > 0 && (l.lane == gateway.LanePermission || l.unsaved >= gulpSize || time.Since(l.since) >= saveEvery)
}

// save stores the place, and with it all that was heard, and only then lets NATS
// know. An acknowledgement that is lost is made good by the next one.
func (l *lane) save(ctx context.Context) error {
	if err := l.of.To.SaveStreamCursor(ctx, l.lane, l.cursor); err != nil {
		return fmt.Errorf("saving the place in the stream: %w", err)
	}
	l.unsaved = 0
	if l.last == nil {
		return nil
	}
	if err := l.publisher.nc.Publish(l.last.Reply, []byte("+ACK")); err != nil {
		return fmt.Errorf("acknowledging signals: %w", plain(err))
	}
	l.last = nil
	return nil
}

// drained tells the other lane whether anything waits in the one of permission.
func (l *lane) drained(is bool) {
	if l.lane == gateway.LanePermission {
		l.of.drain.set(is)
	}
}

// hopeless reports whether a signal was tried often enough.
func (l *lane) hopeless(seq uint64) bool {
	most := triesOfEvidence
	if l.lane == gateway.LanePermission {
		most = triesOfPermission
	}
	return seq == l.stuck && l.tries >= most
}

func (l *lane) tooLarge(_ *nats.Msg, err error) { l.unrecorded(1, err) }
