package bus

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	dialTimeout   = 5 * time.Second
	writeTimeout  = 5 * time.Second // a server that reads nothing is given up after it
	pingInterval  = 20 * time.Second
	reconnectWait = time.Second
)

// Options say where the bus is: at URL, or in this process.
type Options struct {
	URL             string        // nats://host:4222 or tls://…; several separated by commas
	CredentialsFile string        // with URL: a NATS credentials file, read at each connection
	CAFile          string        // with URL: PEM of the authority that signed the server's certificate; makes TLS a must
	Embedded        *Embedded     // in place of URL
	ReconnectWait   time.Duration // between tries, and as much again at random; 0: 1 s
	Log             *slog.Logger  // nil: nothing is logged
}

// Conn is a connection to NATS that is made again for ever. It is safe for
// concurrent use.
type Conn struct {
	opts   Options
	log    *slog.Logger
	cancel context.CancelFunc
	ready  chan struct{} // closed when nc is set, or never will be
	closed chan struct{} // closed when the goroutine has ended

	// What nats.go knows of its state it does not tell while it dials, so it is
	// kept here; mu is never held across a call into it.
	mu      sync.Mutex
	nc      *nats.Conn    // guarded by mu; nil until ready
	server  string        // guarded by mu; "" while there is no connection
	changed chan struct{} // guarded by mu; closed and replaced at each connection

	life context.Context         // guarded by mu; of the connection that there is
	end  context.CancelCauseFunc // guarded by mu; of life
}

// Connect checks the options and starts connecting. It never waits for a
// server: a Conn that is not connected yet is as good as one whose server went
// away. The connection ends with Close, or when ctx is done.
func Connect(ctx context.Context, o Options) (*Conn, error) {
	opts, err := o.nats()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &Conn{opts: o, log: logger(o.Log), cancel: cancel,
		ready: make(chan struct{}), closed: make(chan struct{}), changed: make(chan struct{})}
	c.life, c.end = context.WithCancelCause(context.Background())
	c.end(errNotConnected)
	opts = append(opts, c.handlers()...)
	if o.Embedded == nil {
		opts = append(opts, nats.SetCustomDialer(dialer{ctx}), nats.SkipHostLookup())
	}
	go c.run(ctx, opts)
	return c, nil
}

// run makes the first connection, which RetryOnFailedConnect turns into one
// that nats.go goes on trying, and closes it in the end.
func (c *Conn) run(ctx context.Context, opts []nats.Option) {
	defer close(c.closed)
	nc := c.dial(ctx, opts)
	c.mu.Lock()
	c.nc = nc
	c.mu.Unlock()
	close(c.ready)
	<-ctx.Done()
	if nc != nil {
		nc.Close()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(errNotConnected)
}

func (c *Conn) dial(ctx context.Context, opts []nats.Option) *nats.Conn {
	for ctx.Err() == nil {
		nc, err := nats.Connect(c.opts.URL, opts...)
		if err == nil {
			return nc
		}
		// What even RetryOnFailedConnect gives up on; it may be put right at the
		// other end, as anything else.
		c.log.Warn("NATS does not take our connection", "error", err)
		wait := c.opts.wait()
		sleep(ctx, wait+rand.N(wait))
	}
	return nil
}

func (c *Conn) handlers() []nats.Option {
	return []nats.Option{
		nats.ConnectHandler(c.up),
		nats.ReconnectHandler(c.up),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { c.down(err) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			c.log.Warn("NATS complains", "error", err)
		}),
	}
}

func (c *Conn) up(nc *nats.Conn) {
	server := c.place(nc) + ", NATS " + nc.ConnectedServerVersion()
	c.log.Info("connected to NATS", "server", server)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(errNotConnected)
	c.life, c.end = context.WithCancelCause(context.Background())
	c.server = server
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Conn) down(err error) {
	if err != nil {
		c.log.Warn("NATS went away", "error", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.server = ""
	c.end(errNotConnected)
}

// place names the server without the password that a URL may hold.
func (c *Conn) place(nc *nats.Conn) string {
	if c.opts.Embedded != nil {
		return "embedded"
	}
	return nc.ConnectedUrlRedacted()
}

// Close ends the connection and waits until nothing of it runs any more.
func (c *Conn) Close() {
	c.cancel()
	<-c.closed
}

// Connected reports whether there is a connection now.
func (c *Conn) Connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server != ""
}

// Status says in a few words how the connection is, for people.
func (c *Conn) Status() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == "" {
		return "not connected to NATS, trying"
	}
	return "connected to " + c.server
}

// errNotConnected is why the relay waits when nothing else is known.
var errNotConnected = errors.New("not connected to NATS")

// current returns the connection, waiting for the first try to end.
func (c *Conn) current(ctx context.Context) (*nats.Conn, error) {
	select {
	case <-c.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nc == nil || c.server == "" {
		return nil, errNotConnected
	}
	return c.nc, nil
}

// during returns a context that ends with the connection, if not before: what
// waits for an answer, nats.go lets wait for its time.
func (c *Conn) during(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	c.mu.Lock()
	life := c.life
	c.mu.Unlock()
	stop := context.AfterFunc(life, func() { cancel(context.Cause(life)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// reconnected returns a channel that is closed at the next connection.
func (c *Conn) reconnected() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// unanswered tells the embedded server, if that is where we are connected,
// that it leaves us without an answer.
func (c *Conn) unanswered() {
	if c.opts.Embedded != nil && c.Connected() {
		c.opts.Embedded.suspect()
	}
}

// dialer ends a dial, with its name look-up, after dialTimeout or when the
// Conn is closed.
type dialer struct{ ctx context.Context }

// Dial is nats.CustomDialer. The address may still be a name.
func (d dialer) Dial(network, address string) (net.Conn, error) {
	n := net.Dialer{Timeout: dialTimeout, KeepAlive: pingInterval}
	return n.DialContext(d.ctx, network, address)
}

// sleep waits for d, or less when ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
