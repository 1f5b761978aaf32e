package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	requestLife = 30 * time.Second
	heartbeat   = 5 * time.Second
)

// puller asks a consumer for messages and hands them out as they come; one request
// is under way at a time. nats.go's own Fetch takes whatever has no body and a
// header Status for word from the server, so that anybody who may publish could
// stop a lane with one message; here the subject tells them apart.
type puller struct {
	nc     *nats.Conn
	to     string // where requests go
	inbox  string // and the number of a request: where word of it comes to
	sub    *nats.Subscription
	in     chan *nats.Msg
	bytes  int64
	n      int // requests so far
	left   int // messages that the last one may still bring; 0: it is over
	missed int // heartbeats
	beat   *time.Timer
}

// pull starts asking a consumer of the stream of signals.
func pull(nc *nats.Conn, consumer string) (*puller, error) {
	p := &puller{nc: nc, to: "$JS.API.CONSUMER.MSG.NEXT." + SignalStream + "." + consumer, inbox: nc.NewInbox() + ".",
		// Room for a request and all that the server says about it meanwhile.
		in:    make(chan *nats.Msg, gulpSize+64),
		bytes: max(gulpBytes, 2*nc.MaxPayload()), // a message that fits no request would never come
		beat:  time.NewTimer(2 * heartbeat)}
	var err error
	p.sub, err = nc.ChanSubscribe(p.inbox+"*", p.in)
	return p, err
}

func (p *puller) close() {
	p.beat.Stop()
	_ = p.sub.Unsubscribe() // fails where the connection is gone, and the subscription with it
}

// pullRequest is what a consumer is asked (NATS ADR-37).
type pullRequest struct {
	Batch     int           `json:"batch"`
	MaxBytes  int64         `json:"max_bytes"`
	Expires   time.Duration `json:"expires"`
	Heartbeat time.Duration `json:"idle_heartbeat"`
}

func (p *puller) ask() error {
	if p.left > 0 {
		return nil
	}
	body, err := json.Marshal(pullRequest{gulpSize, p.bytes, requestLife, heartbeat})
	if err != nil {
		return err
	}
	p.n, p.left = p.n+1, gulpSize
	p.beat.Reset(2 * heartbeat)
	return p.nc.PublishRequest(p.to, p.inbox+strconv.Itoa(p.n), body)
}

// gulp waits for a message, and takes with it what has come already. It returns
// without one when due is, and with ctx.
func (p *puller) gulp(ctx context.Context, due <-chan time.Time) (msgs []*nats.Msg, err error) {
	for len(msgs) == 0 {
		if err := p.ask(); err != nil {
			return nil, err
		}
		select {
		case m := <-p.in:
			if msgs, err = p.take(msgs, m); err != nil {
				return nil, err
			}
		case <-p.beat.C:
			if err := p.silent(); err != nil {
				return nil, err
			}
		case <-due:
			return nil, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	for len(msgs) < gulpSize {
		select {
		case m := <-p.in:
			if msgs, err = p.take(msgs, m); err != nil {
				return nil, err
			}
		default:
			return msgs, nil
		}
	}
	return msgs, nil
}

// silent is for a request that nothing is heard of. One that ended without a word
// is made again.
func (p *puller) silent() error {
	if len(p.in) > 0 { // nobody listened
		p.beat.Reset(2 * heartbeat)
		return nil
	}
	if p.missed++; p.missed > 1 {
		return fmt.Errorf("fetching signals: no heartbeat: %w", nats.ErrTimeout)
	}
	p.left = 0
	return nil
}

// take adds what came to messages, or heeds it where it is word from the server.
func (p *puller) take(msgs []*nats.Msg, m *nats.Msg) ([]*nats.Msg, error) {
	p.missed = 0
	p.beat.Reset(2 * heartbeat)
	request, word := strings.CutPrefix(m.Subject, p.inbox)
	if !word {
		p.left = max(0, p.left-1)
		return append(msgs, m), nil
	}
	if request != strconv.Itoa(p.n) {
		return msgs, nil // of a request that is over
	}
	switch status, text := m.Header.Get("Status"), m.Header.Get("Description"); {
	case status == "100": // a heartbeat
	case status == "404", status == "408", status == "409" && strings.Contains(text, "MaxBytes"), status == "409" && strings.Contains(text, "Batch Completed"):
		p.left = 0 // over, and there may be more
	case status == "503":
		return msgs, errors.New("fetching signals: the consumer is gone, or JetStream is off")
	default:
		return msgs, fmt.Errorf("fetching signals: %s %s", status, text)
	}
	return msgs, nil
}
