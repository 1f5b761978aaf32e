package bus

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is an embedded server with a relay on it.
type rig struct {
	t       testing.TB
	server  *Embedded
	conn    *Conn
	journal *journal
	relay   *Relay
	stop    func()
}

// newServer starts an embedded server that ends with the test.
func newServer(t testing.TB) *Embedded {
	t.Helper()
	e := &Embedded{Dir: t.TempDir(), Log: testLog(t)}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e
}

func newConn(t testing.TB, o Options) *Conn {
	t.Helper()
	o.ReconnectWait = 5 * time.Millisecond
	o.Log = testLog(t)
	c, err := Connect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func newRig(t testing.TB, j *journal) *rig {
	t.Helper()
	e := newServer(t)
	return &rig{t: t, server: e, conn: newConn(t, Options{Embedded: e}), journal: j}
}

// start runs a relay, which the rig's stop or the end of the test ends.
func (r *rig) start() *Relay {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	relay := &Relay{Journal: r.journal, Conn: r.conn, Log: testLog(r.t), retry: retry{most: 20 * time.Millisecond}}
	done := make(chan error, 1)
	go func() { done <- relay.Run(ctx) }()
	stopped := false
	r.relay, r.stop = relay, func() {
		cancel()
		if stopped {
			return
		}
		stopped = true
		if err := <-done; err != nil {
			r.t.Errorf("Run: %v", err)
		}
	}
	r.t.Cleanup(r.stop)
	return relay
}

// nats returns the relay's connection.
func (r *rig) nats() *nats.Conn {
	r.t.Helper()
	eventually(r.t, "connected", r.conn.Connected)
	nc, err := r.conn.current(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return nc
}

// js returns JetStream as a consumer sees it.
func (r *rig) js() jetstream.JetStream {
	r.t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(r.server))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		r.t.Fatal(err)
	}
	return js
}

// stored reads the whole stream.
func (r *rig) stored() []*jetstream.RawStreamMsg {
	r.t.Helper()
	s, err := r.js().Stream(context.Background(), EventStream)
	if err != nil {
		r.t.Fatal(err)
	}
	state := s.CachedInfo().State
	var msgs []*jetstream.RawStreamMsg
	for seq := state.FirstSeq; seq <= state.LastSeq; seq++ {
		m, err := s.GetMsg(context.Background(), seq)
		if err != nil {
			r.t.Fatalf("message %d: %v", seq, err)
		}
		msgs = append(msgs, m)
	}
	return msgs
}

func storedIDs(msgs []*jetstream.RawStreamMsg) []string {
	ids := make([]string, len(msgs))
	for i, m := range msgs {
		ids[i] = m.Header.Get(nats.MsgIdHdr)
	}
	return ids
}

func testLog(t testing.TB) *slog.Logger {
	if !testing.Verbose() {
		return nil
	}
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}
