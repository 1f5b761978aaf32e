package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// The headers of an atomic batch (NATS ADR-50). nats.go has no helper for it.
const (
	headerBatch    = "Nats-Batch-Id"
	headerSequence = "Nats-Batch-Sequence" // from 1
	headerCommit   = "Nats-Batch-Commit"   // "1" on the last message
)

const ackTimeout = 10 * time.Second

// JetStream's error codes that decide what we do next. They are in
// nats-server's errors.json; jetstream names none of them.
const (
	codeMessageTooLarge = 10054
	codeHeaderTooLarge  = 10097
	codeBatchDisabled   = 10174
	codeBatchNoSequence = 10175
	codeBatchIncomplete = 10176
	codeBatchHeader     = 10177
	codeBatchID         = 10179
	codeBatchTooLarge   = 10199
	codeBatchCommit     = 10200
	codeBatchDuplicate  = 10201
	codeBatchInflight   = 10210
)

// singly are the refusals of a batch whose messages may go alone. All others
// concern the stream, and waiting is the answer.
var singly = []jetstream.ErrorCode{codeMessageTooLarge, codeHeaderTooLarge, codeBatchDisabled, codeBatchNoSequence, codeBatchIncomplete,
	codeBatchHeader, codeBatchID, codeBatchTooLarge, codeBatchCommit, codeBatchDuplicate, codeBatchInflight}

// pubAck is JetStream's answer to a publish.
type pubAck struct {
	Stream    string              `json:"stream"`
	Sequence  uint64              `json:"seq"`
	Duplicate bool                `json:"duplicate"`
	Batch     string              `json:"batch"`
	Count     int                 `json:"count"`
	Error     *jetstream.APIError `json:"error"`
}

// publisher puts messages into the stream, in order.
type publisher struct {
	nc      *nats.Conn
	batches bool
	timeout time.Duration
	skipped func(m *nats.Msg, err error) // told of messages that the stream will never take
}

// publish returns how many messages are done with, counted from the first:
// they are in the stream, or were skipped.
func (p *publisher) publish(ctx context.Context, msgs []*nats.Msg) (done int, err error) {
	for done < len(msgs) {
		n, err := p.publishSome(ctx, msgs[done:min(done+pageSize, len(msgs))])
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// publishSome publishes what fits in a batch, as one where that pays.
func (p *publisher) publishSome(ctx context.Context, msgs []*nats.Msg) (int, error) {
	if p.batches && len(msgs) >= fewest {
		err := p.batch(ctx, msgs)
		if err == nil {
			return len(msgs), nil
		}
		if !aloneInstead(err) {
			return 0, err
		}
		if refusal(err) == codeBatchDisabled {
			p.batches = false
		}
	}
	for i, m := range msgs {
		if err := p.single(ctx, m); err != nil {
			return i, err
		}
	}
	return len(msgs), nil
}

// batch publishes messages that are stored together or not at all. Only the
// last one asks for an answer: the server keeps the others aside, and a batch
// that misses one of them is refused.
func (p *publisher) batch(ctx context.Context, msgs []*nats.Msg) error {
	id := nuid.Next()
	last := len(msgs) - 1
	for i, m := range msgs {
		m.Header[headerBatch] = []string{id}
		m.Header[headerSequence] = []string{strconv.Itoa(i + 1)}
		delete(m.Header, headerCommit)
		if i == last {
			break
		}
		if err := p.nc.PublishMsg(m); err != nil {
			return plain(err)
		}
	}
	msgs[last].Header[headerCommit] = []string{"1"}
	ack, err := p.ask(ctx, msgs[last])
	if err != nil {
		return err
	}
	if ack.Batch != id || ack.Count != len(msgs) {
		// A server that does not know batches has stored the last message alone.
		p.batches = false
		return &jetstream.APIError{ErrorCode: codeBatchDisabled, Description: "the server does not know atomic batches"}
	}
	return nil
}

// single publishes one message. One that is in the stream already is done.
func (p *publisher) single(ctx context.Context, m *nats.Msg) error {
	delete(m.Header, headerBatch)
	delete(m.Header, headerSequence)
	delete(m.Header, headerCommit)
	_, err := p.ask(ctx, m)
	if code := refusal(err); code == codeMessageTooLarge || code == codeHeaderTooLarge || errors.Is(err, nats.ErrMaxPayload) {
		p.skipped(m, err)
		return nil
	}
	return err
}

func (p *publisher) ask(ctx context.Context, m *nats.Msg) (pubAck, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	var ack pubAck
	reply, err := p.nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		return ack, plain(err)
	}
	if err := json.Unmarshal(reply.Data, &ack); err != nil {
		return ack, fmt.Errorf("answer to a publish: %w", err)
	}
	if ack.Error != nil {
		return ack, ack.Error
	}
	if ack.Stream == "" {
		return ack, errors.New("the answer to a publish names no stream: something else listens on " + m.Subject)
	}
	return ack, nil
}

// plain says what nats.go means by two errors that are about something else in
// its own words.
func plain(err error) error {
	switch {
	case errors.Is(err, nats.ErrReconnectBufExceeded): // we have it keep nothing
		return errNotConnected
	case errors.Is(err, nats.ErrNoResponders):
		return errors.New("no stream listens: JetStream is off or has no leader")
	}
	return err
}

// refusal returns JetStream's code for an error; 0 where it did not answer.
func refusal(err error) jetstream.ErrorCode {
	var e *jetstream.APIError
	if errors.As(err, &e) {
		return e.ErrorCode
	}
	return 0
}

func aloneInstead(err error) bool {
	return errors.Is(err, nats.ErrMaxPayload) || slices.Contains(singly, refusal(err))
}
