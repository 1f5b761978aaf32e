package bus

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tidepost/gateway"
)

// A stream that is made anew in the place of another is noticed, running or not,
// and read from its beginning.
func TestStreamRecreated(t *testing.T) {
	for _, running := range []bool{true, false} {
		r := newRig(t, nil)
		r.signalStream()
		e := newEar()
		s, stop := r.listen(e, nil)
		r.publish(append(signals("opened", 0, 50), signals("consent", 50, 60)...)...)
		eventually(t, "all are applied", func() bool { return e.StreamCursor(gateway.LaneEvidence).Seq == 60 && e.count() == 60 })
		if !running {
			stop()
		}
		if err := r.js().DeleteStream(t.Context(), SignalStream); err != nil {
			t.Fatal(err)
		}
		r.signalStream()
		r.publish(append(signals("opened", 0, 30), signals("consent", 30, 40)...)...)
		if !running {
			s, stop = r.listen(e, nil)
		}
		eventually(t, "what the new one has is applied", func() bool { return e.count() == 100 })
		e.once(t, 100)
		for l, c := range e.cursors {
			if c.Epoch != 1 {
				t.Errorf("lane %d: cursor %+v, want epoch 1", l, c)
			}
		}
		if l := s.Lag(); l.Recreated != 2 || l.Permission.Stopped != "" {
			t.Errorf("lag %+v", l)
		}
		stop()
	}
}

// A stream that is put back from an older copy stands until a person accepts it,
// across restarts of the gateway, and although it has grown past the cursor since.
func TestStreamBehindItsCursor(t *testing.T) {
	r := newRig(t, nil)
	r.signalStream()
	e := newEar()
	s, stop := r.listen(e, nil)
	if err := s.Resume(t.Context()); err == nil {
		t.Error("it resumes although nothing stands")
	}
	r.publish(append(signals("opened", 0, 20), signals("complained", 20, 40)...)...)
	eventually(t, "all are applied", func() bool { return e.count() == 40 })
	stop()
	old := t.TempDir()
	r.restart(func() {
		if err := os.CopyFS(old, os.DirFS(r.server.Dir)); err != nil {
			t.Fatal(err)
		}
	})
	_, stop = r.listen(e, nil)
	r.publish(append(signals("complained", 40, 60), signals("opened", 60, 80)...)...)
	eventually(t, "all are applied", func() bool { return e.count() == 80 && e.StreamCursor(gateway.LaneEvidence).Seq == 80 })
	stop()
	if err := r.server.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	r.server.Dir = old
	if err := r.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}

	s, stop = r.listen(e, nil)
	stopped := func() bool { l := s.Lag(); return l.Permission.Stopped != "" && l.Evidence.Stopped != "" }
	eventually(t, "both lanes stand", stopped)
	if !strings.Contains(s.Lag().Permission.Stopped, "tidepost signals resume") {
		t.Errorf("stopped: %s", s.Lag().Permission.Stopped)
	}
	r.publish(append(signals("complained", 100, 200), signals("opened", 200, 300)...)...) // past the cursor
	stop()
	s, _ = r.listen(e, nil)
	eventually(t, "both lanes still stand", stopped)
	if e.count() != 80 {
		t.Fatalf("%d are applied, want 80 until somebody says so", e.count())
	}
	if err := s.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what came since is applied", func() bool { return e.count() == 280 })
	e.once(t, 280)
	if l := s.Lag(); l.Permission.Stopped != "" || l.Evidence.Err != "" || l.Recreated != 0 {
		t.Errorf("lag %+v", l)
	}
	if e.StreamCursor(gateway.LaneEvidence).Epoch != 1 {
		t.Errorf("cursor %+v", e.StreamCursor(gateway.LaneEvidence))
	}
}

// damages are what may happen to a consumer.
var damages = []func(context.Context, jetstream.JetStream, string) error{
	func(ctx context.Context, js jetstream.JetStream, name string) error {
		return js.DeleteConsumer(ctx, SignalStream, name)
	},
	func(ctx context.Context, js jetstream.JetStream, name string) error { // something is delivered to nobody
		_, err := stolen(ctx, js, name)
		return err
	},
	func(ctx context.Context, js jetstream.JetStream, name string) error { // and acknowledged
		m, err := stolen(ctx, js, name)
		if err != nil {
			return err
		}
		return m.DoubleAck(ctx)
	},
	func(ctx context.Context, js jetstream.JetStream, name string) error {
		c, err := js.Consumer(ctx, SignalStream, name)
		if err != nil {
			return err
		}
		other := c.CachedInfo().Config
		other.FilterSubjects = []string{"tidepost.signal.viewed"}
		_, err = js.UpdateConsumer(ctx, SignalStream, other)
		return err
	},
}

func stolen(ctx context.Context, js jetstream.JetStream, name string) (jetstream.Msg, error) {
	c, err := js.Consumer(ctx, SignalStream, name)
	if err != nil {
		return nil, err
	}
	return c.Next()
}

// Consumers that are gone, were read from by something else, or have another
// filter than ours are made anew at the cursor.
func TestConsumersAreMended(t *testing.T) {
	r := newRig(t, nil)
	r.signalStream()
	js := r.js()
	e := newEar()
	total := 0
	for i, damage := range damages {
		spoil := func() {
			for _, name := range []string{PermissionConsumer, EvidenceConsumer} {
				if err := damage(t.Context(), js, name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
					t.Fatalf("%d: %v", i, err)
				}
			}
		}
		for _, running := range []bool{true, false} {
			s, stop := r.listen(e, nil)
			eventually(t, "it runs", func() bool {
				_, err := js.Consumer(t.Context(), SignalStream, EvidenceConsumer)
				return err == nil && s.Lag().Evidence.Err == ""
			})
			if running && i == 0 { // nothing is there to steal, and another filter is noticed at the next connection
				spoil()
			}
			if !running {
				stop()
			}
			r.publish(append(signals("opened", total, total+15), signals("bounced", total+15, total+20)...)...)
			total += 20
			if !running {
				spoil()
				_, stop = r.listen(e, nil)
			}
			eventually(t, "all are applied", func() bool { return e.count() == total })
			stop()
		}
	}
	e.once(t, total)
}

// A remote server that goes away for a while and comes back.
func TestSignalsFromARemoteServer(t *testing.T) {
	dir := t.TempDir()
	change := func(o *server.Options) { o.StoreDir = dir }
	s := remote(t, server.RANDOM_PORT, change)
	port := s.Addr().(*net.TCPAddr).Port
	url := s.ClientURL()
	r := &rig{t: t, conn: newConn(t, Options{URL: url})}
	e := newEar()
	r.signalStream()
	in, _ := r.listen(e, nil)
	send := func(from, to int) {
		nc, err := nats.Connect(url)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		publishOn(t, nc, append(signals("replied", from, to-50), signals("consent", to-50, to)...)...)
	}
	for i := range 3 {
		send(i*500, i*500+500)
		if i == 1 {
			eventually(t, "all are applied", func() bool { return e.count() == 1000 })
		}
		s.Shutdown()
		s.WaitForShutdown()
		eventually(t, "it notices", func() bool { return strings.Contains(in.Lag().Evidence.Err, "not connected") })
		s = remote(t, port, change)
	}
	eventually(t, "all are applied", func() bool { return e.count() == 1500 })
	e.once(t, 1500)
}

// accounts runs the server that `tidepost help nats` shows.
func accounts(t *testing.T) *server.Server {
	t.Helper()
	text, err := os.ReadFile("../../cmd/tidepost/docs/nats.md")
	if err != nil {
		t.Fatal(err)
	}
	_, conf, _ := strings.Cut(string(text), "    # nats.conf\n")
	conf, _, _ = strings.Cut(conf, "\n\n")
	conf = strings.ReplaceAll(conf, "/var/lib/nats", t.TempDir())
	file := t.TempDir() + "/nats.conf"
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return remote(t, server.RANDOM_PORT, func(o *server.Options) {
		c, err := server.ProcessConfigFile(file)
		if err != nil {
			t.Fatalf("%v in\n%s", err, conf)
		}
		c.Host, c.Port, c.NoSigs, c.NoLog = o.Host, o.Port, true, true
		*o = *c
	})
}

// Tenants with NATS accounts of their own, as the manual shows it.
func TestAccounts(t *testing.T) {
	s := accounts(t)
	at := func(user string) string { return strings.Replace(s.ClientURL(), "://", "://"+user+":secret@", 1) }
	r := &rig{t: t, conn: newConn(t, Options{URL: at("tidepost")})}
	r.signalStream()
	e := newEar()
	in, stop := r.listen(e, nil)
	acme, err := nats.Connect(at("acme"))
	if err != nil {
		t.Fatal(err)
	}
	defer acme.Close()
	js, err := acme.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range []string{`{"mailbox":"a@example.com"}`, `{"mailbox":"b@example.com","tenant":"acme"}`, `{"mailbox":"c@example.com","tenant":"other"}`} {
		ack, err := js.Publish("tidepost.signal.clicked", []byte(doc), nats.MsgId(doc))
		if err != nil || ack.Stream != SignalStream {
			t.Fatalf("%s: acknowledged with %+v, %v", doc, ack, err)
		}
	}
	if ack, err := js.Publish("tidepost.signal.clicked", []byte("{}"), nats.MsgId(`{"mailbox":"a@example.com"}`)); err != nil || !ack.Duplicate {
		t.Errorf("a repetition: %+v, %v", ack, err)
	}
	if _, err := js.Publish("tidepost.from.other.signal.clicked", []byte(`{"mailbox":"d@example.com"}`)); err == nil {
		t.Error("acme publishes for another tenant")
	}
	eventually(t, "what is acme's is applied", func() bool { return e.count() == 2 && in.Lag().Evidence.Rejected == 1 })
	stop()
	for _, s := range e.heard() {
		if s.Tenant != "acme" {
			t.Errorf("applied %+v", s)
		}
	}
	if sub, err := acme.SubscribeSync("tidepost.signal.rejected"); err == nil {
		if _, err := sub.NextMsg(1); err == nil {
			t.Error("acme hears what was rejected")
		}
	}
}
