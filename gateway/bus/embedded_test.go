package bus

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

func TestEmbeddedRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ dir, listen, want string }{
		{"", "", "data_dir: the embedded NATS server needs a directory"},
		{file, "", "data_dir: the embedded NATS server keeps its streams there"},
		{"ok", "0.0.0.0:4222", "nats.listen: 0.0.0.0:4222 is open to other machines and so needs accounts, which the embedded server does not have: listen on 127.0.0.1, or run a NATS server and set nats.url"},
		{"ok", ":4222", "nats.listen: :4222 is open"},
		{"ok", "[::]:4222", "is open"},
		{"ok", "bus.example.com:4222", "is open"},
		{"ok", "4222", "nats.listen: \"4222\" is not host:port, as in 127.0.0.1:4222"},
		{"ok", "127.0.0.1:99999", "is not host:port"},
		{"ok", taken.Addr().String(), "address already in use"},
	} {
		dir := c.dir
		if dir == "ok" {
			dir = filepath.Join(t.TempDir(), "nats")
		}
		e := &Embedded{Dir: dir, Listen: c.listen}
		err := e.Start(t.Context())
		if err == nil {
			e.Shutdown(context.Background())
			t.Errorf("listen %q started, want %q", c.listen, c.want)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("listen %q: %v\nwant %s", c.listen, err, c.want)
		}
	}
}

func TestEmbeddedSyncsAndBounds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "nats")
	e := &Embedded{Dir: dir, MaxStore: 3 << 20}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer e.Shutdown(context.Background())
	if err := e.Start(t.Context()); err == nil {
		t.Error("it starts twice")
	}
	info, err := e.srv.Jsz(nil)
	if err != nil {
		t.Fatal(err)
	}
	if !info.Config.SyncAlways || info.Config.MaxStore != 3<<20 {
		t.Errorf("JetStream runs with %+v", info.Config)
	}
	if used, limit := e.Usage(); used != 0 || limit != 3<<20 {
		t.Errorf("usage %d of %d", used, limit)
	}
	if e.ClientURL() != "" || e.srv.Addr() != nil {
		t.Error("it listens without being asked to")
	}
	if s, err := os.Stat(dir); err != nil || s.Mode().Perm() != 0o700 {
		t.Errorf("%s: %v, %v", dir, s.Mode(), err)
	}
}

// A restart keeps the port, even where any would do.
func TestEmbeddedListens(t *testing.T) {
	e := &Embedded{Dir: t.TempDir(), Listen: "localhost:0"}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	eventually(t, "it runs", func() bool { return e.ClientURL() != "" })
	url := e.ClientURL()
	c := newConn(t, Options{URL: url})
	eventually(t, "connected", c.Connected)
	e.restart(ctx)
	if got := e.ClientURL(); got != url {
		t.Errorf("after a restart it is at %s, before at %s", got, url)
	}
	if !strings.HasPrefix(url, "nats://127.0.0.1:") {
		t.Errorf("it is at %s", url)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	eventually(t, "disconnected", func() bool { return strings.Contains(c.Status(), "not connected") })
}

// JetStream that closed itself, as after a full disk, is started again when
// the relay gets no answers.
func TestEmbeddedHealsItself(t *testing.T) {
	e := &Embedded{Dir: t.TempDir()}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	eventually(t, "it runs", e.healthy)
	r := &rig{t: t, server: e, conn: newConn(t, Options{Embedded: e}), journal: newJournal(history(100, 3)...)}
	r.start()
	r.caughtUp()
	if err := e.srv.ShutdownJetStream(); err != nil {
		t.Fatal(err)
	}
	r.journal.commit(history(200, 3)[100:]...)
	eventually(t, "the relay stalls", func() bool { return r.relay.Lag().Err != "" })
	r.conn.unanswered()
	r.caughtUp()
	r.same()
	r.stop()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// What was acknowledged is there after a kill: a copy of the files as they are
// at that instant holds it.
func TestEmbeddedSurvivesAKill(t *testing.T) {
	r := newRig(t, newJournal(history(700, 20)...))
	r.start()
	r.caughtUp()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(r.server.Dir)); err != nil {
		t.Fatal(err)
	}
	r.stop()
	copied := &rig{t: t, server: &Embedded{Dir: dir}, journal: r.journal}
	if err := copied.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { copied.server.Shutdown(context.Background()) })
	copied.same()
}

func TestStoppedServerTakesNoConnections(t *testing.T) {
	e := &Embedded{Dir: t.TempDir()}
	if _, err := e.InProcessConn(); err == nil {
		t.Error("a server that was never started takes connections")
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Errorf("stopping a server that does not run: %v", err)
	}
	if _, err := nats.Connect("", nats.InProcessServer(e)); err == nil {
		t.Error("connected to a stopped server")
	}
}
