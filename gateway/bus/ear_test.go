package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tidepost/gateway"
)

// ear is a gateway that remembers, for each mailbox and lane, the last place it
// applied, and what it applied in which order.
type ear struct {
	mu        sync.Mutex // guards all below
	boxes     map[string]gateway.Place
	applied   []gateway.Signal
	calls     int // of Hear, repetitions included
	cursors   [2]gateway.StreamCursor
	forgetful bool                       // cursors are not saved, as when killed before
	refuse    func(gateway.Signal) error // nil: everything is applied
	broken    error                      // nothing can be stored
	saves     int
}

func newEar() *ear { return &ear{boxes: map[string]gateway.Place{}} }

func (e *ear) Hear(s gateway.Signal, done func(news bool, err error)) {
	news, err := e.hear(s)
	go done(news, err) // in any order
}

func (e *ear) hear(s gateway.Signal) (bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls++
	if e.broken != nil {
		return false, e.broken
	}
	if e.refuse != nil {
		if err := e.refuse(s); err != nil {
			return false, err
		}
	}
	box := fmt.Sprint(s.Tenant, s.Mailbox, s.Place.Lane)
	if last := e.boxes[box]; last.Epoch == s.Place.Epoch && s.Place.Seq <= last.Seq {
		return false, nil
	}
	e.boxes[box] = s.Place
	e.applied = append(e.applied, s)
	return true, nil
}

func (e *ear) StreamCursor(l gateway.Lane) gateway.StreamCursor {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.cursors[l]
}

func (e *ear) SaveStreamCursor(_ context.Context, l gateway.Lane, c gateway.StreamCursor) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.saves++
	switch {
	case e.broken != nil:
		return e.broken
	case !e.forgetful:
		e.cursors[l] = c
	}
	return nil
}

func (e *ear) set(change func(*ear)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(e)
}

func (e *ear) heard() []gateway.Signal {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.applied)
}

func (e *ear) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.applied)
}

var errStore = errors.New("the store is gone")

// listen runs a consumer of signals on the rig's connection; the function that it
// returns ends it.
func (r *rig) listen(e *ear, change func(*Signals)) (*Signals, func()) {
	r.t.Helper()
	s := &Signals{To: e, Conn: r.conn, Log: testLog(r.t), most: 20 * time.Millisecond}
	if change != nil {
		change(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("Run: %v", err)
		}
	})
	r.t.Cleanup(stop)
	return s, stop
}

// signalStream makes the stream as a gateway would, for those who publish first.
func (r *rig) signalStream() {
	r.t.Helper()
	if _, err := (Stream{}).ensure(r.t.Context(), r.nats(), signalShape, logger(nil)); err != nil {
		r.t.Fatal(err)
	}
}

// signal is a message that is fit to be applied; the mailbox is one of a hundred.
func signal(kind string, i int) *nats.Msg {
	return &nats.Msg{Subject: SignalSubject + kind, Header: nats.Header{}, Data: fmt.Appendf(nil,
		`{"id":"%d","mailbox":"reader%d@example.com","tenant":"acme"%s}`, i, i%100, map[string]string{
			"consent": `,"data":{"until":"2026-12-24T00:00:00Z"}`, "attributes": `,"timezone":"Europe/Berlin"`}[kind])}
}

func signals(kind string, from, to int) (msgs []*nats.Msg) {
	for i := from; i < to; i++ {
		msgs = append(msgs, signal(kind, i))
	}
	return msgs
}

// publish publishes as others do, on a connection of their own.
func (r *rig) publish(msgs ...*nats.Msg) {
	r.t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(r.server))
	if err != nil {
		r.t.Fatal(err)
	}
	defer nc.Close()
	publishOn(r.t, nc, msgs...)
}

func publishOn(t testing.TB, nc *nats.Conn, msgs ...*nats.Msg) {
	t.Helper()
	p := &publisher{nc: nc, batches: true, timeout: ackTimeout, skipped: func(_ *nats.Msg, err error) { t.Error(err) }}
	if _, err := p.publish(t.Context(), msgs); err != nil {
		t.Fatal(err)
	}
}

// rejected reads what was rejected.
func (r *rig) rejected() (msgs []*jetstream.RawStreamMsg) {
	r.t.Helper()
	s, err := r.js().Stream(r.t.Context(), SignalStream)
	if err != nil {
		r.t.Fatal(err)
	}
	for seq := uint64(1); ; {
		m, err := s.GetMsg(r.t.Context(), seq, jetstream.WithGetMsgSubject(RejectedSubject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return msgs
		}
		if err != nil {
			r.t.Fatal(err)
		}
		msgs = append(msgs, m)
		seq = m.Sequence + 1
	}
}

// once checks that signals were applied once each, each mailbox's in the order of
// the stream, and that they are as many as there should be.
func (e *ear) once(t *testing.T, want int) {
	t.Helper()
	seen := map[gateway.Place]bool{}
	last := map[string]gateway.Place{}
	all := e.heard()
	for _, s := range all {
		if seen[s.Place] {
			t.Errorf("%+v was applied twice", s.Place)
		}
		seen[s.Place] = true
		box := fmt.Sprint(s.Mailbox, s.Place.Lane)
		if was := last[box]; s.Place.Epoch < was.Epoch || s.Place.Epoch == was.Epoch && s.Place.Seq < was.Seq {
			t.Errorf("%s: %+v was applied after %+v", box, s.Place, was)
		}
		last[box] = s.Place
	}
	if len(all) != want {
		t.Errorf("%d signals were applied, want %d", len(all), want)
	}
}
