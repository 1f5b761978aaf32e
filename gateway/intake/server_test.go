package intake

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tidepost/gateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// outbox is a Submit that keeps what it got.
type outbox struct {
	mu   sync.Mutex
	ids  gateway.IDSource
	list []accepted
	err  error // what Submit says instead
}

type accepted struct {
	gateway.Message
	Submission gateway.Submission
	Body       string
	Header     string
}

func (o *outbox) Submit(_ context.Context, s *gateway.Submission) (gateway.ID, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return gateway.ID{}, o.err
	}
	body := bytes.Clone(s.Content.Bytes)
	if f, ok := s.Content.File.(*memoryFile); ok {
		body = bytes.Clone(f.Bytes())
		f.taken = true
	}
	o.list = append(o.list, accepted{s.Message, *s, string(body), string(s.Header)})
	return o.ids.Next(time.Now()), nil
}

func (o *outbox) all() []accepted {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.list
}

// memoryFile is a spool file for tests.
type memoryFile struct {
	bytes.Buffer
	taken, discarded bool
}

func (f *memoryFile) Discard() { f.discarded = true }

// serve runs a server on loopback until the test ends, and returns its address.
func serve(t testing.TB, s *Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error("Serve:", err)
		}
	})
	return l.Addr().String()
}
