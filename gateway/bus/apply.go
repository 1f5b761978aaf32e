package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"tidepost/gateway"
)

// entry is one message on its way to the gateway.
type entry struct {
	msg    *nats.Msg
	seq    uint64
	at     time.Time
	pass   bool // applied before, or none of this lane's
	signal gateway.Signal
	wrong  *gateway.SignalError // why it is rejected
	err    error                // why it could not be applied
}

var errOrder = errors.New("the consumer delivers out of order: something else reads with it, or what was under way is lost; beginning anew at the cursor")

// process applies messages in the stream's order, rejects what cannot be, and
// moves the cursor behind them.
func (l *lane) process(ctx context.Context, msgs []*nats.Msg) error {
	entries, err := l.read(msgs)
	if err != nil {
		return err
	}
	began := time.Now()
	if l.lane == gateway.LanePermission {
		l.drained(false)
	} else if err := l.of.drain.wait(ctx); err != nil {
		return err
	}
	if err := l.hear(ctx, entries); err != nil {
		return err
	}
	fit := entries
	if bad := slices.IndexFunc(entries, func(e entry) bool { return e.err != nil }); bad >= 0 {
		fit = entries[:bad]
	}
	if err := l.settle(ctx, fit); err != nil {
		return err
	}
	if len(fit) < len(entries) {
		return l.failed(ctx, &entries[len(fit)])
	}
	if l.lane == gateway.LaneEvidence {
		sleep(ctx, time.Duration(len(entries))*time.Second/time.Duration(l.of.rate())-time.Since(began))
	}
	return nil
}

// read parses messages and checks that none is missing before them.
func (l *lane) read(msgs []*nats.Msg) ([]entry, error) {
	entries := make([]entry, len(msgs))
	for i, m := range msgs {
		meta, err := m.Metadata()
		if err != nil {
			return nil, fmt.Errorf("a message of %s: %w", SignalStream, err)
		}
		if l.delivered++; meta.Sequence.Consumer != l.delivered || meta.NumDelivered != 1 {
			return nil, errOrder
		}
		e := &entries[i]
		e.msg, e.seq, e.at = m, meta.Sequence.Stream, meta.Timestamp
		of, mine := laneOf(m.Subject)
		if e.pass = !mine || of != l.lane || e.seq <= l.cursor.Seq; !e.pass {
			l.parse(e)
		}
		if i == len(msgs)-1 {
			l.gauge.at(meta.NumPending, len(msgs), entries[0].at)
		}
	}
	return entries, nil
}

func (l *lane) parse(e *entry) {
	if l.hopeless(e.seq) {
		e.wrong = &gateway.SignalError{Field: "signal", Problem: "could not be applied, again and again", Remedy: "look into the gateway's log"}
		return
	}
	e.signal, e.wrong = parse(e.msg.Subject, e.msg.Data, l.of.Tenants)
	e.signal.Place = gateway.Place{Lane: l.lane, Epoch: l.cursor.Epoch, Seq: e.seq}
}

// hear brings entries to the gateway and waits until it has applied them. After
// the first that it could not apply it is told no further ones: a mailbox that
// has a later signal would take an earlier one for applied.
func (l *lane) hear(ctx context.Context, entries []entry) error {
	var left atomic.Int64
	var failed atomic.Bool
	all := make(chan struct{})
	finish := func() {
		if left.Add(-1) == 0 {
			close(all)
		}
	}
	left.Add(1)
	for i := range entries {
		e := &entries[i]
		if e.pass || e.wrong != nil {
			continue
		}
		if failed.Load() {
			e.err = errNotHeard
			continue
		}
		left.Add(1)
		l.of.To.Hear(e.signal, func(_ bool, err error) {
			if e.err = l.heard(e, err); e.err != nil {
				failed.Store(true)
			}
			finish()
		})
	}
	finish()
	select {
	case <-all:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

var errNotHeard = errors.New("not applied: one before it was not")

// heard takes the gateway's answer. What is wrong with the signal itself rejects
// it; all else is tried again.
func (l *lane) heard(e *entry, err error) error {
	if errors.As(err, &e.wrong) {
		return nil
	}
	if err != nil {
		return err
	}
	l.gauge.add(func(g *laneGauge) { g.applied++ })
	if l.of.Took != nil {
		l.of.Took(e.signal.Kind, max(0, l.of.now().Sub(e.at)))
	}
	return nil
}

// settle rejects what is wrong among entries and moves the cursor behind them.
func (l *lane) settle(ctx context.Context, entries []entry) error {
	if len(entries) == 0 {
		return nil
	}
	var wrong []*entry
	for i := range entries {
		if entries[i].wrong != nil {
			wrong = append(wrong, &entries[i])
		}
	}
	if len(wrong) > 0 {
		if err := l.reject(ctx, wrong); err != nil {
			return err
		}
	}
	if l.unsaved == 0 {
		l.since = time.Now()
	}
	last := &entries[len(entries)-1]
	l.unsaved += len(entries)
	l.cursor.Seq, l.last = max(l.cursor.Seq, last.seq), last.msg
	l.gauge.done(len(entries), last.at)
	return nil
}

// failed counts the tries of a signal that the gateway cannot apply although it
// can store the place before it. There must not be one that holds up all others.
func (l *lane) failed(ctx context.Context, e *entry) error {
	if err := l.save(ctx); err != nil {
		return err
	}
	if e.seq != l.stuck {
		l.stuck, l.tries = e.seq, 0
	}
	if l.tries++; l.hopeless(e.seq) {
		l.of.log().Error("a signal cannot be applied and is rejected", "subject", e.msg.Subject, "sequence", e.seq, "error", e.err)
	}
	return fmt.Errorf("applying a signal: %w", e.err)
}
