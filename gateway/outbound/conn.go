package outbound

import (
	"bufio"
	"context"
	"net"
	"strings"
	"time"

	"tidepost/gateway"
)

// conn is a connection with what a dialogue needs: a reader of bounded
// replies, commands collected into one write, and deadlines.
type conn struct {
	net.Conn
	host  string // the name it was dialled by, without port
	br    *bufio.Reader
	out   []byte // commands not written yet
	reply reply  // the last one read
	tls   bool

	// Set by watch for the length of one call: where every deadline ends.
	ctx   context.Context
	limit time.Time
}

// past is a deadline that ends what is under way.
var past = time.Unix(1, 0)

func newConn(nc net.Conn, host string) *conn {
	return &conn{Conn: nc, host: host, br: bufio.NewReaderSize(nc, 4<<10)}
}

// watch makes the end of ctx, and a total of limit, the end of all reads and
// writes until release is called. release returns false when ctx ended; the
// connection must then be closed.
func (c *conn) watch(ctx context.Context, limit time.Duration) (release func() bool) {
	c.ctx, c.limit = ctx, time.Now().Add(limit)
	if d, ok := ctx.Deadline(); ok && d.Before(c.limit) {
		c.limit = d
	}
	if ctx.Done() == nil {
		return func() bool { return true }
	}
	nc := c.Conn // STARTTLS wraps it; a deadline on the inner one serves both
	return context.AfterFunc(ctx, func() { nc.SetDeadline(past) })
}

// deadline is the instant at which something that may take d must be done.
func (c *conn) deadline(d time.Duration) time.Time {
	t := time.Now().Add(d)
	if c.limit.Before(t) {
		return c.limit
	}
	return t
}

// write writes b before the instant given. A peer that does not read, a zero
// window included, costs no more than that.
func (c *conn) write(b []byte, deadline time.Time) error {
	if err := c.Conn.SetWriteDeadline(deadline); err != nil {
		return err
	}
	// The func of watch may have run before our deadline replaced its own.
	if err := c.ctx.Err(); err != nil {
		return err
	}
	_, err := c.Conn.Write(b)
	return err
}

// flush writes the commands collected.
func (c *conn) flush(deadline time.Time) error {
	err := c.write(c.out, deadline)
	c.out = c.out[:0]
	return err
}

// read reads the next reply, all of it within d.
func (c *conn) read(d time.Duration) error {
	// Its error is that of a closed connection; what was said before may still
	// be in the buffer.
	c.Conn.SetReadDeadline(c.deadline(d))
	if err := c.ctx.Err(); err != nil {
		return err
	}
	return c.reply.read(c.br)
}

// command writes one command and reads its reply.
func (c *conn) command(line string, d time.Duration) error {
	c.out = append(append(c.out, line...), "\r\n"...)
	if err := c.flush(c.deadline(d)); err != nil {
		return err
	}
	return c.read(d)
}

// quit ends the session as RFC 5321 §4.1.1.10 wants it, if that is quick.
func (c *conn) quit(d time.Duration) {
	defer c.watch(context.Background(), d)()
	c.out = c.out[:0]
	c.command("QUIT", d)
}

// lost is what an error on the connection means before MAIL.
func (c *conn) lost(what string, err error) *gateway.Outcome {
	return unsent(c.host, what, err)
}

// unsent is an outcome for an error of ours or of the network.
func unsent(host, what string, err error) *gateway.Outcome {
	return &gateway.Outcome{Kind: gateway.OutcomeUnsent, Text: escape([]byte(what + ": " + brief(err))), Remote: host}
}

// brief is the error's text without the addresses that package net repeats.
func brief(err error) string {
	s := err.Error()
	if i := strings.LastIndex(s, ": i/o timeout"); i >= 0 {
		return "timeout"
	}
	if s == "EOF" {
		return "connection closed by the other side"
	}
	return s
}
